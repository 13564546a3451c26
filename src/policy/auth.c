// SPDX-License-Identifier: Apache-2.0
#include "policy/auth.h"

#include "base/ascii.h"

// Options that belong to another kind would be read by nobody.
static bool options_fit(struct condition_context *k, const struct conf_stmt *s)
{
    static const struct {
        const char *kind, *options;
    } rows[] = {{"basic", " file realm "}, {"bearer", " realm keys algorithm audience issuer user "}, {"client-cert", " "}, {"request", " fields user timeout cache ? "}, {"off", " "}};
    struct span kind = s->args[0].text;
    for (unsigned i = 1; i < s->n_args; i++) {
        struct span word = arena_printf(k->arena, " %s ", s->args[i].option ? s->args[i].option : "?");
        for (size_t r = 0; r < ARRAY_LEN(rows); r++) {
            struct span known = span_str(rows[r].options);
            if (!span_eq(kind, span_str(rows[r].kind)) || !word.ptr || span_find_span(known, word) < known.len)
                continue;
            conf_error(k->diags, k->conf, &s->args[i].pos, "`%.*s` is no word for `auth %s`", SPAN_ARG(s->args[i].text), rows[r].kind);
            return false;
        }
    }
    return true;
}

// What stands in quotes in a challenge (RFC 9110 5.6.4).
static struct span quoted(struct condition_context *k, struct span s)
{
    char *p = arena_bytes(k->arena, s.len * 2 + 1);
    size_t n = 0;
    for (size_t i = 0; p && i < s.len; i++) {
        if (s.ptr[i] == '"' || s.ptr[i] == '\\')
            p[n++] = '\\';
        p[n++] = s.ptr[i];
    }
    return p ? span_of(p, n) : SPAN_NONE;
}

static bool realm_of(struct condition_context *k, const struct conf_stmt *s, struct span *ret)
{
    const struct conf_value *v = conf_option(s, "realm");
    struct span realm = v ? v->text : SPAN("weir");
    for (size_t i = 0; i < realm.len; i++) {
        if ((unsigned char)realm.ptr[i] < 0x20 || realm.ptr[i] == 0x7f) {
            conf_error(k->diags, k->conf, &v->pos, "a realm has no control characters");
            return false;
        }
    }
    *ret = quoted(k, realm);
    return ret->ptr != NULL;
}

static bool build_basic(struct condition_context *k, const struct conf_stmt *s, struct auth_method *m)
{
    const struct conf_value *file = conf_option(s, "file");
    struct span realm;
    if (!file) {
        conf_error(k->diags, k->conf, &s->pos, "`auth basic` wants the password file: auth basic file FILE [realm TEXT]");
        return false;
    }
    m->kind = AUTH_BASIC;
    m->passwords = passwd_new(k, file);
    if (!realm_of(k, s, &realm))
        return false;
    m->challenge = arena_printf(k->arena, "Basic realm=\"%.*s\", charset=\"UTF-8\"", SPAN_ARG(realm));
    return m->passwords && m->challenge.ptr;
}

static bool build_bearer(struct condition_context *k, const struct conf_stmt *s, struct auth_method *m)
{
    struct span realm;
    m->kind = AUTH_BEARER;
    m->tokens = token_rules_new(k, s);
    if (!realm_of(k, s, &realm))
        return false;
    m->challenge = arena_printf(k->arena, "Bearer realm=\"%.*s\"", SPAN_ARG(realm));
    return m->tokens && m->challenge.ptr;
}

// The certificate was shown in the handshake or it was not: there is nothing to challenge with.
static bool build_client_cert(struct condition_context *k, const struct conf_stmt *s, struct auth_method *m)
{
    (void)k;
    (void)s;
    m->kind = AUTH_CLIENT_CERT;
    return true;
}

// What is asked for is the service's business, and so is the challenge.
static bool build_request(struct condition_context *k, const struct conf_stmt *s, struct auth_method *m)
{
    m->kind = AUTH_REQUEST;
    m->request = auth_request_new(k, s);
    return m->request != NULL;
}

static const struct {
    const char *word;
    bool (*build)(struct condition_context *k, const struct conf_stmt *s, struct auth_method *m);
} kinds[] = {{"basic", build_basic}, {"bearer", build_bearer}, {"client-cert", build_client_cert}, {"request", build_request}};

static bool build_method(struct condition_context *k, const struct conf_stmt *s, struct auth_method *m)
{
    m->where = conf_where(k->conf, s);
    if (!options_fit(k, s))
        return false;
    for (size_t i = 0; i < ARRAY_LEN(kinds); i++)
        if (span_eq(s->args[0].text, span_str(kinds[i].word)))
            return kinds[i].build(k, s, m);
    conf_error(k->diags, k->conf, &s->pos, "`auth off` stands alone in its block");
    return false;
}

const struct auth *auth_new(struct condition_context *k, const struct conf_stmt *block, const struct auth *outer)
{
    const struct conf_stmt *first = conf_child(block, CONF_AUTH);
    unsigned n = 0;
    for (const struct conf_stmt *s = first; s; s = conf_next(s))
        n++;
    if (!n)
        return outer;
    if (n == 1 && span_eq(first->args[0].text, SPAN("off")))
        return NULL;
    struct auth *a = (struct auth *)condition_alloc(k, sizeof *a);
    struct auth_method *v = (struct auth_method *)condition_alloc(k, n * sizeof *v);
    if (!a || !v)
        return NULL;
    a->v = v;
    bool ok = true;
    for (const struct conf_stmt *s = first; s; s = conf_next(s))
        ok &= build_method(k, s, &v[a->n++]);
    return ok ? a : NULL;
}
