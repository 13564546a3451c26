// SPDX-License-Identifier: Apache-2.0
// admit: is the request well formed, within the limits, and ours to serve?
#include "proxy/exchange.h"
#include "proxy/inspect.h"
#include "proxy/pac.h"

static enum err check_expect(struct exchange *x)
{
    if (!fields_may_have(&x->req->fields, FIELD_EXPECT))
        return ERR_OK;
    for (struct field *f = fields_get(&x->req->fields, FIELD_EXPECT); f; f = fields_next(&x->req->fields, f))
        if (!span_eq_ci(f->value, SPAN("100-continue")))
            return ERR_EXPECTATION_UNKNOWN;
    return ERR_OK;
}

static enum err check_site_request(struct exchange *x)
{
    const struct request *r = x->req;
    if (r->method == METHOD_CONNECT || r->form == TARGET_AUTHORITY || r->method == METHOD_TRACE || (r->method == METHOD_PURGE && !x->gen->purges))
        return ERR_METHOD_REFUSED;
    if (r->form == TARGET_ASTERISK && r->method != METHOD_OPTIONS)
        return ERR_BAD_TARGET;
    // An absolute target of another scheme than the connection's is somebody else's resource.
    if (r->form == TARGET_ABSOLUTE && !span_eq(r->scheme, SPAN("http")) && !span_eq(r->scheme, SPAN("https")))
        return ERR_BAD_TARGET;
    return ERR_OK;
}

static enum err check_proxy_request(struct exchange *x)
{
    const struct request *r = x->req;
    if (unlikely(x->inside != NULL))
        return inspect_admit(x);
    if (r->method == METHOD_CONNECT)
        return r->authority.port ? ERR_OK : ERR_BAD_TARGET;
    if (r->method == METHOD_TRACE || (r->method == METHOD_PURGE && !x->gen->purges))
        return ERR_METHOD_REFUSED;
    if (pac_is_asked(x))
        return pac_answer(x);
    if (inspect_page_is_asked(x))
        return inspect_page(x);
    if (r->form != TARGET_ABSOLUTE)
        return ERR_NOT_A_PROXY_REQUEST;
    return span_eq(r->scheme, SPAN("http")) ? ERR_OK : ERR_BAD_TARGET;
}

enum err phase_admit(struct exchange *x)
{
    enum err e = check_expect(x);
    if (e)
        return e;
    switch (x->listener->kind) {
    case LISTENER_PROXY:
        return check_proxy_request(x);
    default:
        return check_site_request(x);
    }
}
