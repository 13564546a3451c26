// SPDX-License-Identifier: Apache-2.0
// A connection to an upstream server: with HTTP/1 it carries one exchange at a time, with HTTP/2 many.
#ifndef WEIR_SESSION_UPSTREAM_H
#define WEIR_SESSION_UPSTREAM_H

#include "base/list.h"
#include "session/h1_content.h"
#include "session/stream.h"

struct member;
struct upstream_h2;

struct upstream_conn {
    struct upstream_stream stream;
    struct upstream_h2 *h2; // NULL: HTTP/1
    struct transport t;
    struct list node; // its owner's list while idle
    void *owner;
    /// The exchange (of HTTP/2: the connection) has ended. reusable: it was provably clean, and the connection may carry another.
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
/// HTTP/2 is spoken over the connection from now on. It ends by itself: when it was idle for idle_ms, when the server says goodbye, or
/// when it breaks; once no exchange is left on_finish is told, on the loop. ERR_NO_MEMORY.
MUST_USE enum err upstream_h2_start(struct upstream_conn *u, uint64_t idle_ms);
/// Waits for the server's SETTINGS, which say how much it takes. ERR_UPSTREAM_CLOSED where it speaks something else, ERR_TIMEOUT, or the
/// fiber's cancellation.
MUST_USE enum err upstream_h2_greet(struct upstream_conn *u, uint64_t deadline);
/// Whether it takes another exchange now.
bool upstream_h2_has_room(const struct upstream_conn *u);
/// Whether no exchange is under way.
bool upstream_h2_is_idle(const struct upstream_conn *u);
/// Begins an exchange. The arena must live until finish. limits: of the response's head. NULL (HTTP/2 only): memory is out, or the
/// connection takes no more.
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
