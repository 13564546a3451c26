// SPDX-License-Identifier: Apache-2.0
// Within the room: HTTP/2 toward a server. The connection belongs to the loop, its exchanges to their fibers.
#ifndef WEIR_SESSION_UPSTREAM_H2_H
#define WEIR_SESSION_UPSTREAM_H2_H

#include "session/h2_fields.h"
#include "session/h2_flow.h"
#include "session/upstream.h"

struct upstream_h2 {
    struct h2_link link;
    struct upstream_conn *conn;
    struct list streams; // struct h2_exchange
    unsigned n_streams;
    struct timer timer;
    uint64_t idle_ms;       // how long it is kept without an exchange
    uint64_t idle_since_ms;
    uint64_t ping_ms;       // when it was asked whether it lives; 0: not
    struct h2_exchange *decoding;
    struct fiber *greeter;  // who waits for the server's SETTINGS
    bool greeting; // somebody waits, or is about to look
    bool greeted; // they are there
    bool leaving; // takes no more
};

/// A head of an answer that has come and that nobody has read yet.
struct h2_head {
    struct h2_head *next;
    struct response response;
};

struct h2_exchange {
    struct upstream_stream stream;
    struct h2_flow flow;
    struct upstream_h2 *conn;
    struct list node;
    struct arena *arena;    // the exchange's; NULL: it has ended
    struct h1_limits limits;
    struct h2_block block;
    struct fields fields;   // of the head that is coming
    struct h2_head *heads, **last_head;
    struct fiber *waiter;   // for a head
    enum http_method method;
    struct span token;      // of an extended CONNECT
    struct span websocket_key;
    unsigned n_interim;
    bool final_came, final_read, no_content, tunnel, malformed;
};

struct upstream_stream *upstream_h2_begin(struct upstream_conn *u, struct arena *a, const struct h1_limits *limits, uint64_t stall_ms);
/// Ends it at once; no exchange may be under way.
void upstream_h2_end(struct upstream_conn *u);

extern const struct upstream_ops h2_upstream_ops;
/// A head (or trailers) is whole: what it means. ERR_OK, or why the stream is at fault.
enum err h2_exchange_head(struct h2_exchange *s, bool end);
void h2_exchange_fail(struct h2_exchange *s, enum err e);
void h2_exchange_wake(struct h2_exchange *s);
/// The exchange lets go of it, and it is freed once nghttp2 has forgotten it too.
void h2_exchange_detach(struct h2_exchange *s);

#endif
