// SPDX-License-Identifier: Apache-2.0
// A pool: the servers that requests are spread over. What the configuration says of it is immutable; what is known of its servers is
// shared by all threads and lives on over reloads (member.h, registry.h).
#ifndef WEIR_BALANCE_POOL_H
#define WEIR_BALANCE_POOL_H

#include "balance/picker.h"
#include "balance/queue.h"
#include "base/hash.h"
#include "conf/conf.h"
#include "tls/client.h"

enum { POOL_SERVERS_MAX = 4096, POOL_THREADS_MAX = 128 };

struct check_rules;
struct metric_set;
struct server_shared;
struct pool_shared;

struct server {
    struct span name;  // as written in the configuration
    struct span host;  // to resolve; empty where addr is fixed
    struct addr addr;  // fixed, or only its port
    unsigned weight;
    bool is_service;   // host has SRV records, which say ports and weights
    bool backup;       // only where no other one is to be had
    struct server_shared *shared;
    struct metric_set *metrics; // the proxy room's
};

/// `retry`: how often a request may be tried again, and what that may cost.
struct retry_rules {
    unsigned tries;        // beyond the first; 0: no statement
    unsigned budget;       // share of the requests, in hundredths of a percent
    uint64_t content_bytes; // a request's content is kept for another try up to this
    uint64_t try_ms;       // for the head of an answer, where another try is possible; 0: `first-byte`
    uint64_t within_ms;    // no further try after this time since the first; 0: no limit
};

/// `eject`: a server that fails its requests is left alone for a while.
struct eject_rules {
    unsigned errors; // in a row; 0: no statement
    uint64_t for_ms, max_ms;
    unsigned rate;   // of failures among the requests, in hundredths of a percent; 0: does not matter
    unsigned slower; // times the mean of the others, for so many requests in a row; 0: does not matter
};

enum { STICKY_TOKEN_BYTES = 32 };

enum pool_key { POOL_KEY_NONE, POOL_KEY_CLIENT_IP, POOL_KEY_HEADER, POOL_KEY_COOKIE, POOL_KEY_PATH, POOL_KEY_QUERY };

struct pool {
    struct span name, where;
    struct server *servers;
    unsigned n_servers;
    const struct picker *picker;
    enum pool_key key; // of `balance hash`
    struct span key_name;
    bool key_is_sticky;        // `sticky header` and its kin: the key decides, where there is one, before the picker
    struct span sticky_cookie; // empty: none
    struct hash_key sticky_secret[2];
    struct retry_rules retry;
    struct eject_rules eject;
    struct check_rules *check; // NULL: servers are not asked
    unsigned max_requests; // of one server, over all threads; 0: no limit. Never more than max_connections
    unsigned max_connections; // of one server, over all threads; 0: no limit
    uint64_t identity;     // keeps its connections apart from those of other pools, where they are limited; else 0
    unsigned queue;        // how many may wait for one
    uint64_t wait_ms;
    uint64_t slow_start_ms;
    unsigned max_idle;
    unsigned pre_open;            // connections that stand ready for each server, a thread; 0: none
    uint64_t connection_age_ms;   // 0: no limit
    uint32_t connection_requests; // 0: no limit
    unsigned proxy_protocol;      // version of the header that servers are sent; 0: none
    const struct tls_client *tls; // NULL: plain
    bool http2;                   // is spoken to servers: at once without TLS, with it where ALPN agrees
    bool has_names;               // targets may change
    struct pool_shared *shared;
    struct targets *_Atomic targets;
    struct targets *seen[POOL_THREADS_MAX + 1]; // of each thread, where targets may change
};

/// Says which of the threads the calling one is (below POOL_THREADS_MAX), before it uses pools that have names.
void pool_thread_init(unsigned n);

/// Compiles a `pool` statement into the arena. secret: of its `sticky cookie`, or empty. NULL when memory is out; mistakes go to the diagnostics.
struct pool *pool_new(const struct conf *c, const struct conf_stmt *stmt, struct span secret, struct arena *a, struct conf_diags *diags);
/// The `retry` statement of a pool or route.
struct retry_rules retry_rules_of(const struct conf_stmt *retry);
/// Gives back what it holds. Nobody may be using it. p may be NULL.
void pool_free(struct pool *p);

/// What tells its connections apart from others to the same address (struct endpoints): its TLS, and itself where they are limited.
static inline uint64_t pool_identity(const struct pool *p)
{
    return (p->tls ? tls_client_identity(p->tls) : 0) ^ p->identity;
}

/// The targets as they are now; for this thread until its next call.
const struct targets *pool_targets(struct pool *p);
/// Puts new targets in place of the old ones, once a name has other addresses. One thread.
void pool_set_targets(struct pool *p, struct targets *t);

/// What the value of the sticky cookie is for a member: the token of a request that is at it, STICKY_TOKEN_BYTES long.
void sticky_token(const struct pool *p, const struct server *s, const struct addr *a, char out[STICKY_TOKEN_BYTES]);
/// Reads a pool's `sticky` statement. Mistakes go to the diagnostics.
void sticky_parse(struct pool *p, const struct conf *c, const struct conf_stmt *pool, struct span secret, struct conf_diags *diags);
/// The target that a cookie's value stands for, or NULL for one that we have not made.
const struct target *sticky_find(const struct targets *t, struct span value);

/// Chooses a member for the request and reserves a place at it, to be given back by pool_release. Members in k->tried are passed
/// over. Where the pool's limit is reached it waits in the queue, on the calling fiber. ERR_POOL_EMPTY: there is none (left);
/// ERR_QUEUE_FULL, ERR_QUEUE_TIMEOUT, or the fiber's cancellation.
MUST_USE enum err pool_acquire(struct pool *p, struct pick *k, struct target *ret);

/// For pickers: whether a target may be taken for this request. In the usual case one look at its flags.
bool pick_may_slowly(struct pool *p, struct pick *k, const struct target *t);
static inline bool pick_may(struct pool *p, struct pick *k, const struct target *t)
{
    return likely(!member_flags(t->member) && !k->n_tried && !p->max_requests) || pick_may_slowly(p, k, t);
}

enum pool_outcome {
    OUTCOME_OK,
    OUTCOME_FAILED,      // an error of the server's: no answer, a broken one, a 5xx that speaks of it
    OUTCOME_UNREACHABLE, // it could not be connected to
    OUTCOME_UNKNOWN,     // neither: the client left, for instance
};
/// The try has ended: us is how long the server took. Health follows from it.
void pool_report(struct pool *p, const struct target *t, enum pool_outcome o, uint64_t us);
/// Gives the place back; the member may be gone afterwards.
void pool_release(struct pool *p, const struct target *t);
/// Whether it has a server that would be taken without a second thought.
bool pool_is_well(struct pool *p);
/// Gives places that are free to those who wait, after servers came back.
void pool_kick(struct pool *p);

#endif
