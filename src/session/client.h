// SPDX-License-Identifier: Apache-2.0
// A client's connection: idle it is this small struct in the loop, no fiber and no buffer; a request takes a
// fiber for as long as it lasts. What is done with a request is the owner's (the proxy room's) business.
#ifndef WEIR_SESSION_CLIENT_H
#define WEIR_SESSION_CLIENT_H

#include "base/list.h"
#include "http/h1.h"
#include "net/addr.h"
#include "session/stream.h"
#include "session/transport.h"

struct client_conn;
struct client_h2;
struct client_settings;

/// What a listener's configuration says of its clients. The owner keeps it alive while connections have it.
struct client_settings {
    uint64_t header_ms;  // from a request's first byte to the end of its head
    uint64_t idle_ms;    // no byte of a (next) request
    uint64_t between_ms; // between two pieces of content, in either direction
    struct h1_limits limits;
    struct span scheme; // "http" or "https"
    /// Reads what a proxy in front of us says of the connection before anything else, and may change c->peer; NULL: nothing is said.
    /// On the connection's fiber. A failure closes the connection.
    enum err (*introduce)(struct client_conn *c, uint64_t deadline);
    /// Lays a layer (TLS) over the fresh socket, on the connection's fiber, before anything is read; NULL: none. On success
    /// t->ops and t->info are set, and t->info->alpn says which protocol follows. A failure closes the connection.
    enum err (*secure)(struct transport *t, const struct client_settings *s, uint64_t deadline);
    const void *secure_arg; // for secure
    uint64_t handshake_ms;  // how long that may take
    struct span alpn;       // protocols for secure to agree on, ours first, as RFC 7301 writes the list
    bool socks5;  // a first byte of 5 begins SOCKS 5
    bool h2c;               // HTTP/2 with prior knowledge is taken where there is no secure
    bool absolute;          // requests ask for others' servers: a target of HTTP/2 is written as an absolute URI
};

struct client_hooks {
    /// Serves one request, on its fiber, to its end: sends the answer, or marks the stream broken. The
    /// request and all that is in the arena live until it returns.
    void (*serve)(struct client_conn *c, struct client_stream *s, struct request *req, struct arena *a);
    /// No request could be read: e says why (for instance ERR_BAD_FIELD, ERR_REQUEST_TIMEOUT). The connection
    /// is closed afterwards. req holds what was understood of it (zeroed at the least).
    void (*refuse)(struct client_conn *c, struct client_stream *s, struct request *req, struct arena *a,
                   enum err e);
    /// The connection is gone; its memory is the owner's again. On the loop or on a fiber that ends without
    /// touching it.
    void (*closed)(struct client_conn *c);
};

enum client_late { CLIENT_IN_TIME, CLIENT_LATE_HANDSHAKE, CLIENT_LATE_IDLE };

struct client_conn {
    struct transport t;
    struct timer timer; // idle deadline
    struct list node;   // the owner's list of connections
    const struct client_hooks *hooks;
    const struct client_settings *settings;
    void *owner;
    void *listener; // the owner's
    struct addr peer;
    struct client_h2 *h2; // NULL: HTTP/1
    uint32_t n_requests;
    uint8_t late;  // enum client_late: which deadline ended it, outside any request
    bool busy;     // a fiber serves it; of HTTP/2: it has streams
    bool draining; // ends after the present answer
    bool reset;    // to be closed by a reset
    bool begun;    // its layer, where it has one, is there
};

/// How long it may stay without a request. One whose handshake has not ended (early data) has no longer than that may take.
static inline uint64_t client_idle_ms(const struct client_conn *c)
{
    const struct client_settings *s = c->settings;
    return unlikely(c->t.info && c->t.info->early) ? MIN(s->idle_ms, s->handshake_ms) : s->idle_ms;
}

/// Takes an accepted descriptor over. The caller has filled hooks, settings, owner, listener and peer. On
/// failure fd is closed and `closed` is not called. From the loop it may serve a request that is there at once, from a fiber later in this
/// turn.
MUST_USE enum err client_start(struct client_conn *c, int fd);
/// Closes it at once where it is idle and nothing has arrived; otherwise it ends after its present answers (HTTP/2 says so by a GOAWAY
/// in two steps). From the loop; of a busy one also from its fibers.
void client_drain(struct client_conn *c);
/// Closes an idle one without a look.
void client_drop(struct client_conn *c);

#endif
