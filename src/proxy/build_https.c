// SPDX-License-Identifier: Apache-2.0
// `plain` and `hsts`, and `client-cert` of a site.
#include "proxy/build.h"

enum { HTTPS_PORT = 443 };

static void add_listen(struct builder *b, struct site_tls *t, const struct conf_stmt *listen)
{
    bool tls = conf_option(listen, "tls") != NULL, plain = conf_option(listen, "plain") != NULL;
    struct addr *at = (struct addr *)(uintptr_t)t->plain_at, a;
    if (tls && plain)
        conf_error(b->diags, b->conf, &listen->pos, "a listener has `tls` or is `plain`");
    if (!build_address(b, &listen->args[0], &a))
        return;
    if (tls && (!t->port || a.port == HTTPS_PORT))
        t->port = a.port;
    if (plain && at)
        at[t->n_plain_at++] = a;
}

static void build_hsts(struct builder *b, const struct conf_stmt *site, struct site_tls *t)
{
    const struct conf_stmt *s = conf_child(site, CONF_HSTS);
    if (!s)
        return;
    const struct conf_value *age = conf_option(s, "max-age");
    uint64_t seconds = age ? age->num / 1000 : UINT64_C(365) * 86400;
    t->hsts = arena_printf(b->a, "max-age=%llu%s%s", (unsigned long long)seconds, conf_option(s, "include-subdomains") ? "; includeSubDomains" : "",
                           conf_option(s, "preload") ? "; preload" : "");
    if (!t->hsts.ptr)
        conf_error(b->diags, NULL, NULL, "out of memory");
    if (!conf_child(site, CONF_TLS))
        conf_warning(b->diags, b->conf, &s->pos, "the site has no TLS, where alone this counts");
}

void build_https(struct builder *b, const struct conf_stmt *s, struct site *site)
{
    unsigned n = 0;
    const struct conf_stmt *listen = conf_child(s, CONF_LISTEN), *tls = conf_child(s, CONF_TLS);
    struct site_tls *t = &site->secure;
    for (const struct conf_stmt *l = listen; l; l = conf_next(l))
        n++;
    t->plain = conf_child(s, CONF_PLAIN) != NULL;
    t->plain_at = (const struct addr *)build_alloc(b, (n + 1) * sizeof *t->plain_at);
    if (!listen && (tls || site->passthrough))
        t->port = HTTPS_PORT;
    for (const struct conf_stmt *l = listen; l; l = conf_next(l))
        add_listen(b, t, l);
    build_hsts(b, s, t);
    if (tls && !t->port)
        conf_warning(b->diags, b->conf, &tls->pos, "no listener of the site has `tls`, so nobody sees this certificate");
    if (site->passthrough && !t->port)
        conf_error(b->diags, b->conf, &s->pos, "a site with `tls-passthrough` listens with `tls`");
}

void build_client_cert(struct builder *b, const struct conf_stmt *block, struct tls_site *site)
{
    const struct conf_stmt *s = conf_child(block, CONF_CLIENT_CERT);
    if (!s)
        return;
    const struct conf_value *ca = conf_option(s, "ca");
    uint64_t identity;
    if (!ca) {
        conf_error(b->diags, b->conf, &s->pos, "the form is `client-cert required|optional ca FILE [crl FILE]`");
        return;
    }
    bool required = span_eq(s->args[0].text, SPAN("required"));
    const struct tls_trust *trust = build_trust_files(b, ca, conf_option(s, "crl"), &identity);
    if (trust && !tls_site_demand(site, required, trust, identity))
        conf_error(b->diags, NULL, NULL, "out of memory");
}
