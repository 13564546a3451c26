// SPDX-License-Identifier: Apache-2.0
// `intercept-tls` statements of a proxy.
#include <time.h>

#include "proxy/inspect.h"

static const struct span protocols = SPAN_INIT("\x02h2\x08http/1.1"),
                         protocols_up = SPAN_INIT("\x08http/1.1");

static const char *add(void *arg, struct span cert, struct span key, struct span password, bool *ret_key_file)
{
    return tls_mint_authority((struct tls_mint *)arg, cert, key, password, ret_key_file);
}

static void free_mint(void *p)
{
    tls_mint_free((struct tls_mint *)p);
}

static void free_client(void *p)
{
    tls_client_free((struct tls_client *)p);
}

static struct tls_mint *build_mint(struct builder *b, const struct conf_stmt *s, const struct conf_value *ca)
{
    struct tls_mint *m = tls_mint_new();
    if (!m) {
        conf_error(b->diags, NULL, NULL, "out of memory");
        return NULL;
    }
    if (!condition_on_free(&b->cond, free_mint, m) ||
        !build_certificate(b, ca, conf_option(s, "key"), conf_option(s, "password"), add, m))
        return NULL;
    if (tls_mint_expires(m) < (int64_t)time(NULL))
        conf_warning(b->diags, b->conf, &ca->pos,
                     "the authority's certificate has expired: clients will refuse what it signs");
    return m;
}

static const struct tls_client *build_servers(struct builder *b, const struct conf_stmt *s)
{
    const struct conf_value *verify = conf_option(s, "verify");
    struct tls_client_options o = {.alpn = protocols_up, .many_names = true};
    o.trust = verify ? build_trust_files(b, verify, NULL, &o.trust_identity) : build_system_trust(b, s);
    if (!o.trust)
        return NULL;
    struct tls_client *c = tls_client_new(&o);
    if (!c)
        conf_error(b->diags, NULL, NULL, "out of memory");
    return c && condition_on_free(&b->cond, free_client, c) ? c : NULL;
}

// `bypass list NAME...`; the word `list` may be left out.
static bool build_bypass(struct builder *b, const struct conf_stmt *s, struct inspect_rule *r)
{
    r->bypass = (const struct list **)build_alloc(b, (s->n_args + 1) * sizeof *r->bypass);
    for (unsigned i = 0; r->bypass && i < s->n_args; i++) {
        const struct conf_value *v = &s->args[i];
        if (!v->option || !span_eq(span_str(v->option), SPAN("bypass")) || span_eq(v->text, SPAN("bypass")) ||
            span_eq(v->text, SPAN("list")))
            continue;
        const struct list *l = list_named(&b->cond, v);
        if (!l)
            return false; // who checked the tree, or the list, has told
        r->bypass[r->n_bypass++] = l;
        r->needs |= list_has_addresses(l) ? CONDITION_NEEDS_ADDRESSES : 0;
    }
    if (r->bypass && !r->n_bypass)
        conf_warning(b->diags, b->conf, &s->pos,
                     "there is no `bypass list`: what goes to banks, doctors and the like is decrypted too");
    return r->bypass != NULL;
}

static bool says(const struct conf_stmt *s, const char *option, struct span word)
{
    const struct conf_value *v = conf_option(s, option);
    return v && span_eq(v->text, word);
}

static struct inspect_rule *build_rule(struct builder *b, const struct conf_stmt *s, const struct proxy *p)
{
    struct inspect_rule *r = (struct inspect_rule *)build_alloc(b, sizeof *r);
    const struct conf_value *ca = conf_option(s, "ca");
    if (!r)
        return NULL;
    if (!ca) {
        conf_error(b->diags, b->conf, &s->pos,
                   "the form is `intercept-tls ca FILE key FILE bypass list NAME when { }`; `weir ca new` "
                   "makes the two files");
        return NULL;
    }
    r->where = conf_where(b->conf, s);
    r->when = condition_set_new(&b->cond, s->when);
    r->needs = r->when ? condition_set_needs(r->when) : 0;
    r->splice_other = says(s, "not-tls", SPAN("splice"));
    r->splice_certificate = says(s, "client-cert", SPAN("splice"));
    r->settings = (struct client_settings){.header_ms = p->timeouts.header,
                                           .idle_ms = p->timeouts.idle,
                                           .between_ms = p->timeouts.between_bytes,
                                           .limits = b->g->limits.h1,
                                           .scheme = SPAN("https"),
                                           .handshake_ms = p->timeouts.handshake,
                                           .secure = inspect_accept,
                                           .alpn = protocols};
    r->mint = build_mint(b, s, ca);
    r->servers = build_servers(b, s);
    return build_bypass(b, s, r) && r->when && r->mint && r->servers ? r : NULL;
}

void build_inspects(struct builder *b, const struct conf_stmt *proxy, const struct proxy *p,
                    struct inspect_rules *ret)
{
    unsigned n = 0;
    for (const struct conf_stmt *s = conf_child(proxy, CONF_INTERCEPT); s; s = conf_next(s))
        n++;
    ret->v = n ? (struct inspect_rule **)build_alloc(b, n * sizeof *ret->v) : NULL;
    for (const struct conf_stmt *s = conf_child(proxy, CONF_INTERCEPT); s && ret->v; s = conf_next(s)) {
        struct inspect_rule *r = build_rule(b, s, p);
        if (r)
            ret->v[ret->n++] = r;
    }
}
