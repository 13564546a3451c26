// SPDX-License-Identifier: Apache-2.0
// examine: may this response pass, and with which fields?
#include "http/date.h"
#include "proxy/exchange.h"
#include "proxy/thread.h"
#include "proxy/upstream_request.h"

// What is for one hop goes, Via and Date come (RFC 9110 6.6.1, 7.6).
static enum err pass_on(struct exchange *x)
{
    struct response *r = &x->resp;
    h1_strip_hop_fields(&r->fields);
    enum err e = via_append(&r->fields, x->arena, r->version);
    if (!e && !fields_get(&r->fields, FIELD_DATE)) {
        struct span now;
        if (!arena_dup(x->arena, service_date(x->service), &now))
            return ERR_NO_MEMORY;
        e = fields_add(&r->fields, FIELD_DATE, now);
    }
    return e;
}

enum err phase_examine(struct exchange *x)
{
    enum err e = ERR_OK;
    if (x->answer == ANSWER_UPSTREAM || (x->answer == ANSWER_TUNNEL && !x->tunnel_wanted))
        e = pass_on(x);
    if (!e && x->site)
        e = field_ops_apply(&x->site->fields, true, &x->resp.fields);
    if (!e && x->route)
        e = field_ops_apply(&x->route->fields, true, &x->resp.fields);
    return e;
}
