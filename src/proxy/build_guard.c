// SPDX-License-Identifier: Apache-2.0
// `methods`, `host`, `limit body` and `keep`.
#include "proxy/guard.h"

static bool has_word(const struct span *v, unsigned n, struct span word)
{
    for (unsigned i = 0; i < n; i++)
        if (span_eq(v[i], word))
            return true;
    return false;
}

// HEAD is GET without the content: who allows one means the other too.
static void build_methods(struct builder *b, const struct conf_stmt *s, struct guard *g)
{
    struct span *v = (struct span *)build_alloc(b, (s->n_args + 1) * sizeof *v);
    unsigned n = 0;
    for (unsigned i = 0; v && i < s->n_args; i++) {
        struct span m = s->args[i].text;
        if (!http_is_token(m))
            conf_error(b->diags, b->conf, &s->args[i].pos, "`%.*s` is no method", SPAN_ARG(m));
        else if (!has_word(v, n, m))
            v[n++] = m;
    }
    if (v && has_word(v, n, SPAN("GET")) && !has_word(v, n, SPAN("HEAD")))
        v[n++] = SPAN("HEAD");
    g->methods = v;
    g->n_methods = n;
    g->allow = SPAN("");
    for (unsigned i = 0; i < n && g->allow.ptr; i++)
        g->allow = arena_printf(b->a, "%.*s%s%.*s", SPAN_ARG(g->allow), i ? ", " : "", SPAN_ARG(v[i]));
}

// Several statements of one kind are one list.
static const struct guard_names *build_keep(struct builder *b, const struct conf_stmt *block, struct span kind, const struct guard_names *outer)
{
    unsigned n = 0;
    for (const struct conf_stmt *s = conf_child(block, CONF_KEEP); s; s = conf_next(s))
        n += span_eq(s->args[0].text, kind) ? s->n_args : 0;
    if (!n)
        return outer;
    struct guard_names *g = (struct guard_names *)build_alloc(b, sizeof *g);
    struct span *v = (struct span *)build_alloc(b, n * sizeof *v);
    if (!g || !v)
        return NULL;
    g->v = v;
    for (const struct conf_stmt *s = conf_child(block, CONF_KEEP); s; s = conf_next(s)) {
        for (unsigned i = 1; span_eq(s->args[0].text, kind) && i < s->n_args; i++) {
            struct span name = s->args[i].text;
            if (http_is_token(name) && span_find(name, '*') + 1 >= name.len)
                v[g->n++] = name;
            else
                conf_error(b->diags, b->conf, &s->args[i].pos, "`%.*s` is no name of a field; a `*` may stand at its end only", SPAN_ARG(name));
        }
    }
    return g;
}

static uint64_t body_limit(struct builder *b, const struct conf_stmt *block, uint64_t outer)
{
    uint64_t bytes = outer;
    unsigned n = 0;
    const char *why;
    for (const struct conf_stmt *s = conf_child(block, CONF_LIMIT); s; s = conf_next(s)) {
        if (!span_eq(s->args[0].text, SPAN("body")))
            continue;
        if (n++)
            conf_error(b->diags, b->conf, &s->pos, "`limit body` stands here a second time");
        if (!conf_parse_number(CONF_T_SIZE, s->args[1].text, &bytes, &why))
            conf_error(b->diags, b->conf, &s->args[1].pos, "`%.*s`: %s", SPAN_ARG(s->args[1].text), why);
        else if (!bytes)
            conf_error(b->diags, b->conf, &s->args[1].pos, "at least 1B; `methods GET` keeps content away");
        if (s->n_args > 2)
            conf_error(b->diags, b->conf, &s->args[2].pos, "`%.*s` is one word too many for `limit body`", SPAN_ARG(s->args[2].text));
    }
    return bytes;
}

const struct guard *build_guard(struct builder *b, const struct conf_stmt *block, const struct guard *outer)
{
    const struct conf_stmt *methods = conf_child(block, CONF_METHODS), *host = conf_child(block, CONF_HOST_FIELD);
    struct guard g = outer ? *outer : (struct guard){0};
    if (methods)
        build_methods(b, methods, &g);
    if (host)
        g.host_required = span_eq(host->args[0].text, SPAN("required"));
    g.body = body_limit(b, block, g.body);
    g.keep_request = build_keep(b, block, SPAN("request-header"), g.keep_request);
    g.keep_response = build_keep(b, block, SPAN("response-header"), g.keep_response);
    if (!g.methods && !g.host_required && !g.body && !g.keep_request && !g.keep_response)
        return NULL;
    struct guard *p = (struct guard *)build_alloc(b, sizeof *p);
    if (p)
        *p = g;
    return p;
}
