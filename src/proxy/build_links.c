// SPDX-License-Identifier: Apache-2.0
// What is changed in content: `rewrite-links` (the origins that are hidden, and the types besides HTML and CSS in which they stand as
// text) and `replace TEXT with TEXT`.
#include "proxy/build.h"

// The pools of a route, one after the other; prev NULL: the first.
static const struct conf_value *next_pool(const struct conf_stmt *route, const struct conf_stmt **at)
{
    const struct conf_stmt *t = route->target;
    if (t && t->n_args > 1 && !*at && span_eq(t->args[0].text, SPAN("pool"))) {
        *at = t;
        return &t->args[1];
    }
    *at = *at == t ? NULL : *at ? conf_next(*at) : conf_child(t, CONF_CHOICE_POOL);
    return *at ? &(*at)->args[0] : NULL;
}

static unsigned server_origins(struct builder *b, struct span pool, struct link_origin *ret)
{
    const struct conf_stmt *p = conf_definition(b->conf, CONF_POOL, pool);
    unsigned n = 0;
    for (const struct conf_stmt *s = conf_child(p, CONF_SERVER); s; s = conf_next(s)) {
        struct span at = s->args[0].text;
        // A server may believe X-Forwarded-Proto, and call itself https then.
        static const char *const schemes[] = {"http", "https"};
        for (size_t i = 0; i < ARRAY_LEN(schemes); i++) {
            struct span url = arena_printf(b->a, "%s://%.*s", schemes[i], SPAN_ARG(at));
            n += ret ? link_origin_parse(url, b->a, &ret[n]) : 1; // sockets have none
        }
    }
    return n;
}

// Where the statement names no origin: the servers of the route's pools.
static void servers_origins(struct builder *b, const struct conf_stmt *route, struct rewrite_links *r)
{
    unsigned n = 0;
    const struct conf_stmt *at = NULL;
    for (const struct conf_value *v; (v = next_pool(route, &at));)
        n += server_origins(b, v->text, NULL);
    struct link_origin *v = (struct link_origin *)build_alloc(b, (n + 1) * sizeof *v);
    r->origins = v;
    at = NULL;
    for (const struct conf_value *p; v && (p = next_pool(route, &at));)
        r->n_origins += server_origins(b, p->text, v + r->n_origins);
}

static void named_origins(struct builder *b, const struct conf_stmt *s, struct rewrite_links *r)
{
    unsigned n = conf_plain_args(s);
    struct link_origin *v = (struct link_origin *)build_alloc(b, n * sizeof *v);
    r->origins = v;
    for (unsigned i = 0; v && i < n; i++) {
        if (link_origin_parse(s->args[i].text, b->a, &v[r->n_origins]))
            r->n_origins++;
        else
            conf_error(b->diags, b->conf, &s->args[i].pos, "`%.*s` is no origin: http://HOST[:PORT][/PATH], or https://", SPAN_ARG(s->args[i].text));
    }
}

const struct rewrite_links *build_rewrite_links(struct builder *b, const struct conf_stmt *route)
{
    const struct conf_stmt *s = conf_child(route, CONF_REWRITE_LINKS);
    if (!s)
        s = conf_child(route->parent, CONF_REWRITE_LINKS);
    if (!s || (conf_plain_args(s) == 1 && span_eq(s->args[0].text, SPAN("off"))))
        return NULL;
    struct rewrite_links *r = (struct rewrite_links *)build_alloc(b, sizeof *r);
    if (!r)
        return NULL;
    if (conf_plain_args(s))
        named_origins(b, s, r);
    else
        servers_origins(b, route, r);
    r->types = build_option_words(b, s, "types", &r->n_types);
    return r;
}

static bool is_content(const struct conf_stmt *s)
{
    return s->n_args == 3 && span_eq(s->args[1].text, SPAN("with"));
}

static unsigned add_replacements(struct builder *b, const struct conf_stmt *block, struct replacement *v)
{
    unsigned n = 0;
    for (const struct conf_stmt *s = conf_child(block, CONF_REPLACE); s; s = conf_next(s)) {
        if (!is_content(s))
            continue;
        if (v)
            v[n] = (struct replacement){s->args[0].text, s->args[2].text};
        if (v && (!v[n].from.len || v[n].from.len > REPLACE_TEXT_MAX))
            conf_error(b->diags, b->conf, &s->args[0].pos, "a text to be replaced has 1 to %d bytes", REPLACE_TEXT_MAX);
        n++;
    }
    return n;
}

void build_replacements(struct builder *b, const struct conf_stmt *route, struct replacements *ret)
{
    unsigned n = add_replacements(b, route, NULL) + add_replacements(b, route->parent, NULL);
    ret->v = (struct replacement *)build_alloc(b, (n + 1) * sizeof *ret->v);
    if (!ret->v)
        return;
    ret->n = add_replacements(b, route, ret->v);
    ret->n += add_replacements(b, route->parent, ret->v + ret->n);
}
