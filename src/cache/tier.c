// SPDX-License-Identifier: Apache-2.0
#include "cache/tier.h"

#include "http/vary.h"

enum {
    LOAD_BYTES = 256 * 1024,      // content up to here is taken into memory
    LOAD_AT_ONCE_BYTES = 32 * 1024, // up to here whenever it is read: it comes with its metadata
    LOAD_EVERY = 16,              // otherwise one hit in so many: what is used often is soon there, and what is not goes out by sendfile
};

// ---- Storing

static void put_away(struct cache *c, struct disk *d, struct disk_key key, struct span metadata, const struct cache_object *o)
{
    struct disk_write *w;
    struct chunkq q;
    bool ok = false;
    chunkq_init(&q);
    if (!disk_begin(d, key, &w)) {
        // Whoever purges looks into memory first, then at what is being written: from here on this is.
        ok = cache_is_indexed(c, o) && !cache_body_share(o->body, 0, cache_body_length(o->body), &q) && !disk_append(w, &q, q.bytes);
        if (ok)
            disk_commit(w, metadata);
        else
            disk_abort(w);
    }
    chunkq_fini(&q);
    if (!ok)
        (void)disk_remove(d, key); // an older one is not to come back in its place
}

void tier_store(struct cache *c, struct cache_object *o)
{
    struct disk *d = tier_of(c);
    struct arena a;
    struct disk_key key;
    struct span metadata;
    if (!d || cache_object_is_note(o) || o->has_range || !cache_body_is_whole(o->body) || cache_body_disk(o->body) ||
        !cache_is_indexed(c, o)) // what went past memory is there already, or is not to be
        return;
    arena_init(&a, 0);
    if (!tier_key(o, &a, &key) && !tier_encode(o, &a, &metadata))
        put_away(c, d, key, metadata, o);
    arena_fini(&a);
}

struct disk_write *cache_spill(struct cache *c, struct cache_object *o)
{
    struct disk *d = tier_of(c);
    struct disk_write *w = NULL;
    struct disk_key key;
    struct chunkq q;
    struct arena a;
    if (!d || o->has_range || cache_object_is_note(o))
        return NULL;
    arena_init(&a, 0);
    chunkq_init(&q);
    if (!tier_key(o, &a, &key) && !disk_begin(d, key, &w) && (cache_body_share_so_far(o->body, &q) || disk_append(w, &q, q.bytes))) {
        disk_abort(w);
        w = NULL;
    }
    chunkq_fini(&q);
    arena_fini(&a);
    return w;
}

void cache_spill_commit(struct disk_write *w, const struct cache_object *o)
{
    struct arena a;
    struct span metadata;
    arena_init(&a, 0);
    if (tier_encode(o, &a, &metadata))
        disk_abort(w);
    else
        disk_commit(w, metadata);
    arena_fini(&a);
}

void tier_update(struct cache *c, const struct cache_object *o)
{
    struct disk *d = tier_of(c);
    struct arena a;
    struct disk_key key;
    struct span metadata;
    if (!d || o->has_range)
        return;
    arena_init(&a, 0);
    if (!tier_key(o, &a, &key) && !tier_encode(o, &a, &metadata) && disk_may_have(d, key))
        disk_update(d, key, metadata);
    arena_fini(&a);
}

static bool with_key(struct cache *c, const struct cache_object *o, bool (*fn)(struct disk *d, struct disk_key key))
{
    struct disk *d = tier_of(c);
    struct arena a;
    struct disk_key key;
    if (!d || cache_object_is_note(o) || o->has_range)
        return false;
    arena_init(&a, 0);
    bool ok = !tier_key(o, &a, &key) && fn(d, key);
    arena_fini(&a);
    return ok;
}

void tier_remove(struct cache *c, const struct cache_object *o)
{
    (void)with_key(c, o, disk_remove);
}

bool tier_has(struct cache *c, const struct cache_object *o)
{
    return with_key(c, o, disk_may_have);
}

// ---- Looking

struct look {
    const struct cache_key *key;
    const struct fields *request;
    struct arena *arena;
    struct tier_head head; // of the one that matched
    bool any;
};

static bool answers(void *arg, const struct disk_object *o)
{
    struct look *l = (struct look *)arg;
    l->any = true;
    return tier_decode(o->metadata, &l->head) && span_eq(l->head.extra, l->key->extra) &&
           (l->head.vary.len == 0 || vary_matches(l->head.vary, l->request, l->arena));
}

static bool is_to_load(struct cache *c, uint64_t length)
{
    if (length <= LOAD_AT_ONCE_BYTES)
        return true;
    return length <= LOAD_BYTES && atomic_fetch_add_explicit(&c->loads_due, 1, memory_order_relaxed) % LOAD_EVERY == LOAD_EVERY - 1;
}

// Takes o over where it becomes the content; *ret_loaded: it is in memory.
static struct cache_body *body_of(struct cache *c, struct disk_object *o, bool *ret_loaded)
{
    struct chunkq q;
    if (!is_to_load(c, o->length))
        return cache_body_new_on_disk(c, o);
    struct cache_body *b = cache_body_new(c, o->length);
    chunkq_init(&q);
    bool ok = b && !disk_read(o, 0, o->length, &q) && !cache_body_append(b, &q);
    chunkq_fini(&q);
    if (!ok) {
        cache_body_unref(b);
        return NULL;
    }
    cache_body_finish(b);
    *ret_loaded = true;
    return b;
}

static struct cache_object *object_of(struct cache *c, const struct cache_key *k, struct disk_object *o, const struct tier_head *head, struct arena *a,
                                      bool *ret_loaded)
{
    struct fields fields;
    struct cache_head h = {.key = k, .vary = head->vary, .status = head->status, .fields = &fields, .fresh = head->fresh,
                           .now_s = head->fresh.received_ms / 1000};
    if (tier_decode_fields(head, a, &fields) || !(h.body = body_of(c, o, ret_loaded)))
        return NULL;
    struct cache_object *x = cache_object_new(c, &h);
    cache_body_unref(h.body);
    if (x && head->flags & TIER_SOFT)
        atomic_store_explicit(&x->soft_purged, true, memory_order_relaxed);
    return x;
}

struct cache_object *tier_lookup(struct cache *c, const struct cache_key *k, const struct fields *request, struct arena *a, uint32_t removals,
                                 bool *ret_url_known)
{
    struct disk *d = tier_of(c);
    struct look l = {.key = k, .request = request, .arena = a};
    struct disk_object o;
    bool loaded = false;
    enum err e = disk_lookup_group(d, k->url, answers, &l, &o);
    *ret_url_known |= l.any;
    if (e)
        return NULL;
    struct cache_object *x = object_of(c, k, &o, &l.head, a, &loaded);
    disk_object_close(&o);
    if (x && loaded)
        cache_promote(c, x, removals);
    return x;
}

// ---- Purging

struct purging {
    enum purge_kind kind;
    struct span what;
    bool soft;
    struct arena arena;
};

static bool is_meant(struct purging *p, const struct disk_object *o, const struct tier_head *h)
{
    struct fields f;
    if (p->kind == PURGE_PREFIX)
        return span_starts(span_first(o->key, o->group_len), p->what);
    return p->kind != PURGE_TAG || (!tier_decode_fields(h, &p->arena, &f) && cache_fields_have_tag(&f, p->what));
}

static enum disk_verdict judge(void *arg, const struct disk_object *o, struct span *ret_metadata)
{
    struct purging *p = (struct purging *)arg;
    struct tier_head h;
    arena_reset(&p->arena);
    if (!tier_decode(o->metadata, &h))
        return DISK_DROP; // nobody can use it
    if (!is_meant(p, o, &h))
        return DISK_KEEP;
    if (!p->soft)
        return DISK_DROP;
    if (h.flags & TIER_SOFT)
        return DISK_KEEP;
    return tier_soften(o->metadata, &p->arena, ret_metadata) ? DISK_DROP : DISK_CHANGE;
}

uint64_t tier_purge(struct cache *c, enum purge_kind kind, struct span what, bool soft)
{
    struct disk *d = tier_of(c);
    struct purging p = {.kind = kind, .what = what, .soft = soft};
    if (!d)
        return 0;
    if (kind == PURGE_URL && !soft)
        return disk_remove_group(d, what);
    if (kind == PURGE_ALL && !soft)
        return disk_remove_all(d);
    arena_init(&p.arena, 0);
    uint64_t n = disk_judge(d, kind == PURGE_URL ? what : SPAN_NONE, judge, &p);
    arena_fini(&p.arena);
    return n;
}

// ---- Inspecting

struct inspecting {
    struct cache *cache;
    int64_t now_ms;
    void (*fn)(void *arg, const struct cache_inspection *i);
    void *arg;
    unsigned n;
};

static void inspect(void *arg, const struct disk_object *o)
{
    struct inspecting *q = (struct inspecting *)arg;
    struct span url = span_first(o->key, o->group_len);
    struct tier_head h;
    struct fields f;
    struct arena a;
    arena_init(&a, 0);
    if (tier_decode(o->metadata, &h) && !tier_decode_fields(&h, &a, &f) && !cache_has(q->cache, url, h.extra, h.vary)) {
        struct cache_inspection i = {
            .cache = cache_name(q->cache),
            .status = h.status,
            .on_disk = true,
            .age_ms = freshness_age_ms(&h.fresh, q->now_ms),
            .left_ms = freshness_left_ms(&h.fresh, q->now_ms),
            .bytes = o->length,
            .vary = fields_value(&f, FIELD_VARY),
            .etag = fields_value(&f, FIELD_ETAG),
        };
        i.fresh = i.left_ms > 0 && !h.fresh.always_validate && !(h.flags & TIER_SOFT);
        q->n++;
        q->fn(q->arg, &i);
    }
    arena_fini(&a);
}

unsigned tier_inspect(struct cache *c, struct span url, int64_t now_ms, void (*fn)(void *arg, const struct cache_inspection *i), void *arg)
{
    struct inspecting q = {.cache = c, .now_ms = now_ms, .fn = fn, .arg = arg};
    if (tier_of(c))
        disk_each(tier_of(c), url, inspect, &q);
    return q.n;
}
