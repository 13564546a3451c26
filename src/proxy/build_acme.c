// SPDX-License-Identifier: Apache-2.0
// `acme` and `tls auto`: certificates that the helper process gets. What it has got so far lies in the folder, and is read like any
// other certificate; the supervisor sees when there is a newer one.
#include "proxy/build.h"
#include "tls/ocsp.h"

static const struct span lets_encrypt = SPAN_INIT("https://acme-v02.api.letsencrypt.org/directory");
static const struct span protocols = SPAN_INIT("\x08http/1.1");

static const struct conf_stmt *block_of(const struct builder *b)
{
    return conf_child(conf_root(b->conf), CONF_ACME);
}

static struct span text_or(const struct conf_stmt *block, enum conf_id id, struct span otherwise)
{
    const struct conf_stmt *s = conf_child(block, id);
    return s ? s->args[0].text : otherwise;
}

// The folder that everything is kept in, from the configuration's.
static struct span folder(struct builder *b)
{
    struct span path = text_or(block_of(b), CONF_ACME_FOLDER, SPAN("acme"));
    return path.ptr[0] == '/' ? path : arena_printf(b->a, "%s/%.*s", conf_folder(b->conf), SPAN_ARG(path));
}

static bool take_names(struct builder *b, const struct conf_stmt *site, struct acme_site *ret)
{
    struct span *v = (struct span *)build_alloc(b, (site->n_args + 1) * sizeof *v);
    unsigned errors = conf_diags_errors(b->diags);
    for (unsigned i = 0; v && i < site->n_args; i++) {
        const struct conf_value *arg = &site->args[i];
        struct authority au;
        if (span_find(arg->text, '*') < arg->text.len)
            conf_error(b->diags, b->conf, &arg->pos, "`tls auto` gets certificates for exact names only, not for `%.*s`", SPAN_ARG(arg->text));
        else if (!authority_parse(arg->text, b->a, &au) && !au.port && au.kind != HOST_NAME)
            conf_error(b->diags, b->conf, &arg->pos, "`tls auto` gets certificates for names, not for addresses");
        else if (au.host.len) // what is none is a diagnostic elsewhere
            v[ret->n_names++] = au.host;
    }
    if (ret->n_names > ACME_NAMES_MAX)
        conf_error(b->diags, b->conf, &site->pos, "a certificate is for %u names at most", (unsigned)ACME_NAMES_MAX);
    ret->names = v;
    return v && ret->n_names && conf_diags_errors(b->diags) == errors;
}

void build_tls_auto(struct builder *b, const struct conf_stmt *s, struct tls_site *site)
{
    struct acme_plan *p = &b->g->acme;
    const struct conf_stmt *block = s->parent;
    struct acme_site *v = (struct acme_site *)(uintptr_t)p->sites;
    struct span pem, path;
    bool in_key;
    if (block->row->id != CONF_SITE) {
        conf_error(b->diags, b->conf, &s->pos, "`tls auto` is for sites: nobody outside could check a proxy's name");
        return;
    }
    if (!v && !(p->sites = v = (struct acme_site *)build_alloc(b, (b->n_sites + 1) * sizeof *v)))
        return;
    struct acme_site *a = &v[p->n_sites];
    *a = (struct acme_site){0};
    if (conf_next(s) || conf_child(block, CONF_TLS) != s) {
        conf_error(b->diags, b->conf, &s->pos, "`tls auto` is a site's only `tls`");
        return;
    }
    if (!take_names(b, block, a))
        return;
    a->file = arena_printf(b->a, "%.*s.pem", SPAN_ARG(a->names[0]));
    p->n_sites++;
    path = arena_printf(b->a, "%.*s/%.*s", SPAN_ARG(folder(b)), SPAN_ARG(a->file));
    if (!a->file.ptr || !path.ptr || !build_read_optional(b, path, &pem) || !pem.len)
        return;
    const char *why = tls_site_add(site, pem, pem, SPAN(""), &in_key);
    if (!why && build_wants_staples(block))
        build_staple(b, block, s, pem, site);
    if (why) // the helper writes whole files only, so somebody else was here; it gets a new one
        conf_warning(b->diags, b->conf, &s->pos, "%.*s cannot be used: %s", SPAN_ARG(path), why);
}

bool build_wants_staples(const struct conf_stmt *block)
{
    return span_eq(conf_word(block, CONF_OCSP_STAPLING), SPAN("on"));
}

void build_staple(struct builder *b, const struct conf_stmt *block, const struct conf_stmt *s, struct span pem, struct tls_site *site)
{
    struct acme_plan *p = &b->g->acme;
    struct acme_staple *v = (struct acme_staple *)(uintptr_t)p->staples;
    struct span url, request, answer, path;
    if (!v && !(p->staples = v = (struct acme_staple *)build_alloc(b, (b->n_certificates + 1) * sizeof *v)))
        return;
    struct acme_staple *a = &v[p->n_staples];
    *a = (struct acme_staple){.name = block->args[0].text, .pem = pem};
    if (!tls_ocsp_question(pem, b->a, &url, &a->file, &request)) {
        conf_warning(b->diags, b->conf, &s->pos, "nothing can be stapled to this certificate: it names no responder (http), or its issuer's certificate is not in the chain");
        return;
    }
    p->n_staples++;
    path = arena_printf(b->a, "%.*s/%.*s", SPAN_ARG(folder(b)), SPAN_ARG(a->file));
    if (path.ptr && build_read_optional(b, path, &answer) && answer.len)
        (void)tls_site_staple(site, pem, answer); // one that holds no longer is not shown; the helper sees to it
}

static void free_client(void *p)
{
    tls_client_free((struct tls_client *)p);
}

static void build_client(struct builder *b, const struct conf_stmt *at, struct acme_plan *p, uint64_t *ret_identity)
{
    const struct conf_stmt *ca = conf_child(block_of(b), CONF_ACME_CA);
    struct tls_client_options o = {.alpn = protocols};
    o.trust = ca ? build_trust_files(b, &ca->args[0], NULL, &o.trust_identity) : build_system_trust(b, at);
    struct tls_client *c = o.trust ? tls_client_new(&o) : NULL;
    if (c && condition_on_free(&b->cond, free_client, c))
        p->tls = c;
    *ret_identity = c ? tls_client_identity(c) : 0;
}

static const struct conf_stmt *first_auto(struct builder *b)
{
    for (const struct conf_stmt *s = conf_child(conf_root(b->conf), CONF_SITE); s; s = conf_next(s))
        for (const struct conf_stmt *t = conf_child(s, CONF_TLS); t; t = conf_next(t))
            if (conf_option(t, "auto"))
                return t;
    return block_of(b);
}

static void open_folder(struct builder *b, const struct conf_stmt *at, struct acme_plan *p)
{
    const char *why = NULL;
    char *path = arena_cstr(b->a, folder(b));
    struct conf_source *src = conf_files(b->conf);
    p->folder = src && path ? conf_source_own_folder(src, path, &why) : -1;
    if (p->folder < 0 && why)
        conf_error(b->diags, b->conf, &at->pos, "the folder %s cannot be used: %s", path, why);
}

void build_acme(struct builder *b)
{
    struct acme_plan *p = &b->g->acme;
    const struct conf_stmt *s = block_of(b), *at = first_auto(b), *way = conf_child(s, CONF_ACME_CHALLENGE);
    uint64_t tls = 0;
    p->folder = -1;
    if (!p->n_sites && !p->n_staples) {
        if (s)
            conf_warning(b->diags, b->conf, &s->pos, "no site has `tls auto`, so this is not used");
        return;
    }
    if (!at)
        at = conf_child(conf_root(b->conf), CONF_SITE);
    p->directory = text_or(s, CONF_ACME_DIRECTORY, lets_encrypt);
    p->email = text_or(s, CONF_ACME_EMAIL, SPAN(""));
    p->retry_ms = conf_number(s, CONF_ACME_RETRY);
    p->challenge = !way ? ACME_ANY : span_eq(way->args[0].text, SPAN("http-01")) ? ACME_HTTP_01 : ACME_TLS_ALPN_01;
    if (!acme_is_url(p->directory))
        conf_error(b->diags, b->conf, &conf_child(s, CONF_ACME_DIRECTORY)->args[0].pos, "`%.*s` is no URL of a directory: https://HOST/PATH", SPAN_ARG(p->directory));
    if (p->email.len && (span_find(p->email, '@') == p->email.len || span_find(p->email, '"') < p->email.len || span_find(p->email, '\\') < p->email.len))
        conf_error(b->diags, b->conf, &conf_child(s, CONF_ACME_EMAIL)->args[0].pos, "`%.*s` is no address", SPAN_ARG(p->email));
    if (p->n_sites)
        build_client(b, at, p, &tls);
    open_folder(b, at, p);
    struct span *parts = (struct span *)build_alloc(b, (p->n_sites * (ACME_NAMES_MAX + 1) + p->n_staples + 4) * sizeof *parts);
    unsigned n = 0;
    if (!parts)
        return;
    parts[n++] = p->directory;
    parts[n++] = p->email;
    parts[n++] = span_of((const char *)&tls, sizeof tls);
    parts[n++] = arena_printf(b->a, "%d %llu %.*s", (int)p->challenge, (unsigned long long)p->retry_ms, SPAN_ARG(folder(b)));
    for (unsigned i = 0; i < p->n_sites; i++, parts[n++] = SPAN(""))
        for (unsigned k = 0; k < p->sites[i].n_names; k++)
            parts[n++] = p->sites[i].names[k];
    for (unsigned i = 0; i < p->n_staples; i++)
        parts[n++] = p->staples[i].file;
    p->identity = tls_identity(parts, n);
}

const struct acme_plan *generation_acme(const struct generation *g)
{
    return (g->acme.n_sites || g->acme.n_staples) && g->acme.folder >= 0 ? &g->acme : NULL;
}

void generation_dns(const struct generation *g, struct dns_config *ret)
{
    *ret = (struct dns_config){.hosts = &g->hosts, .resolvers = g->resolvers, .n_resolvers = g->n_resolvers};
}
