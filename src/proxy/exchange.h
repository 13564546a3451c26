// SPDX-License-Identifier: Apache-2.0
// One request and its answer. It lives on the stack of the client's fiber; what it allocates is in the request's arena.
#ifndef WEIR_PROXY_EXCHANGE_H
#define WEIR_PROXY_EXCHANGE_H

#include "balance/pool.h"
#include "filter/filter.h"
#include "http/message.h"
#include "net/addr.h"
#include "proxy/generation.h"
#include "session/client.h"
#include "session/stream.h"

enum phase {
#define PHASE(id, name, once_answered, text) PHASE_##id,
#include "proxy/phases.tbl"
#undef PHASE
    N_PHASES
};
const char *phase_name(enum phase p);

enum answer {
    ANSWER_NONE,     // not decided yet
    ANSWER_LOCAL,    // resp with content
    ANSWER_FILE,     // resp with a part of a file
    ANSWER_UPSTREAM, // resp, content from the upstream
    ANSWER_TUNNEL,   // bytes both ways
    ANSWER_STORED,   // resp, content from the cache
    ANSWER_DONE,     // delivered already, by the fiber that fetched it
};

struct exchange {
    struct service *service;
    struct generation *gen;
    const struct listener *listener;
    struct client_conn *conn;
    struct inspection *inside; // the tunnel that it came through, decrypted; NULL: none
    struct client_stream *client;
    struct request *req; // the one view: policy, routing and upstream see this
    struct arena *arena;
    struct fiber *fiber;
    enum phase phase;
    uint64_t started_us;
    uint64_t second; // for overload_leave
    bool no_room;    // refused for want of time

    // identify
    struct addr client_addr; // behind trusted proxies
    bool peer_trusted;
    struct span scheme, host; // as the client sees them
    struct span id;
    struct span user; // authenticated; empty: nobody

    // route
    const struct site *site;
    const struct proxy *proxy;
    const struct route *route;
    struct span rest; // what the route's `*` stands for
    const struct timeouts *timeouts;
    bool tunnel_wanted; // CONNECT
    struct throttle_hold *holds; // what it counts for until it ends (throttles.h)

    // authorize
    struct policy_state *policy; // NULL: the proxy has no policy
    const struct inspect_rule *inspect; // of a CONNECT whose tunnel is to be decrypted; NULL: passed on as it is
    struct span inspected;              // for the log: what became of it, by which FILE:LINE; empty: nothing was asked
    bool first_seen;                    // the first bytes of its tunnel were looked at
    struct cached *cached; // what the cache has to do with it (cached.h); NULL: nothing

    // fetch
    struct request out; // what goes upstream
    struct upstream_stream *upstream;
    struct pool *pool;     // NULL: a forward proxy's destination
    unsigned choice_at;    // of a route that fails over: which of its pools
    uint32_t split_place;  // drawn for a client that brought none, plus one; 0: none
    const struct parent *parent; // the proxy that it goes through; NULL: none
    struct span own_target;      // of out, where parents want others; NULL pointer: none was asked yet
    struct target target;  // with a place at it, until the exchange ends; no member: none
    const struct server *server; // of target, or of the last one
    struct metric_set *upstream_metrics;
    struct addr upstream_addr;
    unsigned tries;
    struct chunkq kept;    // content that was read from the client, for another try
    size_t keep_bytes;     // at most
    bool kept_all;         // nothing that was read is missing there
    bool mirrored;         // a copy goes to another pool
    bool said_continue;    // the client has had a 100
    uint64_t connect_us, first_byte_us; // how long these took
    struct fiber *uploader;
    enum err upload_err; // of the client's side
    bool uploading;      // the child fiber has not ended
    uint64_t uploaded, body_limit;

    // the answer
    enum answer answer;
    struct response resp;
    struct chunk *head_chunk; // of an answer whose upstream has been let go; or NULL
    uint32_t head_end;        // where in its data the head ends
    struct chunkq content; // ANSWER_LOCAL
    struct chunkq ahead;   // ANSWER_UPSTREAM: content that was read before its head went out
    struct filter_chain *filters; // that the content passes on its way to the client; NULL: none
    int file_fd;           // ANSWER_FILE
    uint64_t file_offset, file_left;
    uint16_t upstream_status;
    bool passed_on; // resp has lost what is for one hop, and has our Via and a Date

    // account
    uint32_t phase_us[N_PHASES]; // how long each took, where the generation keeps history; 0: it did not run
    enum err reason;
    enum err log_reason; // what the log says in place of the reason, where it may say more than the client hears
    struct span rule; // FILE:LINE of what decided
    struct span noted; // FILE:LINE of a rule that wants the request noted
    struct span message;
    unsigned retry_after_s; // of a refusal; 0: nothing better is known than a second
    struct span allow; // methods, where one was refused and it is known which others would not be
};

/// Serves one request to its end (struct client_hooks).
void exchange_serve(struct client_conn *c, struct client_stream *s, struct request *req, struct arena *a);
void exchange_refuse(struct client_conn *c, struct client_stream *s, struct request *req, struct arena *a, enum err e);

// The phases. ERR_OK: go on (with x->answer set, to those that run once answered). An error becomes the answer.
#define PHASE(id, name, once_answered, text) enum err phase_##name(struct exchange *x);
#include "proxy/phases.tbl"
#undef PHASE

/// Prepares an answer of our own for an error (a page or a problem document). Nothing of an earlier answer remains.
enum err exchange_answer_error(struct exchange *x, enum err e);
/// What came from upstream becomes what goes on: what is for one hop goes, Via and a Date come (RFC 9110 6.6.1, 7.6). Once.
enum err exchange_pass_on(struct exchange *x);
/// The fields of `cors` and `security-headers` of the route.
MUST_USE enum err exchange_tell_browsers(struct exchange *x);
/// Ends what is under way with the upstream.
void exchange_end_upstream(struct exchange *x);
/// Gives the place at the server back, in the end; e: how the exchange ended.
void exchange_leave_server(struct exchange *x, enum err e);

/// Whether the request came along with the TLS handshake, whose end is still to come (RFC 8470).
static inline bool exchange_is_early(const struct exchange *x)
{
    return x->conn && x->conn->t.info && x->conn->t.info->early;
}

#endif
