// SPDX-License-Identifier: Apache-2.0
// Messages between supervisor and worker, each with at most one descriptor.
#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "main/worker.h"

union control {
    char bytes[CMSG_SPACE(sizeof(int))];
    struct cmsghdr align;
};

static bool send_msg(int channel, const struct channel_msg *m, int fd, int flags)
{
    union control control = {{0}};
    struct iovec iov = {(void *)(uintptr_t)m, sizeof *m};
    struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1};
    if (fd >= 0) {
        h.msg_control = control.bytes;
        h.msg_controllen = sizeof control.bytes;
        struct cmsghdr *c = CMSG_FIRSTHDR(&h);
        c->cmsg_level = SOL_SOCKET;
        c->cmsg_type = SCM_RIGHTS;
        c->cmsg_len = CMSG_LEN(sizeof fd);
        memcpy(CMSG_DATA(c), &fd, sizeof fd);
    }
    ssize_t n;
    do
        n = sendmsg(channel, &h, MSG_NOSIGNAL | flags);
    while (n < 0 && errno == EINTR);
    return n == (ssize_t)sizeof *m;
}

bool channel_send(int channel, const struct channel_msg *m, int fd)
{
    return send_msg(channel, m, fd, 0);
}

bool channel_receive(int channel, struct channel_msg *ret, int *ret_fd)
{
    union control control;
    struct iovec iov = {ret, sizeof *ret};
    struct msghdr h = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes, .msg_controllen = sizeof control.bytes};
    ssize_t n;
    do
        n = recvmsg(channel, &h, MSG_CMSG_CLOEXEC);
    while (n < 0 && errno == EINTR);
    *ret_fd = -1;
    if (n != (ssize_t)sizeof *ret)
        return false;
    for (struct cmsghdr *c = CMSG_FIRSTHDR(&h); c; c = CMSG_NXTHDR(&h, c))
        if (c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
            memcpy(ret_fd, CMSG_DATA(c), sizeof *ret_fd);
    if (ret->listener.addr.family == AF_UNIX)
        ret->listener.addr.path = ret->listener.path;
    return true;
}

// ---- Messages that wait

struct outbox_item {
    struct outbox_item *next;
    int fd;
    struct channel_msg msg;
};

static void drop_first(struct outbox *o)
{
    struct outbox_item *i = o->first;
    o->first = i->next;
    if (i->fd >= 0)
        close(i->fd);
    mem_free(i);
}

bool outbox_put(struct outbox *o, const struct channel_msg *m, int fd)
{
    struct outbox_item *i = (struct outbox_item *)mem_calloc(1, sizeof *i), **end = &o->first;
    if (!i)
        return false;
    i->msg = *m;
    i->fd = fd < 0 ? -1 : fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (fd >= 0 && i->fd < 0) {
        mem_free(i);
        return false;
    }
    if (o->first)
        end = &o->last->next;
    *end = o->last = i;
    return true;
}

bool outbox_flush(struct outbox *o, int channel)
{
    while (o->first) {
        if (!send_msg(channel, &o->first->msg, o->first->fd, MSG_DONTWAIT))
            return errno == EAGAIN;
        drop_first(o);
    }
    return true;
}

void outbox_clear(struct outbox *o)
{
    while (o->first)
        drop_first(o);
}
