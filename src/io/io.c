// SPDX-License-Identifier: Apache-2.0
// Registration, events, and the operations on sockets.
#include "io/io.h"

#include "base/check.h"
#include "base/mem.h"
#include "io/internal.h"

_Static_assert(sizeof(struct io) <= 48, "idle connections are many");

enum { IOV_BATCH = 64, IOV_LIMIT = 1024 }; // the kernel takes IOV_LIMIT vectors at the most

static enum err resource_error(int64_t negative_errno)
{
    switch (-negative_errno) {
    case EMFILE:
    case ENFILE:
        return ERR_NO_FILES;
    case ENOMEM:
    case ENOBUFS:
    case ENOSPC: // the user's share of epoll registrations
        return ERR_NO_MEMORY;
    default:
        return ERR_IO;
    }
}

// ---- Registration

static bool table_reserve(struct loop *l, uint32_t fd)
{
    if (likely(fd < l->n_ios))
        return true;
    uint32_t n = MAX(l->n_ios, 64u);
    while (n <= fd)
        n *= 2;
    struct io **t = (struct io **)mem_realloc(l->ios, n * sizeof(struct io *));
    if (!t)
        return false;
    for (uint32_t i = l->n_ios; i < n; i++)
        t[i] = NULL;
    l->ios = t;
    l->n_ios = n;
    return true;
}

// Registers a descriptor that is non-blocking already.
static enum err io_register(struct io *io, int fd, uint8_t state)
{
    struct loop *l = loop_current;
    if (++l->next_gen == 0)
        l->next_gen = 1;
    *io = (struct io){.fd = fd, .gen = l->next_gen, .state = state};
    int r = table_reserve(l, (uint32_t)fd)
                ? sys_poll_add(l->poll_fd, fd, (uint64_t)io->gen << 32 | (uint32_t)fd)
                : -ENOMEM;
    if (unlikely(r < 0)) {
        sys_set_reset(fd); // not served is no orderly end
        sys_close(fd);
        io->fd = -1;
        return resource_error(r);
    }
    l->ios[fd] = io;
    l->live_ios++;
    return ERR_OK;
}

enum err io_open(struct io *io, int fd)
{
    int r = sys_set_nonblocking(fd);
    if (unlikely(r < 0)) {
        sys_close(fd);
        *io = (struct io){.fd = -1};
        return resource_error(r);
    }
    return io_open_accepted(io, fd);
}

enum err io_open_accepted(struct io *io, int fd)
{
    // Perhaps something is there already: trying is cheaper than waiting for the poller to say so.
    return io_register(io, fd, IO_READABLE | IO_WRITABLE);
}

static int unregister(struct io *io)
{
    struct loop *l = loop_current;
    CHECK(!io->reader && !io->writer && l->ios[io->fd] == io);
    int fd = io->fd;
    l->ios[fd] = NULL;
    l->live_ios--;
    io->fd = -1;
    return fd;
}

void io_close(struct io *io)
{
    if (io->fd < 0)
        return;
    bool shared = io->state & IO_NODELAY_SET;
    int fd = unregister(io);
    // A close ends the registration too, but not while another process has the socket open, as it may a
    // listener.
    if (shared)
        sys_poll_remove(loop_current->poll_fd, fd);
    sys_close(fd);
}

void io_close_reset(struct io *io)
{
    if (io->fd >= 0)
        sys_set_reset(io->fd);
    io_close(io);
}

int io_release(struct io *io)
{
    int fd = unregister(io);
    sys_poll_remove(loop_current->poll_fd, fd);
    return fd;
}

void io_move(struct io *to, struct io *from)
{
    CHECK(!from->reader && !from->writer);
    *to = *from;
    if (from->fd >= 0)
        loop_current->ios[from->fd] = to;
    from->fd = -1;
}

void io_watch(struct io *io, struct fiber *f)
{
    io->watcher = f;
    if (f && (io->state & IO_BROKEN)) {
        io->watcher = NULL;
        fiber_cancel(f, ERR_CANCELED);
    }
}

unsigned io_live_count(void)
{
    return loop_current ? loop_current->live_ios : 0;
}

// ---- Events

static uint8_t state_after(uint8_t s, uint32_t events)
{
    if (events & EPOLLIN)
        s |= IO_READABLE;
    if (events & EPOLLOUT)
        s |= IO_WRITABLE;
    if (events & EPOLLRDHUP)
        s |= IO_READABLE | IO_PEER_ENDED;
    if (unlikely(events & EPOLLERR))
        s |= IO_READABLE | IO_WRITABLE | IO_BROKEN | IO_ERRORED;
    if (unlikely(events & EPOLLHUP)) {
        // Both directions have ended. Where we ended ours, that is how it should be.
        s |= IO_READABLE | IO_WRITABLE | IO_PEER_ENDED;
        if (!(s & IO_SHUT))
            s |= IO_BROKEN;
    }
    return s;
}

void io_event(struct io *io, uint32_t events)
{
    uint8_t before = io->state;
    uint8_t s = io->state = state_after(before, events);
    if (unlikely(s & IO_BROKEN) && io->watcher) {
        struct fiber *f = io->watcher;
        io->watcher = NULL;
        fiber_cancel(f, ERR_CANCELED);
    }
    bool in = (events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP)) != 0;
    bool out = (events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) != 0;
    if (!io->reader && !io->writer) {
        // That it is writable is no news where no write has ever fallen short.
        if (io->on_event && (in || (s & ~before & IO_WRITABLE)))
            io->on_event(io);
        return;
    }
    struct fiber *r = in ? io->reader : NULL, *w = out ? io->writer : NULL;
    // The one that runs now may close io and free it, so it comes last.
    if (w && r)
        fiber_end_wait(w, ERR_OK);
    if (r)
        fiber_end_wait_now(r, ERR_OK);
    else if (w)
        fiber_end_wait_now(w, ERR_OK);
}

static enum err wait_for(struct io *io, struct fiber **place, uint8_t bit, uint64_t deadline)
{
    while (!(io->state & bit)) {
        CHECK(*place == NULL); // one reader and one writer
        *place = fiber_self();
        enum err e = fiber_wait(deadline, true);
        *place = NULL;
        if (e)
            return e;
    }
    return ERR_OK;
}

enum err io_wait_readable(struct io *io, uint64_t deadline)
{
    return wait_for(io, &io->reader, IO_READABLE, deadline);
}

enum err io_wait_writable(struct io *io, uint64_t deadline)
{
    return wait_for(io, &io->writer, IO_WRITABLE, deadline);
}

// ---- Receiving and sending

enum err io_call_failed(struct io *io, int64_t negative_errno)
{
    switch (-negative_errno) {
    case ENOMEM:
    case ENOBUFS:
        return ERR_NO_MEMORY;
    case EBADF:
    case EFAULT:
    case EINVAL:
    case ENOTSOCK:
    case ENOTCONN:
    case EOPNOTSUPP:
    case EPERM: // a packet filter of this machine
        return ERR_IO;
    default: // ECONNRESET, EPIPE, ETIMEDOUT, EHOSTUNREACH and the like; the kernel says it only once
        io->state |= IO_READABLE | IO_WRITABLE | IO_BROKEN | IO_ERRORED;
        return ERR_RESET;
    }
}

enum err io_end(struct io *io)
{
    io->state |= IO_READABLE | IO_PEER_ENDED;
    return io->state & IO_ERRORED ? ERR_RESET : ERR_EOF;
}

enum err io_recv_now(struct io *io, void *buf, size_t cap, size_t *ret_n)
{
    CHECK(cap > 0); // or an end could not be told from nothing
    if (!(io->state & IO_READABLE))
        return ERR_AGAIN;
    int64_t n = sys_recv(io->fd, buf, cap);
    if (likely(n > 0)) {
        // A short read has taken everything, and the next arrival is a new event; but an end that is already
        // known would not be one. (Urgent data also cuts a read short; then the peer's next packet is what
        // goes on.)
        if ((size_t)n < cap && !(io->state & (IO_PEER_ENDED | IO_BROKEN)))
            io->state &= (uint8_t)~IO_READABLE;
        *ret_n = (size_t)n;
        return ERR_OK;
    }
    if (n == 0)
        return io_end(io);
    if (n != -EAGAIN)
        return io_call_failed(io, n);
    if (io->state & IO_BROKEN)
        return ERR_RESET; // another call was told why
    io->state &= (uint8_t)~IO_READABLE;
    return ERR_AGAIN;
}

enum err io_recv(struct io *io, void *buf, size_t cap, uint64_t deadline, size_t *ret_n)
{
    fiber_fair();
    for (;;) {
        enum err e = io_recv_now(io, buf, cap, ret_n);
        if (e != ERR_AGAIN)
            return e;
        e = io_wait_readable(io, deadline);
        if (e)
            return e;
    }
}

enum err io_sendv_now(struct io *io, const struct iovec *iov, unsigned n_iov, bool more, size_t *ret_n)
{
    if (io->state & IO_BROKEN)
        return ERR_RESET;
    if (!(io->state & IO_WRITABLE))
        return ERR_AGAIN;
    n_iov = MIN(n_iov, (unsigned)IOV_LIMIT);
    size_t want = 0;
    for (unsigned i = 0; i < n_iov; i++)
        want += iov[i].iov_len;
    if (unlikely(want == 0)) {
        *ret_n = 0;
        return ERR_OK;
    }
    int64_t n = sys_send(io->fd, iov, n_iov, more);
    if (likely(n >= 0)) {
        if ((size_t)n < want)
            io->state &= (uint8_t)~IO_WRITABLE;
        *ret_n = (size_t)n;
        return ERR_OK;
    }
    if (n != -EAGAIN)
        return io_call_failed(io, n);
    io->state &= (uint8_t)~IO_WRITABLE;
    return ERR_AGAIN;
}

enum err io_sendv(struct io *io, const struct iovec *iov, unsigned n_iov, bool more, uint64_t deadline,
                  size_t *ret_n)
{
    fiber_fair();
    for (;;) {
        enum err e = io_sendv_now(io, iov, n_iov, more, ret_n);
        if (e != ERR_AGAIN)
            return e;
        e = io_wait_writable(io, deadline);
        if (e)
            return e;
    }
}

static enum err send_some(struct io *io, struct chunkq *q, struct iovec *iov, unsigned max, uint64_t stall_ms)
{
    unsigned n_iov = chunkq_iov(q, iov, max);
    size_t n;
    enum err e = io_sendv(io, iov, n_iov, q->n > n_iov, deadline_in(stall_ms), &n);
    if (!e)
        chunkq_skip(q, n);
    return e;
}

// Out of line: who waits here, as slow readers do, would keep the memory on its stack.
static NOINLINE enum err send_many(struct io *io, struct chunkq *q, uint64_t stall_ms)
{
    struct iovec iov[IOV_BATCH];
    return send_some(io, q, iov, IOV_BATCH, stall_ms);
}

enum err io_send_queue(struct io *io, struct chunkq *q, uint64_t stall_ms)
{
    enum err e = ERR_OK;
    while (!e && q->bytes) {
        struct iovec iov[CHUNKQ_INLINE];
        e = likely(q->n <= CHUNKQ_INLINE) ? send_some(io, q, iov, CHUNKQ_INLINE, stall_ms) : send_many(io, q, stall_ms);
    }
    return e;
}

void io_shutdown_write(struct io *io)
{
    io->state |= IO_SHUT;
    (void)sys_shutdown_write(io->fd);
}

size_t io_unacked(const struct io *io)
{
    int64_t n = io->fd < 0 ? 0 : sys_unacked(io->fd);
    return n < 0 ? 0 : (size_t)n;
}

// ---- Connecting and accepting

static enum err connect_error(int64_t negative_errno)
{
    switch (-negative_errno) {
    case ECONNREFUSED:
    case ECONNRESET:
        return ERR_CONNECT_REFUSED;
    case ETIMEDOUT:
        return ERR_CONNECT_TIMEOUT;
    case EMFILE:
    case ENFILE:
        return ERR_NO_FILES;
    case ENOMEM:
    case ENOBUFS:
        return ERR_NO_MEMORY;
    default: // unreachable, no such path, not permitted, no local port left
        return ERR_CONNECT_FAILED;
    }
}

// A unix listener whose backlog is full cannot be waited for.
static int64_t connect_unix(int fd, const struct sockaddr *to, socklen_t to_len, uint64_t deadline,
                            enum err *ret_wait)
{
    enum { RETRY_MS = 10 };
    for (;;) {
        int64_t r = sys_connect(fd, to, to_len);
        if (r != -EAGAIN)
            return r;
        if (loop_now_ms() >= deadline)
            return -ETIMEDOUT;
        *ret_wait = fiber_sleep(RETRY_MS);
        if (*ret_wait)
            return r;
    }
}

static enum err connect_wait(struct io *io, uint64_t deadline)
{
    enum err e = io_wait_writable(io, deadline);
    if (e)
        return e == ERR_TIMEOUT ? ERR_CONNECT_TIMEOUT : e;
    // What failed is an error of the socket, which the event has said; only why is still to be asked.
    if (likely(!(io->state & (IO_BROKEN | IO_ERRORED))))
        return ERR_OK;
    int r = sys_socket_error(io->fd);
    if (r < 0)
        return connect_error(r);
    return io->state & IO_ERRORED ? ERR_CONNECT_REFUSED : ERR_OK;
}

enum err io_connect(struct io *ret_io, const struct sockaddr *to, socklen_t to_len,
                    const struct sockaddr *bind_to, socklen_t bind_len, uint64_t deadline)
{
    enum { LAST_RESERVE = 16 }; // for who administers this process
    int fd = sys_socket(to->sa_family);
    if (fd < 0)
        return connect_error(fd);
    if (unlikely((uint64_t)fd + LAST_RESERVE >= sys_files_limit())) {
        sys_close(fd);
        return ERR_NO_FILES;
    }
    int64_t r = 0;
    if (to->sa_family != AF_UNIX)
        (void)sys_set_nodelay(fd);
    if (bind_to)
        r = sys_bind(fd, bind_to, bind_len);
    enum err e = ERR_OK;
    if (r == 0 && to->sa_family == AF_UNIX)
        r = connect_unix(fd, to, to_len, deadline, &e);
    else if (r == 0)
        r = sys_connect(fd, to, to_len);
    if (r < 0 && r != -EINPROGRESS) {
        sys_close(fd);
        return e ? e : connect_error(r);
    }
    // Registered only now: a socket that is not connecting yet would at once be reported as hung up.
    struct io io; // *ret_io stays untouched on failure
    e = io_register(&io, fd, r == 0 ? IO_WRITABLE : 0);
    if (e)
        return e;
    if (r < 0)
        e = connect_wait(&io, deadline);
    if (e) {
        io_close(&io);
        return e;
    }
    io_move(ret_io, &io);
    return ERR_OK;
}

enum err io_accept_now(struct io *listener, int *ret_fd, struct sockaddr_storage *ret_peer)
{
    // Set once on the listener, which spares a call for each connection; those that were waiting before have
    // it set singly.
    if (unlikely(!(listener->state & IO_NODELAY_SET))) {
        (void)sys_set_nodelay(listener->fd);
        listener->state |= IO_NODELAY_SET;
    }
    int fd = sys_accept(listener->fd, ret_peer);
    if (likely(fd >= 0)) {
        if (unlikely(!(listener->state & IO_NODELAY_ALL)))
            (void)sys_set_nodelay(fd);
        *ret_fd = fd;
        return ERR_OK;
    }
    switch (-fd) {
    case EAGAIN:
        listener->state |= IO_NODELAY_ALL;
        listener->state &= (uint8_t)~IO_READABLE;
        return ERR_AGAIN;
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case ENOBUFS:
        return ERR_NO_FILES;
    case EBADF:
    case EINVAL: // shut down by another process that shares it
    case ENOTSOCK:
    case EOPNOTSUPP:
        return ERR_AGAIN;
    default:
        return ERR_IO;
    }
}

enum err io_pair(int ret_fd[2])
{
    return sys_pair(ret_fd) < 0 ? ERR_NO_FILES : ERR_OK;
}

void io_discard(int fd)
{
    sys_close(fd);
}

void io_refuse(int fd, struct span text)
{
    enum { READ_MAX = 4 };
    char sink[4096];
    struct iovec iov = {(void *)(uintptr_t)text.ptr, text.len};
    for (unsigned i = 0; i < READ_MAX && sys_recv(fd, sink, sizeof sink) == (int64_t)sizeof sink;)
        i++;
    if (sys_send(fd, &iov, 1, false) > 0)
        (void)sys_shutdown_write(fd);
    sys_close(fd);
}

uint64_t io_files_for_clients(void)
{
    enum { RESERVE_MAX = 1024 };
    uint64_t limit = sys_files_limit();
    return limit - MIN(limit / 8, (uint64_t)RESERVE_MAX);
}

bool io_files_are_short(void)
{
    return sys_files_used(loop_current->poll_fd) >= io_files_for_clients();
}

bool io_progress(const struct io *io, uint64_t *ret_acked, uint64_t *ret_received)
{
    return io->fd >= 0 && sys_progress(io->fd, ret_acked, ret_received);
}

unsigned io_backlog(const struct io *listener)
{
    return listener->fd < 0 ? 0 : sys_backlog(listener->fd);
}

static enum err address_result(int r)
{
    return r == 0 ? ERR_OK : r == -ENOTCONN ? ERR_RESET : ERR_IO;
}

enum err io_peer_address(const struct io *io, struct sockaddr_storage *ret)
{
    return address_result(sys_peer_name(io->fd, ret));
}

enum err io_local_address(const struct io *io, struct sockaddr_storage *ret)
{
    return address_result(sys_local_name(io->fd, ret));
}
