// SPDX-License-Identifier: Apache-2.0
// What an answer that came past the cache says of stored ones: a success of an unsafe method makes them invalid (RFC 9111 4.4), the
// answer to a HEAD updates or invalidates them (4.3.5).
#include "base/num.h"
#include "proxy/cache_keep.h"
#include "proxy/page.h"

// A reference in Location or Content-Location, of the same host only: an absolute URL, or a path. Others (`../x`) are left alone:
// their stored responses end by their own lifetimes.
static void invalidate_reference(struct exchange *x, enum field_id id)
{
    const struct cache_use *use = x->cached->use;
    struct span ref = fields_value(&x->resp.fields, id), url, own;
    const struct request *r = x->req;
    ref = span_first(ref, span_find(ref, '#'));
    if (!ref.len || cache_key_url(x->proxy ? r->scheme : x->scheme, &r->authority, SPAN("/"), SPAN_NONE, NULL, x->arena, &own))
        return;
    if (ref.ptr[0] == '/' && !span_starts(ref, SPAN("//"))) {
        struct span query = ref, path = span_cut(&query, '?');
        if (path_normalise(path, x->arena, &path) ||
            cache_key_url(x->proxy ? r->scheme : x->scheme, &r->authority, path, query, &use->key, x->arena, &url))
            return;
    } else if (!cache_key_url_parse(ref, &use->key, x->arena, &url) || !span_starts(url, own)) {
        return;
    }
    (void)cache_purge(use->cache, PURGE_URL, url, false);
}

static void invalidate(struct exchange *x)
{
    struct cache *c = x->cached->use->cache;
    struct span url;
    if (!cache_exchange_url(x, &url))
        (void)cache_purge(c, PURGE_URL, url, false);
    else
        (void)cache_purge(c, PURGE_ALL, SPAN_NONE, false); // memory is out: rather nothing than what is no longer so
    invalidate_reference(x, FIELD_LOCATION);
    invalidate_reference(x, FIELD_CONTENT_LOCATION);
}

// Whether the answer to HEAD speaks of the same representation.
static bool is_same(const struct exchange *x, const struct cache_object *o)
{
    struct span etag = fields_value(&x->resp.fields, FIELD_ETAG), length = fields_value(&x->resp.fields, FIELD_CONTENT_LENGTH);
    struct fields f = cache_object_view(o);
    uint64_t n;
    if (etag.ptr && !span_eq(etag, o->validators.etag))
        return false;
    struct span modified = fields_value(&x->resp.fields, FIELD_LAST_MODIFIED);
    if (modified.ptr && !span_eq(modified, fields_value(&f, FIELD_LAST_MODIFIED)))
        return false;
    return !length.ptr || (num_parse_dec(length, UINT64_MAX, &n) && n == cache_body_length(o->body));
}

static void update_by_head(struct exchange *x)
{
    struct cached *c = x->cached;
    bool known;
    struct cache_object *old = cache_lookup(c->use->cache, &c->key, &x->req->fields, x->arena, &known);
    int64_t now = (int64_t)loop_wall_ms();
    if (old && old->status == 200 && !old->has_range && cache_body_is_whole(old->body)) {
        bool same = is_same(x, old);
        struct cache_object *o = same ? cache_update(x, c->use, old, now, now) : NULL;
        if (!same)
            atomic_store_explicit(&old->soft_purged, true, memory_order_relaxed);
        else if (!o)
            cache_remove(c->use->cache, old); // by what it says now it may not be stored
        else
            (void)cache_replace(c->use->cache, old, o);
        cache_object_unref(o);
    }
    cache_object_unref(old);
}

void cache_note_answer(struct exchange *x)
{
    unsigned status = x->resp.status;
    if (!method_is_safe(x->req->method)) {
        if (status >= 200 && status < 400)
            invalidate(x);
    } else if (x->req->method == METHOD_HEAD && status == 200 && x->cached->key.url.ptr) {
        update_by_head(x);
    }
}
