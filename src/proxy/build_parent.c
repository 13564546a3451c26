// SPDX-License-Identifier: Apache-2.0
// `parent` statements of a proxy.
#include "base/base64.h"
#include "proxy/build.h"
#include "proxy/parent.h"

static const struct {
    struct span scheme;
    enum parent_kind kind;
    uint16_t port;
} schemes[] = {
    {SPAN_INIT("http://"), PARENT_HTTP, 3128},
    {SPAN_INIT("https://"), PARENT_HTTPS, 443},
    {SPAN_INIT("socks5://"), PARENT_SOCKS5, 1080},
};

// `user:password` as this kind of parent wants it.
static bool credentials(struct builder *b, const struct conf_value *v, struct parent *p)
{
    struct span password;
    if (!build_read_secret(b, v, &password))
        return false;
    struct span user = span_cut(&password, ':');
    if (!password.ptr || !user.len || user.len > 255 || password.len > 255) {
        conf_error(b->diags, b->conf, &v->pos, "`credentials` wants USER:PASSWORD, or file:FILE with that in its first line");
        return false;
    }
    p->user = user;
    p->password = password;
    struct span plain = arena_concat(b->a, (const struct span[]){user, SPAN(":"), password}, 3);
    char *text = plain.ptr ? arena_bytes(b->a, 6 + base64_size(plain.len)) : NULL;
    if (!text) {
        conf_error(b->diags, NULL, NULL, "out of memory");
        return false;
    }
    memcpy(text, "Basic ", 6);
    p->authorization = span_of(text, 6 + base64_encode(plain, text + 6));
    return true;
}

static bool build_one(struct builder *b, const struct conf_stmt *s, const struct conf_value *v, struct parent *p)
{
    struct authority a;
    struct span rest = v->text;
    if (span_eq(rest, SPAN("direct")))
        return true; // PARENT_DIRECT
    for (size_t i = 0; i < ARRAY_LEN(schemes) && p->kind == PARENT_DIRECT; i++) {
        if (span_starts(rest, schemes[i].scheme)) {
            p->kind = schemes[i].kind;
            p->port = schemes[i].port;
            rest = span_skip(rest, schemes[i].scheme.len);
        }
    }
    if (span_ends(rest, SPAN("/")))
        rest.len--;
    if (p->kind == PARENT_DIRECT || authority_parse(rest, b->a, &a)) {
        conf_error(b->diags, b->conf, &v->pos, "`%.*s` is no parent: http://HOST:PORT, https://HOST:PORT, socks5://HOST:PORT or direct", SPAN_ARG(v->text));
        return false;
    }
    p->host = a.host;
    p->port = a.port ? a.port : p->port;
    const struct conf_value *c = conf_option(s, "credentials");
    if (p->kind == PARENT_HTTPS)
        p->tls = build_parent_tls(b, s, conf_option(s, "verify"));
    return (!c || credentials(b, c, p)) && (p->kind != PARENT_HTTPS || p->tls);
}

// The values that are parents: what belongs to an option is not.
static bool is_parent(const struct conf_value *v)
{
    return !v->option;
}

static struct parent_rule *build_rule(struct builder *b, const struct conf_stmt *s)
{
    unsigned n = 0;
    for (unsigned i = 0; i < s->n_args; i++)
        n += is_parent(&s->args[i]);
    struct parent_rule *r = (struct parent_rule *)build_alloc(b, sizeof *r);
    if (!r || !(r->v = (struct parent *)build_alloc(b, n * sizeof *r->v)))
        return NULL;
    for (unsigned i = 0; i < s->n_args; i++)
        if (is_parent(&s->args[i]) && build_one(b, s, &s->args[i], &r->v[r->n]))
            r->n++;
    r->in_turn = conf_option(s, "in-turn") != NULL;
    r->where = conf_where(b->conf, s);
    r->when = condition_set_new(&b->cond, s->when);
    return r->when && r->n ? r : NULL;
}

void build_parents(struct builder *b, const struct conf_stmt *proxy, struct parent_rules *ret)
{
    unsigned n = 0;
    for (const struct conf_stmt *s = conf_child(proxy, CONF_PARENT); s; s = conf_next(s))
        n++;
    ret->v = n ? (struct parent_rule **)build_alloc(b, n * sizeof *ret->v) : NULL;
    for (const struct conf_stmt *s = conf_child(proxy, CONF_PARENT); s && ret->v; s = conf_next(s)) {
        struct parent_rule *r = build_rule(b, s);
        if (r)
            ret->v[ret->n++] = r;
    }
}
