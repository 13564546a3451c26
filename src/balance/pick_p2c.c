// SPDX-License-Identifier: Apache-2.0
// Power of two choices over latency: of two servers drawn by weight the one whose latency times its load is less for its weight.
// Two draws are enough to keep away from slow servers, and few enough that not everybody runs to the same fast one. Where both turn
// out to be far from what is usual in the pool (of a tenth of slow servers, one pair in a hundred), two more are drawn.
#include "balance/pool.h"
#include "balance/registry.h"

enum {
    DRAWS = 4,              // for a second one that is not the first
    PAIRS = 4,              // before the best so far is taken, or (where none may be) all are looked at
    USUAL_TIMES = 3,        // so many times the pool's mean latency is nothing unusual
    UNKNOWN_US = 10 * 1000, // of one that has not answered yet and is being tried
};

// What one more request would wait there. An unmeasured server that does nothing costs nothing: it is measured by trying.
static uint64_t cost(const struct target *t, uint64_t now_ms)
{
    uint64_t us = member_latency_us(t->member, now_ms), load = member_load(t->member);
    if (us == 0 && load)
        us = UNKNOWN_US;
    return us * (load + 1);
}

struct best {
    const struct target *target; // NULL: none yet
    uint64_t cost;
};

static inline void consider(struct best *b, struct pool *p, struct pick *k, const struct target *t)
{
    if (t == b->target || !pick_may(p, k, t))
        return;
    uint64_t c = cost(t, k->now_ms);
    if (!b->target || c * b->target->weight < b->cost * t->weight)
        *b = (struct best){t, c};
}

static const struct target *cheapest(struct pool *p, const struct tier *t, struct pick *k)
{
    struct best b = {0};
    unsigned from = pick_random(t->n);
    for (unsigned i = 0; i < t->n; i++)
        consider(&b, p, k, &t->v[(from + i) % t->n]);
    return b.target;
}

static const struct target *draw(const struct tier *t)
{
    return &t->v[t->slots[pick_random(t->n_slots)]];
}

// A pair of the same server twice would be no choice.
static const struct target *draw_another(const struct tier *t, const struct target *first)
{
    const struct target *other = draw(t);
    for (unsigned i = 1; unlikely(other == first) && i < DRAWS; i++)
        other = draw(t);
    return other;
}

static const struct target *pick(struct pool *p, const struct tier *t, struct pick *k)
{
    if (t->n <= 2)
        return cheapest(p, t, k);
    struct best b = {0};
    uint64_t usual = USUAL_TIMES * atomic_load_explicit(&p->shared->typical_us, memory_order_relaxed);
    for (unsigned i = 0; i < PAIRS; i++) {
        const struct target *first = draw(t);
        consider(&b, p, k, first);
        consider(&b, p, k, draw_another(t, first));
        if (likely(b.target && b.cost <= usual * b.target->weight))
            return b.target;
    }
    return b.target ? b.target : cheapest(p, t, k);
}

const struct picker picker_p2c = {.word = "p2c", .measures = true, .pick = pick};
