// SPDX-License-Identifier: Apache-2.0
#include "balance/health.h"

#include <pthread.h>

#include "balance/registry.h"
#include "io/loop.h"

enum {
    UNREACHABLE_MS = 1000,   // without `eject`: nobody else is sent to one that could not be connected to, for this long
    FORGIVEN_AFTER = 10,     // times its ejection without another one, and a server begins anew
    WINDOW_MS = 10 * 1000,   // over which a rate of failures is taken
    WINDOW_MIN = 20,         // requests; of fewer no rate can be told
    SLOW_MIN_US = 5 * 1000,  // what is quicker is not slow, whatever the others do
    FAILURE_TIMES = 4,       // a failure counts as this much of the usual latency, at the least
    FAILURE_MIN_US = 10 * 1000,
    FAILURE_MAX_US = 10 * 1000 * 1000,
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; // over ejections, so that two at once do not go beyond the half

void health_came_back(struct pool *p, struct member *m, uint64_t now_ms)
{
    if (!p->slow_start_ms)
        return;
    atomic_store_explicit(&m->slow_from_ms, now_ms, memory_order_relaxed);
    member_set_flags(m, MEMBER_SLOW, 0);
}

bool health_ejection_over(struct pool *p, struct member *m, uint64_t now_ms)
{
    if (now_ms < atomic_load_explicit(&m->ejected_until_ms, memory_order_relaxed))
        return false;
    // Until it has served a request its next error counts like the last one of a row.
    atomic_store_explicit(&m->errors_in_row, p->eject.errors ? p->eject.errors - 1 : 0, memory_order_relaxed);
    health_came_back(p, m, now_ms);
    member_set_flags(m, MEMBER_PROBING, MEMBER_EJECTED);
    return true;
}

static bool is_ejected(const struct member *m, uint64_t now_ms)
{
    return member_flags(m) & MEMBER_EJECTED && now_ms < atomic_load_explicit(&m->ejected_until_ms, memory_order_relaxed);
}

// With this one, would it be more than half?
static bool too_many(struct pool *p, uint64_t now_ms)
{
    const struct targets *t = pool_targets(p);
    unsigned all = 0, ejected = 1;
    for (unsigned k = 0; k < t->n_tiers; k++) {
        all += t->tiers[k].n;
        for (unsigned i = 0; i < t->tiers[k].n; i++)
            ejected += is_ejected(t->tiers[k].v[i].member, now_ms);
    }
    return 2 * ejected > all;
}

static void eject(struct pool *p, struct member *m, uint64_t for_ms, uint64_t max_ms, uint64_t now_ms)
{
    pthread_mutex_lock(&lock);
    if (!is_ejected(m, now_ms) && !too_many(p, now_ms)) {
        uint64_t last = atomic_load_explicit(&m->ejected_until_ms, memory_order_relaxed);
        uint32_t times = last && now_ms < last + FORGIVEN_AFTER * for_ms ? MIN(atomic_load_explicit(&m->ejections, memory_order_relaxed) + 1, 20u) : 1;
        atomic_store_explicit(&m->ejections, times, memory_order_relaxed);
        atomic_store_explicit(&m->ejected_until_ms, now_ms + MIN(for_ms << (times - 1), max_ms), memory_order_relaxed);
        member_set_flags(m, MEMBER_EJECTED, MEMBER_PROBING);
    }
    pthread_mutex_unlock(&lock);
}

static void note_success(struct member *m)
{
    if (unlikely(atomic_load_explicit(&m->errors_in_row, memory_order_relaxed)))
        atomic_store_explicit(&m->errors_in_row, 0, memory_order_relaxed);
    if (unlikely(member_flags(m) & MEMBER_PROBING))
        member_set_flags(m, 0, MEMBER_PROBING);
}

static void eject_by_rules(struct pool *p, struct member *m, uint64_t now_ms)
{
    eject(p, m, p->eject.for_ms, p->eject.max_ms, now_ms);
}

// Part of the requests fail, but never enough of them in a row.
static void note_rate(struct pool *p, struct member *m, bool failed, uint64_t now_ms)
{
    uint32_t window = (uint32_t)(now_ms / WINDOW_MS) + 1, seen = atomic_load_explicit(&m->window, memory_order_relaxed);
    if (seen != window && atomic_compare_exchange_strong_explicit(&m->window, &seen, window, memory_order_relaxed, memory_order_relaxed)) {
        atomic_store_explicit(&m->window_requests, 0, memory_order_relaxed);
        atomic_store_explicit(&m->window_failures, 0, memory_order_relaxed);
    }
    uint64_t requests = atomic_fetch_add_explicit(&m->window_requests, 1, memory_order_relaxed) + 1;
    if (!failed)
        return;
    uint64_t failures = atomic_fetch_add_explicit(&m->window_failures, 1, memory_order_relaxed) + 1;
    if (requests < WINDOW_MIN || failures * 10000 < requests * p->eject.rate)
        return;
    atomic_store_explicit(&m->window, 0, memory_order_relaxed); // it begins anew when it comes back
    eject_by_rules(p, m, now_ms);
}

// The mean latency of the other members that have one; UINT64_MAX where nobody can be compared with.
static uint64_t latency_elsewhere(struct pool *p, const struct member *m, uint64_t now_ms)
{
    const struct tier *t = &pool_targets(p)->tiers[TIER_MAIN];
    uint64_t sum = 0, n = 0;
    for (unsigned i = 0; i < t->n; i++) {
        uint64_t us = t->v[i].member == m ? 0 : member_latency_us(t->v[i].member, now_ms);
        sum += us;
        n += us > 0;
    }
    return n ? sum / n : UINT64_MAX;
}

// Every request succeeds, but far later than elsewhere.
static void note_slowness(struct pool *p, struct member *m, uint64_t us, uint64_t now_ms)
{
    if (us < SLOW_MIN_US || us / p->eject.slower < latency_elsewhere(p, m, now_ms)) {
        atomic_store_explicit(&m->slow_in_row, 0, memory_order_relaxed);
        return;
    }
    if (atomic_fetch_add_explicit(&m->slow_in_row, 1, memory_order_relaxed) + 1 < p->eject.errors)
        return;
    atomic_store_explicit(&m->slow_in_row, 0, memory_order_relaxed);
    eject_by_rules(p, m, now_ms);
}

static void note_failure(struct pool *p, struct member *m, bool unreachable, uint64_t now_ms)
{
    atomic_fetch_add_explicit(&m->failures, 1, memory_order_relaxed);
    uint32_t errors = atomic_fetch_add_explicit(&m->errors_in_row, 1, memory_order_relaxed) + 1;
    if (p->eject.errors && errors >= p->eject.errors)
        eject_by_rules(p, m, now_ms);
    else if (!p->eject.errors && unreachable)
        eject(p, m, UNREACHABLE_MS, UNREACHABLE_MS, now_ms);
}

// What fails quickly does not count as quick.
static uint64_t failure_latency(const struct member *m, uint64_t us)
{
    uint64_t usual = FAILURE_TIMES * member_latency_us(m, loop_now_ms());
    return MAX(us, MIN(MAX(usual, (uint64_t)FAILURE_MIN_US), (uint64_t)FAILURE_MAX_US));
}

// The mean over the pool moves slowly, so few samples are enough, and threads do not fight for its cache line.
static void note_typical(struct pool_shared *s, uint64_t us)
{
    enum { ONE_OF = 8, WEIGHT = 32 };
    static _Thread_local unsigned n;
    uint64_t old = atomic_load_explicit(&s->typical_us, memory_order_relaxed);
    if (old && ++n % ONE_OF)
        return;
    atomic_store_explicit(&s->typical_us, old ? (old * (WEIGHT - 1) + us) / WEIGHT : MAX(us, (uint64_t)1), memory_order_relaxed);
}

static void note_measured(struct pool *p, struct member *m, uint64_t us)
{
    member_note_latency(m, us, loop_now_ms());
    note_typical(p->shared, us);
}

void pool_report(struct pool *p, const struct target *t, enum pool_outcome o, uint64_t us)
{
    struct member *m = t->member;
    switch (o) {
    case OUTCOME_OK:
        note_success(m);
        if (unlikely(p->eject.rate))
            note_rate(p, m, false, loop_now_ms());
        if (unlikely(p->eject.slower))
            note_slowness(p, m, us, loop_now_ms());
        if ((p->picker->measures || p->eject.slower) && (p->n_servers > 1 || p->has_names))
            note_measured(p, m, us);
        break;
    case OUTCOME_FAILED:
    case OUTCOME_UNREACHABLE:
        if (p->picker->measures)
            member_note_latency(m, failure_latency(m, us), loop_now_ms());
        note_failure(p, m, o == OUTCOME_UNREACHABLE, loop_now_ms());
        if (p->eject.rate)
            note_rate(p, m, true, loop_now_ms());
        break;
    case OUTCOME_UNKNOWN:
        break;
    }
}
