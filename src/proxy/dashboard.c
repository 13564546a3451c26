// SPDX-License-Identifier: Apache-2.0
#include "proxy/dashboard.h"

#include "proxy/api.h"

// The page runs nothing and asks nobody that is not of its own address, and stands in no frame.
#define POLICY                                                                                               \
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri "  \
    "'none'; form-action 'none'; frame-ancestors 'none'"

static enum err put_fields(struct exchange *x, const struct dashboard_file *f)
{
    static const struct {
        struct span name, value;
    } more[] = {{SPAN_INIT("X-Content-Type-Options"), SPAN_INIT("nosniff")},
                {SPAN_INIT("Referrer-Policy"), SPAN_INIT("no-referrer")},
                {SPAN_INIT("Cross-Origin-Opener-Policy"), SPAN_INIT("same-origin")},
                {SPAN_INIT("Cross-Origin-Resource-Policy"), SPAN_INIT("same-origin")}};
    struct fields *to = &x->resp.fields;
    enum err e = fields_set(to, FIELD_CONTENT_TYPE, f->type);
    if (!e)
        e = fields_set(to, FIELD_CACHE_CONTROL, SPAN("no-cache"));
    if (!e)
        e = fields_set(to, FIELD_ETAG, f->etag);
    if (!e)
        e = fields_add(to, FIELD_CONTENT_SECURITY_POLICY, SPAN(POLICY));
    for (size_t i = 0; i < ARRAY_LEN(more) && !e; i++)
        e = fields_add_named(to, more[i].name, more[i].value);
    return e;
}

static enum err answer_file(struct exchange *x, const struct dashboard_file *f)
{
    enum err e = api_guard(x);
    if (e)
        return e;
    bool same = span_eq(fields_value(&x->req->fields, FIELD_IF_NONE_MATCH), f->etag);
    x->answer = ANSWER_LOCAL;
    x->resp.status = same ? 304 : 200;
    e = put_fields(x, f);
    if (!e && !same)
        e = chunkq_append(&x->content, NULL, f->content.ptr, f->content.len);
    x->resp.framing = (struct framing){FRAMING_LENGTH, x->content.bytes};
    x->resp.no_content = same;
    return e;
}

bool dashboard_answer(struct exchange *x, enum err *ret)
{
    for (unsigned i = 0; i < dashboard_n_files; i++) {
        if (!span_eq(dashboard_files[i].path, x->req->path))
            continue;
        *ret = answer_file(x, &dashboard_files[i]);
        return true;
    }
    return false;
}
