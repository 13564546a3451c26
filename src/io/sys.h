// SPDX-License-Identifier: Apache-2.0
// The thin layer of system calls under io.c and loop.c, and the seam of the simulator. Every call answers
// like the kernel's: a number of 0 or more, or a negative errno (never EINTR). On Linux these are inline and
// cost nothing; with WEIR_IO_SIM they are the functions of sys_sim.c.
#ifndef WEIR_IO_SYS_H
#define WEIR_IO_SYS_H

#include <errno.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include "base/macros.h"

#ifdef WEIR_IO_SIM
#define SYS_CALL extern
#else
#define SYS_CALL static inline
#endif

/// What sys_poll_wait answers when no event can ever come again. Only the simulator can know that.
#define SYS_NOTHING_LEFT (-EDEADLK)

/// An epoll instance; -EMFILE and so on.
SYS_CALL int sys_poll_new(void);
SYS_CALL void sys_poll_free(int poll_fd);
/// Registers for reading, writing and the peer's end, edge-triggered, until fd is closed.
SYS_CALL int sys_poll_add(int poll_fd, int fd, uint64_t data);
SYS_CALL void sys_poll_remove(int poll_fd, int fd);
/// timeout_ms: -1 for none. Returns how many events.
SYS_CALL int sys_poll_wait(int poll_fd, struct epoll_event *ret_events, int max, int timeout_ms);
/// A descriptor with which other threads end a sys_poll_wait. Edge-triggered: it is never read.
SYS_CALL int sys_wake_new(int poll_fd, uint64_t data);
SYS_CALL void sys_wake(int wake_fd);

SYS_CALL int64_t sys_recv(int fd, void *buf, size_t cap);
SYS_CALL int64_t sys_send(int fd, const struct iovec *iov, unsigned n_iov, bool more);
SYS_CALL int sys_set_nonblocking(int fd);
SYS_CALL int sys_set_nodelay(int fd);
/// The next close sends a reset.
SYS_CALL void sys_set_reset(int fd);
SYS_CALL int sys_socket(int family);
SYS_CALL int sys_bind(int fd, const struct sockaddr *addr, socklen_t len);
SYS_CALL int sys_connect(int fd, const struct sockaddr *addr, socklen_t len);
/// The socket's pending error as a negative errno, or 0.
SYS_CALL int sys_socket_error(int fd);
SYS_CALL int sys_accept(int fd, struct sockaddr_storage *ret_peer);
SYS_CALL int sys_peer_name(int fd, struct sockaddr_storage *ret);
SYS_CALL int sys_local_name(int fd, struct sockaddr_storage *ret);
SYS_CALL int sys_shutdown_write(int fd);
SYS_CALL void sys_close(int fd);
/// Bytes sent and not acknowledged.
SYS_CALL int64_t sys_unacked(int fd);

/// See io_progress.
SYS_CALL bool sys_progress(int fd, uint64_t *ret_acked, uint64_t *ret_received);
/// Connections that wait to be accepted, as the kernel counts them.
SYS_CALL unsigned sys_backlog(int listener_fd);
/// How many descriptors the process may have, and has (about: the lowest free number).
SYS_CALL uint64_t sys_files_limit(void);
SYS_CALL uint64_t sys_files_used(int any_fd);

/// Two stream sockets that are connected to each other.
SYS_CALL int sys_pair(int ret_fd[2]);
/// A non-blocking pipe; returns its capacity.
SYS_CALL int64_t sys_pipe(int ret_fd[2]);
SYS_CALL int64_t sys_splice(int from, int to, size_t n, bool more);
/// -ENOSYS where the backend has none.
SYS_CALL int64_t sys_sendfile(int to, int from, uint64_t offset, size_t n);
/// Only what needs no wait for the disk: -EAGAIN otherwise.
SYS_CALL int64_t sys_pread_cached(int fd, void *buf, size_t n, uint64_t offset);
SYS_CALL int64_t sys_pread(int fd, void *buf, size_t n, uint64_t offset);

SYS_CALL uint64_t sys_clock_us(void);
/// Processor time of the calling thread.
SYS_CALL uint64_t sys_cpu_us(void);
SYS_CALL uint64_t sys_wall_ms(void);
SYS_CALL void sys_random(void *out, size_t n);

/// Whether the simulator wants to refuse memory that does not come from mem_alloc: a stack, a place in a
/// queue.
SYS_CALL bool sys_alloc_fails(void);
/// True: there are no helper threads, an offload is done in place, ret_delay_ms later.
SYS_CALL bool sys_offload_inline(uint64_t *ret_delay_ms);

#ifndef WEIR_IO_SIM
#include "io/sys_linux.h"
#endif

#endif
