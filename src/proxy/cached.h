// SPDX-License-Identifier: Apache-2.0
// What the cache has to do with an exchange: phase lookup decides, cache_fetch.c fetches for all who ask for the same,
// cache_answer.c answers with what is stored, cache_status.c says so.
#ifndef WEIR_PROXY_CACHED_H
#define WEIR_PROXY_CACHED_H

#include "http/ranges.h"
#include "proxy/exchange.h"

struct cache_job;
struct cache_send;

/// Why a request went on (RFC 9211 2.2).
enum cache_fwd { FWD_NONE, FWD_BYPASS, FWD_METHOD, FWD_URI_MISS, FWD_VARY_MISS, FWD_MISS, FWD_STALE, FWD_REQUEST };

struct cached {
    const struct cache_use *use; // NULL: only the status is wanted
    struct cache_key key;
    struct cache_control directives; // the request's
    bool has_directives;             // they count, and there are some
    bool conditions_pass;            // the request's own are for the origin: its answer is not likely to be stored
    int64_t now_ms; // since 1970, when it was looked for
    uint32_t purges; // cache_purges_of then
    // How it went
    enum cache_fwd fwd; // FWD_NONE: a hit
    uint16_t fwd_status; // 0: the answer's own
    bool stored, collapsed;
    const char *detail; // NULL: none
    enum storable why;  // where it was not stored
    struct span status_text; // as it went out, for the log
    // The answer
    struct cache_object *object; // a reference; ANSWER_STORED
    struct body_reader reader;   // of content that is still arriving
    struct cache_job *job;       // a reference: the fetch whose answer it is
    struct ranges *ranges; // NULL: the whole
    struct span boundary, part_type; // of several ranges
    struct cache_send *send; // of content on disk; NULL: it is in memory
    uint64_t content_length; // what is sent of the content; UINT64_MAX: not known
};

static inline const struct cache_use *cache_use_of(const struct exchange *x)
{
    return x->route ? x->route->cache : x->proxy ? x->proxy->cache : NULL;
}
static inline const struct cache_control *cached_directives(const struct cached *c)
{
    return c->has_directives ? &c->directives : NULL;
}

/// Adds Cache-Status to the answer. Also to one of an exchange that has no cache by itself, where others of its site do.
MUST_USE enum err cache_status_add(struct exchange *x);

// cache_answer.c
/// The answer is this stored response: x->resp and what deliver needs. Takes the reference over.
MUST_USE enum err cache_answer(struct exchange *x, struct cache_object *o);
/// Phase deliver for it.
MUST_USE enum err cache_deliver(struct exchange *x);

// cache_unsafe.c
/// PURGE: from whom it is allowed what is stored for the URL goes; else ERR_METHOD_REFUSED.
MUST_USE enum err cache_answer_purge(struct exchange *x);
/// An answer that came past the cache: what it says of stored ones (RFC 9111 4.3.5 and 4.4).
void cache_note_answer(struct exchange *x);

/// Gives back what it holds, at the exchange's end.
void cached_end(struct exchange *x);

#endif
