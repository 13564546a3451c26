// SPDX-License-Identifier: Apache-2.0
// In turn, by weight, smoothly: no server gets its share in one go. All threads walk through one sequence.
#include "balance/pool.h"
#include "balance/registry.h"

static const struct target *pick(struct pool *p, const struct tier *t, struct pick *k)
{
    for (unsigned i = 0; i < t->n_slots; i++) {
        unsigned at = atomic_fetch_add_explicit(&p->shared->turn, 1, memory_order_relaxed) % t->n_slots;
        const struct target *c = &t->v[t->slots[at]];
        if (pick_may(p, k, c))
            return c;
    }
    // Others moved the turn on meanwhile: whoever there is.
    for (unsigned i = 0; i < t->n; i++)
        if (pick_may(p, k, &t->v[i]))
            return &t->v[i];
    return NULL;
}

const struct picker picker_round_robin = {.word = "round-robin", .pick = pick};
