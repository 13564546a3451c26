// SPDX-License-Identifier: Apache-2.0
#include "proxy/identity.h"

#include "policy/view.h"
#include "proxy/decide.h"
#include "proxy/policing.h"

static enum err third_party(struct exchange *x, bool *ret)
{
    struct condition_input in;
    enum err e = ERR_OK;
    if (!x->policy)
        e = decide_input(x, &in);
    struct request_view *v = e ? NULL : request_view(x->policy ? &x->policy->in : &in);
    if (!v)
        return ERR_NO_MEMORY;
    *ret = request_party(v, x->policy ? &x->policy->in : &in) == PARTY_THIRD;
    return ERR_OK;
}

// As a Referer of the same origin begins.
static enum err context(struct exchange *x, struct privacy_context *c)
{
    const struct request *r = x->req;
    bool own_port = r->authority.port == (span_eq(r->scheme, SPAN("https")) ? 443 : 80);
    struct span text = r->authority.text, host = own_port ? span_first(text, span_rfind(text, ':')) : text;
    *c = (struct privacy_context){SPAN_NONE, false};
    if (fields_may_have(&r->fields, FIELD_REFERER)) {
        c->origin = arena_printf(x->arena, "%.*s://%.*s", SPAN_ARG(r->scheme), SPAN_ARG(host));
        if (!c->origin.ptr)
            return ERR_NO_MEMORY;
    }
    return x->proxy->privacy == PRIVACY_STRICT ? third_party(x, &c->third_party) : ERR_OK;
}

enum err identity_hide(struct exchange *x, struct fields *f)
{
    struct privacy_context c;
    if (!x->proxy || x->proxy->privacy == PRIVACY_OFF)
        return ERR_OK;
    enum err e = context(x, &c);
    return e ? e : privacy_request(x->proxy->privacy, &c, f, x->arena);
}

enum err identity_hide_answer(struct exchange *x)
{
    struct privacy_context c;
    if (!x->proxy || x->proxy->privacy != PRIVACY_STRICT || (x->answer != ANSWER_UPSTREAM && x->answer != ANSWER_STORED))
        return ERR_OK;
    enum err e = context(x, &c);
    return e ? e : privacy_answer(x->proxy->privacy, &c, &x->resp.fields, x->arena);
}

enum err identity_via(struct exchange *x, struct span *ret)
{
    *ret = fields_joined(&x->req->fields, FIELD_VIA, x->arena);
    if (!ret->ptr || !x->proxy || x->proxy->privacy == PRIVACY_OFF)
        return ERR_OK;
    *ret = privacy_via(*ret, x->arena);
    return ret->ptr ? ERR_OK : ERR_NO_MEMORY;
}
