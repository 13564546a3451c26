// SPDX-License-Identifier: Apache-2.0
// Two drawn at random by weight, and of these the one with fewer requests under way.
#include "balance/pool.h"

enum { DRAWS = 4 };

static const struct target *first_from(struct pool *p, const struct tier *t, struct pick *k, unsigned from)
{
    for (unsigned i = 0; i < t->n; i++)
        if (pick_may(p, k, &t->v[(from + i) % t->n]))
            return &t->v[(from + i) % t->n];
    return NULL;
}

static const struct target *pick(struct pool *p, const struct tier *t, struct pick *k)
{
    if (t->n == 1)
        return first_from(p, t, k, 0);
    for (unsigned i = 0; i < DRAWS; i++) {
        const struct target *a = &t->v[t->slots[pick_random(t->n_slots)]], *b = &t->v[t->slots[pick_random(t->n_slots)]];
        bool may_a = pick_may(p, k, a), may_b = pick_may(p, k, b);
        if (may_a && may_b)
            return (uint64_t)member_load(a->member) * b->weight <= (uint64_t)member_load(b->member) * a->weight ? a : b;
        if (may_a || may_b)
            return may_a ? a : b;
    }
    return first_from(p, t, k, pick_random(t->n));
}

const struct picker picker_random = {.word = "random", .pick = pick};
