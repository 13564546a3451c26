// SPDX-License-Identifier: Apache-2.0
// lookup: can it be answered from the cache (RFC 9111 4), or by a fetch that is shared?
#include "proxy/cache_fetch.h"
#include "proxy/cache_keep.h"
#include "proxy/cached.h"
#include "proxy/decide.h"
#include "proxy/auth_service.h"
#include "proxy/policing.h"
#include "proxy/scan.h"
#include "proxy/upstream_request.h"

enum { ROUNDS_MAX = 8 }; // of looking again because something changed meanwhile

// ---- What goes past the cache

static bool is_bypassed(struct exchange *x, const struct cache_use *use)
{
    struct condition_input in;
    if (!use->n_bypass)
        return false;
    if (decide_input(x, &in))
        return true;
    for (unsigned i = 0; i < use->n_bypass; i++)
        if (condition_set_match(use->bypass[i], &in))
            return true;
    return false;
}

static bool has_content(const struct request *r)
{
    return r->framing.kind != FRAMING_NONE && !(r->framing.kind == FRAMING_LENGTH && r->framing.length == 0);
}

// A policy that looks at this answer, changes it or slows it down has to see it come; so has one that has chosen the address.
static bool is_policed(const struct exchange *x)
{
    const struct policy_state *p = x->policy;
    return p && (p->outcome.pending || p->outcome.strip || p->outcome.throttle || p->outcome.size_limit != UINT64_MAX || p->dest.n);
}

// `privacy off` lets a client's claims pass: an answer to them is for nobody else.
static bool makes_claims(const struct exchange *x)
{
    return x->proxy && x->proxy->privacy == PRIVACY_OFF && request_has_claims(&x->req->fields);
}

static enum cache_fwd goes_past(struct exchange *x, const struct cached *c)
{
    const struct request *r = x->req;
    if (r->method != METHOD_GET && r->method != METHOD_HEAD)
        return FWD_METHOD;
    if (has_content(r) || r->upgrade || (x->granted && x->granted->fields.n) || is_policed(x) || makes_claims(x) || is_bypassed(x, c->use))
        return FWD_BYPASS;
    // Preconditions that are the origin's alone to judge (RFC 9111 4.3.2).
    if (fields_get(&r->fields, FIELD_IF_MATCH) || fields_get(&r->fields, FIELD_IF_UNMODIFIED_SINCE))
        return FWD_REQUEST;
    return c->has_directives && c->directives.no_store ? FWD_REQUEST : FWD_NONE;
}

static void read_directives(struct exchange *x, struct cached *c)
{
    if (!fields_get(&x->req->fields, FIELD_CACHE_CONTROL))
        return;
    cache_control_parse(&x->req->fields, &c->directives);
    c->has_directives = !c->use->ignore_directives && c->directives.present;
}

// ---- Fetching

// Alone: nobody else waits for this answer, which may be stored all the same.
static enum err fetch_alone(struct exchange *x, struct cache_object *stale)
{
    enum err e = cache_fetch(x, NULL, stale);
    cache_object_unref(stale);
    return e;
}

static bool is_usable(const struct exchange *x, const struct cache_object *o, const struct cache_object *stale)
{
    const struct cached *c = x->cached;
    int64_t now = (int64_t)loop_wall_ms();
    if (!span_eq(o->key.extra, c->key.extra) || !vary_matches(o->vary, &x->req->fields, x->arena))
        return false;
    if (o == stale)
        return freshness_serves_error(&o->fresh, cached_directives(c), now);
    enum freshness_use use = freshness_use(&o->fresh, cached_directives(c), now);
    return use != USE_VALIDATE && use != USE_VALIDATE_REQUEST;
}

// Somebody fetches already. ERR_AGAIN: look again.
static enum err wait_for_flight(struct exchange *x, struct cache_flight *f, struct cache_object *stale)
{
    struct cache_object *o = NULL;
    enum flight_end how = FLIGHT_ORPHAN;
    enum err failure = ERR_OK, e = cache_flight_wait(f, &how, &o, &failure);
    cache_flight_unref(f);
    if (e) {
        cache_object_unref(stale);
        return e;
    }
    x->cached->collapsed = true;
    x->cached->now_ms = (int64_t)loop_wall_ms();
    if (how == FLIGHT_STORED && is_usable(x, o, stale)) {
        cache_object_unref(stale);
        return cache_answer(x, o);
    }
    cache_object_unref(o);
    if (how == FLIGHT_FAILED) {
        cache_object_unref(stale);
        return failure;
    }
    if (how == FLIGHT_ORPHAN) {
        cache_object_unref(stale);
        return ERR_AGAIN;
    }
    return fetch_alone(x, stale);
}

// seen: what the index has for the request, of use or not. stale: what of it can be validated, or NULL. Takes stale over.
static enum err fetch_shared(struct exchange *x, const struct cache_object *seen, struct cache_object *stale)
{
    struct cached *c = x->cached;
    struct cache_flight *f = NULL;
    switch (cache_flight_enter(c->use->cache, &c->key, &x->req->fields, x->arena, seen, &f)) {
    case FLIGHT_LEAD: {
        enum err e = cache_fetch(x, f, stale);
        cache_object_unref(stale);
        return e;
    }
    case FLIGHT_WAIT:
        return wait_for_flight(x, f, stale);
    case FLIGHT_AGAIN:
        cache_object_unref(stale);
        return ERR_AGAIN;
    case FLIGHT_ALONE:
        break;
    }
    return fetch_alone(x, stale);
}

static bool is_known_private(const struct cache_object *o)
{
    return o && cache_object_is_note(o) && freshness_left_ms(&o->fresh, (int64_t)loop_wall_ms()) > 0;
}

// Nothing that is stored answers. Takes o over, which is stale, a note, or NULL.
static enum err fetch(struct exchange *x, struct cache_object *o)
{
    struct cached *c = x->cached;
    bool alone = is_known_private(o) || c->fwd == FWD_REQUEST || fields_get(&x->req->fields, FIELD_AUTHORIZATION);
    struct cache_object *stale = o && !cache_object_is_note(o) && !o->has_range ? cache_object_ref(o) : NULL;
    c->conditions_pass = is_known_private(o);
    if (c->directives.only_if_cached) {
        cache_object_unref(stale);
        cache_object_unref(o);
        return ERR_ONLY_IF_CACHED;
    }
    // The answer to a HEAD is of no use to others.
    if (x->req->method == METHOD_HEAD || (!stale && cache_note_miss(c->use->cache, &c->key, c->use->min_uses > 1) < c->use->min_uses)) {
        c->why = x->req->method == METHOD_HEAD ? STORABLE_REQUEST_METHOD : STORABLE_FEW_USES;
        cache_object_unref(stale);
        cache_object_unref(o);
        return ERR_OK; // phase fetch's
    }
    enum err e;
    const struct scanning *scanned = scanning_of(x); // as a whole, or not at all
    if (fields_get(&x->req->fields, FIELD_RANGE) && !stale && !(scanned && scanned->responses))
        e = cache_fetch_part(x, o && o->has_range ? o : NULL);
    else
        e = alone ? fetch_alone(x, stale) : fetch_shared(x, o, stale);
    cache_object_unref(o);
    return e;
}

// ---- Looking

static void revalidate_behind(struct exchange *x, struct cache_object *o)
{
    struct cached *c = x->cached;
    struct cache_flight *f = NULL;
    if (atomic_exchange_explicit(&o->revalidating, true, memory_order_relaxed))
        return;
    switch (cache_flight_enter(c->use->cache, &c->key, &x->req->fields, x->arena, o, &f)) {
    case FLIGHT_LEAD:
        cache_fetch_behind(x, f, o);
        return;
    case FLIGHT_WAIT:
        cache_flight_leave(f);
        break;
    case FLIGHT_AGAIN:
    case FLIGHT_ALONE:
        break;
    }
    atomic_store_explicit(&o->revalidating, false, memory_order_relaxed);
}

static enum err look(struct exchange *x)
{
    struct cached *c = x->cached;
    bool known = false;
    c->purges = cache_purges_of(c->use->cache, c->key.hash);
    struct cache_object *o = cache_lookup(c->use->cache, &c->key, &x->req->fields, x->arena, &known);
    c->fwd = known ? FWD_VARY_MISS : FWD_URI_MISS;
    if (!o || cache_object_is_note(o)) {
        c->fwd = o ? FWD_URI_MISS : c->fwd;
        return fetch(x, o);
    }
    if (o->has_range && !cache_part_answers(x, o)) {
        c->fwd = FWD_MISS;
        return fetch(x, o);
    }
    enum freshness_use use = atomic_load_explicit(&o->soft_purged, memory_order_relaxed)
                                 ? USE_VALIDATE
                                 : freshness_use(&o->fresh, cached_directives(c), c->now_ms);
    switch (use) {
    case USE_WHILE_REVALIDATE:
        revalidate_behind(x, o);
        break;
    case USE_FRESH:
    case USE_STALE:
        break;
    case USE_VALIDATE:
        c->fwd = FWD_STALE;
        return fetch(x, o);
    case USE_VALIDATE_REQUEST:
        c->fwd = FWD_REQUEST;
        return fetch(x, o);
    }
    c->fwd = FWD_NONE;
    return cache_answer(x, o);
}

enum err phase_lookup(struct exchange *x)
{
    const struct cache_use *use = cache_use_of(x);
    if (likely(!use) || x->tunnel_wanted)
        return ERR_OK;
    struct cached *c = (struct cached *)arena_zalloc(x->arena, sizeof *c);
    if (!c)
        return ERR_NO_MEMORY;
    x->cached = c;
    c->use = use;
    c->now_ms = (int64_t)loop_wall_ms();
    read_directives(x, c);
    c->fwd = goes_past(x, c);
    if (c->fwd) {
        c->why = c->fwd == FWD_METHOD ? STORABLE_REQUEST_METHOD : c->fwd == FWD_BYPASS ? STORABLE_BYPASS : STORABLE_REQUEST_NO_STORE;
        return ERR_OK;
    }
    enum err e = cache_exchange_key(x, &c->key);
    for (unsigned i = 0; !e && i < ROUNDS_MAX; i++) {
        e = look(x);
        if (e != ERR_AGAIN)
            return e;
        e = ERR_OK;
    }
    return e ? e : fetch_alone(x, NULL);
}
