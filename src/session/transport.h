// SPDX-License-Identifier: Apache-2.0
// A connection's bytes: the bare socket, or a layer over it (TLS). Plain connections take the direct way,
// without an indirect call.
#ifndef WEIR_SESSION_TRANSPORT_H
#define WEIR_SESSION_TRANSPORT_H

#include "io/io.h"

struct transport;

/// What a layer agreed on with the other side; lives as long as the layer. Spans are empty where there is nothing.
struct transport_info {
    struct span version, cipher; // "TLSv1.3", "TLS_AES_128_GCM_SHA256"
    struct span alpn;            // the protocol that was agreed on: "h2", "http/1.1", or none
    struct span name;            // the server's name that the client asked for (SNI): lower case, no final dot
    bool client_verified;        // the client showed a certificate, and it was found good; then:
    struct span client_subject, client_issuer; // as RFC 2253 writes them, in ASCII
    struct span client_serial, client_fingerprint; // hexadecimal; of the whole certificate by SHA-256
    uint64_t client_policy;      // what was demanded of the client's certificate; 0: nothing
    bool resumed;
    bool certificate_wanted;     // toward a server: it asked for one of ours, and there was none to show
    bool early;                  // what was read so far came before the handshake's end: it may be somebody's copy (RFC 8470)
};

struct transport_ops {
    enum err (*recv)(struct transport *t, void *buf, size_t cap, uint64_t deadline, size_t *ret_n);
    enum err (*recv_now)(struct transport *t, void *buf, size_t cap, size_t *ret_n);
    enum err (*send_queue)(struct transport *t, struct chunkq *q, uint64_t stall_ms);
    /// Sends what goes without a wait. ERR_AGAIN: something is left in q or in the layer, and that the socket is writable will be an
    /// event. Also from the loop.
    enum err (*send_now)(struct transport *t, struct chunkq *q);
    /// What send_queue is given next is the last: the layer's own end (close_notify) goes with it.
    void (*last)(struct transport *t);
    /// Waits until recv_now is worth trying.
    enum err (*wait_readable)(struct transport *t, uint64_t deadline);
    /// Whether the layer holds bytes that were received and not read.
    bool (*pending)(const struct transport *t);
    /// Ends our direction: the layer's own end (close_notify), then the socket's.
    void (*end_write)(struct transport *t);
    /// Says goodbye (close_notify) as far as that goes without waiting, and frees the layer; the socket
    /// stays.
    void (*end)(struct transport *t);
};

struct transport {
    struct io io;
    const struct transport_ops *ops; // NULL: plain
    void *layer;
    const struct transport_info *info; // NULL: plain
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
/// What transport_send_queue is given next is the last that is sent.
static inline void transport_last(struct transport *t)
{
    if (unlikely(t->ops != NULL))
        t->ops->last(t);
}
static inline MUST_USE enum err transport_send_now(struct transport *t, struct chunkq *q)
{
    if (t->ops)
        return t->ops->send_now(t, q);
    enum err e = ERR_OK;
    while (!e && q->bytes) {
        struct iovec iov[64];
        size_t n;
        e = io_sendv_now(&t->io, iov, chunkq_iov(q, iov, ARRAY_LEN(iov)), false, &n);
        if (!e)
            chunkq_skip(q, n);
    }
    return e;
}
static inline MUST_USE enum err transport_wait_readable(struct transport *t, uint64_t deadline)
{
    return likely(!t->ops) ? io_wait_readable(&t->io, deadline) : t->ops->wait_readable(t, deadline);
}
static inline bool transport_pending(const struct transport *t)
{
    return unlikely(t->ops != NULL) && t->ops->pending(t);
}
static inline void transport_end_write(struct transport *t)
{
    if (likely(!t->ops))
        io_shutdown_write(&t->io);
    else
        t->ops->end_write(t);
}
/// Ends the layer, if any, and closes the socket.
static inline void transport_close(struct transport *t)
{
    if (t->ops)
        t->ops->end(t);
    t->ops = NULL;
    t->info = NULL;
    io_close(&t->io);
}

#endif
