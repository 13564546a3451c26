// SPDX-License-Identifier: Apache-2.0
#include "proxy/cache_keep.h"

#include "http/device.h"
#include "proxy/scan.h"
#include "proxy/upstream_request.h"

// ---- Keys

static struct span cookie_value(const struct fields *f, struct span name)
{
    for (const struct field *c = fields_get(f, FIELD_COOKIE); c; c = fields_next(f, c)) {
        struct span rest = c->value;
        while (rest.ptr) {
            struct span value = span_trim(span_cut(&rest, ';')), n = span_cut(&value, '=');
            if (span_eq(n, name))
                return value.ptr ? value : SPAN("");
        }
    }
    return SPAN_NONE;
}

// One more part, behind a line feed, which no part can have. What is there is told from what is missing.
static enum err add_part(struct arena *a, struct span *extra, struct span part)
{
    *extra = part.ptr ? arena_printf(a, "%.*s\n=%.*s", SPAN_ARG(*extra), SPAN_ARG(part)) : arena_printf(a, "%.*s\n-", SPAN_ARG(*extra));
    return extra->ptr ? ERR_OK : ERR_NO_MEMORY;
}

// Besides the URL: whose answer it is, the target that is sent where it is another one, and what `key` names.
static enum err key_extra(struct exchange *x, const struct cache_use *use, struct span *ret)
{
    const struct route *r = x->route;
    struct span extra = !r ? SPAN("") : r->pool ? r->pool->name : r->where, path, query;
    enum err e = ERR_OK;
    if (r && (r->strip.len || r->n_rewrites)) {
        e = upstream_target(x, &path, &query);
        if (!e)
            e = add_part(x->arena, &extra, path);
        if (!e)
            e = add_part(x->arena, &extra, query);
    }
    // A trusted proxy's word is forwarded.
    if (!e && x->host.ptr != x->req->authority.text.ptr && !span_eq(x->host, x->req->authority.text))
        e = add_part(x->arena, &extra, x->host);
    for (unsigned i = 0; i < use->n_key_headers && !e; i++) {
        struct span value;
        e = vary_value(&x->req->fields, use->key_headers[i], x->arena, &value);
        if (!e)
            e = add_part(x->arena, &extra, value);
    }
    for (unsigned i = 0; i < use->n_key_cookies && !e; i++)
        e = add_part(x->arena, &extra, cookie_value(&x->req->fields, use->key_cookies[i]));
    if (use->key_device && !e)
        e = add_part(x->arena, &extra, device_name(device_of(&x->req->fields)));
    struct span tag = SPAN_NONE;
    if (!e)
        e = scan_tag(x, &tag);
    if (!e && tag.ptr)
        e = add_part(x->arena, &extra, tag); // what was judged under another one is not the same any more
    *ret = extra;
    return e;
}

enum err cache_exchange_url(struct exchange *x, struct span *ret)
{
    const struct request *r = x->req;
    struct span scheme = x->proxy ? r->scheme : x->scheme;
    return cache_key_url(scheme, &r->authority, r->path, r->query, &x->cached->use->key, x->arena, ret);
}

enum err cache_exchange_key(struct exchange *x, struct cache_key *ret)
{
    enum err e = cache_exchange_url(x, &ret->url);
    if (!e)
        e = key_extra(x, x->cached->use, &ret->extra);
    if (!e)
        ret->hash = cache_key_hash(ret->url);
    return e;
}

// ---- What is stored

static void drop_named(struct fields *f, const struct span *lists, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct span rest = lists[i], name;
        while (list_next(&rest, &name))
            fields_remove_named(f, name);
    }
}

static bool is_kept(const struct field *f)
{
    if (f->removed || f->id == FIELD_AGE || (f->id == FIELD_OTHER && span_eq_ci(f->name, SPAN("weir-cache-control"))))
        return false;
    return f->id == FIELD_OTHER || !(field_flags((enum field_id)f->id) & (FIELD_HOP | FIELD_FRAMING));
}

// A copy without what may not be stored (RFC 9111 3.1, 5.2.2.4, 5.2.2.7).
static enum err kept_fields(struct exchange *x, struct fields *ret)
{
    const struct fields *f = &x->resp.fields;
    struct cache_control c;
    bool targeted;
    fields_init(ret, x->arena);
    for (uint32_t i = 0; i < f->n; i++) {
        const struct field *y = &f->v[i];
        if (!is_kept(y))
            continue;
        enum err e = y->id == FIELD_OTHER ? fields_add_named(ret, y->name, y->value) : fields_add(ret, (enum field_id)y->id, y->value);
        if (e)
            return e;
    }
    freshness_directives(f, x->arena, &c, &targeted);
    drop_named(ret, c.private_fields, c.n_private);
    drop_named(ret, c.no_cache_fields, c.n_no_cache);
    return ERR_OK;
}

enum storable cache_may_keep(struct exchange *x, const struct cache_use *use, uint64_t expected, int64_t sent_ms, int64_t received_ms)
{
    struct freshness fresh;
    struct span vary;
    enum storable s = freshness_judge(x->req, &x->resp, &use->policy, sent_ms, received_ms, x->arena, &fresh);
    if (s)
        return s;
    if (expected != UINT64_MAX && expected > cache_max_object(use->cache))
        return STORABLE_TOO_LARGE;
    enum err e = cache_vary_key(x, use, &x->resp.fields, &vary);
    return e == ERR_AGAIN ? STORABLE_VARY_ALL : e ? STORABLE_NO_MEMORY : STORABLE_YES;
}

enum storable cache_keep(struct exchange *x, const struct cache_use *use, const struct cache_key *key, int64_t sent_ms, int64_t received_ms,
                         struct cache_body *body, struct cache_object **ret)
{
    struct fields fields;
    struct cache_head h = {.key = key, .status = x->resp.status, .fields = &fields, .now_s = received_ms / 1000, .body = body};
    enum storable s = freshness_judge(x->req, &x->resp, &use->policy, sent_ms, received_ms, x->arena, &h.fresh);
    if (s)
        return s;
    if (cache_vary_key(x, use, &x->resp.fields, &h.vary) || kept_fields(x, &fields) || !(*ret = cache_object_new(use->cache, &h)))
        return STORABLE_NO_MEMORY;
    return STORABLE_YES;
}

// ---- Updates

// What describes the stored octets stays as it is.
static bool may_change(const struct field *f)
{
    static const uint8_t fixed[] = {FIELD_CONTENT_ENCODING, FIELD_CONTENT_RANGE, FIELD_CONTENT_MD5, FIELD_CONTENT_DIGEST, FIELD_ETAG, FIELD_VIA};
    for (size_t i = 0; i < ARRAY_LEN(fixed); i++)
        if (f->id == fixed[i])
            return false;
    return is_kept(f);
}

static enum err merge(struct fields *stored, const struct fields *newer)
{
    for (uint32_t i = 0; i < newer->n; i++)
        if (may_change(&newer->v[i]))
            fields_remove_named(stored, newer->v[i].name);
    for (uint32_t i = 0; i < newer->n; i++) {
        const struct field *f = &newer->v[i];
        if (!may_change(f))
            continue;
        enum err e = f->id == FIELD_OTHER ? fields_add_named(stored, f->name, f->value) : fields_add(stored, (enum field_id)f->id, f->value);
        if (e)
            return e;
    }
    return ERR_OK;
}

struct cache_object *cache_update(struct exchange *x, const struct cache_use *use, const struct cache_object *old, int64_t sent_ms,
                                  int64_t received_ms)
{
    struct response whole = {.status = old->status};
    struct span vary = SPAN("");
    struct cache_head h = {.key = &old->key, .status = old->status, .fields = &whole.fields, .now_s = received_ms / 1000, .body = old->body,
                           .has_range = old->has_range, .range_first = old->range_first, .range_size = old->range_size};
    if (cache_object_fields(old, x->arena, &whole.fields) || merge(&whole.fields, &x->resp.fields))
        return NULL;
    // Age is the newer message's own.
    struct span age = fields_value(&x->resp.fields, FIELD_AGE);
    if (age.ptr && fields_set(&whole.fields, FIELD_AGE, age))
        return NULL;
    freshness_compute(&whole, &use->policy, sent_ms, received_ms, x->arena, &h.fresh);
    fields_remove(&whole.fields, FIELD_AGE);
    struct cache_control c;
    bool targeted;
    freshness_directives(&whole.fields, x->arena, &c, &targeted);
    if (c.private_ || (c.no_store && !c.must_understand))
        return NULL;
    drop_named(&whole.fields, c.private_fields, c.n_private);
    drop_named(&whole.fields, c.no_cache_fields, c.n_no_cache);
    // What it depends on may have changed with it.
    if (x->req->method == METHOD_GET && cache_vary_key(x, use, &whole.fields, &vary))
        return NULL;
    h.vary = x->req->method == METHOD_GET ? vary : old->vary;
    return cache_object_new(use->cache, &h);
}

// ---- Parts

bool cache_part_answers(const struct exchange *x, const struct cache_object *o)
{
    struct ranges r;
    if (x->req->method != METHOD_GET || !fields_get(&x->req->fields, FIELD_RANGE) || !cache_body_is_whole(o->body))
        return false;
    ranges_check(x->req, &o->validators, o->range_size, (int64_t)(loop_wall_ms() / 1000), &r);
    return r.kind == RANGE_ONE && r.n == 1 && r.v[0].first >= o->range_first &&
           r.v[0].first + r.v[0].length <= o->range_first + cache_body_length(o->body);
}

static bool is_strong(struct span etag)
{
    return etag.len > 0 && !span_starts(etag, SPAN("W/"));
}

// The judgement of a whole answer with this head.
static enum storable judge_part(struct exchange *x, const struct cache_use *use, int64_t sent_ms, int64_t received_ms, struct freshness *ret)
{
    struct response whole = x->resp;
    whole.status = 200;
    return freshness_judge(x->req, &whole, &use->policy, sent_ms, received_ms, x->arena, ret);
}

enum storable cache_may_keep_part(struct exchange *x, const struct cache_use *use, int64_t sent_ms, int64_t received_ms,
                                  struct byte_range *ret_range, uint64_t *ret_size)
{
    struct freshness fresh;
    struct span vary;
    const struct response *r = &x->resp;
    enum storable s = judge_part(x, use, sent_ms, received_ms, &fresh);
    if (s)
        return s;
    if (fields_count(&r->fields, FIELD_CONTENT_RANGE) != 1 || !content_range_parse(fields_value(&r->fields, FIELD_CONTENT_RANGE), ret_range, ret_size) ||
        r->framing.kind != FRAMING_LENGTH || r->framing.length != ret_range->length || !is_strong(fields_value(&r->fields, FIELD_ETAG)))
        return STORABLE_STATUS;
    if (*ret_size > cache_max_object(use->cache))
        return STORABLE_TOO_LARGE;
    return cache_vary_key(x, use, &r->fields, &vary) ? STORABLE_VARY_ALL : STORABLE_YES;
}

enum storable cache_keep_part(struct exchange *x, const struct cache_use *use, const struct cache_key *key, int64_t sent_ms, int64_t received_ms,
                              struct cache_body *body, struct cache_object **ret)
{
    struct fields fields;
    struct byte_range range;
    struct cache_head h = {.key = key, .status = 206, .fields = &fields, .now_s = received_ms / 1000, .body = body, .has_range = true};
    enum storable s = cache_may_keep_part(x, use, sent_ms, received_ms, &range, &h.range_size);
    if (!s)
        s = judge_part(x, use, sent_ms, received_ms, &h.fresh);
    if (s)
        return s;
    h.range_first = range.first;
    if (cache_vary_key(x, use, &x->resp.fields, &h.vary) || kept_fields(x, &fields) || !(*ret = cache_object_new(use->cache, &h)))
        return STORABLE_NO_MEMORY;
    return STORABLE_YES;
}

// The octets of both from the first one's beginning on.
static struct cache_body *join_bodies(const struct cache_use *use, const struct cache_object *first, const struct cache_object *second)
{
    uint64_t end = first->range_first + cache_body_length(first->body), end2 = second->range_first + cache_body_length(second->body);
    uint64_t skip = end - second->range_first, rest = end2 > end ? end2 - end : 0;
    struct cache_body *b = cache_body_new(use->cache, cache_body_length(first->body) + rest);
    struct chunkq q;
    chunkq_init(&q);
    bool ok = b && !cache_body_share(first->body, 0, cache_body_length(first->body), &q) &&
              (!rest || !cache_body_share(second->body, skip, rest, &q)) && !cache_body_append(b, &q);
    chunkq_fini(&q);
    if (ok) {
        cache_body_finish(b);
        return b;
    }
    cache_body_unref(b);
    return NULL;
}

struct cache_object *cache_join_parts(struct exchange *x, const struct cache_use *use, const struct cache_object *older, const struct cache_object *newer)
{
    const struct cache_object *first = older->range_first <= newer->range_first ? older : newer, *second = first == older ? newer : older;
    struct fields fields;
    if (!older->has_range || older->range_size != newer->range_size || !is_strong(newer->validators.etag) ||
        !span_eq(older->validators.etag, newer->validators.etag) || !span_eq(older->vary, newer->vary) || !cache_body_is_whole(older->body) ||
        second->range_first > first->range_first + cache_body_length(first->body) || cache_object_fields(newer, x->arena, &fields))
        return NULL;
    struct cache_head h = {.key = &newer->key, .vary = newer->vary, .status = 206, .fields = &fields, .fresh = newer->fresh,
                           .now_s = newer->fresh.received_ms / 1000, .has_range = true, .range_first = first->range_first,
                           .range_size = newer->range_size, .body = join_bodies(use, first, second)};
    struct cache_object *o = NULL;
    fields_remove(&fields, FIELD_CONTENT_RANGE);
    if (h.body && cache_body_length(h.body) == h.range_size) {
        h.status = 200;
        h.has_range = false;
        h.range_first = h.range_size = 0;
    }
    if (h.body)
        o = cache_object_new(use->cache, &h);
    cache_body_unref(h.body);
    return o;
}
