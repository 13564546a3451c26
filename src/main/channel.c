// SPDX-License-Identifier: Apache-2.0
#include "main/channel.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

enum { INLINE_MAX = 16 * 1024 };

struct wire {
    uint32_t kind, in_file;
    uint64_t number, length;
};

bool channel_pair(int ret[2])
{
    return socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, ret) == 0;
}

static bool write_all(int fd, struct span s)
{
    while (s.len) {
        ssize_t n = write(fd, s.ptr, s.len);
        if (n <= 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        s = span_skip(s, (size_t)n);
    }
    return true;
}

static int body_file(struct span body)
{
    int fd = memfd_create("weir-message", MFD_CLOEXEC);
    if (fd >= 0 && !write_all(fd, body)) {
        close(fd);
        fd = -1;
    }
    return fd;
}

static bool send_wire(int fd, struct wire *w, struct span body, const int *fds, unsigned n_fds)
{
    struct iovec iov[2] = {{w, sizeof(*w)}, {(void *)(uintptr_t)body.ptr, body.len}};
    union {
        char space[CMSG_SPACE(sizeof(int) * (CHANNEL_FDS_MAX + 1))];
        struct cmsghdr align;
    } control;
    struct msghdr m = {.msg_iov = iov, .msg_iovlen = body.len ? 2 : 1};
    if (n_fds) {
        memset(&control, 0, sizeof(control));
        m.msg_control = &control;
        m.msg_controllen = CMSG_SPACE(sizeof(int) * n_fds);
        struct cmsghdr *c = CMSG_FIRSTHDR(&m);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof(int) * n_fds);
        memcpy(CMSG_DATA(c), fds, sizeof(int) * n_fds);
    }
    ssize_t n;
    do {
        n = sendmsg(fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    return n >= 0;
}

bool channel_send(int fd, const struct channel_message *m)
{
    int fds[CHANNEL_FDS_MAX + 1];
    unsigned n = 0;
    struct wire w = {.kind = m->kind, .number = m->number, .length = m->body.len, .in_file = m->body.len > INLINE_MAX};
    for (; n < m->n_fds; n++)
        fds[n] = m->fds[n];
    if (w.in_file && (fds[n++] = body_file(m->body)) < 0)
        return false;
    bool ok = send_wire(fd, &w, w.in_file ? SPAN_NONE : m->body, fds, n);
    if (w.in_file)
        close(fds[n - 1]);
    return ok;
}

// ---- Receiving

static void close_all(const int *fds, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        close(fds[i]);
}

static unsigned take_fds(struct msghdr *m, int *fds)
{
    unsigned n = 0;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(m); c; c = CMSG_NXTHDR(m, c)) {
        if (c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS)
            continue;
        size_t k = (c->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < k && n <= CHANNEL_FDS_MAX; i++)
            memcpy(&fds[n++], CMSG_DATA(c) + i * sizeof(int), sizeof(int));
    }
    return n;
}

// By pread: a mapping of a file that the other side cuts short would end this process.
static bool read_file(int fd, char *out, size_t length)
{
    for (size_t at = 0; at < length;) {
        ssize_t n = pread(fd, out + at, length - at, (off_t)at);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        at += (size_t)n;
    }
    return true;
}

// file: of the body, or -1.
static bool take_body(const struct wire *w, struct span got, int file, size_t max, struct arena *a, struct span *ret)
{
    if (w->length > max || (file < 0 && w->length != got.len))
        return false;
    char *p = arena_bytes(a, w->length + 1);
    if (!p)
        return false;
    if (file >= 0 && !read_file(file, p, w->length))
        return false;
    if (file < 0 && got.len)
        memcpy(p, got.ptr, got.len);
    *ret = span_of(p, w->length);
    return true;
}

enum channel_result channel_receive(int fd, struct arena *a, size_t max_body, struct channel_message *ret)
{
    struct {
        struct wire w;
        char body[INLINE_MAX];
    } in;
    union {
        char space[CMSG_SPACE(sizeof(int) * (CHANNEL_FDS_MAX + 1))];
        struct cmsghdr align;
    } control;
    struct iovec iov = {&in, sizeof(in)};
    struct msghdr m = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
    ssize_t n;
    do {
        n = recvmsg(fd, &m, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN)
        return CHANNEL_NOTHING;
    if (n <= 0)
        return CHANNEL_ENDED;
    int fds[CHANNEL_FDS_MAX + 1];
    unsigned n_fds = take_fds(&m, fds);
    bool ok = (size_t)n >= sizeof(in.w) && in.w.kind < N_CHANNEL_KINDS && !(m.msg_flags & (MSG_TRUNC | MSG_CTRUNC));
    int file = ok && in.w.in_file && n_fds ? fds[--n_fds] : -1; // the last one, and not the caller's
    struct span body;
    ok = ok && n_fds <= CHANNEL_FDS_MAX && (!in.w.in_file || file >= 0) &&
         take_body(&in.w, span_of(in.body, (size_t)n - sizeof(in.w)), file, max_body, a, &body);
    if (file >= 0)
        close(file);
    if (!ok) {
        close_all(fds, n_fds);
        return CHANNEL_ENDED;
    }
    ret->kind = (enum channel_kind)in.w.kind;
    ret->number = in.w.number;
    ret->body = body;
    ret->n_fds = n_fds;
    memcpy(ret->fds, fds, n_fds * sizeof(int));
    return CHANNEL_GOT;
}
