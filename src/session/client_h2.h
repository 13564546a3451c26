// SPDX-License-Identifier: Apache-2.0
// Within the room: HTTP/2 on the client's side. The connection belongs to the loop; each request has a fiber, which sees a
// struct client_stream like HTTP/1's.
#ifndef WEIR_SESSION_CLIENT_H2_H
#define WEIR_SESSION_CLIENT_H2_H

#include "session/client.h"
#include "session/h2_abuse.h"
#include "session/h2_fields.h"
#include "session/h2_flow.h"

enum { H2_STREAMS_MAX = 100 }; // of a connection, at a time

enum h2_drain { H2_DRAIN_NOT, H2_DRAIN_WANTED, H2_DRAIN_ANNOUNCED, H2_DRAIN_FINAL };

struct client_h2 {
    struct h2_link link;
    struct client_conn *conn;
    struct list all;     // the thread's
    struct h2_abuse abuse;
    struct list streams; // struct h2_request: all that anybody still knows of
    struct h2_request *decoding; // whose head or trailers are coming
    struct list begun;   // their heads are whole, their work is to be started
    unsigned n_streams;  // a reset one counts until its work has ended
    uint64_t begun_ms;   // of the connection
    uint64_t block_ms;   // when the header block that is coming began; 0: none
    uint64_t idle_ms;    // since when there has been no stream
    uint64_t drain_ms;   // when the end was announced
    uint64_t linger_ms;  // when our direction ended
    size_t lingered;     // bytes thrown away since
    uint8_t drain;       // enum h2_drain
    bool greeted;        // the preface is there, SETTINGS included
    bool lingering;
    bool input_seen; // that the client sends no more
};

struct h2_request {
    struct client_stream stream;
    struct h2_flow flow;
    struct client_h2 *conn;
    struct list node, begun;
    struct arena arena;
    struct request req;
    struct h2_block block;
    struct fiber *watcher;   // who is canceled when the client gives the stream up
    struct span websocket_key; // that we made up for HTTP/1
    enum err refused;        // why the request cannot be served
    uint32_t reset_code;     // what a broken stream is reset with
    uint64_t out_left;       // of a content whose length was announced
    bool malformed;          // it is reset, not answered
    bool working;            // its fiber runs
    bool held;               // whole but for its end, which shows whether it is what it says
    bool length_known, head_only, tunnel, extended;
};

/// The operations of a stream.
extern const struct client_ops h2_client_ops;
/// What the decoded head means. ERR_OK, or why the request is refused; r->malformed where the stream is to be reset for it.
enum err h2_request_read(struct h2_request *r, bool end_stream);
/// RFC 9218: the priority of a request or a response, told to nghttp2. from_server: it holds whatever the client says later.
void h2_priority_set(nghttp2_session *ng, int32_t id, struct span value, bool from_server);

/// Takes over a connection on which HTTP/2 was agreed, with what was read of it. Ends on its own. On failure the connection is still
/// the caller's.
MUST_USE enum err client_h2_start(struct client_conn *c, struct span read);
void client_h2_drain(struct client_conn *c);
void client_h2_drop(struct client_conn *c);
/// In client_h1.c: closes, and gives the memory back to the owner.
void client_conn_close(struct client_conn *c);

#endif
