// SPDX-License-Identifier: Apache-2.0
// What browsers are told: `cors` and `security-headers`.
#include "http/h1.h"
#include "proxy/build.h"
#include "proxy/cors.h"

// Origins that nobody can have meant: a pattern that takes them takes everybody.
static const struct span strangers[] = {SPAN_INIT("https://stranger.invalid"),
                                        SPAN_INIT("http://stranger.invalid"),
                                        SPAN_INIT("https://xn--stranger.invalid:1")};

static bool takes_everybody(const struct pattern *p)
{
    for (size_t i = 0; i < ARRAY_LEN(strangers); i++)
        if (pattern_try(p, strangers[i], NULL) != MATCH_NO)
            return true;
    return false;
}

static bool is_pattern(struct span s)
{
    return span_starts(s, SPAN("~")) || span_find(s, '*') < s.len;
}

static void build_origins(struct builder *b, const struct conf_stmt *s, struct cors *c)
{
    unsigned n = conf_plain_args(s);
    struct pattern **v = (struct pattern **)build_alloc(b, n * sizeof *v);
    c->origins = v;
    for (unsigned i = 0; v && i < n; i++) {
        const struct conf_value *o = &s->args[i];
        c->any |= span_eq(o->text, SPAN("*"));
        if (span_eq(o->text, SPAN("*")))
            continue;
        if (!is_pattern(o->text) && !cors_is_origin(o->text) && !span_eq(o->text, SPAN("null"))) {
            conf_error(b->diags, b->conf, &o->pos,
                       "`%.*s` is no origin: https://HOST[:PORT], a pattern of such, `*` or `null`",
                       SPAN_ARG(o->text));
            continue;
        }
        v[c->n] = condition_pattern(&b->cond, o, false);
        if (v[c->n] && c->credentials && takes_everybody(v[c->n]))
            conf_error(b->diags, b->conf, &o->pos,
                       "`%.*s` lets everybody's pages act for the users that are logged in; with "
                       "`credentials` origins have to be named",
                       SPAN_ARG(o->text));
        c->n += v[c->n] != NULL;
    }
    if (c->any && c->credentials)
        conf_error(b->diags, b->conf, &s->args[0].pos,
                   "`*` and `credentials` exclude each other: everybody's pages could act for the users that "
                   "are logged in");
}

// The words of an option as one list; `any` where it is `*` alone, which may be meant only where ret_any is
// not NULL.
static struct span build_list(struct builder *b, const struct conf_stmt *s, const char *option, bool *ret_any)
{
    unsigned n;
    const struct span *v = build_option_words(b, s, option, &n);
    struct span out = SPAN("");
    if (ret_any && n == 1 && span_eq(v[0], SPAN("*"))) {
        *ret_any = true;
        return out;
    }
    for (unsigned i = 0; i < n && out.ptr; i++) {
        if (!http_is_token(v[i]) || span_eq(v[i], SPAN("*")))
            conf_error(b->diags, b->conf, &conf_option(s, option)->pos, "`%.*s` cannot stand in this list",
                       SPAN_ARG(v[i]));
        out = arena_printf(b->a, "%.*s%s%.*s", SPAN_ARG(out), i ? ", " : "", SPAN_ARG(v[i]));
    }
    return out;
}

const struct cors *build_cors(struct builder *b, const struct conf_stmt *block, const struct cors *outer)
{
    const struct conf_stmt *s = conf_child(block, CONF_CORS);
    if (!s)
        return outer;
    if (conf_plain_args(s) == 1 && span_eq(s->args[0].text, SPAN("off")))
        return NULL;
    struct cors *c = (struct cors *)build_alloc(b, sizeof *c);
    if (!c)
        return NULL;
    c->credentials = conf_option(s, "credentials") != NULL;
    build_origins(b, s, c);
    c->methods = conf_option(s, "methods") ? build_list(b, s, "methods", NULL) : SPAN("GET, HEAD, POST");
    c->headers = build_list(b, s, "headers", &c->any_header);
    c->exposed = build_list(b, s, "expose", NULL);
    const struct conf_value *age = conf_option(s, "max-age");
    c->max_age = age ? arena_printf(b->a, "%llu", (unsigned long long)(age->num / 1000)) : SPAN("");
    return c;
}

enum security_level build_security_headers(const struct conf_stmt *block, enum security_level outer)
{
    const struct conf_stmt *s = conf_child(block, CONF_SECURITY_HEADERS);
    if (!s)
        return outer;
    struct span level = s->n_args ? s->args[0].text : SPAN("basic");
    return span_eq(level, SPAN("off"))      ? SECURITY_OFF
           : span_eq(level, SPAN("strict")) ? SECURITY_STRICT
                                            : SECURITY_BASIC;
}
