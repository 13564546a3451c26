// SPDX-License-Identifier: Apache-2.0
// A generation: building it from the configuration's tree, and its life.
#include "proxy/build.h"

#include "base/mem.h"
#include "policy/group.h"
#include "policy/list.h"

void *build_alloc(struct builder *b, size_t size)
{
    void *p = arena_zalloc(b->a, size);
    if (!p)
        conf_error(b->diags, NULL, NULL, "out of memory");
    return p;
}

const struct span *build_option_words(struct builder *b, const struct conf_stmt *s, const char *option, unsigned *ret_n)
{
    struct span *v = (struct span *)build_alloc(b, (s->n_args + 1) * sizeof *v);
    bool behind = false; // the first value of an option is its own word
    *ret_n = 0;
    for (unsigned i = 0; v && i < s->n_args; i++) {
        bool mine = s->args[i].option && span_eq(span_str(s->args[i].option), span_str(option));
        if (mine && behind)
            v[(*ret_n)++] = s->args[i].text;
        behind = mine;
    }
    return v;
}

static void build_all(struct builder *b)
{
    const struct conf_stmt *root = conf_root(b->conf);
    struct generation *g = b->g;
    unsigned n_sites = 0, n_pools = 0, n_proxies = 0, names = 0;
    b->cap_listeners = 2;
    for (const struct conf_stmt *s = root->first_child; s; s = s->next) {
        for (const struct conf_stmt *t = conf_child(s, CONF_TLS); t; t = conf_next(t))
            b->n_certificates++;
        n_sites += s->row->id == CONF_SITE;
        n_pools += s->row->id == CONF_POOL;
        n_proxies += s->row->id == CONF_PROXY;
        names += s->row->id == CONF_SITE || s->row->id == CONF_PROXY ? s->n_args : 0;
        for (const struct conf_stmt *l = conf_child(s, CONF_LISTEN); l; l = conf_next(l))
            b->cap_listeners++;
        b->cap_listeners += 1 + s->n_args;
    }
    b->n_sites = n_sites;
    build_tls_debug(b);
    build_ticket_keys(b);
    g->sites = (struct site **)build_alloc(b, (n_sites + 1) * sizeof *g->sites);
    g->pools = (struct pool **)build_alloc(b, (n_pools + 1) * sizeof *g->pools);
    g->proxies = (struct proxy **)build_alloc(b, (n_proxies + 1) * sizeof *g->proxies);
    g->listeners = (struct listener *)build_alloc(b, b->cap_listeners * sizeof *g->listeners);
    if (!g->sites || !g->pools || !g->proxies || !g->listeners)
        return;
    struct timeouts def = build_timeouts_default();
    g->timeouts = build_timeouts(root, &def);
    build_limits(b);
    build_trust(b);
    build_names(b);
    build_log(b);
    list_compile_all(&b->cond);
    group_compile_all(&b->cond);
    build_pools(b);
    build_caches(b);
    for (const struct conf_stmt *s = conf_child(root, CONF_SITE); s; s = conf_next(s)) {
        struct site *site = build_site(b, s);
        if (!site)
            continue;
        g->sites[g->n_sites++] = site;
        build_site_listeners(b, s, site, names);
    }
    build_acme(b);
    for (const struct conf_stmt *s = conf_child(root, CONF_PROXY); s; s = conf_next(s))
        build_proxy(b, s);
    build_dashboard(b);
    build_own_addresses(b);
    g->specs = (struct listener_spec *)build_alloc(b, (g->n_listeners + 1) * sizeof *g->specs);
    for (unsigned i = 0; g->specs && i < g->n_listeners; i++)
        g->specs[i] = g->listeners[i].spec;
}

static void generation_free(struct generation *g)
{
    for (unsigned i = 0; i < g->n_pools; i++)
        pool_free(g->pools[i]);
    condition_context_free(g->cleanups);
    arena_fini(&g->arena);
    conf_unref(g->conf);
    mem_free(g);
}

uint64_t generation_number(const struct generation *g)
{
    return g->number;
}

struct generation *generation_new(struct conf *conf, struct conf_diags *diags, uint64_t number)
{
    struct generation *g = (struct generation *)mem_calloc(1, sizeof *g);
    if (!g) {
        conf_error(diags, NULL, NULL, "out of memory");
        return NULL;
    }
    atomic_init(&g->refs, 1);
    arena_init(&g->arena, 0);
    g->number = number;
    g->conf = conf_ref(conf);
    struct builder b = {.g = g, .conf = conf, .diags = diags, .a = &g->arena, .cond = {.conf = conf, .diags = diags, .arena = &g->arena}};
    build_all(&b);
    g->cleanups = b.cond.cleanups;
    if (conf_diags_errors(diags) == 0 && !tls_ticket_keys_use(b.ticket_keys))
        conf_error(diags, NULL, NULL, "out of memory");
    tls_ticket_keys_free(b.ticket_keys);
    if (conf_diags_errors(diags) == 0) {
        for (unsigned i = 0; i < g->n_caches; i++)
            cache_configure(g->caches[i].cache, &g->caches[i].config);
        return g;
    }
    generation_free(g);
    return NULL;
}

struct generation *generation_ref(struct generation *g)
{
    atomic_fetch_add_explicit(&g->refs, 1, memory_order_relaxed);
    return g;
}

void generation_unref(struct generation *g)
{
    if (g && atomic_fetch_sub_explicit(&g->refs, 1, memory_order_acq_rel) == 1)
        generation_free(g);
}

struct conf *generation_conf(const struct generation *g)
{
    return g->conf;
}

const struct listener_spec *generation_listeners(const struct generation *g, unsigned *ret_n)
{
    *ret_n = g->n_listeners;
    return g->specs;
}

const struct listener *generation_listener(const struct generation *g, const struct addr *a)
{
    for (unsigned i = 0; i < g->n_listeners; i++)
        if (addr_eq(&g->listeners[i].spec.addr, a))
            return &g->listeners[i];
    return NULL;
}

struct span generation_error_log(const struct generation *g)
{
    return g->error_dest;
}

enum log_level generation_error_level(const struct generation *g)
{
    return g->error_level;
}

struct span generation_access_log(const struct generation *g)
{
    return g->log == ACCESS_LOG_OFF ? SPAN_NONE : g->log_dest;
}
