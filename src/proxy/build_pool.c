// SPDX-License-Identifier: Apache-2.0
// Pools: what the balance room makes of them, and what the proxy adds.
#include "balance/check.h"
#include "proxy/build.h"

struct pool *build_pool_named(struct builder *b, struct span name)
{
    for (unsigned i = 0; i < b->g->n_pools; i++)
        if (b->g->pools[i] && span_eq(b->g->pools[i]->name, name))
            return b->g->pools[i];
    return NULL;
}

static bool build_metrics(struct pool *p)
{
    bool ok = true;
    for (unsigned i = 0; i < p->n_servers; i++)
        ok &= (p->servers[i].metrics = metrics_server(p->name, p->servers[i].name)) != NULL;
    return ok;
}

static bool fits(const void *pattern, struct span text)
{
    return pattern_match((const struct pattern *)pattern, text, NULL);
}

// Of `check`: what the answer's field and content must look like.
static void build_check(struct builder *b, const struct conf_stmt *pool, struct pool *p)
{
    const struct conf_stmt *s = conf_child(pool, CONF_CHECK);
    const struct conf_value *body = conf_option(s, "body");
    unsigned n;
    const struct span *field = build_option_words(b, s, "field", &n);
    p->check->matches = fits;
    if (body)
        p->check->body_pattern = condition_pattern(&b->cond, body, false);
    if (!field || !n)
        return;
    p->check->field = field[0];
    const struct conf_value *at = conf_option(s, "field");
    if (n > 2 || !http_is_token(field[0]))
        conf_error(b->diags, b->conf, &at->pos, "the form is `field NAME [PATTERN]`");
    else if (n == 2)
        p->check->field_pattern = condition_pattern(&b->cond, at + 1, false);
}

void build_pools(struct builder *b)
{
    struct generation *g = b->g;
    for (const struct conf_stmt *s = conf_child(conf_root(b->conf), CONF_POOL); s; s = conf_next(s)) {
        const struct conf_stmt *sticky = conf_child(s, CONF_STICKY);
        const struct conf_value *secret = sticky ? conf_option(sticky, "secret") : NULL;
        struct span text = SPAN_NONE;
        if (secret && !build_read_secret(b, secret, &text))
            continue;
        struct pool *p = pool_new(b->conf, s, text, b->a, b->diags);
        if (!p)
            continue;
        build_pool_tls(b, s, p);
        if (p->check)
            build_check(b, s, p);
        g->pools[g->n_pools++] = p;
        g->max_idle = MAX(g->max_idle, p->max_idle);
        if (!build_metrics(p))
            conf_error(b->diags, NULL, NULL, "out of memory");
    }
    if (!g->n_pools)
        g->max_idle = 512;
}
