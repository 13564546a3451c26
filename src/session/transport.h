// SPDX-License-Identifier: Apache-2.0
// A connection's bytes: the bare socket, or a layer over it (TLS). Plain connections take the direct way,
// without an indirect call.
#ifndef WEIR_SESSION_TRANSPORT_H
#define WEIR_SESSION_TRANSPORT_H

#include "io/io.h"

struct transport;

struct transport_ops {
    enum err (*recv)(struct transport *t, void *buf, size_t cap, uint64_t deadline, size_t *ret_n);
    enum err (*recv_now)(struct transport *t, void *buf, size_t cap, size_t *ret_n);
    enum err (*send_queue)(struct transport *t, struct chunkq *q, uint64_t stall_ms);
    /// Says goodbye (close_notify) as far as that goes without waiting, and frees the layer; the socket
    /// stays.
    void (*end)(struct transport *t);
};

struct transport {
    struct io io;
    const struct transport_ops *ops; // NULL: plain
    void *layer;
};

static inline MUST_USE enum err transport_recv(struct transport *t, void *buf, size_t cap, uint64_t deadline,
                                               size_t *ret_n)
{
    return likely(!t->ops) ? io_recv(&t->io, buf, cap, deadline, ret_n)
                           : t->ops->recv(t, buf, cap, deadline, ret_n);
}
static inline MUST_USE enum err transport_recv_now(struct transport *t, void *buf, size_t cap, size_t *ret_n)
{
    return likely(!t->ops) ? io_recv_now(&t->io, buf, cap, ret_n) : t->ops->recv_now(t, buf, cap, ret_n);
}
static inline MUST_USE enum err transport_send_queue(struct transport *t, struct chunkq *q, uint64_t stall_ms)
{
    return likely(!t->ops) ? io_send_queue(&t->io, q, stall_ms) : t->ops->send_queue(t, q, stall_ms);
}
/// Ends the layer, if any, and closes the socket.
static inline void transport_close(struct transport *t)
{
    if (t->ops)
        t->ops->end(t);
    t->ops = NULL;
    io_close(&t->io);
}

#endif
