// SPDX-License-Identifier: Apache-2.0
#include "proxy/pac.h"

#include "proxy/build.h"
#include "proxy/escape.h"
#include "proxy/page.h"

enum { NAME_MAX_BYTES = 512 };

// A domain as the conditions of that name have it: `.x` is x and all below it.
static struct span exception(struct builder *b, const struct conf_value *v)
{
    char text[NAME_MAX_BYTES];
    bool below = v->text.len > 1 && v->text.ptr[0] == '.';
    struct authority a;
    if (authority_parse(below ? span_skip(v->text, 1) : v->text, b->a, &a) || a.port) {
        conf_error(b->diags, b->conf, &v->pos, "`%.*s` is no domain: NAME, or .NAME for all below it too", SPAN_ARG(v->text));
        return SPAN("");
    }
    struct span name = span_of(text, escape_json(a.host, text, sizeof text));
    return below ? arena_printf(b->a, " ||\n        host === \"%.*s\" || dnsDomainIs(host, \".%.*s\")", SPAN_ARG(name), SPAN_ARG(name))
                 : arena_printf(b->a, " ||\n        host === \"%.*s\"", SPAN_ARG(name));
}

struct span build_pac(struct builder *b, const struct conf_stmt *proxy)
{
    const struct conf_stmt *s = conf_child(proxy, CONF_PAC);
    struct span out = SPAN("");
    if (!s)
        return SPAN_NONE;
    for (unsigned i = 0; i < s->n_args && out.ptr; i++) {
        const struct conf_value *v = &s->args[i];
        if (v->option && !span_eq(v->text, SPAN("direct")))
            out = arena_join(b->a, out, exception(b, v));
    }
    if (!out.ptr)
        conf_error(b->diags, NULL, NULL, "out of memory");
    return out;
}

bool pac_is_asked(const struct exchange *x)
{
    const struct request *r = x->req;
    const struct proxy *p = x->listener->proxy;
    return p && p->pac.ptr && r->form == TARGET_ORIGIN && (r->method == METHOD_GET || r->method == METHOD_HEAD) &&
           (span_eq(r->path, SPAN("/proxy.pac")) || span_eq(r->path, SPAN("/wpad.dat")));
}

enum err pac_answer(struct exchange *x)
{
    char at[NAME_MAX_BYTES];
    x->proxy = x->listener->proxy;
    // The proxy's address as the browser knows it.
    struct span host = span_of(at, escape_json(x->req->authority.text, at, sizeof at));
    bool tls = x->conn->t.info != NULL;
    struct span text = arena_printf(x->arena,
                                    "function FindProxyForURL(url, host) {\n"
                                    "    if (isPlainHostName(host) || host === \"127.0.0.1\" || host === \"[::1]\"%.*s)\n"
                                    "        return \"DIRECT\";\n"
                                    "    return \"%s %.*s%s\";\n"
                                    "}\n",
                                    SPAN_ARG(x->proxy->pac), tls ? "HTTPS" : "PROXY", SPAN_ARG(host), x->req->authority.port ? "" : tls ? ":443" : ":80");
    if (!text.ptr)
        return ERR_NO_MEMORY;
    x->answer = ANSWER_LOCAL;
    enum err e = page_text(200, text, &x->resp, &x->content);
    return e ? e : fields_set(&x->resp.fields, FIELD_CONTENT_TYPE, SPAN("application/x-ns-proxy-autoconfig"));
}
