// SPDX-License-Identifier: Apache-2.0
#include "proxy/transform.h"

#include "filter/codec.h"
#include "http/media.h"

static const struct compress *compress_of(const struct exchange *x)
{
    return x->route ? x->route->compress : x->proxy ? x->proxy->compress : NULL;
}

static bool type_matches(const struct compress *c, struct span essence)
{
    for (unsigned i = 0; i < c->n_types; i++)
        if (media_matches(essence, c->types[i]))
            return true;
    return false;
}

static bool has_no_transform(const struct fields *f, struct arena *a)
{
    struct span cc = fields_joined(f, FIELD_CACHE_CONTROL, a);
    return cc.ptr && list_has(cc, SPAN("no-transform"));
}

static enum err vary_add(struct fields *f, struct arena *a, struct span name)
{
    struct span vary = fields_joined(f, FIELD_VARY, a);
    if (vary.ptr && (list_has(vary, name) || list_has(vary, SPAN("*"))))
        return ERR_OK;
    struct span value = vary.ptr && vary.len ? arena_printf(a, "%.*s, %.*s", SPAN_ARG(vary), SPAN_ARG(name)) : name;
    return value.ptr ? fields_set(f, FIELD_VARY, value) : ERR_NO_MEMORY;
}

// The octets change: the tag says the same of their meaning only, and what counts octets no longer holds.
static enum err octets_change(struct exchange *x)
{
    struct fields *f = &x->resp.fields;
    fields_remove(f, FIELD_CONTENT_MD5);
    fields_remove(f, FIELD_CONTENT_DIGEST);
    fields_remove_named(f, SPAN("Digest"));
    fields_remove_named(f, SPAN("Repr-Digest"));
    fields_remove(f, FIELD_ACCEPT_RANGES);
    x->resp.framing = (struct framing){FRAMING_CHUNKED, 0};
    struct field *etag = fields_get(f, FIELD_ETAG);
    if (!etag || span_starts(etag->value, SPAN("W/")))
        return ERR_OK;
    struct span weak = arena_printf(x->arena, "W/%.*s", SPAN_ARG(etag->value));
    return weak.ptr ? fields_set(f, FIELD_ETAG, weak) : ERR_NO_MEMORY;
}

// Whether the content as it is may be encoded at all.
static bool may_compress(const struct exchange *x, const struct compress *c)
{
    const struct response *r = &x->resp;
    if (r->status < 200 || r->status == 204 || r->status == 205 || r->status == 206 || r->status == 304)
        return false;
    if (fields_get(&r->fields, FIELD_CONTENT_ENCODING) || fields_get(&r->fields, FIELD_CONTENT_RANGE))
        return false;
    if (r->framing.kind == FRAMING_NONE || (r->framing.kind == FRAMING_LENGTH && r->framing.length < c->min_bytes))
        return false;
    return !has_no_transform(&r->fields, x->arena);
}

static MUST_USE enum err add_filter(struct exchange *x, struct filter *f)
{
    if (!x->filters) {
        x->filters = (struct filter_chain *)arena_alloc(x->arena, sizeof *x->filters);
        if (!x->filters) {
            filter_free(f);
            return ERR_NO_MEMORY;
        }
        filter_chain_init(x->filters);
    }
    return filter_chain_add(x->filters, f) ? ERR_OK : ERR_NO_MEMORY;
}

static enum err plan_compress(struct exchange *x, const struct compress *c)
{
    struct span type = media_essence(fields_value(&x->resp.fields, FIELD_CONTENT_TYPE));
    if (!type_matches(c, type))
        return x->resp.status == 304 ? vary_add(&x->resp.fields, x->arena, SPAN("Accept-Encoding")) : ERR_OK;
    enum err e = vary_add(&x->resp.fields, x->arena, SPAN("Accept-Encoding"));
    if (e || !may_compress(x, c))
        return e;
    enum coding coding = coding_choose(fields_joined(&x->req->fields, FIELD_ACCEPT_ENCODING, x->arena), c->offers, c->n_offers);
    if (coding == CODING_IDENTITY)
        return ERR_OK;
    e = fields_set(&x->resp.fields, FIELD_CONTENT_ENCODING, coding_name(coding));
    if (!e)
        e = octets_change(x);
    if (!e && x->req->method != METHOD_HEAD)
        e = add_filter(x, encoder_new(coding, c->level));
    return e;
}

enum err transform_plan(struct exchange *x)
{
    const struct compress *c = compress_of(x);
    bool has_content = x->answer == ANSWER_UPSTREAM || x->answer == ANSWER_LOCAL || x->answer == ANSWER_FILE;
    return c && has_content ? plan_compress(x, c) : ERR_OK;
}

enum err transform_request_fields(const struct exchange *x, struct fields *f)
{
    struct field *tags = fields_get(f, FIELD_IF_NONE_MATCH);
    if (!tags || !compress_of(x))
        return ERR_OK;
    struct span list = fields_joined(f, FIELD_IF_NONE_MATCH, x->arena), item, out = SPAN_NONE;
    char *p = list.ptr ? arena_bytes(x->arena, list.len * 2 + 2) : NULL; // room for ", " in place of each ","
    if (!p)
        return ERR_NO_MEMORY;
    for (out = span_of(p, 0); list_next(&list, &item);) {
        struct span tag = span_starts(item, SPAN("W/")) ? span_skip(item, 2) : item;
        if (out.len) {
            memcpy(p + out.len, ", ", 2);
            out.len += 2;
        }
        memcpy(p + out.len, tag.ptr, tag.len);
        out.len += tag.len;
    }
    return fields_set(f, FIELD_IF_NONE_MATCH, out);
}
