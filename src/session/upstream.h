// SPDX-License-Identifier: Apache-2.0
// A connection to an upstream server, and the one exchange that it carries at a time (HTTP/1).
#ifndef WEIR_SESSION_UPSTREAM_H
#define WEIR_SESSION_UPSTREAM_H

#include "base/list.h"
#include "session/h1_content.h"
#include "session/stream.h"

struct member;

struct upstream_conn {
    struct upstream_stream stream;
    struct transport t;
    struct list node; // its owner's list while idle
    void *owner;
    /// The exchange has ended. reusable: it was provably clean, and the connection may carry another.
    /// Otherwise it is to be closed and freed by the owner (upstream_close).
    void (*on_finish)(struct upstream_conn *u, bool reusable);
    struct member *member; // of a pool that counts it among its connections; NULL: none
    uint64_t idle_since_ms;
    uint64_t expires_ms;    // carries no new exchange from then on
    uint32_t exchanges_max; // nor after this many; 0: any number
    uint32_t n_exchanges;
    enum http_method method; // of the request under way
    uint16_t status;         // of the final head
    bool dirty;              // something went wrong: never reuse
    bool keep_alive;         // the server's word
    bool tunnel;
    bool head_read;
    struct chunk *head_chunk; // holds the bytes of the head that was read last
    struct h1_input input;
    struct h1_body_in body;
    enum h1_body_out out;
    uint64_t out_left;
    struct h1_limits limits;
    struct arena *arena; // of the exchange under way
};

/// Over a connected transport (u->t), for the first time. The caller sets owner and on_finish.
void upstream_init(struct upstream_conn *u);
/// Begins an exchange. The arena must live until finish. limits: of the response's head.
struct upstream_stream *upstream_begin(struct upstream_conn *u, struct arena *a,
                                       const struct h1_limits *limits, uint64_t stall_ms);
/// The same for a bare tunnel (CONNECT): bytes both ways, never reused.
struct upstream_stream *upstream_begin_tunnel(struct upstream_conn *u, struct arena *a, uint64_t stall_ms);
/// Asks the kernel whether a kept connection is still open and silent; for requests that cannot be repeated.
bool upstream_is_alive(struct upstream_conn *u);
/// Closes the socket and drops what is buffered.
void upstream_close(struct upstream_conn *u);
struct upstream_conn *upstream_of(struct upstream_stream *s);

#endif
