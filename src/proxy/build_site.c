// SPDX-License-Identifier: Apache-2.0
// A site with its routes.
#include "proxy/bandwidth.h"
#include "proxy/quotas.h"

struct site *build_site(struct builder *b, const struct conf_stmt *s)
{
    struct site *site = (struct site *)build_alloc(b, sizeof *site);
    unsigned n = 0;
    for (const struct conf_stmt *r = conf_child(s, CONF_ROUTE); r; r = conf_next(r))
        n++;
    struct route *routes = site ? (struct route *)build_alloc(b, (n + 1) * sizeof *routes) : NULL;
    if (!routes)
        return NULL;
    site->name = s->args[0].text;
    site->where = conf_where(b->conf, s);
    site->routes = routes;
    site->metrics = metrics_site(site->name);
    rules_new(&b->cond, s, &site->deny);
    build_fields(b, s, &site->fields);
    site->throttles = build_throttles(b, s, arena_printf(b->a, "site %.*s", SPAN_ARG(site->name)));
    site->bandwidths = build_bandwidths(b, s, arena_printf(b->a, "site %.*s", SPAN_ARG(site->name)));
    site->quotas = build_quotas(b, s, arena_printf(b->a, "site %.*s", SPAN_ARG(site->name)));
    site->tls = build_tls(b, s);
    site->pages = build_error_pages(b, s, NULL);
    struct timeouts t = build_timeouts(s, &b->g->timeouts);
    const struct auth *auth = auth_new(&b->cond, s, NULL);
    for (const struct conf_stmt *r = conf_child(s, CONF_ROUTE); r; r = conf_next(r))
        build_route(b, r, &t, auth, &routes[site->n_routes++]);
    if (site->n_routes && routes[0].target == TARGET_PASSTHROUGH)
        site->passthrough = &routes[0];
    build_https(b, s, site);
    bool of_use = false;
    for (unsigned i = 0; i < site->n_routes; i++) {
        site->cached |= site->routes[i].cache != NULL;
        of_use |= site->routes[i].cache && site->routes[i].target == TARGET_POOL;
    }
    const struct conf_stmt *cache = conf_child(s, CONF_CACHE_USE);
    if (cache && !of_use)
        conf_warning(b->diags, b->conf, &cache->pos, "no route of this site uses its cache");
    if (!site->metrics)
        conf_error(b->diags, NULL, NULL, "out of memory");
    return site;
}
