// SPDX-License-Identifier: Apache-2.0
#include "proxy/cors.h"

#include "base/ascii.h"
#include "http/h1.h"
#include "http/vary.h"

#define REQUEST_METHOD  SPAN("Access-Control-Request-Method")
#define REQUEST_HEADERS SPAN("Access-Control-Request-Headers")

enum { HEADERS_MAX_BYTES = 1024 }; // of names that are asked for

bool cors_is_origin(struct span s)
{
    size_t colon = span_find(s, ':');
    struct span rest = span_skip(s, MIN(colon + 3, s.len));
    if (!colon || !span_starts(span_skip(s, colon), SPAN("://")) || !rest.len)
        return false;
    for (size_t i = 0; i < colon; i++)
        if (!ascii_is_alnum((unsigned char)s.ptr[i]) && s.ptr[i] != '+' && s.ptr[i] != '-' && s.ptr[i] != '.')
            return false;
    for (size_t i = 0; i < rest.len; i++)
        if (!ascii_is_alnum((unsigned char)rest.ptr[i]) && !strchr("-._:[]", rest.ptr[i]))
            return false;
    return span_find(rest, '\0') == rest.len;
}

// The request's Origin where its pages may read the answer; empty otherwise. `null` is whoever hides where it
// comes from: a statement would have to name it.
static struct span allowed_origin(const struct exchange *x, const struct cors *c)
{
    struct span origin = fields_value(&x->req->fields, FIELD_ORIGIN);
    if (fields_count(&x->req->fields, FIELD_ORIGIN) != 1 ||
        (!cors_is_origin(origin) && !span_eq(origin, SPAN("null"))))
        return SPAN("");
    for (unsigned i = 0; i < c->n; i++)
        if (pattern_match(c->origins[i], origin, NULL))
            return origin;
    return SPAN("");
}

bool cors_is_preflight(const struct exchange *x)
{
    const struct fields *f = &x->req->fields;
    return x->req->method == METHOD_OPTIONS && fields_get(f, FIELD_ORIGIN) && fields_find(f, REQUEST_METHOD);
}

static enum err add(struct exchange *x, struct span name, struct span value)
{
    return value.len ? fields_add_named(&x->resp.fields, name, value) : ERR_OK;
}

static enum err add_origin(struct exchange *x, const struct cors *c, bool *ret_allowed)
{
    struct fields *f = &x->resp.fields;
    if (c->any) {
        *ret_allowed = true;
        return fields_add(f, FIELD_ACCESS_CONTROL_ALLOW_ORIGIN, SPAN("*"));
    }
    struct span origin = allowed_origin(x, c);
    enum err e = vary_add(f, SPAN("Origin"), x->arena);
    *ret_allowed = origin.len > 0;
    if (!e && origin.len)
        e = fields_add(f, FIELD_ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    return e || !origin.len || !c->credentials
               ? e
               : add(x, SPAN("Access-Control-Allow-Credentials"), SPAN("true"));
}

// With `headers *`: what is asked for, where it is a list of names.
static struct span wanted_headers(const struct exchange *x)
{
    const struct field *f = fields_find(&x->req->fields, REQUEST_HEADERS);
    struct span rest = f ? f->value : SPAN(""), item;
    if (rest.len > HEADERS_MAX_BYTES)
        return SPAN("");
    while (list_next(&rest, &item))
        if (!http_is_token(item))
            return SPAN("");
    return f ? f->value : SPAN("");
}

enum err cors_answer_preflight(struct exchange *x)
{
    const struct cors *c = x->route->cors;
    bool allowed;
    x->answer = ANSWER_LOCAL;
    x->resp.status = 204;
    x->resp.version = HTTP_1_1;
    x->resp.framing = (struct framing){FRAMING_NONE, 0};
    enum err e = add_origin(x, c, &allowed);
    if (!e && c->any_header)
        e = vary_add(&x->resp.fields, REQUEST_HEADERS, x->arena);
    if (e || !allowed)
        return e;
    e = add(x, SPAN("Access-Control-Allow-Methods"), c->methods);
    if (!e)
        e = add(x, SPAN("Access-Control-Allow-Headers"), c->any_header ? wanted_headers(x) : c->headers);
    return e ? e : add(x, SPAN("Access-Control-Max-Age"), c->max_age);
}

enum err cors_mark(struct exchange *x, const struct cors *c)
{
    static const struct span owned[] = {
        SPAN_INIT("Access-Control-Allow-Credentials"), SPAN_INIT("Access-Control-Allow-Methods"),
        SPAN_INIT("Access-Control-Allow-Headers"), SPAN_INIT("Access-Control-Expose-Headers"),
        SPAN_INIT("Access-Control-Max-Age")};
    bool allowed;
    if (cors_is_preflight(x))
        return ERR_OK; // answered already, or refused
    fields_remove(&x->resp.fields, FIELD_ACCESS_CONTROL_ALLOW_ORIGIN);
    for (size_t i = 0; i < ARRAY_LEN(owned); i++)
        fields_remove_named(&x->resp.fields, owned[i]);
    enum err e = add_origin(x, c, &allowed);
    return e || !allowed ? e : add(x, SPAN("Access-Control-Expose-Headers"), c->exposed);
}
