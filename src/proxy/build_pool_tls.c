// SPDX-License-Identifier: Apache-2.0
// `tls` of a pool: what its servers must show, and what they are shown. And whom we trust: authorities and revocation lists.
#include "base/ascii.h"
#include "proxy/build.h"

static const struct span protocols = SPAN_INIT("\x08http/1.1"), protocols_h2 = SPAN_INIT("\x02h2\x08http/1.1");

static void free_trust(void *p)
{
    tls_trust_free((struct tls_trust *)p);
}

static void free_client(void *p)
{
    tls_client_free((struct tls_client *)p);
}

const struct tls_trust *build_trust_files(struct builder *b, const struct conf_value *ca, const struct conf_value *crl, uint64_t *ret_identity)
{
    struct span parts[2] = {SPAN_NONE, SPAN_NONE};
    if (!build_read_file(b, ca, &parts[0]) || (crl && !build_read_file(b, crl, &parts[1])))
        return NULL;
    const char *why;
    bool in_crl;
    struct tls_trust *t = tls_trust_new(parts[0], parts[1], &why, &in_crl);
    const struct conf_value *v = t || !in_crl ? ca : crl;
    if (!t)
        conf_error(b->diags, b->conf, &v->pos, "%.*s cannot be used: %s", SPAN_ARG(v->text), why);
    if (!t || !condition_on_free(&b->cond, free_trust, t))
        return NULL;
    *ret_identity = tls_identity(parts, ARRAY_LEN(parts));
    return t;
}

// Where systems keep the certificates of the authorities that they trust, in one file.
const struct tls_trust *build_system_trust(struct builder *b, const struct conf_stmt *at)
{
    static const struct span places[] = {SPAN_INIT("/etc/ssl/certs/ca-certificates.crt"), SPAN_INIT("/etc/pki/tls/certs/ca-bundle.crt"),
                                         SPAN_INIT("/etc/ssl/ca-bundle.pem"), SPAN_INIT("/etc/ssl/cert.pem")};
    struct span pem;
    const char *why;
    bool found = false, in_crl;
    for (unsigned i = 0; !b->system_trust && !found && i < ARRAY_LEN(places); i++) {
        found = build_read(b, places[i], &pem, &why);
        if (!found)
            continue;
        struct tls_trust *t = tls_trust_new(pem, SPAN_NONE, &why, &in_crl);
        if (!t)
            conf_error(b->diags, b->conf, &at->pos, "%.*s cannot be used: %s", SPAN_ARG(places[i]), why);
        else if (condition_on_free(&b->cond, free_trust, t))
            b->system_trust = t;
    }
    if (!b->system_trust && !found)
        conf_error(b->diags, b->conf, &at->pos, "this system has no file of authorities to trust (Debian: package ca-certificates); write `verify FILE` or `verify off`");
    return b->system_trust;
}

static bool lower(struct builder *b, const struct conf_value *v, struct span *ret)
{
    char *p = arena_bytes(b->a, v->text.len);
    struct span s = v->text;
    if (s.len && s.ptr[s.len - 1] == '.')
        s.len--;
    for (size_t i = 0; p && i < s.len; i++)
        p[i] = (char)ascii_lower((unsigned char)s.ptr[i]);
    if (s.len == 0 || s.len > 253 || span_find(s, '\0') < s.len) {
        conf_error(b->diags, b->conf, &v->pos, "`%.*s` is no name of a host", SPAN_ARG(v->text));
        return false;
    }
    *ret = span_of(p, s.len);
    return p != NULL;
}

static const char *add(void *arg, struct span cert, struct span key, struct span password, bool *ret_key_file)
{
    return tls_client_certificate((struct tls_client *)arg, cert, key, password, ret_key_file);
}

static bool trust_of(struct builder *b, const struct conf_stmt *at, const struct conf_value *verify, const struct conf_value *crl, struct tls_client_options *o)
{
    if (verify && span_eq(verify->text, SPAN("off")))
        return true;
    o->trust = verify ? build_trust_files(b, verify, crl, &o->trust_identity) : build_system_trust(b, at);
    return o->trust != NULL;
}

static struct tls_client *build_client(struct builder *b, const struct tls_client_options *o)
{
    struct tls_client *c = tls_client_new(o);
    if (!c)
        conf_error(b->diags, NULL, NULL, "out of memory");
    return c && condition_on_free(&b->cond, free_client, c) ? c : NULL;
}

const struct tls_client *build_parent_tls(struct builder *b, const struct conf_stmt *at, const struct conf_value *verify)
{
    struct tls_client_options o = {.alpn = protocols};
    return trust_of(b, at, verify, NULL, &o) ? build_client(b, &o) : NULL;
}

void build_pool_tls(struct builder *b, const struct conf_stmt *pool, struct pool *p)
{
    const struct conf_stmt *s = conf_child(pool, CONF_POOL_TLS);
    if (!s)
        return;
    const struct conf_stmt *verify = conf_child(s, CONF_POOL_TLS_VERIFY), *name = conf_child(s, CONF_POOL_TLS_NAME);
    struct tls_client_options o = {.alpn = p->http2 ? protocols_h2 : protocols};
    bool ok = trust_of(b, s, verify ? &verify->args[0] : NULL, verify ? conf_option(verify, "crl") : NULL, &o);
    struct tls_client *c = ok && (!name || lower(b, &name->args[0], &o.name)) ? build_client(b, &o) : NULL;
    if (!c)
        return;
    const struct conf_stmt *cert = conf_child(s, CONF_POOL_TLS_CLIENT_CERT);
    if (cert)
        build_certificate(b, &cert->args[0], conf_option(cert, "key"), conf_option(cert, "password"), add, c);
    p->tls = c;
}
