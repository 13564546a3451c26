// SPDX-License-Identifier: Apache-2.0
// Cache-Status (RFC 9211): our member, behind those that came.
#include "base/num.h"
#include "proxy/cached.h"

static const struct span fwd_names[] = {
    [FWD_NONE] = SPAN_INIT("hit"),           [FWD_BYPASS] = SPAN_INIT("fwd=bypass"),     [FWD_METHOD] = SPAN_INIT("fwd=method"),
    [FWD_URI_MISS] = SPAN_INIT("fwd=uri-miss"), [FWD_VARY_MISS] = SPAN_INIT("fwd=vary-miss"), [FWD_MISS] = SPAN_INIT("fwd=miss"),
    [FWD_STALE] = SPAN_INIT("fwd=stale"),    [FWD_REQUEST] = SPAN_INIT("fwd=request"),
};

enum { STATUS_BYTES = 192 }; // all parameters at their longest

static char *put(char *o, struct span s)
{
    memcpy(o, s.ptr, s.len);
    return o + s.len;
}

static char *put_number(char *o, struct span name, int64_t v)
{
    o = put(o, name);
    if (v < 0)
        *o++ = '-';
    return o + num_put_dec(o, (uint64_t)(v < 0 ? -v : v));
}

static struct span text_of(const struct exchange *x, const struct cached *c, char *p)
{
    char *o = put(put(p, SPAN("weir; ")), fwd_names[c->fwd]);
    if (c->fwd && c->fwd_status)
        o = put_number(o, SPAN("; fwd-status="), c->fwd_status);
    if (c->object)
        o = put_number(o, SPAN("; ttl="), freshness_left_ms(&c->object->fresh, c->now_ms) / 1000);
    if (c->stored)
        o = put(o, SPAN("; stored"));
    if (c->collapsed)
        o = put(o, c->object ? SPAN("; collapsed") : SPAN("; collapsed=?0"));
    const char *detail = c->detail ? c->detail : c->fwd && !c->stored && !c->collapsed && c->why ? storable_name(c->why) : NULL;
    if (detail && x->answer != ANSWER_STORED)
        o = put(put(o, SPAN("; detail=")), span_str(detail));
    return span_of(p, (size_t)(o - p));
}

enum err cache_status_add(struct exchange *x)
{
    static const struct cached nothing = {.fwd = FWD_BYPASS};
    const struct cached *c = x->cached ? x->cached : &nothing;
    char *p = arena_bytes(x->arena, STATUS_BYTES);
    if (!p)
        return ERR_NO_MEMORY;
    struct span text = text_of(x, c, p);
    if (x->cached)
        x->cached->status_text = text;
    return fields_add(&x->resp.fields, FIELD_CACHE_STATUS, text);
}
