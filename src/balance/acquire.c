// SPDX-License-Identifier: Apache-2.0
// A place at a server: choosing it, waiting for it, giving it back.
#include "balance/pool.h"
#include "balance/health.h"
#include "balance/registry.h"

// By its share of slow-start's time that has passed, at least a tenth.
static bool slow_may(struct pool *p, struct member *m, uint64_t now_ms)
{
    uint64_t since = now_ms - atomic_load_explicit(&m->slow_from_ms, memory_order_relaxed);
    if (since < p->slow_start_ms)
        return pick_random(100) < MAX(since * 100 / p->slow_start_ms, (uint64_t)10);
    member_set_flags(m, 0, MEMBER_SLOW);
    return true;
}

// One with something against it.
static NOINLINE bool flagged_may(struct pool *p, struct pick *k, struct member *m)
{
    uint32_t flags = member_flags(m);
    if (flags & (MEMBER_DRAINING | MEMBER_DISABLED))
        return false;
    if (k->desperate)
        return true;
    if (flags & MEMBER_DOWN)
        return false;
    if (flags & MEMBER_EJECTED && !health_ejection_over(p, m, k->now_ms))
        return false;
    flags = member_flags(m);
    if (flags & MEMBER_PROBING && member_load(m))
        return false;
    return !(flags & MEMBER_SLOW) || slow_may(p, m, k->now_ms);
}

bool pick_may_slowly(struct pool *p, struct pick *k, const struct target *t)
{
    struct member *m = t->member;
    if (unlikely(k->n_tried) && pick_has_tried(k, m))
        return false;
    if (unlikely(member_flags(m)) && !flagged_may(p, k, m))
        return false;
    if (likely(!p->max_requests) || member_load(m) < p->max_requests)
        return true;
    k->saw_full = true;
    return false;
}

// A session goes on at its server even where that takes no new ones.
static const struct target *session_target(struct pool *p, const struct targets *t, struct pick *k)
{
    const struct target *c = sticky_find(t, k->session);
    if (!c || pick_has_tried(k, c->member))
        return NULL;
    uint32_t flags = member_flags(c->member);
    if (flags & (MEMBER_DOWN | MEMBER_DISABLED))
        return NULL;
    if (flags & MEMBER_EJECTED && !health_ejection_over(p, c->member, k->now_ms))
        return NULL;
    return p->max_requests && member_load(c->member) >= p->max_requests ? NULL : c;
}

static const struct target *choose_among(struct pool *p, const struct targets *t, struct pick *k)
{
    for (unsigned i = 0; i < t->n_tiers; i++) {
        const struct tier *tier = &t->tiers[i];
        const struct target *c = NULL;
        if (tier->n == 1)
            c = pick_may(p, k, &tier->v[0]) ? &tier->v[0] : NULL;
        else if (tier->n)
            c = p->key_is_sticky && k->has_key ? picker_hash.pick(p, tier, k) : p->picker->pick(p, tier, k);
        if (c)
            return c;
    }
    return NULL;
}

// Who is well; where nobody is, whoever is there at all: to refuse without a try would make a bad guess of ours an outage.
static const struct target *choose(struct pool *p, struct pick *k)
{
    const struct targets *t = pool_targets(p);
    const struct target *c = unlikely(k->session.ptr != NULL) ? session_target(p, t, k) : NULL;
    if (!c)
        c = choose_among(p, t, k);
    if (likely(c != NULL) || k->saw_full)
        return c;
    k->desperate = true;
    c = choose_among(p, t, k);
    k->desperate = false;
    return c;
}

static bool reserve(struct pool *p, struct member *m)
{
    member_enter(m);
    if (unlikely(p->max_requests) && member_load(m) > p->max_requests) { // another thread was faster
        member_leave(m);
        return false;
    }
    if (p->picker->counts_load)
        atomic_fetch_add_explicit(&p->shared->load, 1, memory_order_relaxed);
    return true;
}

// NULL: nobody, or (k->saw_full) nobody with room.
static const struct target *try_acquire(struct pool *p, struct pick *k)
{
    for (;;) {
        k->saw_full = false;
        const struct target *c = choose(p, k);
        if (!c || reserve(p, c->member))
            return c;
    }
}

// ---- Waiting

struct waiting {
    struct queue_waiter waiter;
    struct pool *pool;
    struct pick *pick;
    struct target target;
    bool found;
};

static const struct target *target_of(const struct targets *t, const struct member *m)
{
    for (unsigned k = 0; k < t->n_tiers; k++)
        for (unsigned i = 0; i < t->tiers[k].n; i++)
            if (t->tiers[k].v[i].member == m)
                return &t->tiers[k].v[i];
    return NULL;
}

static bool look_again(void *arg)
{
    struct waiting *w = (struct waiting *)arg;
    if (queue_length(&w->pool->shared->queue) > 1)
        return false; // others are first
    atomic_thread_fence(memory_order_seq_cst);
    const struct target *t = try_acquire(w->pool, w->pick);
    w->found = t != NULL;
    if (t)
        w->target = *t;
    return w->found;
}

static bool wants(const struct queue_waiter *qw, const struct member *m)
{
    const struct waiting *w = container_of(qw, const struct waiting, waiter);
    return !pick_has_tried(w->pick, m);
}

static enum err wait_for_place(struct pool *p, struct pick *k, struct target *ret)
{
    struct waiting w = {.waiter.wants = wants, .pool = p, .pick = k};
    enum err e = queue_wait(&p->shared->queue, &w.waiter, k->priority, p->queue, deadline_in(p->wait_ms), look_again, &w);
    struct member *m = w.waiter.granted;
    k->now_ms = loop_now_ms();
    if (!e && m && !w.found) {
        // Its target is of this generation, which may know it no more.
        const struct target *t = target_of(pool_targets(p), m);
        if (t) {
            *ret = *t;
            return ERR_OK;
        }
        e = ERR_POOL_EMPTY;
    }
    if (m)
        pool_release(p, &(struct target){.member = m});
    if (!e)
        *ret = w.target;
    else if (w.found)
        pool_release(p, &w.target);
    return e;
}

enum err pool_acquire(struct pool *p, struct pick *k, struct target *ret)
{
    const struct target *c = NULL;
    k->now_ms = loop_now_ms();
    // Who comes now stands behind those who wait.
    bool others_first = unlikely(p->max_requests) && queue_length(&p->shared->queue);
    if (!others_first)
        c = try_acquire(p, k);
    else
        k->saw_full = true;
    if (c) {
        *ret = *c;
        return ERR_OK;
    }
    if (!k->saw_full)
        return ERR_POOL_EMPTY;
    return k->no_wait ? ERR_QUEUE_FULL : wait_for_place(p, k, ret);
}

void pool_release(struct pool *p, const struct target *t)
{
    if (p->picker->counts_load)
        atomic_fetch_sub_explicit(&p->shared->load, 1, memory_order_relaxed);
    if (likely(!p->max_requests)) {
        member_leave(t->member);
        return;
    }
    bool well = !(member_flags(t->member) & (MEMBER_DOWN | MEMBER_EJECTED | MEMBER_DRAINING | MEMBER_DISABLED));
    if (queue_length(&p->shared->queue) && well && member_load(t->member) <= p->max_requests && queue_hand_over(&p->shared->queue, t->member)) {
        if (p->picker->counts_load)
            atomic_fetch_add_explicit(&p->shared->load, 1, memory_order_relaxed);
        return;
    }
    member_leave(t->member);
    atomic_thread_fence(memory_order_seq_cst); // look_again has the other one: one of the two sees the other
    if (queue_length(&p->shared->queue))
        pool_kick(p); // who came between the look and the leaving
}

bool pool_is_well(struct pool *p)
{
    const struct targets *t = pool_targets(p);
    uint64_t now_ms = loop_now_ms();
    for (unsigned k = 0; k < t->n_tiers; k++) {
        for (unsigned i = 0; i < t->tiers[k].n; i++) {
            const struct member *m = t->tiers[k].v[i].member;
            uint32_t flags = member_flags(m);
            bool left_alone = flags & MEMBER_EJECTED && now_ms < atomic_load_explicit(&m->ejected_until_ms, memory_order_relaxed);
            if (!left_alone && !(flags & (MEMBER_DOWN | MEMBER_DRAINING | MEMBER_DISABLED)))
                return true;
        }
    }
    return false;
}

void pool_kick(struct pool *p)
{
    const struct targets *t = pool_targets(p);
    for (unsigned k = 0; k < t->n_tiers; k++) {
        for (unsigned i = 0; i < t->tiers[k].n; i++) {
            struct member *m = t->tiers[k].v[i].member;
            while (queue_length(&p->shared->queue) && !member_flags(m) && reserve(p, m)) {
                if (queue_hand_over(&p->shared->queue, m))
                    continue;
                if (p->picker->counts_load)
                    atomic_fetch_sub_explicit(&p->shared->load, 1, memory_order_relaxed);
                member_leave(m);
                break;
            }
        }
    }
}
