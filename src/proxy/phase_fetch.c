// SPDX-License-Identifier: Apache-2.0
// fetch: choose a server, connect, send, read the head, retry by the rules (RFC 9110 9.2.2): what is idempotent, or was provably not
// processed, on another server, as long as no byte of an answer has gone to the client.
#include "proxy/affinity.h"
#include "proxy/attempt.h"
#include "proxy/choice.h"
#include "proxy/connection.h"
#include "proxy/mirror.h"
#include "proxy/guard.h"
#include "proxy/inspect.h"
#include "proxy/scan.h"
#include "proxy/thread.h"
#include "proxy/upload.h"
#include "proxy/upstream_request.h"

#include "balance/registry.h"

enum {
    STALE_TRIES_MAX = 5,    // of one request over kept connections that turn out to be closed; the last is on a new one
    SLOW_CONNECTS_MAX = 3,  // servers that a connection was waited for in vain
};

// How far a request has come with its tries.
struct tries {
    const struct retry_rules *rules; // NULL: a forward proxy's, which has one destination
    struct pool *pool;
    struct pick pick;
    unsigned used;  // of the rules' tries
    unsigned stale, slow_connects;
    uint64_t began_ms;
};

void exchange_end_upstream(struct exchange *x)
{
    upload_stop(x);
    if (x->upstream) {
        x->upstream->ops->finish(x->upstream);
        x->upstream = NULL;
    }
}

void exchange_leave_server(struct exchange *x, enum err e)
{
    if (unlikely(x->mirrored)) {
        x->mirrored = false; // once, however often its server is left
        mirror_send(x);
    }
    if (!x->target.member)
        return;
    // What breaks after its head is known here only.
    if (e && x->answer == ANSWER_UPSTREAM && err_info(e)->fault == ERR_FAULT_UPSTREAM)
        pool_report(x->pool, &x->target, OUTCOME_FAILED, x->first_byte_us);
    pool_release(x->pool, &x->target);
    x->target.member = NULL;
}

// ---- What became of a try

// A status that speaks of the server rather than of the request.
static bool is_failure(unsigned status)
{
    return status == 500 || status == 502 || status == 503 || status == 504;
}

static enum pool_outcome outcome_of(const struct exchange *x, enum err e)
{
    if (!e)
        return is_failure(x->resp.status) ? OUTCOME_FAILED : OUTCOME_OK;
    if (err_info(e)->fault != ERR_FAULT_UPSTREAM || e == ERR_UPSTREAM_STALE || e == ERR_QUEUE_TIMEOUT || e == ERR_UPSTREAM_REFUSED)
        return OUTCOME_UNKNOWN;
    return x->upstream ? OUTCOME_FAILED : OUTCOME_UNREACHABLE;
}

static void note_try(struct exchange *x, enum err e)
{
    if (x->upstream) {
        metric_add_status(x->upstream_metrics, METRIC_UPSTREAM_REQUESTS, e ? 0 : x->resp.status);
        if (!e)
            metric_observe_us(x->upstream_metrics, METRIC_UPSTREAM_FIRST_BYTE_SECONDS, x->first_byte_us);
    }
    if (x->target.member)
        pool_report(x->pool, &x->target, outcome_of(x, e), x->first_byte_us);
}

// ---- Another try

// Whether it may be sent once more at all: nothing of it is lost, and once more does no harm.
static bool is_repeatable(const struct exchange *x, enum err e)
{
    if (x->upload_err || !x->kept_all || x->client->head_sent)
        return false;
    if (e && !x->upstream && err_info(e)->retry == ERR_RETRY_ANY)
        return true; // not even begun
    if (e && err_info(e)->retry != ERR_RETRY_IDEMPOTENT)
        return err_info(e)->retry == ERR_RETRY_ANY;
    return method_is_idempotent(x->req->method);
}

// A server that could not be reached had no part in it: others are asked without counting.
static bool passes_over(struct tries *t, enum err e)
{
    if (e == ERR_CONNECT_TIMEOUT || e == ERR_DNS_TIMEOUT)
        return ++t->slow_connects < SLOW_CONNECTS_MAX;
    return true;
}

static bool rules_allow(struct tries *t)
{
    uint64_t now = loop_now_ms();
    if (t->used >= t->rules->tries || (t->rules->within_ms && now - t->began_ms >= t->rules->within_ms))
        return false;
    if (!budget_take(&t->pool->shared->budget, t->rules->budget, now))
        return false;
    t->used++;
    return true;
}

static void note_tried(struct tries *t, const struct member *m)
{
    if (t->pick.n_tried < PICK_TRIED_MAX)
        t->pick.tried[t->pick.n_tried++] = m;
}

static void take_target(struct exchange *x, const struct target *t)
{
    x->target = *t;
    x->server = t->server;
    x->upstream_metrics = t->server->metrics;
}

static void enter_pool(struct exchange *x, struct tries *t, struct pool *p)
{
    t->pool = p;
    t->rules = x->route->retry ? x->route->retry : &p->retry;
    t->pick = (struct pick){.no_wait = t->pick.no_wait, .priority = (uint8_t)x->route->priority};
    affinity_find(x, p, &t->pick);
}

static bool next_pool(struct exchange *x, struct tries *t)
{
    struct pool *p = choice_next(x);
    if (p)
        enter_pool(x, t, p);
    return p != NULL;
}

// Another server for the next try, or (where a connection broke) the same one when there is no other. False: there will be none.
static bool move_on(struct exchange *x, struct tries *t, enum err e)
{
    struct target next;
    struct pool *old = t->pool;
    note_tried(t, x->target.member);
    t->pick.no_wait = true;
    enum err e2 = t->pick.n_tried < PICK_TRIED_MAX ? pool_acquire(t->pool, &t->pick, &next) : ERR_POOL_EMPTY;
    if (e2 == ERR_POOL_EMPTY && e && x->upstream) {
        t->pick.n_tried = 0;
        e2 = pool_acquire(t->pool, &t->pick, &next);
    }
    while (e2 && next_pool(x, t))
        e2 = pool_acquire(t->pool, &t->pick, &next);
    if (e2)
        return false;
    exchange_end_upstream(x);
    pool_release(old, &x->target);
    x->pool = t->pool;
    take_target(x, &next);
    return true;
}

// Whether the request goes out again, after an error or an answer of 5xx; the next server is chosen then.
static bool try_again(struct exchange *x, struct tries *t, enum err e)
{
    if (!is_repeatable(x, e))
        return false;
    if (e == ERR_UPSTREAM_STALE || e == ERR_UPSTREAM_REFUSED) { // at the same one: it has not seen it, or would have answered
        if (++t->stale >= STALE_TRIES_MAX)
            return false;
        exchange_end_upstream(x);
        return true;
    }
    if (!t->rules)
        return false;
    bool unreachable = e && !x->upstream;
    if (unreachable ? !passes_over(t, e) : !rules_allow(t))
        return false;
    return move_on(x, t, e);
}

static struct attempt attempt_of(const struct exchange *x, const struct tries *t)
{
    struct attempt a = {.first_byte_ms = x->timeouts->first_byte};
    if (!t->rules || t->used >= t->rules->tries || !method_is_idempotent(x->req->method))
        return a;
    a.movable = !(member_flags(x->target.member) & MEMBER_DOWN); // who was chosen although it is down is given its time
    a.whole = true;
    if (t->rules->try_ms)
        a.first_byte_ms = MIN(a.first_byte_ms, t->rules->try_ms);
    return a;
}

static enum err begin_tries(struct exchange *x, struct tries *t)
{
    x->kept_all = true;
    if (!x->route) {
        x->upstream_metrics = x->proxy->origins;
        return ERR_OK;
    }
    struct target first;
    enter_pool(x, t, choice_first(x));
    t->began_ms = loop_now_ms();
    if (t->rules->tries) {
        x->keep_bytes = t->rules->content_bytes;
        budget_note_request(&t->pool->shared->budget, t->began_ms);
    }
    if (unlikely(x->route->mirror != NULL))
        mirror_choose(x);
    enum err e = pool_acquire(t->pool, &t->pick, &first);
    while (e && err_info(e)->fault == ERR_FAULT_UPSTREAM && next_pool(x, t))
        e = pool_acquire(t->pool, &t->pick, &first);
    x->pool = t->pool;
    if (!e)
        take_target(x, &first);
    return e;
}

static enum err fetch(struct exchange *x)
{
    struct tries t = {0};
    enum err e = begin_tries(x, &t);
    if (e)
        return e;
    for (;;) {
        struct upstream_conn *u;
        e = connection_get(x, t.stale + 1 >= STALE_TRIES_MAX, &u);
        if (!e) {
            struct attempt a = attempt_of(x, &t);
            e = attempt_run(x, u, &a);
        }
        note_try(x, e);
        if (likely(!e && !is_failure(x->resp.status)))
            return ERR_OK;
        if (!try_again(x, &t, e))
            return e;
        chunkq_clear(&x->ahead);
        x->tries++;
    }
}

static enum err fetch_tunnel(struct exchange *x)
{
    x->upstream_metrics = x->proxy->origins;
    enum err e = inspect_plan(x);
    if (!e && !x->inspect) // to decrypt it the client's first words are needed
        e = connection_tunnel(x);
    if (e)
        return e;
    x->resp = (struct response){.status = 200, .reason = SPAN("Connection established"), .version = HTTP_1_1};
    fields_init(&x->resp.fields, x->arena);
    x->answer = ANSWER_TUNNEL;
    return ERR_OK;
}

enum err phase_fetch(struct exchange *x)
{
    x->body_limit = guard_body_limit(x);
    if (x->req->framing.kind == FRAMING_LENGTH && x->body_limit && x->req->framing.length > x->body_limit)
        return ERR_CONTENT_TOO_LARGE;
    if (x->tunnel_wanted)
        return fetch_tunnel(x);
    enum err e = upstream_request_build(x);
    if (!e && unlikely(scanning_of(x)))
        e = scan_upload(x);
    if (e || unlikely(x->answer != ANSWER_NONE))
        return e;
    e = fetch(x);
    if (e == ERR_QUEUE_FULL || e == ERR_QUEUE_TIMEOUT)
        metrics_limit(LIMIT_MAX_REQUESTS);
    if (e)
        return e;
    x->upstream_status = x->resp.status;
    x->answer = x->resp.status == 101 ? ANSWER_TUNNEL : ANSWER_UPSTREAM;
    if (unlikely(scanning_of(x)) && x->answer == ANSWER_UPSTREAM && (e = scan_response(x)))
        x->answer = ANSWER_NONE;
    return e;
}
