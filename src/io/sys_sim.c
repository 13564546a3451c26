// SPDX-License-Identifier: Apache-2.0
// The system calls of sys.h in the simulated kernel.
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "io/sim_world.h"

// For the trace.
enum call { CALL_POLL, CALL_RECV, CALL_SEND, CALL_SOCKET, CALL_CONNECT, CALL_ACCEPT, CALL_CLOSE, CALL_PREAD, CALL_SPLICE };

// ---- The poller

static int new_object(enum sim_kind kind)
{
    if (sim_call(&sim->calls.other))
        return -EMFILE;
    struct sim_end *e = sim_end_new(kind);
    int fd = sim_fd_new(e);
    if (fd < 0)
        sim_end_free(e);
    return fd;
}

int sys_poll_new(void)
{
    CHECK(sim != NULL); // sim_begin comes first
    return new_object(SIM_POLL);
}

void sys_poll_free(int poll_fd)
{
    sys_close(poll_fd);
}

int sys_wake_new(int poll_fd, uint64_t data)
{
    (void)poll_fd;
    (void)data;
    return new_object(SIM_WAKE);
}

void sys_wake(int wake_fd)
{
    (void)wake_fd;
    CHECK(!"a thread in a simulation"); // whose order no seed could decide
}

int sys_poll_add(int poll_fd, int fd, uint64_t data)
{
    (void)poll_fd;
    if (sim_call(&sim->calls.poll_add))
        return -ENOMEM;
    struct sim_end *e = sim_end_of_fd(fd);
    if (!e)
        return -EBADF;
    if (e->registered)
        return -EEXIST;
    e->registered = true;
    e->data = data;
    sim_edge(e);
    return 0;
}

void sys_poll_remove(int poll_fd, int fd)
{
    (void)poll_fd;
    struct sim_end *e = sim_end_of_fd(fd);
    CHECK(e != NULL && e->registered);
    e->registered = false;
}

// Takes what is ready out of the list of edges, in random order; some may stay behind for the next call.
static int collect(struct epoll_event *ret_events, int max)
{
    for (unsigned i = sim->n_edges; i > 1; i--) {
        unsigned k = (unsigned)sim_rand(i);
        uint32_t t = sim->edges[i - 1];
        sim->edges[i - 1] = sim->edges[k];
        sim->edges[k] = t;
    }
    if (sim_chance(100))
        max = 1;
    int n = 0;
    while (sim->n_edges && n < max) {
        struct sim_end *e = &sim->ends[sim->edges[--sim->n_edges]];
        e->edge = false;
        uint32_t mask = e->registered ? sim_mask(e) : 0;
        if (mask)
            ret_events[n++] = (struct epoll_event){.events = mask, .data.u64 = e->data};
    }
    return n;
}

// What happens to clocks while a process waits.
static void disturb_clocks(void)
{
    enum { DAY_MS = 24 * 3600 * 1000 };
    if (sim_chance(sim->o.wall_jump_pm))
        sim->wall_offset_ms = (int64_t)sim_rand(2 * DAY_MS) - DAY_MS;
    if (sim_chance(sim->o.stall_pm) && sim->o.stall_max_ms) {
        sim->now_us += 1000 * (1 + sim_rand(sim->o.stall_max_ms));
        sim_run_events();
    }
}

int sys_poll_wait(int poll_fd, struct epoll_event *ret_events, int max, int timeout_ms)
{
    (void)sim_call(&sim->calls.poll_wait);
    disturb_clocks();
    uint64_t until = timeout_ms < 0 ? UINT64_MAX : (sim->now_us / 1000 + (uint64_t)timeout_ms) * 1000;
    for (;;) {
        int n = collect(ret_events, max);
        if (n)
            return (int)sim_note(CALL_POLL, poll_fd, n);
        uint64_t next = sim_next_event_us();
        if (next == UINT64_MAX && until == UINT64_MAX)
            return SYS_NOTHING_LEFT;
        if (next > until) {
            sim->now_us = MAX(sim->now_us, until);
            return (int)sim_note(CALL_POLL, poll_fd, 0);
        }
        sim->now_us = MAX(sim->now_us, next);
        sim_run_events();
    }
}

// ---- Sockets

// A failing call also breaks the connection, as on Linux, where what fails is the connection and not the
// call.
static int break_connection(struct sim_end *e)
{
    struct sim_end *peer = sim_end_at(e->peer);
    e->is_reset = true;
    e->error = 0; // told now
    e->tail = e->arrived;
    sim_edge(e);
    if (peer)
        sim_send_event(SIM_RESET, peer, e, 0);
    return -ECONNRESET;
}

// The error that is told once, as a negative errno.
static int take_error(struct sim_end *e)
{
    int error = e->error;
    e->error = 0;
    return -error;
}

static void ring_copy(struct sim_end *e, size_t at, char *buf, size_t n, bool in)
{
    while (n) {
        size_t place = at % e->cap, k = MIN(n, e->cap - place);
        if (in)
            memcpy(e->ring + place, buf, k);
        else
            memcpy(buf, e->ring + place, k);
        at += k;
        buf += k;
        n -= k;
    }
}

static int64_t receive(struct sim_end *e, char *buf, size_t cap)
{
    size_t n = MIN(cap, e->arrived - e->head);
    if (n == 0) {
        if (e->error)
            return take_error(e);
        return e->is_reset || e->fin_arrived ? 0 : -EAGAIN;
    }
    // A read is short only where no more has arrived, or edge-triggered readers would be told wrong. So the
    // rest has not.
    if (n > 1 && !e->fin_arrived && !e->is_reset && sim_chance(sim->o.short_io_pm)) {
        n = 1 + (size_t)sim_rand(n - 1);
        size_t rest = e->arrived - e->head - n;
        e->arrived -= rest;
        sim_put_back(e, rest);
    }
    ring_copy(e, e->head, buf, n, false);
    e->head += n;
    struct sim_end *peer = sim_end_at(e->peer);
    if (peer && peer->no_space && e->cap - (e->tail - e->head) >= e->cap / 3) {
        peer->no_space = false;
        sim_edge(peer);
    }
    return (int64_t)n;
}

int64_t sys_recv(int fd, void *buf, size_t cap)
{
    bool fails = sim_call(&sim->calls.recv);
    struct sim_end *e = sim_end_of_fd(fd);
    if (!e)
        return -EBADF;
    if (e->kind != SIM_STREAM)
        return e->error ? take_error(e) : e->kind == SIM_CONNECTING ? -EAGAIN : -ENOTCONN;
    return sim_note(CALL_RECV, fd, fails ? break_connection(e) : receive(e, (char *)buf, cap));
}

static int64_t transmit(struct sim_end *e, const struct iovec *iov, unsigned n_iov)
{
    if (e->error)
        return take_error(e);
    if (e->is_reset || e->fin_sent)
        return -EPIPE;
    size_t want = 0;
    for (unsigned i = 0; i < n_iov; i++)
        want += iov[i].iov_len;
    struct sim_end *peer = sim_end_at(e->peer);
    if (!peer && e->vanished) {
        size_t n = MIN(want, e->cap - e->sunk);
        e->sunk += n;
        return n ? (int64_t)n : -EAGAIN;
    }
    if (!peer) { // it closed: this once the bytes are taken, and answered with a reset
        sim_send_event(SIM_RESET, e, e, 0);
        return (int64_t)want;
    }
    size_t n = MIN(want, peer->cap - (peer->tail - peer->head));
    if (n > 1 && sim_chance(sim->o.short_io_pm)) {
        n = 1 + (size_t)sim_rand(n - 1);
        sim_send_event(SIM_SPACE, e, e, 0); // which will say that there is room after all
    }
    e->no_space = n < want;
    if (n == 0)
        return -EAGAIN;
    size_t left = n;
    for (unsigned i = 0; left; i++) {
        size_t k = MIN(left, iov[i].iov_len);
        ring_copy(peer, peer->tail, (char *)iov[i].iov_base, k, true);
        peer->tail += k;
        left -= k;
    }
    if (sim_chance(sim->o.vanish_pm))
        sim_vanish(e);
    sim_send_event(sim_chance(sim->o.cut_pm) ? SIM_CUT : SIM_ARRIVE, peer, e, n);
    return (int64_t)n;
}

int64_t sys_send(int fd, const struct iovec *iov, unsigned n_iov, bool more)
{
    (void)more;
    bool fails = sim_call(&sim->calls.send);
    struct sim_end *e = sim_end_of_fd(fd);
    if (!e)
        return -EBADF;
    if (e->kind != SIM_STREAM)
        return e->error ? take_error(e) : e->kind == SIM_CONNECTING ? -EAGAIN : -EPIPE;
    return sim_note(CALL_SEND, fd, fails ? break_connection(e) : transmit(e, iov, n_iov));
}

int sys_set_nonblocking(int fd)
{
    (void)sim_call(&sim->calls.other);
    return sim_end_of_fd(fd) ? 0 : -EBADF;
}

int sys_set_nodelay(int fd)
{
    (void)sim_call(&sim->calls.other);
    return sim_end_of_fd(fd) ? 0 : -EBADF;
}

void sys_set_reset(int fd)
{
    sim_end_of_fd(fd)->reset_on_close = true;
}

int sys_socket(int family)
{
    if (sim_call(&sim->calls.socket) || sim_chance(sim->o.fd_fail_pm))
        return (int)sim_note(CALL_SOCKET, -1, -EMFILE);
    struct sim_end *e = sim_end_new(SIM_FRESH);
    e->local.ss_family = (sa_family_t)family;
    int fd = sim_fd_new(e);
    if (fd < 0)
        sim_end_free(e);
    return (int)sim_note(CALL_SOCKET, -1, fd);
}

int sys_bind(int fd, const struct sockaddr *addr, socklen_t len)
{
    if (sim_call(&sim->calls.other))
        return -EADDRNOTAVAIL;
    sim_set_address(&sim_end_of_fd(fd)->local, addr, len);
    return 0;
}

static void set_local(struct sim_end *e)
{
    if (e->remote.ss_family == AF_INET) {
        struct sockaddr_in *a = (struct sockaddr_in *)&e->local;
        if (a->sin_addr.s_addr == htonl(INADDR_ANY))
            a->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        if (!a->sin_port)
            a->sin_port = htons(sim_port());
    } else if (e->remote.ss_family == AF_INET6) {
        struct sockaddr_in6 *a = (struct sockaddr_in6 *)&e->local;
        if (memcmp(&a->sin6_addr, &in6addr_any, sizeof(a->sin6_addr)) == 0)
            a->sin6_addr = in6addr_loopback;
        if (!a->sin6_port)
            a->sin6_port = htons(sim_port());
    }
}

int sys_connect(int fd, const struct sockaddr *addr, socklen_t len)
{
    enum { SYN_GIVES_UP_US = 127 * 1000000 };
    if (sim_call(&sim->calls.connect))
        return (int)sim_note(CALL_CONNECT, fd, -ENETUNREACH);
    struct sim_end *e = sim_end_of_fd(fd);
    if (!e || e->kind != SIM_FRESH)
        return e ? -EISCONN : -EBADF;
    sim_set_address(&e->remote, addr, len);
    set_local(e);
    e->kind = SIM_CONNECTING;
    if (sim_chance(sim->o.blackhole_pm)) {
        e->last_arrival_us = sim->now_us + SYN_GIVES_UP_US;
        sim_send_event(SIM_FAILED, e, e, ETIMEDOUT);
    } else {
        sim_send_event(SIM_SYN, e, e, 0);
    }
    return (int)sim_note(CALL_CONNECT, fd, -EINPROGRESS);
}

int sys_socket_error(int fd)
{
    (void)sim_call(&sim->calls.other);
    struct sim_end *e = sim_end_of_fd(fd);
    return e ? take_error(e) : -EBADF;
}

int sys_accept(int fd, struct sockaddr_storage *ret_peer)
{
    bool fails = sim_call(&sim->calls.accept);
    struct sim_end *l = sim_end_of_fd(fd);
    if (!l || l->kind != SIM_LISTENER)
        return l ? -EINVAL : -EBADF;
    if (l->n_backlog == 0)
        return (int)sim_note(CALL_ACCEPT, fd, -EAGAIN);
    if (fails || sim_chance(sim->o.fd_fail_pm))
        return (int)sim_note(CALL_ACCEPT, fd, -EMFILE);
    struct sim_end *e = sim_end_at(l->backlog[0]);
    CHECK(e != NULL);
    int r = sim_fd_new(e);
    if (r < 0)
        return r;
    memmove(l->backlog, l->backlog + 1, --l->n_backlog * sizeof(l->backlog[0]));
    if (ret_peer)
        *ret_peer = e->remote;
    return (int)sim_note(CALL_ACCEPT, fd, r);
}

int sys_peer_name(int fd, struct sockaddr_storage *ret)
{
    (void)sim_call(&sim->calls.other);
    struct sim_end *e = sim_end_of_fd(fd);
    if (!e || e->kind != SIM_STREAM)
        return e ? -ENOTCONN : -EBADF;
    *ret = e->remote;
    return 0;
}

int sys_local_name(int fd, struct sockaddr_storage *ret)
{
    (void)sim_call(&sim->calls.other);
    struct sim_end *e = sim_end_of_fd(fd);
    if (!e)
        return -EBADF;
    *ret = e->local;
    return 0;
}

static void send_fin(struct sim_end *e)
{
    struct sim_end *peer = sim_end_at(e->peer);
    if (peer && !e->fin_sent)
        sim_send_event(SIM_FIN, peer, e, 0);
    e->fin_sent = true;
}

int sys_shutdown_write(int fd)
{
    (void)sim_call(&sim->calls.shutdown);
    struct sim_end *e = sim_end_of_fd(fd);
    if (!e || e->kind != SIM_STREAM || e->is_reset)
        return e ? -ENOTCONN : -EBADF;
    send_fin(e);
    sim_edge(e);
    return 0;
}

static void close_end(struct sim_end *e)
{
    struct sim_end *peer = e->kind == SIM_STREAM ? sim_end_at(e->peer) : NULL;
    for (unsigned i = 0; i < e->n_backlog; i++) {
        struct sim_end *waiting = sim_end_at(e->backlog[i]);
        waiting->reset_on_close = true;
        close_end(waiting);
    }
    if (peer && !e->is_reset) {
        if (e->reset_on_close || e->arrived > e->head)
            sim_send_event(SIM_RESET, peer, e, 0);
        else
            send_fin(e);
    }
    sim_end_free(e);
}

void sys_close(int fd)
{
    (void)sim_call(&sim->calls.close);
    struct sim_end *e = sim_end_of_fd(fd);
    CHECK(e != NULL);
    sim_note(CALL_CLOSE, fd, 0);
    sim->fds[fd - SIM_FD_BASE] = 0;
    sim->n_fds--;
    if (e->kind == SIM_PIPE && e->has_fd) {
        e->has_fd = false; // its other descriptor is still open
        return;
    }
    close_end(e);
}

int64_t sys_unacked(int fd)
{
    (void)sim_call(&sim->calls.other);
    struct sim_end *e = sim_end_of_fd(fd), *peer = e ? sim_end_at(e->peer) : NULL;
    return peer ? (int64_t)(peer->tail - peer->arrived) : e ? (int64_t)e->sunk : 0;
}

bool sys_progress(int fd, uint64_t *ret_acked, uint64_t *ret_received)
{
    (void)fd;
    (void)ret_acked;
    (void)ret_received;
    return false;
}

unsigned sys_backlog(int listener_fd)
{
    (void)listener_fd;
    return 0;
}

uint64_t sys_files_limit(void)
{
    return UINT32_MAX;
}

uint64_t sys_files_used(int any_fd)
{
    (void)any_fd;
    return 0;
}

// Work costs no time here; what passes while the process does not look is somebody else's.
uint64_t sys_cpu_us(void)
{
    return 0;
}

// ---- What a test program asks for itself

int sim_listen(const struct sockaddr *addr, socklen_t len)
{
    struct sockaddr_storage a;
    sim_set_address(&a, addr, len);
    for (uint32_t i = 0; i < sim->ends_used; i++) {
        if (sim->ends[i].kind == SIM_LISTENER && memcmp(&sim->ends[i].local, &a, sizeof(a)) == 0)
            return -1;
    }
    struct sim_end *e = sim_end_new(SIM_LISTENER);
    e->local = a;
    int fd = sim_fd_new(e);
    CHECK(fd >= 0);
    return fd;
}

void sim_pair(int ret_fd[2])
{
    struct sim_end *a = sim_end_new(SIM_STREAM), *b = sim_end_new(SIM_STREAM);
    sim_link(a, b);
    ret_fd[0] = sim_fd_new(a);
    ret_fd[1] = sim_fd_new(b);
    CHECK(ret_fd[0] >= 0 && ret_fd[1] >= 0);
}

// ---- Files, clocks, helper threads

// This world has none.
int sys_pair(int ret_fd[2])
{
    (void)ret_fd;
    return -EMFILE;
}

// A pipe is one end with two descriptors; it holds what a socket does.
int64_t sys_pipe(int ret_fd[2])
{
    if (sim_call(&sim->calls.other) || sim_chance(sim->o.fd_fail_pm))
        return -EMFILE;
    struct sim_end *e = sim_end_new(SIM_PIPE);
    int r = sim_fd_new(e), w = sim_fd_new(e);
    CHECK(r >= 0 && w >= 0);
    ret_fd[0] = r;
    ret_fd[1] = w;
    return (int64_t)e->cap;
}

static int64_t splice_in(struct sim_end *from, struct sim_end *pipe, char *bounce, size_t n)
{
    n = MIN(n, pipe->cap - (pipe->tail - pipe->head));
    int64_t r = n ? receive(from, bounce, n) : -EAGAIN;
    if (r > 0) {
        ring_copy(pipe, pipe->tail, bounce, (size_t)r, true);
        pipe->tail += (size_t)r;
    }
    return r;
}

static int64_t splice_out(struct sim_end *pipe, struct sim_end *to, char *bounce, size_t n)
{
    n = MIN(n, pipe->tail - pipe->head);
    if (n == 0)
        return -EAGAIN;
    ring_copy(pipe, pipe->head, bounce, n, false);
    int64_t r = transmit(to, &(struct iovec){bounce, n}, 1);
    if (r > 0)
        pipe->head += (size_t)r;
    return r;
}

int64_t sys_splice(int from, int to, size_t n, bool more)
{
    static char bounce[64 * 1024];
    (void)more;
    bool fails = sim_call(&sim->calls.other);
    struct sim_end *f = sim_end_of_fd(from), *t = sim_end_of_fd(to);
    if (!f || !t || (f->kind == SIM_PIPE) == (t->kind == SIM_PIPE))
        return -EBADF;
    struct sim_end *socket = f->kind == SIM_PIPE ? t : f;
    n = MIN(n, sizeof(bounce));
    int64_t r = socket->kind != SIM_STREAM ? -ENOTCONN
                : fails                    ? break_connection(socket)
                : socket == f              ? splice_in(f, t, bounce, n)
                                           : splice_out(f, t, bounce, n);
    return sim_note(CALL_SPLICE, socket == f ? from : to, r);
}

int64_t sys_sendfile(int to, int from, uint64_t offset, size_t n)
{
    (void)to;
    (void)from;
    (void)offset;
    (void)n;
    return -ENOSYS;
}

int64_t sys_pread_cached(int fd, void *buf, size_t n, uint64_t offset)
{
    return sim_chance(sim->o.delay_pm) ? -EAGAIN : sys_pread(fd, buf, n, offset);
}

int64_t sys_pread(int fd, void *buf, size_t n, uint64_t offset)
{
    if (sim_call(&sim->calls.pread))
        return sim_note(CALL_PREAD, -1, -EIO);
    if (n > 1 && sim_chance(sim->o.short_io_pm))
        n = 1 + (size_t)sim_rand(n - 1);
    ssize_t r = pread(fd, buf, n, (off_t)offset);
    return sim_note(CALL_PREAD, -1, r < 0 ? -errno : r);
}

uint64_t sys_clock_us(void)
{
    return sim->now_us;
}

uint64_t sys_wall_ms(void)
{
    static const uint64_t YEAR_2026_MS = 1767225600000u;
    return (uint64_t)((int64_t)(YEAR_2026_MS + sim->now_us / 1000) + sim->wall_offset_ms);
}

bool sys_alloc_fails(void)
{
    return sim_alloc_fails();
}

bool sys_offload_inline(uint64_t *ret_delay_ms)
{
    *ret_delay_ms = 1;
    if (sim_chance(sim->o.delay_pm) && sim->o.delay_max_ms)
        *ret_delay_ms += sim_rand(sim->o.delay_max_ms);
    return true;
}
