// SPDX-License-Identifier: Apache-2.0
// `tls` and `listen ... tls`: certificates, and who shows them where.
#include <time.h>

#include "base/secret.h"
#include "proxy/build.h"
#include "proxy/handshake.h"
#include "proxy/passthrough.h"

static const struct span protocols = SPAN_INIT("\x02h2\x08http/1.1");

static const char *add(void *arg, struct span cert, struct span key, struct span password, bool *ret_key_file)
{
    return tls_site_add((struct tls_site *)arg, cert, key, password, ret_key_file);
}

static void add_files(struct builder *b, const struct conf_stmt *s, const struct conf_value *cert, struct tls_site *site)
{
    struct span pem;
    if (build_certificate(b, cert, conf_option(s, "key"), conf_option(s, "password"), add, site) && build_wants_staples(s->parent) && build_read_file(b, cert, &pem))
        build_staple(b, s->parent, s, pem, site);
}

static void add_certificate(struct builder *b, const struct conf_stmt *s, struct tls_site *site)
{
    const struct conf_value *cert = conf_option(s, "cert");
    if (conf_option(s, "auto") && s->n_args == 1)
        build_tls_auto(b, s, site);
    else if (cert && !conf_option(s, "auto"))
        add_files(b, s, cert, site);
    else
        conf_error(b->diags, b->conf, &s->pos, "the forms are `tls cert FILE key FILE` and `tls auto`");
}

static void log_keys(const char *line)
{
    log_error(LOG_WARN, "tls-keys: %s", line);
}

void build_tls_debug(struct builder *b)
{
    const struct conf_stmt *s = conf_child(conf_root(b->conf), CONF_DEBUG_TLS_KEYS);
    tls_keys_log(s ? log_keys : NULL);
    if (s)
        conf_warning(b->diags, b->conf, &s->pos, "the secrets of TLS sessions go to the error log: who reads it can read the traffic");
}

void build_ticket_keys(struct builder *b)
{
    const struct conf_stmt *s = conf_child(conf_root(b->conf), CONF_TICKET_KEYS);
    struct span text;
    if (!s || !build_read_file(b, &s->args[0], &text))
        return;
    const char *why = tls_ticket_keys_read(text, &b->ticket_keys);
    secret_wipe((void *)(uintptr_t)text.ptr, text.len);
    if (why)
        conf_error(b->diags, b->conf, &s->args[0].pos, "%.*s cannot be used: %s", SPAN_ARG(s->args[0].text), why);
}

static void free_site(void *p)
{
    tls_site_free((struct tls_site *)p);
}

// Names that no certificate is for: browsers would refuse them.
static void lint(struct builder *b, const struct conf_stmt *block, const struct tls_site *site)
{
    const struct conf_stmt *s = conf_child(block, CONF_TLS);
    if (tls_site_expires(site) < (int64_t)time(NULL))
        conf_warning(b->diags, b->conf, &s->pos, "a certificate here has expired");
    if (conf_option(s, "auto"))
        return;
    for (unsigned i = 0; block->row->id == CONF_SITE && i < block->n_args; i++) {
        struct span name = block->args[i].text;
        if (span_find(name, '*') == name.len && !tls_site_covers(site, name))
            conf_warning(b->diags, b->conf, &block->args[i].pos, "no certificate of the site is for `%.*s`", SPAN_ARG(name));
    }
}

bool build_early_data(const struct conf_stmt *route)
{
    struct span own = conf_word(route, CONF_EARLY_DATA);
    return span_eq(own.len ? own : conf_word(route->parent, CONF_EARLY_DATA), SPAN("on"));
}

// What the site's routes want of its handshakes.
static void allow_early_data(struct builder *b, const struct conf_stmt *block, struct tls_site *site)
{
    const struct conf_stmt *at = NULL;
    for (const struct conf_stmt *r = conf_child(block, CONF_ROUTE); r; r = conf_next(r))
        if (build_early_data(r))
            at = r;
    if (!at)
        return;
    if (conf_child(block, CONF_CLIENT_CERT))
        conf_error(b->diags, b->conf, &at->pos, "`early-data on` does not go with `client-cert`: who asks is known only at the handshake's end");
    else if (span_eq(conf_word(block, CONF_SESSION_TICKETS), SPAN("off")))
        conf_error(b->diags, b->conf, &at->pos, "`early-data on` does not go with `session-tickets off`");
    else
        tls_site_early_data(site);
}

const struct tls_site *build_tls(struct builder *b, const struct conf_stmt *block)
{
    const struct conf_stmt *s = conf_child(block, CONF_TLS);
    if (!s)
        return NULL;
    struct tls_site *site = tls_site_new(block->args[0].text);
    if (!site) {
        conf_error(b->diags, NULL, NULL, "out of memory");
        return NULL;
    }
    if (!condition_on_free(&b->cond, free_site, site))
        return NULL;
    unsigned errors = conf_diags_errors(b->diags);
    build_client_cert(b, block, site);
    for (; s; s = conf_next(s))
        add_certificate(b, s, site);
    if (span_eq(conf_word(block, CONF_SESSION_TICKETS), SPAN("off")))
        tls_site_no_tickets(site);
    allow_early_data(b, block, site);
    if (conf_diags_errors(b->diags) == errors)
        lint(b, block, site);
    return site;
}

static const struct tls_site *find_site(const void *arg, struct span name)
{
    const struct site *s = site_table_find(&((const struct listener *)arg)->sites, name);
    return s ? s->tls : NULL;
}

static void secure(struct listener *l, bool passes)
{
    l->settings.scheme = SPAN("https");
    if (l->settings.secure != passthrough_accept)
        l->settings.secure = passes ? passthrough_accept : handshake_accept;
    l->settings.secure_arg = &l->tls;
    l->settings.alpn = protocols;
}

void build_tls_listener(struct builder *b, const struct conf_stmt *at, struct listener *l, const struct site *site, bool tls)
{
    if (!tls && !l->settings.secure) {
        l->plain = true;
        return;
    }
    if (tls && l->plain)
        conf_error(b->diags, b->conf, &at->pos, "another site listens at this address without `tls`");
    else if (!tls)
        conf_error(b->diags, b->conf, &at->pos, "another site listens at this address with `tls`");
    else if (!site->passthrough && !conf_child(at->row->id == CONF_SITE ? at : at->parent, CONF_TLS))
        conf_error(b->diags, b->conf, &at->pos, "the site has no certificate; write `tls cert FILE key FILE`");
    secure(l, site->passthrough != NULL);
    l->tls.find = find_site;
    l->tls.arg = l;
    for (unsigned i = 0; i < site->n_routes; i++)
        l->tls.early_data |= site->routes[i].early_data;
    if (site->tls && (!l->tls_default || l->sites.any == site)) {
        l->tls_default = site;
        l->tls.fallback = site->tls;
    }
}

void build_tls_proxy(struct builder *b, const struct conf_stmt *at, struct listener *l, const struct proxy *p)
{
    if (!conf_child(at->parent, CONF_TLS))
        conf_error(b->diags, b->conf, &at->pos, "the proxy has no certificate; write `tls cert FILE key FILE`");
    secure(l, false);
    l->tls.fallback = p->tls;
}
