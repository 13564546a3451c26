// SPDX-License-Identifier: Apache-2.0
#include "proxy/pool_metrics.h"

#include "admin/metrics.h"
#include "balance/pool.h"

static bool is_up(const struct member *m, uint64_t now_ms)
{
    uint32_t flags = member_flags(m);
    if (flags & (MEMBER_DOWN | MEMBER_DISABLED))
        return false;
    // Whose time alone is over is probed by the next request.
    return !(flags & MEMBER_EJECTED) || now_ms >= atomic_load_explicit(&m->ejected_until_ms, memory_order_relaxed);
}

// A name has several targets with one set of metrics: down first, and up where one of them is.
static void put_pool(struct pool *p, uint64_t number, uint64_t now_ms, bool up)
{
    const struct targets *t = pool_targets(p);
    for (unsigned k = 0; k < t->n_tiers; k++)
        for (unsigned i = 0; i < t->tiers[k].n; i++)
            if (is_up(t->tiers[k].v[i].member, now_ms) == up)
                metric_put_state(t->tiers[k].v[i].server->metrics, METRIC_UPSTREAM_UP, number, up);
}

void pool_metrics_update(const struct generation *g)
{
    uint64_t now_ms = loop_now_ms();
    for (unsigned i = 0; i < g->n_pools; i++) {
        put_pool(g->pools[i], g->number, now_ms, false);
        put_pool(g->pools[i], g->number, now_ms, true);
    }
}
