// SPDX-License-Identifier: Apache-2.0
// Pools: what the balance room makes of them, and what the proxy adds.
#include "proxy/build.h"

static bool build_metrics(struct pool *p)
{
    bool ok = true;
    for (unsigned i = 0; i < p->n_servers; i++)
        ok &= (p->servers[i].metrics = metrics_server(p->name, p->servers[i].name)) != NULL;
    return ok;
}

void build_pools(struct builder *b)
{
    struct generation *g = b->g;
    for (const struct conf_stmt *s = conf_child(conf_root(b->conf), CONF_POOL); s; s = conf_next(s)) {
        struct pool *p = pool_new(b->conf, s, b->a, b->diags);
        if (!p)
            continue;
        build_pool_tls(b, s, p);
        g->pools[g->n_pools++] = p;
        g->max_idle = MAX(g->max_idle, p->max_idle);
        if (!build_metrics(p))
            conf_error(b->diags, NULL, NULL, "out of memory");
    }
    if (!g->n_pools)
        g->max_idle = 512;
}
