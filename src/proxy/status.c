// SPDX-License-Identifier: Apache-2.0
#include "proxy/status.h"

#include <time.h>

#include "proxy/escape.h"
#include "proxy/generation.h"

enum { NAME_TEXT_MAX = 512 }; // of a site or pool, escaped; the rest is left out

static struct status_facts facts;

void status_set_facts(const struct status_facts *f)
{
    facts = *f;
}

const struct status_facts *status_facts(void)
{
    return &facts;
}

uint64_t status_now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static struct span join_names(const struct conf_stmt *root, enum conf_id id, bool json, struct span out,
                              struct arena *a)
{
    bool first = true;
    for (const struct conf_stmt *x = conf_child(root, id); x; x = conf_next(x)) {
        char name[NAME_TEXT_MAX];
        struct span n =
            json ? span_of(name, escape_json(x->args[0].text, name, sizeof name)) : x->args[0].text;
        out = arena_join(
            a, out,
            arena_printf(a, json ? "%s\"%.*s\"" : "%s %.*s", json && !first ? ", " : "", SPAN_ARG(n)));
        first = false;
    }
    return out;
}

struct span status_begin(const struct generation *g, const struct status_facts *f, bool json, struct arena *a)
{
    static const struct {
        enum conf_id id;
        const char *plural;
    } kinds[] = {{CONF_SITE, "sites"}, {CONF_POOL, "pools"}, {CONF_PROXY, "proxies"}};
    const struct conf_stmt *root = conf_root(g->conf);
    struct span out =
        arena_printf(a,
                     json ? "{\"version\": \"%s\", \"pid\": %d, \"worker\": %d, \"generation\": %llu, "
                            "\"threads\": %u, \"uptime_s\": %llu"
                          : "weir %s, process %d, worker %d, generation %llu, %u threads, up %llu s\n",
                     WEIR_VERSION, f->pid, f->worker, (unsigned long long)g->number, f->threads,
                     (unsigned long long)(status_now_ms() - f->started_ms) / 1000);
    for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
        out = arena_join(a, out, arena_printf(a, json ? ", \"%s\": [" : "%s:", kinds[k].plural));
        out = arena_join(a, join_names(root, kinds[k].id, json, out, a), json ? SPAN("]") : SPAN("\n"));
    }
    out = arena_join(a, out, json ? SPAN(", \"listeners\": [") : SPAN("listeners:"));
    for (unsigned i = 0; i < g->n_listeners; i++) {
        char name[NAME_TEXT_MAX];
        struct span n = span_of(name, escape_json(g->listeners[i].name, name, sizeof name));
        out = arena_join(
            a, out, arena_printf(a, json ? "%s\"%.*s\"" : "%s %.*s", json && i ? ", " : "", SPAN_ARG(n)));
    }
    return arena_join(a, out, json ? SPAN("]") : SPAN(""));
}
