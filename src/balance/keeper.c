// SPDX-License-Identifier: Apache-2.0
#include "balance/keeper.h"

#include "balance/check.h"
#include "balance/health.h"
#include "balance/places.h"
#include "balance/registry.h"
#include "base/mem.h"

enum {
    JITTER_PART = 10,         // of an interval, both ways: servers are not asked all at once, nor in step with other weirs
    FASTER = 2,               // where the last answers contradict the state
    NAME_RETRY_MS = 1000,
    NAME_RETRY_MAX_MS = 30 * 1000,
    NAME_WAIT_MS = 10 * 1000, // for one answer
};

// One thing to look at again and again: the checks of a member, or the name of a server.
struct job {
    struct list node; // of the keeper
    struct timer timer;
    struct keeper *keeper;
    void *owner;
    struct pool *pool;
    struct server *server;
    struct member *member; // NULL: a name
    struct fiber *fiber;   // while it runs
    bool stale;            // nobody wants it any more: it goes when it has ended
};

struct keeper {
    struct keeper_hooks hooks;
    struct dns *dns;
    struct list jobs;
    void *owner;
    unsigned n_running;
    uint64_t marks;
    bool stopped;
};

static uint64_t with_jitter(uint64_t ms)
{
    uint64_t part = ms / JITTER_PART;
    return ms - part + pick_random((uint32_t)MIN(2 * part, (uint64_t)UINT32_MAX - 1) + 1);
}

static void job_free(struct job *j)
{
    timer_cancel(&j->timer);
    if (j->member && j->member->checks.job == j)
        j->member->checks.job = NULL;
    list_remove(&j->node);
    member_unref(j->member);
    mem_free(j);
}

// ---- Checks

static void tell(const struct job *j, enum keeper_event ev, enum err why)
{
    j->keeper->hooks.event(ev, j->pool, j->server, j->member ? &j->member->addr : NULL, why);
}

static void note_good(struct job *j)
{
    struct member *m = j->member;
    struct member_checks *c = &m->checks;
    c->bad = 0;
    c->good++;
    if (!(member_flags(m) & MEMBER_DOWN) || c->good < j->pool->check->rise)
        return;
    health_came_back(j->pool, m, loop_now_ms());
    member_set_flags(m, 0, MEMBER_DOWN);
    tell(j, KEEPER_UP, ERR_OK);
    pool_kick(j->pool);
}

// The first answer ever decides at once: it is no slip of one that was well.
static void note_bad(struct job *j, enum err why)
{
    struct member *m = j->member;
    struct member_checks *c = &m->checks;
    c->good = 0;
    c->bad++;
    if (member_flags(m) & MEMBER_DOWN || (c->known && c->bad < j->pool->check->fall))
        return;
    member_set_flags(m, MEMBER_DOWN, MEMBER_SLOW);
    tell(j, KEEPER_DOWN, why);
}

// Faster where the last answers contradict what is believed.
static uint64_t check_again_in(const struct job *j)
{
    const struct member_checks *c = &j->member->checks;
    bool down = member_flags(j->member) & MEMBER_DOWN;
    uint64_t every = j->pool->check->every_ms;
    return with_jitter((down ? c->good : c->bad) ? MAX(every / FASTER, (uint64_t)10) : every);
}

static uint64_t run_check(struct job *j)
{
    enum err e = check_run(j->pool, j->server, &j->member->addr);
    if (fiber_canceled(fiber_self()))
        return 0;
    if (e)
        note_bad(j, e);
    else
        note_good(j);
    j->member->checks.known = true;
    return check_again_in(j);
}

// ---- Names

static void add_check(struct keeper *k, struct pool *p, const struct target *t);

static void job_drop(struct job *j)
{
    j->stale = true;
    if (j->member && j->member->checks.job == j)
        j->member->checks.job = NULL;
    if (j->fiber)
        fiber_cancel(j->fiber, ERR_CANCELED);
    else
        job_free(j);
}

// The name has other addresses: new targets for all threads, new checks.
static void refresh(struct keeper *k, struct pool *p)
{
    struct targets *t = targets_new(p);
    if (!t)
        return; // the old ones stay, until the next answer
    pool_set_targets(p, t);
    uint64_t mark = ++k->marks;
    for (unsigned i = 0; i < t->n_tiers; i++)
        for (unsigned n = 0; n < t->tiers[i].n; n++)
            t->tiers[i].v[n].member->checks.mark = mark;
    LIST_FOREACH (it, &k->jobs) {
        struct job *j = container_of(it, struct job, node);
        if (j->pool == p && j->member && !j->stale && j->member->checks.mark != mark)
            job_drop(j);
    }
    for (unsigned i = 0; i < t->n_tiers; i++)
        for (unsigned n = 0; n < t->tiers[i].n; n++)
            if (!t->tiers[i].v[n].member->checks.job)
                add_check(k, p, &t->tiers[i].v[n]);
}

static void set_unresolved(const struct job *j, bool down)
{
    const struct targets *t = pool_targets(j->pool);
    for (unsigned k = 0; k < t->n_tiers; k++)
        for (unsigned i = 0; i < t->tiers[k].n; i++)
            if (t->tiers[k].v[i].server == j->server && t->tiers[k].v[i].member->addr.family == AF_UNSPEC)
                member_set_flags(t->tiers[k].v[i].member, down ? MEMBER_DOWN : 0, down ? 0 : MEMBER_DOWN);
}

static uint64_t name_failed(struct job *j, enum err why)
{
    struct server_shared *s = j->server->shared;
    if (!s->name_failures++)
        tell(j, KEEPER_NAME_FAILED, why);
    set_unresolved(j, true);
    return with_jitter(MIN((uint64_t)NAME_RETRY_MS << MIN(s->name_failures, 10u), (uint64_t)NAME_RETRY_MAX_MS));
}

static uint64_t run_name(struct job *j)
{
    struct server_shared *s = j->server->shared;
    struct places found;
    enum err e = places_find(j->keeper->dns, j->server, deadline_in(NAME_WAIT_MS), &found);
    if (fiber_canceled(fiber_self()) || j->stale)
        return 0;
    if (e)
        return name_failed(j, e);
    if (s->name_failures || (s->partly && !found.partly))
        tell(j, KEEPER_NAME_BACK, ERR_OK);
    if (found.partly && !s->partly)
        tell(j, KEEPER_TARGET_FAILED, found.partly);
    s->name_failures = 0;
    s->partly = found.partly != ERR_OK;
    bool was_known = s->n_places > 0;
    if (server_shared_set_places(s, found.v, found.n)) {
        if (was_known)
            tell(j, KEEPER_NAME_MOVED, ERR_OK);
        refresh(j->keeper, j->pool);
        pool_kick(j->pool);
    }
    return found.fixed ? 0 : MAX((uint64_t)found.ttl_s, (uint64_t)1) * 1000 + pick_random(100);
}

// ---- Jobs

static void job_main(void *arg)
{
    struct job *j = (struct job *)arg;
    struct keeper *k = j->keeper;
    void *owner = j->owner;
    j->fiber = fiber_self();
    k->n_running++;
    k->hooks.hold(owner);
    uint64_t again_ms = j->member ? run_check(j) : run_name(j);
    j->fiber = NULL;
    if (j->stale || k->stopped)
        job_free(j);
    else if (again_ms)
        timer_set(&j->timer, loop_now_ms() + again_ms);
    k->hooks.let_go(owner);
    k->n_running--;
}

static void on_due(struct timer *t)
{
    struct job *j = container_of(t, struct job, timer);
    if (fiber_start(job_main, j, NULL))
        timer_set(t, loop_now_ms() + NAME_RETRY_MS); // out of memory: later
}

static void add_job(struct keeper *k, struct pool *p, const struct server *s, struct member *m, uint64_t in_ms)
{
    struct job *j = (struct job *)mem_calloc(1, sizeof *j);
    if (!j)
        return; // such a server is taken for well
    j->keeper = k;
    j->owner = k->owner;
    j->pool = p;
    j->server = (struct server *)(uintptr_t)s;
    if (m) {
        j->member = m;
        m->checks.job = j;
        member_hold(m);
    }
    timer_init(&j->timer, on_due);
    list_push_back(&k->jobs, &j->node);
    timer_set(&j->timer, loop_now_ms() + in_ms);
}

// A server that is new is looked at soon, one that is known when its time comes.
static void add_check(struct keeper *k, struct pool *p, const struct target *t)
{
    if (!p->check || t->member->addr.family == AF_UNSPEC)
        return;
    uint64_t every = p->check->every_ms;
    add_job(k, p, t->server, t->member, t->member->checks.known ? pick_random((uint32_t)MIN(every, (uint64_t)UINT32_MAX)) : pick_random((uint32_t)MIN(every / 4, UINT64_C(250)) + 1));
}

static void add_pool(struct keeper *k, struct pool *p)
{
    if (p->has_names)
        refresh(k, p); // answers that came since it was built
    const struct targets *t = pool_targets(p);
    for (unsigned i = 0; i < t->n_tiers; i++) {
        for (unsigned n = 0; n < t->tiers[i].n; n++) {
            if (!p->check && t->tiers[i].v[n].member->addr.family != AF_UNSPEC)
                member_set_flags(t->tiers[i].v[n].member, 0, MEMBER_DOWN); // who asks no more knows no more
            if (!p->has_names)
                add_check(k, p, &t->tiers[i].v[n]);
        }
    }
    for (unsigned i = 0; i < p->n_servers; i++)
        if (p->servers[i].host.len)
            add_job(k, p, &p->servers[i], NULL, 0);
}

struct keeper *keeper_new(const struct keeper_hooks *hooks, struct dns *dns)
{
    struct keeper *k = (struct keeper *)mem_calloc(1, sizeof *k);
    if (!k)
        return NULL;
    k->hooks = *hooks;
    k->dns = dns;
    list_init(&k->jobs);
    return k;
}

static void drop_all(struct keeper *k)
{
    LIST_FOREACH (it, &k->jobs)
        job_drop(container_of(it, struct job, node));
}

void keeper_set_pools(struct keeper *k, struct pool *const *pools, unsigned n, void *owner)
{
    drop_all(k);
    k->owner = owner;
    for (unsigned i = 0; i < n && !k->stopped; i++)
        add_pool(k, pools[i]);
}

void keeper_stop(struct keeper *k)
{
    k->stopped = true;
    drop_all(k);
}

static bool has_ended(void *arg)
{
    return ((const struct keeper *)arg)->n_running == 0;
}

void keeper_free(struct keeper *k)
{
    if (!k)
        return;
    keeper_stop(k);
    (void)loop_run_until(loop_self(), has_ended, k);
    mem_free(k);
}
