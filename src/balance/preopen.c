// SPDX-License-Identifier: Apache-2.0
#include "balance/preopen.h"

#include "balance/registry.h"
#include "base/mem.h"
#include "io/fiber.h"
#include "io/loop.h"
#include "net/dial.h"

enum {
    EVERY_MS = 500,   // what is missing is seen after this time
    OPENING_MAX = 32, // at once, a thread
    RETRY_MS = 1000,  // after a failure, doubled with each further one
    RETRY_MAX_MS = 30 * 1000,
};

// What is known of a target, by its place among the pool's targets.
struct spot {
    unsigned opening, failures;
    uint64_t not_before_ms;
};
struct watch {
    struct pool *pool;
    uint64_t seen; // the targets that the spots are for, by their serial
    struct spot *spots;
    unsigned n, n_alloc;
    uint64_t epoch; // a number for these spots
};

struct preopen {
    struct preopen_hooks hooks;
    struct endpoints *endpoints;
    struct timer timer;
    struct watch *watches;
    unsigned n_watches;
    uint64_t connect_ms, handshake_ms, epochs;
    void *owner;
    struct list openings;
    unsigned n_openings;
    bool stopped;
};

// One connection on its way, on a fiber of its own.
struct opening {
    struct list node;
    struct preopen *po;
    void *owner;
    struct pool *pool;
    const struct server *server;
    struct member *member;
    struct fiber *fiber;
    uint64_t epoch;
    unsigned watch, spot;
};

// ---- Opening

static enum err dial_it(struct opening *o, struct upstream_conn *u)
{
    struct dial_request d = {.addrs = &o->member->addr, .n = 1};
    char text[ADDR_IP_TEXT_MAX];
    struct addr used;
    enum err e = dial(&d, deadline_in(o->po->connect_ms), &u->t.io, &used);
    if (e || !o->pool->tls)
        return e;
    struct span host =
        o->server->host.len ? o->server->host : span_of(text, addr_format_ip(&o->member->addr, text));
    e = tls_connect(&u->t, o->pool->tls, host, &o->member->addr, deadline_in(o->po->handshake_ms));
    if (e)
        return e;
    // The handshake's last words wait for the first that are sent. Nothing will be for long, and the server
    // would give up on us.
    struct chunkq nothing;
    chunkq_init(&nothing);
    return transport_send_queue(&u->t, &nothing, o->po->handshake_ms);
}

// *ret: it is there, and its pool's.
static enum err open_one(struct opening *o, struct upstream_conn **ret)
{
    struct endpoints *es = o->po->endpoints;
    struct upstream_conn *u = endpoints_new(es);
    if (!u)
        return ERR_NO_MEMORY;
    uint64_t t0 = loop_clock_us();
    enum err e = dial_it(o, u);
    if (e) {
        endpoints_abandon(es, u);
        return e;
    }
    e = endpoints_adopt(es, &o->member->addr, pool_identity(o->pool), u);
    if (e)
        return e;
    endpoints_dedicate(u, o->pool, o->member);
    o->po->hooks.opened(o->pool, o->server, loop_clock_us() - t0);
    *ret = u;
    return ERR_OK;
}

static bool speaks_h2(const struct pool *p, const struct upstream_conn *u)
{
    return p->http2 && (!p->tls || (u->t.info && span_eq(u->t.info->alpn, SPAN("h2"))));
}

// Requests that come meanwhile wait for this one instead of making their own.
static enum err open_shared(struct opening *o)
{
    struct endpoints *es = o->po->endpoints;
    struct upstream_conn *u = NULL;
    const struct addr *a = &o->member->addr;
    uint64_t identity = pool_identity(o->pool);
    enum err e =
        endpoints_share_begin(es, a, identity, deadline_in(o->po->connect_ms + o->po->handshake_ms), &u);
    if (e || u)
        return e;
    e = open_one(o, &u);
    bool h2 = !e && speaks_h2(o->pool, u);
    if (h2)
        e = endpoints_speak_h2(es, u, deadline_in(o->po->handshake_ms));
    endpoints_share_end(es, a, identity, e ? NULL : u);
    if (!e && !h2)
        u->on_finish(u, true);
    return e;
}

static enum err open_for(struct opening *o)
{
    struct upstream_conn *u = NULL;
    if (o->pool->http2)
        return open_shared(o);
    enum err e = open_one(o, &u);
    if (!e)
        u->on_finish(u, true);
    return e;
}

static void note(const struct opening *o, enum err e)
{
    struct preopen *po = o->po;
    struct watch *w = o->watch < po->n_watches ? &po->watches[o->watch] : NULL;
    if (!w || w->epoch != o->epoch)
        return;
    struct spot *s = &w->spots[o->spot];
    s->opening--;
    s->failures = e ? s->failures + 1 : 0;
    if (e)
        s->not_before_ms =
            loop_now_ms() + MIN((uint64_t)RETRY_MS << MIN(s->failures - 1, 10u), (uint64_t)RETRY_MAX_MS);
}

static void opening_main(void *arg)
{
    struct opening *o = (struct opening *)arg;
    struct preopen *po = o->po;
    o->fiber = fiber_self();
    enum err e = open_for(o);
    note(o, e);
    if (!e && !po->stopped && po->n_openings == OPENING_MAX)
        timer_set(&po->timer, loop_now_ms()); // others could not begin
    po->n_openings--;
    list_remove(&o->node);
    po->hooks.let_go(o->owner);
    member_unref(o->member);
    mem_free(o);
}

static bool begin(struct preopen *po, unsigned watch, unsigned spot, const struct target *t)
{
    struct opening *o = (struct opening *)mem_calloc(1, sizeof *o);
    if (!o)
        return false;
    struct watch *w = &po->watches[watch];
    *o = (struct opening){.po = po,
                          .owner = po->owner,
                          .pool = w->pool,
                          .server = t->server,
                          .member = t->member,
                          .epoch = w->epoch,
                          .watch = watch,
                          .spot = spot};
    member_hold(o->member);
    po->hooks.hold(o->owner);
    list_push_back(&po->openings, &o->node);
    po->n_openings++;
    w->spots[spot].opening++;
    if (fiber_start(opening_main, o, NULL) == ERR_OK)
        return true;
    w->spots[spot].opening--;
    po->n_openings--;
    list_remove(&o->node);
    po->hooks.let_go(o->owner);
    member_unref(o->member);
    mem_free(o);
    return false;
}

// ---- Looking

// Only who would get requests: whoever is down, left alone, on trial or taken out has no use for connections.
static unsigned missing(const struct preopen *po, const struct pool *p, const struct target *t,
                        const struct spot *s)
{
    const struct member *m = t->member;
    if (member_flags(m) & ~(uint32_t)MEMBER_SLOW || m->addr.family == AF_UNSPEC ||
        loop_now_ms() < s->not_before_ms)
        return 0;
    unsigned wanted = p->http2 ? 1 : p->pre_open,
             there = endpoints_ready(po->endpoints, &m->addr, pool_identity(p)) + s->opening;
    return wanted > there ? wanted - there : 0;
}

static bool renew_spots(struct preopen *po, struct watch *w, const struct targets *t)
{
    unsigned n = 0;
    for (unsigned k = 0; k < t->n_tiers; k++)
        n += t->tiers[k].n;
    if (n > w->n_alloc) {
        struct spot *spots = (struct spot *)mem_realloc(w->spots, n * sizeof *spots);
        if (!spots)
            return false;
        w->spots = spots;
        w->n_alloc = n;
    }
    if (n)
        memset(w->spots, 0, n * sizeof *w->spots);
    w->n = n;
    w->seen = t->serial;
    w->epoch = ++po->epochs;
    return true;
}

static void look(struct preopen *po, unsigned i)
{
    struct watch *w = &po->watches[i];
    const struct endpoints *es = po->endpoints;
    const struct targets *t = pool_targets(w->pool);
    if (w->seen != t->serial && !renew_spots(po, w, t))
        return;
    unsigned spot = 0;
    for (unsigned k = 0; k < t->n_tiers; k++) {
        for (unsigned c = 0; c < t->tiers[k].n; c++, spot++) {
            for (unsigned n = missing(po, w->pool, &t->tiers[k].v[c], &w->spots[spot]); n; n--)
                if (po->n_openings >= OPENING_MAX || es->n_idle + po->n_openings >= es->max_idle ||
                    !begin(po, i, spot, &t->tiers[k].v[c]))
                    return;
        }
    }
}

static void on_timer(struct timer *timer)
{
    struct preopen *po = container_of(timer, struct preopen, timer);
    for (unsigned i = 0; i < po->n_watches; i++)
        look(po, i);
    if (!po->stopped && po->n_watches && !timer_is_set(timer))
        timer_set(timer, loop_now_ms() + EVERY_MS);
}

// ---- Life

struct preopen *preopen_new(const struct preopen_hooks *hooks, struct endpoints *es)
{
    struct preopen *po = (struct preopen *)mem_calloc(1, sizeof *po);
    if (!po)
        return NULL;
    po->hooks = *hooks;
    po->endpoints = es;
    list_init(&po->openings);
    timer_init(&po->timer, on_timer);
    return po;
}

static void forget(struct preopen *po)
{
    for (unsigned i = 0; i < po->n_watches; i++)
        mem_free(po->watches[i].spots);
    mem_free(po->watches);
    po->watches = NULL;
    po->n_watches = 0;
    timer_cancel(&po->timer);
}

bool preopen_set_pools(struct preopen *po, struct pool *const *pools, unsigned n, uint64_t connect_ms,
                       uint64_t handshake_ms, void *owner)
{
    unsigned wanted = 0;
    forget(po);
    po->owner = owner;
    po->connect_ms = connect_ms;
    po->handshake_ms = handshake_ms;
    for (unsigned i = 0; i < n; i++)
        wanted += pools[i]->pre_open > 0;
    if (!wanted || po->stopped)
        return true;
    po->watches = (struct watch *)mem_calloc(wanted, sizeof *po->watches);
    if (!po->watches)
        return false;
    for (unsigned i = 0; i < n; i++)
        if (pools[i]->pre_open)
            po->watches[po->n_watches++].pool = pools[i];
    timer_set(&po->timer, loop_now_ms());
    return true;
}

void preopen_stop(struct preopen *po)
{
    po->stopped = true;
    forget(po);
    LIST_FOREACH (it, &po->openings) {
        struct opening *o = container_of(it, struct opening, node);
        if (o->fiber)
            fiber_cancel(o->fiber, ERR_CANCELED);
    }
}

static bool has_ended(void *arg)
{
    return ((const struct preopen *)arg)->n_openings == 0;
}

void preopen_free(struct preopen *po)
{
    if (!po)
        return;
    preopen_stop(po);
    (void)loop_run_until(loop_self(), has_ended, po);
    timer_cancel(&po->timer);
    mem_free(po);
}
