// SPDX-License-Identifier: Apache-2.0
// What `weir status` and the metrics say of certificates: when each site's first one expires.
#include <time.h>

#include "proxy/escape.h"
#include "proxy/generation.h"
#include "proxy/pool_metrics.h"
#include "proxy/service.h"

enum { NAME_MAX_BYTES = 512, DAY_S = 86400 };

static struct span one(struct arena *a, struct span name, const struct tls_site *t, bool json)
{
    char shown[NAME_MAX_BYTES], date[32];
    time_t at = (time_t)tls_site_expires(t);
    int64_t left = (int64_t)at - (int64_t)time(NULL);
    struct tm tm;
    if (!gmtime_r(&at, &tm) || !strftime(date, sizeof date, "%Y-%m-%dT%H:%M:%SZ", &tm))
        return SPAN_NONE;
    struct span n = json ? span_of(shown, escape_json(name, shown, sizeof shown)) : name;
    if (json)
        return arena_printf(a, "{\"name\": \"%.*s\", \"expires\": \"%s\", \"expired\": %s}", SPAN_ARG(n), date, left < 0 ? "true" : "false");
    return left < 0 ? arena_printf(a, "certificate: %.*s has EXPIRED, on %s\n", SPAN_ARG(n), date)
                    : arena_printf(a, "certificate: %.*s expires on %s, in %lld days\n", SPAN_ARG(n), date, (long long)(left / DAY_S));
}

struct span generation_certificates(const struct generation *g, struct arena *a, bool json)
{
    struct span out = json ? SPAN("[") : SPAN("");
    bool first = true;
    for (unsigned i = 0; i < g->n_sites + g->n_proxies; i++) {
        bool site = i < g->n_sites;
        const struct tls_site *t = site ? g->sites[i]->tls : g->proxies[i - g->n_sites]->tls;
        struct span s = t ? one(a, site ? g->sites[i]->name : g->proxies[i - g->n_sites]->name, t, json) : SPAN_NONE;
        if (!s.ptr)
            continue;
        out = arena_join(a, arena_join(a, out, json && !first ? SPAN(", ") : SPAN("")), s);
        first = false;
    }
    return json ? arena_join(a, out, SPAN("]")) : out;
}

static void put(struct metric_set *m, const struct tls_site *t, uint64_t number)
{
    int64_t at = t ? tls_site_expires(t) : INT64_MAX; // the latter also where none is there yet
    if (m && at != INT64_MAX)
        metric_put_state(m, METRIC_CERTIFICATE_NOT_AFTER, number, (uint64_t)MAX(at, (int64_t)0));
}

void generation_put_metrics(const struct generation *g)
{
    for (unsigned i = 0; i < g->n_sites; i++)
        put(g->sites[i]->metrics, g->sites[i]->tls, g->number);
    for (unsigned i = 0; i < g->n_proxies; i++)
        put(g->proxies[i]->metrics, g->proxies[i]->tls, g->number);
    pool_metrics_update(g);
}
