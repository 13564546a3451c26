// SPDX-License-Identifier: Apache-2.0
#include "proxy/https.h"

#include "proxy/page.h"

enum { HTTPS_PORT = 443 };

static bool is_secure(const struct exchange *x)
{
    return x->conn->t.info || span_eq(x->scheme, SPAN("https")); // the latter also by the word of a proxy that is trusted
}

bool https_is_due(const struct exchange *x)
{
    const struct site_tls *t = &x->site->secure;
    if (!t->port || t->plain || is_secure(x))
        return false;
    for (unsigned i = 0; i < t->n_plain_at; i++)
        if (addr_eq(&t->plain_at[i], &x->listener->spec.addr))
            return false;
    return true;
}

enum err https_answer(struct exchange *x)
{
    const struct authority *a = &x->req->authority;
    const struct request *r = x->req;
    bool v6 = a->kind == HOST_IPV6;
    unsigned port = x->site->secure.port;
    struct span shown = port == HTTPS_PORT ? SPAN("") : arena_printf(x->arena, ":%u", port);
    if (a->host.len == 0)
        return ERR_HOST_UNKNOWN; // HTTP/1.0 without a Host: there is no URL to name
    struct span url = arena_printf(x->arena, "https://%s%.*s%s%.*s%.*s%s%.*s", v6 ? "[" : "", SPAN_ARG(a->host), v6 ? "]" : "", SPAN_ARG(shown), SPAN_ARG(r->path),
                                   r->query.ptr ? "?" : "", SPAN_ARG(r->query.ptr ? r->query : SPAN("")));
    x->answer = ANSWER_LOCAL;
    x->rule = x->site->where;
    enum err e = url.ptr ? fields_add(&x->resp.fields, FIELD_LOCATION, url) : ERR_NO_MEMORY;
    return e ? e : page_text(308, SPAN(""), &x->resp, &x->content);
}

enum err https_promise(struct exchange *x)
{
    const struct span *value = &x->site->secure.hsts;
    return value->len && is_secure(x) ? fields_set_named(&x->resp.fields, SPAN("Strict-Transport-Security"), *value) : ERR_OK;
}
