// SPDX-License-Identifier: Apache-2.0
// The system calls of sys.h on Linux.
#ifndef WEIR_IO_SYS_LINUX_H
#define WEIR_IO_SYS_LINUX_H

#ifndef _GNU_SOURCE
#error "sys_linux.h needs _GNU_SOURCE"
#endif

#include <fcntl.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/random.h>
#include <sys/sendfile.h>
#include <time.h>
#include <unistd.h>

#include "base/check.h"

// Repeats a call that a signal interrupted and turns -1 into the negative errno.
#define SYS_RETRY(call)                                                                                      \
    ({                                                                                                       \
        int64_t sys_r_;                                                                                      \
        do {                                                                                                 \
            sys_r_ = (call);                                                                                 \
        } while (unlikely(sys_r_ < 0 && errno == EINTR));                                                    \
        sys_r_ < 0 ? -(int64_t)errno : sys_r_;                                                               \
    })

static inline int sys_poll_new(void)
{
    // splice and sendfile have no MSG_NOSIGNAL.
    signal(SIGPIPE, SIG_IGN);
    return (int)SYS_RETRY(epoll_create1(EPOLL_CLOEXEC));
}

static inline void sys_poll_free(int poll_fd)
{
    close(poll_fd);
}

static inline int sys_poll_add(int poll_fd, int fd, uint64_t data)
{
    struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, .data.u64 = data};
    return (int)SYS_RETRY(epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &ev));
}

static inline void sys_poll_remove(int poll_fd, int fd)
{
    struct epoll_event ev = {0};
    (void)epoll_ctl(poll_fd, EPOLL_CTL_DEL, fd, &ev);
}

static inline int sys_poll_wait(int poll_fd, struct epoll_event *ret_events, int max, int timeout_ms)
{
    int n = epoll_wait(poll_fd, ret_events, max, timeout_ms);
    if (likely(n >= 0))
        return n;
    CHECK(errno == EINTR); // the turn ends early; the next one waits again
    return 0;
}

static inline int sys_wake_new(int poll_fd, uint64_t data)
{
    int fd = (int)SYS_RETRY(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    if (fd < 0)
        return fd;
    struct epoll_event ev = {.events = EPOLLIN | EPOLLET, .data.u64 = data};
    int r = (int)SYS_RETRY(epoll_ctl(poll_fd, EPOLL_CTL_ADD, fd, &ev));
    if (r < 0) {
        close(fd);
        return r;
    }
    return fd;
}

static inline void sys_wake(int wake_fd)
{
    uint64_t one = 1;
    (void)SYS_RETRY(write(wake_fd, &one, sizeof(one)));
}

static inline int64_t sys_recv(int fd, void *buf, size_t cap)
{
    return SYS_RETRY(recv(fd, buf, cap, 0));
}

static inline int64_t sys_send(int fd, const struct iovec *iov, unsigned n_iov, bool more)
{
    int flags = MSG_NOSIGNAL | (more ? MSG_MORE : 0);
    if (n_iov == 1)
        return SYS_RETRY(send(fd, iov->iov_base, iov->iov_len, flags));
    struct msghdr m = {.msg_iov = (struct iovec *)(uintptr_t)iov, .msg_iovlen = n_iov};
    return SYS_RETRY(sendmsg(fd, &m, flags));
}

static inline int sys_set_nonblocking(int fd)
{
    int on = 1;
    return (int)SYS_RETRY(ioctl(fd, FIONBIO, &on));
}

static inline int sys_set_nodelay(int fd)
{
    int on = 1;
    return (int)SYS_RETRY(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)));
}

static inline void sys_set_reset(int fd)
{
    struct linger l = {.l_onoff = 1, .l_linger = 0};
    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
}

static inline int sys_socket(int family)
{
    return (int)SYS_RETRY(socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0));
}

static inline int sys_bind(int fd, const struct sockaddr *addr, socklen_t len)
{
    // Leaves the choice of the port to connect, so that one port may serve several destinations.
    int on = 1;
    (void)setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
    return (int)SYS_RETRY(bind(fd, addr, len));
}

static inline int sys_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
    int r = connect(fd, addr, len);
    // An interrupted connect goes on in the background.
    return r == 0 ? 0 : errno == EINTR ? -EINPROGRESS : -errno;
}

static inline int sys_socket_error(int fd)
{
    int e = 0;
    socklen_t len = sizeof(e);
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &e, &len) < 0)
        return -errno;
    return -e;
}

static inline int sys_accept(int fd, struct sockaddr_storage *ret_peer)
{
    socklen_t len = sizeof(*ret_peer);
    return (int)SYS_RETRY(
        accept4(fd, (struct sockaddr *)ret_peer, ret_peer ? &len : NULL, SOCK_NONBLOCK | SOCK_CLOEXEC));
}

static inline int sys_peer_name(int fd, struct sockaddr_storage *ret)
{
    socklen_t len = sizeof(*ret);
    return (int)SYS_RETRY(getpeername(fd, (struct sockaddr *)ret, &len));
}

static inline int sys_local_name(int fd, struct sockaddr_storage *ret)
{
    socklen_t len = sizeof(*ret);
    return (int)SYS_RETRY(getsockname(fd, (struct sockaddr *)ret, &len));
}

static inline int sys_shutdown_write(int fd)
{
    return (int)SYS_RETRY(shutdown(fd, SHUT_WR));
}

static inline void sys_close(int fd)
{
    // Linux closes even when it answers EINTR, so this is never repeated.
    close(fd);
}

static inline int64_t sys_unacked(int fd)
{
    int n = 0;
    int64_t r = SYS_RETRY(ioctl(fd, SIOCOUTQ, &n));
    return r < 0 ? r : n;
}

// The kernel's struct tcp_info up to the two counters; libc's ends before them.
struct sys_tcp_counters {
    uint8_t others[120];
    uint64_t acked, received;
};

static inline bool sys_progress(int fd, uint64_t *ret_acked, uint64_t *ret_received)
{
    struct sys_tcp_counters c;
    socklen_t len = sizeof(c);
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, &c, &len) < 0 || len < sizeof(c))
        return false;
    *ret_acked = c.acked;
    *ret_received = c.received;
    return true;
}

static inline unsigned sys_backlog(int listener_fd)
{
    struct tcp_info i;
    socklen_t len = sizeof(i);
    // Of a listener the kernel says there how many wait.
    return getsockopt(listener_fd, IPPROTO_TCP, TCP_INFO, &i, &len) < 0 ? 0 : i.tcpi_unacked;
}

static inline uint64_t sys_files_limit(void)
{
    static _Atomic uint64_t limit; // it does not change once the worker runs
    uint64_t known = atomic_load_explicit(&limit, memory_order_relaxed);
    struct rlimit r;
    if (likely(known != 0))
        return known;
    known = getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur != RLIM_INFINITY ? r.rlim_cur : UINT32_MAX;
    atomic_store_explicit(&limit, known, memory_order_relaxed);
    return known;
}

static inline uint64_t sys_files_used(int any_fd)
{
    int fd = fcntl(any_fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0)
        return UINT64_MAX;
    close(fd);
    return (uint64_t)fd;
}

static inline int sys_pair(int ret_fd[2])
{
    return (int)SYS_RETRY(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ret_fd));
}

static inline int64_t sys_pipe(int ret_fd[2])
{
    enum { WANT_BYTES = 256 * 1024 };
    int fd[2];
    int64_t r = SYS_RETRY(pipe2(fd, O_CLOEXEC | O_NONBLOCK));
    if (r < 0)
        return r;
    // Refused beyond the user's share of pipe memory: then it stays as small as it is.
    r = fcntl(fd[1], F_SETPIPE_SZ, WANT_BYTES);
    if (r < 0)
        r = SYS_RETRY(fcntl(fd[1], F_GETPIPE_SZ));
    if (r < 0) {
        close(fd[0]);
        close(fd[1]);
        return r;
    }
    ret_fd[0] = fd[0];
    ret_fd[1] = fd[1];
    return r;
}

static inline int64_t sys_splice(int from, int to, size_t n, bool more)
{
    unsigned flags = SPLICE_F_MOVE | SPLICE_F_NONBLOCK | (more ? SPLICE_F_MORE : 0);
    return SYS_RETRY(splice(from, NULL, to, NULL, n, flags));
}

static inline int64_t sys_sendfile(int to, int from, uint64_t offset, size_t n)
{
    off_t at = (off_t)offset;
    return SYS_RETRY(sendfile(to, from, &at, n));
}

static inline int64_t sys_pread_cached(int fd, void *buf, size_t n, uint64_t offset)
{
    struct iovec v = {buf, n};
    int64_t r = SYS_RETRY(preadv2(fd, &v, 1, (off_t)offset, RWF_NOWAIT));
    return r == -EOPNOTSUPP || r == -ENOSYS ? -EAGAIN : r;
}

static inline int64_t sys_pread(int fd, void *buf, size_t n, uint64_t offset)
{
    return SYS_RETRY(pread(fd, buf, n, (off_t)offset));
}

static inline uint64_t sys_clock_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static inline uint64_t sys_cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

static inline uint64_t sys_wall_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static inline void sys_random(void *out, size_t n)
{
    char *p = (char *)out;
    while (n) {
        int64_t r = SYS_RETRY(getrandom(p, n, 0));
        CHECK(r > 0);
        p += r;
        n -= (size_t)r;
    }
}

static inline bool sys_alloc_fails(void)
{
    return false;
}

static inline bool sys_offload_inline(uint64_t *ret_delay_ms)
{
    (void)ret_delay_ms;
    return false;
}

#endif
