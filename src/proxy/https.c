// SPDX-License-Identifier: Apache-2.0
#include "proxy/https.h"

#include "proxy/page.h"

enum { HTTPS_PORT = 443 };

static bool is_secure(const struct exchange *x)
{
    return x->conn->t.info ||
           span_eq(x->scheme, SPAN("https")); // the latter also by the word of a proxy that is trusted
}

bool https_redirects(const struct site *s, const struct addr *listener)
{
    const struct site_tls *t = &s->secure;
    if (!t->port || t->plain)
        return false;
    for (unsigned i = 0; i < t->n_plain_at; i++)
        if (addr_eq(&t->plain_at[i], listener))
            return false;
    return true;
}

bool https_is_due(const struct exchange *x)
{
    return x->site->secure.port && !is_secure(x) && https_redirects(x->site, &x->listener->spec.addr);
}

struct span https_url(const struct site *s, const struct request *r, struct arena *arena)
{
    const struct authority *a = &r->authority;
    bool v6 = a->kind == HOST_IPV6;
    unsigned port = s->secure.port;
    struct span shown = port == HTTPS_PORT ? SPAN("") : arena_printf(arena, ":%u", port);
    return arena_printf(arena, "https://%s%.*s%s%.*s%.*s%s%.*s", v6 ? "[" : "", SPAN_ARG(a->host),
                        v6 ? "]" : "", SPAN_ARG(shown), SPAN_ARG(r->path), r->query.ptr ? "?" : "",
                        SPAN_ARG(r->query.ptr ? r->query : SPAN("")));
}

enum err https_answer(struct exchange *x)
{
    if (x->req->authority.host.len == 0)
        return ERR_HOST_UNKNOWN; // HTTP/1.0 without a Host: there is no URL to name
    struct span url = https_url(x->site, x->req, x->arena);
    x->answer = ANSWER_LOCAL;
    x->rule = x->site->where;
    enum err e = url.ptr ? fields_add(&x->resp.fields, FIELD_LOCATION, url) : ERR_NO_MEMORY;
    return e ? e : page_text(HTTPS_STATUS, SPAN(""), &x->resp, &x->content);
}

enum err https_promise(struct exchange *x)
{
    const struct span *value = &x->site->secure.hsts;
    return value->len && is_secure(x)
               ? fields_set_named(&x->resp.fields, SPAN("Strict-Transport-Security"), *value)
               : ERR_OK;
}
