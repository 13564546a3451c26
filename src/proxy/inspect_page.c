// SPDX-License-Identifier: Apache-2.0
// Where clients get the authority's certificate from: `GET /weir-ca` of a proxy's own address is a page about
// it, `/weir-ca.crt` and
// `/weir-ca.pem` are the certificate. The key is nowhere to be had.
#include "proxy/inspect.h"
#include "proxy/page.h"

static const struct span crt = SPAN_INIT("/weir-ca.crt"), pem = SPAN_INIT("/weir-ca.pem"),
                         about = SPAN_INIT("/weir-ca");

bool inspect_page_is_asked(const struct exchange *x)
{
    const struct request *r = x->req;
    const struct proxy *p = x->listener->proxy;
    return p && p->inspects.n && r->form == TARGET_ORIGIN &&
           (r->method == METHOD_GET || r->method == METHOD_HEAD) &&
           (span_eq(r->path, crt) || span_eq(r->path, pem) || span_eq(r->path, about));
}

// Statements may share an authority.
static bool is_new(const struct inspect_rules *r, unsigned i)
{
    for (unsigned k = 0; k < i; k++)
        if (span_eq(tls_mint_fingerprint(r->v[k]->mint), tls_mint_fingerprint(r->v[i]->mint)))
            return false;
    return true;
}

static struct span certificates(const struct inspect_rules *r, struct arena *a)
{
    struct span out = SPAN("");
    for (unsigned i = 0; i < r->n && out.ptr; i++)
        if (is_new(r, i))
            out = arena_join(a, out, tls_mint_pem(r->v[i]->mint));
    return out;
}

static struct span page(const struct inspect_rules *r, struct arena *a)
{
    struct span out =
        SPAN("<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n<meta name=\"viewport\" "
             "content=\"width=device-width\">\n"
             "<title>This proxy's certificate authority</title>\n<style>:root{color-scheme:light dark}"
             "body{font:16px/1.5 system-ui,sans-serif;max-width:40em;margin:10vh auto;padding:0 "
             "1em}code{overflow-wrap:anywhere}</style>\n"
             "<h1>This proxy's certificate authority</h1>\n"
             "<p>This proxy decrypts some connections. Devices that go through it must trust its authority "
             "for that: "
             "<a href=\"/weir-ca.crt\">weir-ca.crt</a> (the same as a text: <a "
             "href=\"/weir-ca.pem\">weir-ca.pem</a>). "
             "Compare the fingerprint with the one that whoever runs the proxy tells you: this page came "
             "without protection.</p>\n");
    for (unsigned i = 0; i < r->n && out.ptr; i++)
        if (is_new(r, i))
            out = arena_join(a, out,
                             arena_printf(a, "<p>SHA-256: <code>%.*s</code></p>\n",
                                          SPAN_ARG(tls_mint_fingerprint(r->v[i]->mint))));
    return out.ptr ? arena_join(a, out, SPAN("</html>\n")) : out;
}

enum err inspect_page(struct exchange *x)
{
    x->proxy = x->listener->proxy;
    bool is_about = span_eq(x->req->path, about);
    struct span text =
        is_about ? page(&x->proxy->inspects, x->arena) : certificates(&x->proxy->inspects, x->arena);
    if (!text.ptr)
        return ERR_NO_MEMORY;
    x->answer = ANSWER_LOCAL;
    enum err e = page_text(200, text, &x->resp, &x->content);
    if (!e)
        e = fields_set(&x->resp.fields, FIELD_CONTENT_TYPE,
                       is_about                     ? SPAN("text/html; charset=utf-8")
                       : span_eq(x->req->path, crt) ? SPAN("application/x-x509-ca-cert")
                                                    : SPAN("application/x-pem-file"));
    return e || !is_about ? e
                          : fields_set(&x->resp.fields, FIELD_CONTENT_SECURITY_POLICY,
                                       SPAN("default-src 'none'; style-src 'unsafe-inline'"));
}
