// SPDX-License-Identifier: Apache-2.0
// examine: may this response pass, and with which fields?
#include "http/date.h"
#include "proxy/affinity.h"
#include "proxy/cached.h"
#include "proxy/cors.h"
#include "proxy/guard.h"
#include "proxy/https.h"
#include "proxy/identity.h"
#include "proxy/policing.h"
#include "proxy/thread.h"
#include "proxy/transform.h"
#include "proxy/upstream_request.h"

static enum err add_date(struct exchange *x)
{
    struct span now;
    if (fields_get(&x->resp.fields, FIELD_DATE))
        return ERR_OK;
    return arena_dup(x->arena, service_date(x->service), &now) ? fields_add(&x->resp.fields, FIELD_DATE, now) : ERR_NO_MEMORY;
}

enum err exchange_pass_on(struct exchange *x)
{
    if (x->passed_on)
        return ERR_OK;
    x->passed_on = true;
    h1_strip_hop_fields(&x->resp.fields);
    enum err e = via_append(&x->resp.fields, x->arena, x->resp.version);
    return e ? e : add_date(x);
}

// `keep response-header`, also of what is stored, which has all fields. What we say ourselves stays.
static enum err keep_named(struct exchange *x, const struct guard *g)
{
    static const uint8_t own[] = {FIELD_VIA, FIELD_AGE};
    struct fields *f = &x->resp.fields;
    struct span values[ARRAY_LEN(own)];
    enum err e = ERR_OK;
    for (size_t i = 0; i < ARRAY_LEN(own); i++)
        values[i] = fields_value(f, (enum field_id)own[i]);
    guard_filter(g->keep_response, f);
    for (size_t i = 0; i < ARRAY_LEN(own) && !e; i++)
        if (values[i].ptr && !fields_get(f, (enum field_id)own[i]))
            e = fields_add(f, (enum field_id)own[i], values[i]);
    return e;
}

enum err exchange_tell_browsers(struct exchange *x)
{
    const struct route *r = x->route;
    enum err e = r->cors ? cors_mark(x, r->cors) : ERR_OK;
    return e || !r->security ? e : security_headers_add(r->security, &x->resp.fields);
}

enum err phase_examine(struct exchange *x)
{
    if (x->answer == ANSWER_DONE)
        return ERR_OK;
    enum err e = policing_answer(x);
    if (e)
        return e;
    if (x->answer == ANSWER_UPSTREAM || (x->answer == ANSWER_TUNNEL && !x->tunnel_wanted))
        e = exchange_pass_on(x);
    if (!e && !x->tunnel_wanted)
        e = add_date(x); // RFC 9110 6.6.1
    const struct guard *g = x->passed_on ? guard_of(x) : NULL;
    if (!e && g)
        e = keep_named(x, g);
    if (!e && (x->cached || (x->site && x->site->cached))) {
        if (x->answer == ANSWER_UPSTREAM && x->cached)
            cache_note_answer(x);
        e = cache_status_add(x);
    }
    if (!e)
        e = identity_hide_answer(x);
    if (!e)
        e = transform_plan(x);
    if (!e && x->route)
        e = exchange_tell_browsers(x);
    if (!e && x->site)
        e = https_promise(x);
    if (!e && x->site)
        e = field_ops_apply(x, &x->site->fields, true, &x->resp.fields);
    if (!e && x->route)
        e = field_ops_apply(x, &x->route->fields, true, &x->resp.fields);
    if (!e && x->pool)
        e = affinity_answer(x);
    return e;
}
