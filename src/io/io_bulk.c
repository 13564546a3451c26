// SPDX-License-Identifier: Apache-2.0
// What moves many bytes without copying them through us: splice and sendfile; and reading files.
#include "base/check.h"
#include "base/mem.h"
#include "io/internal.h"

enum {
    PIPES_KEPT = 32,
    PIPE_MIN_BYTES = 16 * 1024,   // where the user's share of pipe memory is used up, copying is better
    SENDFILE_BYTES = 1024 * 1024, // in one call, so that others get their turn
    BOUNCE_BYTES = CHUNK_MEDIUM_BYTES,
};

// ---- Pipes

struct io_pipe *io_pipe_get(void)
{
    struct loop *l = loop_current;
    struct io_pipe *p = l->pipes;
    if (p) {
        l->pipes = p->next;
        l->n_pipes--;
        return p;
    }
    int fd[2] = {-1, -1};
    int64_t cap = sys_pipe(fd);
    if (cap < 0)
        return NULL;
    if (cap >= PIPE_MIN_BYTES)
        p = (struct io_pipe *)mem_alloc(sizeof(*p));
    if (!p) {
        sys_close(fd[0]);
        sys_close(fd[1]);
        return NULL;
    }
    *p = (struct io_pipe){.r = fd[0], .w = fd[1], .cap = (size_t)cap};
    return p;
}

static void pipe_close(struct io_pipe *p)
{
    sys_close(p->r);
    sys_close(p->w);
    mem_free(p);
}

void io_pipe_put(struct io_pipe *p)
{
    struct loop *l = loop_current;
    if (p->held || l->n_pipes >= PIPES_KEPT) {
        pipe_close(p);
        return;
    }
    p->next = l->pipes;
    l->pipes = p;
    l->n_pipes++;
}

void io_pipes_fini(struct loop *l)
{
    while (l->pipes) {
        struct io_pipe *p = l->pipes;
        l->pipes = p->next;
        pipe_close(p);
    }
    l->n_pipes = 0;
}

enum err io_splice_in(struct io *from, struct io_pipe *p, size_t max, uint64_t deadline, size_t *ret_n)
{
    CHECK(p->held == 0 && max > 0); // EAGAIN means the socket, never the pipe
    fiber_fair();
    for (;;) {
        enum err e = io_wait_readable(from, deadline);
        if (e)
            return e;
        int64_t n = sys_splice(from->fd, p->w, MIN(max, p->cap), false);
        if (n > 0) {
            // A pipe is full by packets before it is by bytes, so a short splice says nothing about the
            // socket.
            p->held = (size_t)n;
            *ret_n = (size_t)n;
            return ERR_OK;
        }
        if (n == 0)
            return io_end(from);
        if (n != -EAGAIN)
            return io_call_failed(from, n);
        if (from->state & IO_BROKEN)
            return ERR_RESET;
        from->state &= (uint8_t)~IO_READABLE;
    }
}

enum err io_splice_out(struct io_pipe *p, struct io *to, bool more, uint64_t stall_ms)
{
    while (p->held) {
        fiber_fair();
        enum err e = io_wait_writable(to, deadline_in(stall_ms));
        if (e)
            return e;
        if (to->state & IO_BROKEN)
            return ERR_RESET;
        int64_t n = sys_splice(p->r, to->fd, p->held, more);
        if (n > 0)
            p->held -= (size_t)n;
        else if (n == -EAGAIN)
            to->state &= (uint8_t)~IO_WRITABLE;
        else
            return n == 0 ? ERR_IO : io_call_failed(to, n);
    }
    return ERR_OK;
}

// ---- Files

static enum err copy_file(struct io *to, int file_fd, uint64_t offset, uint64_t len, uint64_t stall_ms)
{
    struct chunk *c = chunk_new(BOUNCE_BYTES);
    if (!c)
        return ERR_NO_MEMORY;
    enum err e = ERR_OK;
    while (len && !e) {
        size_t n;
        e = io_file_pread(file_fd, c->data, (size_t)MIN(len, (uint64_t)c->cap), offset, &n);
        if (!e && n == 0)
            e = ERR_EOF;
        if (e)
            break;
        offset += n;
        len -= n;
        for (size_t done = 0, sent; done < n && !e; done += sent) {
            struct iovec v = {c->data + done, n - done};
            sent = 0;
            e = io_sendv(to, &v, 1, len > 0, deadline_in(stall_ms), &sent);
        }
    }
    chunk_unref(c);
    return e;
}

enum err io_sendfile(struct io *to, int file_fd, uint64_t offset, uint64_t len, uint64_t stall_ms)
{
    while (len) {
        fiber_fair();
        enum err e = io_wait_writable(to, deadline_in(stall_ms));
        if (e)
            return e;
        if (to->state & IO_BROKEN)
            return ERR_RESET;
        int64_t n = sys_sendfile(to->fd, file_fd, offset, (size_t)MIN(len, (uint64_t)SENDFILE_BYTES));
        if (n > 0) {
            offset += (uint64_t)n;
            len -= (uint64_t)n;
        } else if (n == 0) {
            return ERR_EOF;
        } else if (n == -EAGAIN) {
            to->state &= (uint8_t)~IO_WRITABLE;
        } else if (n == -ENOSYS || n == -EINVAL) { // a file system that cannot
            return copy_file(to, file_fd, offset, len, stall_ms);
        } else {
            return n == -EIO ? ERR_IO : io_call_failed(to, n);
        }
    }
    return ERR_OK;
}

struct pread_job {
    int fd;
    void *buf;
    size_t n;
    uint64_t offset;
    int64_t result;
};

static void pread_run(void *arg)
{
    struct pread_job *j = (struct pread_job *)arg;
    j->result = sys_pread(j->fd, j->buf, j->n, j->offset);
}

enum err io_file_pread(int file_fd, void *buf, size_t n, uint64_t offset, size_t *ret_n)
{
    int64_t r = sys_pread_cached(file_fd, buf, n, offset);
    if (r == -EAGAIN) {
        struct pread_job j = {file_fd, buf, n, offset, 0};
        enum err e = loop_offload(pread_run, &j);
        if (e)
            return e;
        r = j.result;
    }
    if (r < 0)
        return r == -ENOMEM ? ERR_NO_MEMORY : ERR_IO;
    *ret_n = (size_t)r;
    return ERR_OK;
}
