// SPDX-License-Identifier: Apache-2.0
// Names to sites, and a site's routes.
#include "base/hash.h"
#include "proxy/generation.h"

const struct site *site_table_find(const struct site_table *t, struct span host)
{
    if (t->n_slots && host.len) {
        uint64_t h = hash_fast(host); // the names are the configuration's: no peer can make their chains longer
        for (unsigned i = (unsigned)h & (t->n_slots - 1); t->exact[i].site; i = (i + 1) & (t->n_slots - 1))
            if (span_eq(t->exact[i].name, host))
                return t->exact[i].site;
    }
    for (unsigned i = 0; i < t->n_suffix; i++)
        if (host.len > t->suffix[i].name.len && span_ends(host, t->suffix[i].name))
            return t->suffix[i].site;
    return t->any;
}

const struct route *site_route(const struct site *s, const struct condition_input *in, struct span *ret_rest)
{
    for (unsigned i = 0; i < s->n_routes; i++) {
        const struct route *r = &s->routes[i];
        if (pattern_match(r->path, in->path, ret_rest) && (!r->when || condition_set_match(r->when, in)))
            return r;
    }
    return NULL;
}
