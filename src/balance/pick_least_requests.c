// SPDX-License-Identifier: Apache-2.0
// The server with the fewest requests under way for its weight, over all threads; among equals chance decides.
#include "balance/pool.h"

static const struct target *pick(struct pool *p, const struct tier *t, struct pick *k)
{
    const struct target *best = NULL;
    uint64_t best_load = 0;
    unsigned from = pick_random(t->n);
    for (unsigned i = 0; i < t->n; i++) {
        const struct target *c = &t->v[from + i < t->n ? from + i : from + i - t->n];
        uint64_t load = (uint64_t)member_load(c->member) + 1;
        if (best && load * best->weight >= best_load * c->weight)
            continue;
        if (!pick_may(p, k, c))
            continue;
        best = c;
        best_load = load;
    }
    return best;
}

const struct picker picker_least_requests = {.word = "least-requests", .pick = pick};
