// SPDX-License-Identifier: Apache-2.0
// Power of two choices over latency: of two servers drawn by weight the one whose latency times its load is less for its weight.
// Two draws are enough to keep away from slow servers, and few enough that not everybody runs to the same fast one.
#include "balance/pool.h"

enum {
    DRAWS = 4,              // pairs, before all are looked at
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

static const struct target *cheaper(const struct target *a, const struct target *b, uint64_t now_ms)
{
    return cost(a, now_ms) * b->weight <= cost(b, now_ms) * a->weight ? a : b;
}

static const struct target *cheapest(struct pool *p, const struct tier *t, struct pick *k)
{
    const struct target *best = NULL;
    unsigned from = pick_random(t->n);
    for (unsigned i = 0; i < t->n; i++) {
        const struct target *c = &t->v[(from + i) % t->n];
        if (pick_may(p, k, c))
            best = best ? cheaper(best, c, k->now_ms) : c;
    }
    return best;
}

static const struct target *pick(struct pool *p, const struct tier *t, struct pick *k)
{
    if (t->n <= 2)
        return cheapest(p, t, k);
    for (unsigned i = 0; i < DRAWS; i++) {
        const struct target *a = &t->v[t->slots[pick_random(t->n_slots)]], *b = &t->v[t->slots[pick_random(t->n_slots)]];
        bool may_a = pick_may(p, k, a), may_b = b != a && pick_may(p, k, b);
        if (may_a && may_b)
            return cheaper(a, b, k->now_ms);
        if (may_a && b != a)
            return a;
        if (may_b)
            return b;
    }
    return cheapest(p, t, k);
}

const struct picker picker_p2c = {.word = "p2c", .measures = true, .pick = pick};
