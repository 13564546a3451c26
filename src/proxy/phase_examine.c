// SPDX-License-Identifier: Apache-2.0
// examine: may this response pass, and with which fields?
#include "http/date.h"
#include "proxy/affinity.h"
#include "proxy/exchange.h"
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

// What is for one hop goes, Via comes (RFC 9110 7.6).
static enum err pass_on(struct exchange *x)
{
    const struct guard *g = guard_of(x);
    h1_strip_hop_fields(&x->resp.fields);
    if (g)
        guard_filter(g->keep_response, &x->resp.fields);
    return via_append(&x->resp.fields, x->arena, x->resp.version);
}

enum err phase_examine(struct exchange *x)
{
    enum err e = policing_answer(x);
    if (e)
        return e;
    if (x->answer == ANSWER_UPSTREAM || (x->answer == ANSWER_TUNNEL && !x->tunnel_wanted))
        e = pass_on(x);
    if (!e && !x->tunnel_wanted)
        e = add_date(x); // RFC 9110 6.6.1
    if (!e)
        e = identity_hide_answer(x);
    if (!e)
        e = transform_plan(x);
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
