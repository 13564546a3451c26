// SPDX-License-Identifier: Apache-2.0
// Between the two tiers: what is whole in memory is written to the disk, and what memory does not have is looked for there. The
// metadata of the disk tier is the head of a stored response.
#include "base/mem.h"
#include "cache/disk.h"
#include "cache/internal.h"
#include "http/vary.h"
#include "io/fiber.h"

enum {
    METADATA_VERSION = 1,
    READ_BYTES = 1 << 20, // of content at a time
    AT_ONCE_BYTES = 256 * 1024, // content up to this is there before the answer begins
};

// The head's beginning; behind it the secondary parts of the key, then the fields as lines. Of this machine's byte order.
struct metadata {
    uint8_t version, flags;
    uint16_t status;
    uint32_t extra_len, vary_len;
    int64_t received_ms, initial_age_ms, lifetime_ms, while_revalidate_ms, if_error_ms;
};
enum { META_ALWAYS_VALIDATE = 1, META_NEVER_STALE = 2, META_HEURISTIC = 4 };

static struct disk *disk_of(const struct cache *c)
{
    return atomic_load_explicit(&c->disk, memory_order_acquire);
}

// url, NUL, extra, NUL, vary: neither a URL nor the second part has a NUL.
static bool disk_key_of(const struct cache_object *o, struct arena *a, struct disk_key *ret)
{
    size_t n = o->key.url.len + o->key.extra.len + o->vary.len + 2;
    char *p = arena_bytes(a, n), *w = p;
    if (!p)
        return false;
    memcpy(w, o->key.url.ptr, o->key.url.len);
    w += o->key.url.len;
    *w++ = 0;
    if (o->key.extra.len)
        memcpy(w, o->key.extra.ptr, o->key.extra.len);
    w += o->key.extra.len;
    *w++ = 0;
    if (o->vary.len)
        memcpy(w, o->vary.ptr, o->vary.len);
    *ret = (struct disk_key){span_of(p, n), o->key.url.len};
    return true;
}

static struct span pack(const struct cache_object *o, struct arena *a)
{
    const struct freshness *f = &o->fresh;
    struct metadata m;
    memset(&m, 0, sizeof m);
    m.version = METADATA_VERSION;
    m.flags = (uint8_t)((f->always_validate ? META_ALWAYS_VALIDATE : 0) | (f->never_stale ? META_NEVER_STALE : 0) | (f->heuristic ? META_HEURISTIC : 0));
    m.status = o->status;
    m.extra_len = (uint32_t)o->key.extra.len;
    m.vary_len = (uint32_t)o->vary.len;
    m.received_ms = f->received_ms;
    m.initial_age_ms = f->initial_age_ms;
    m.lifetime_ms = f->lifetime_ms;
    m.while_revalidate_ms = f->while_revalidate_ms;
    m.if_error_ms = f->if_error_ms;
    struct span s = arena_join(a, span_of((const char *)&m, sizeof m), o->key.extra);
    if (s.ptr)
        s = arena_join(a, s, o->vary);
    return s.ptr ? arena_join(a, s, o->lines) : s;
}

struct unpacked {
    struct metadata m;
    struct span extra, vary, lines;
};

static bool unpack(struct span s, struct unpacked *ret)
{
    if (s.len < sizeof ret->m)
        return false;
    memcpy(&ret->m, s.ptr, sizeof ret->m);
    s = span_skip(s, sizeof ret->m);
    if (ret->m.version != METADATA_VERSION || ret->m.extra_len > s.len || ret->m.vary_len > s.len - ret->m.extra_len || ret->m.status < 200)
        return false;
    ret->extra = span_first(s, ret->m.extra_len);
    s = span_skip(s, ret->m.extra_len);
    ret->vary = span_first(s, ret->m.vary_len);
    ret->lines = span_skip(s, ret->m.vary_len);
    return true;
}

static bool parse_lines(struct span lines, struct arena *a, struct fields *ret)
{
    fields_init(ret, a);
    while (lines.len) {
        struct span value = span_cut(&lines, '\n');
        struct span name = span_cut(&value, ':');
        if (!http_is_token(name) || value.len < 2 || value.ptr[value.len - 1] != '\r' || value.ptr[0] != ' ')
            return false;
        value = span_of(value.ptr + 1, value.len - 2);
        if (!http_is_field_value(value) || fields_add_named(ret, name, value))
            return false;
    }
    return true;
}

// ---- To the disk

void cache_tier_write(struct cache *c, const struct cache_object *o)
{
    struct disk *d = disk_of(c);
    struct disk_write *w;
    struct disk_key key;
    struct arena a;
    struct chunkq q;
    if (!d || cache_object_is_note(o) || o->has_range || !cache_body_is_whole(o->body))
        return;
    arena_init(&a, 0);
    chunkq_init(&q);
    uint64_t length = cache_body_length(o->body);
    struct span metadata = pack(o, &a);
    bool ok = metadata.ptr && disk_key_of(o, &a, &key) && !cache_body_share(o->body, 0, length, &q) && !disk_begin(d, key, &w);
    // Busy or full: it stays in memory only.
    if (ok && disk_append(w, &q, length))
        disk_abort(w);
    else if (ok)
        disk_commit(w, metadata);
    chunkq_fini(&q);
    arena_fini(&a);
}

void cache_tier_update(struct cache *c, const struct cache_object *o)
{
    struct disk *d = disk_of(c);
    struct disk_key key;
    struct arena a;
    if (!d || o->has_range)
        return;
    arena_init(&a, 0);
    struct span metadata = pack(o, &a);
    if (metadata.ptr && disk_key_of(o, &a, &key))
        disk_update(d, key, metadata);
    arena_fini(&a);
}

void cache_tier_remove(struct cache *c, const struct cache_object *o)
{
    struct disk *d = disk_of(c);
    struct disk_key key;
    struct arena a;
    if (!d)
        return;
    arena_init(&a, 0);
    if (disk_key_of(o, &a, &key))
        (void)disk_remove(d, key);
    arena_fini(&a);
}

// ---- From the disk

struct wanted {
    const struct cache_key *key;
    const struct fields *request;
    struct arena *arena;
};

static bool answers(void *arg, const struct disk_object *o)
{
    const struct wanted *w = (const struct wanted *)arg;
    struct unpacked u;
    return unpack(o->metadata, &u) && span_eq(u.extra, w->key->extra) && (!u.vary.len || vary_matches(u.vary, w->request, w->arena));
}

// Reading what is left, on a fiber of its own.
struct loading {
    struct cache *cache;
    struct cache_object *object;
    struct disk_object from;
    uint64_t at;
    bool passing;
};

static enum err load_some(struct loading *l)
{
    struct chunkq q;
    chunkq_init(&q);
    uint64_t n = MIN(l->from.length - l->at, (uint64_t)READ_BYTES);
    enum err e = l->passing ? cache_body_wait_room(l->object->body) : ERR_OK;
    if (!e && n)
        e = disk_read(&l->from, l->at, n, &q);
    if (!e)
        e = cache_body_append(l->object->body, &q);
    if (!e)
        l->at += n;
    chunkq_fini(&q);
    if (!e && !l->passing && !cache_make_room(l->cache)) {
        l->passing = true;
        cache_body_pass_through(l->object->body);
        cache_drop(l->cache, l->object);
    }
    return e;
}

static void load_end(struct loading *l, enum err e)
{
    if (e) {
        cache_remove(l->cache, l->object);
        cache_body_break(l->object->body, e == ERR_NOT_FOUND ? ERR_IO : e);
    } else {
        cache_body_finish(l->object->body);
        (void)cache_make_room(l->cache);
    }
    disk_object_close(&l->from);
    cache_object_unref(l->object);
    mem_free(l);
}

static void load_rest(void *arg)
{
    struct loading *l = (struct loading *)arg;
    enum err e = ERR_OK;
    while (!e && l->at < l->from.length)
        e = load_some(l);
    load_end(l, e);
}

static struct cache_object *object_of(struct cache *c, const struct cache_key *k, const struct disk_object *from, struct arena *a)
{
    struct unpacked u;
    struct fields fields;
    if (!unpack(from->metadata, &u) || !parse_lines(u.lines, a, &fields))
        return NULL;
    struct cache_head h = {.key = k, .vary = u.vary, .status = u.m.status, .fields = &fields, .now_s = u.m.received_ms / 1000};
    h.fresh = (struct freshness){.received_ms = u.m.received_ms, .initial_age_ms = u.m.initial_age_ms, .lifetime_ms = u.m.lifetime_ms,
                                 .while_revalidate_ms = u.m.while_revalidate_ms, .if_error_ms = u.m.if_error_ms,
                                 .always_validate = u.m.flags & META_ALWAYS_VALIDATE, .never_stale = u.m.flags & META_NEVER_STALE,
                                 .heuristic = u.m.flags & META_HEURISTIC};
    if (!(h.body = cache_body_new(c, from->length)))
        return NULL;
    struct cache_object *o = cache_object_new(c, &h);
    cache_body_unref(h.body);
    return o;
}

// Takes from over.
static struct cache_object *load(struct cache *c, const struct cache_key *k, struct disk_object *from, struct arena *a)
{
    struct loading *l = (struct loading *)mem_calloc(1, sizeof *l);
    struct cache_object *o = l ? object_of(c, k, from, a) : NULL;
    if (!o) {
        disk_object_close(from);
        mem_free(l);
        return NULL;
    }
    *l = (struct loading){.cache = c, .object = cache_object_ref(o), .from = *from};
    if (from->length <= AT_ONCE_BYTES) {
        enum err e = from->length ? load_some(l) : ERR_OK;
        load_end(l, e);
        if (!e && cache_insert(c, o))
            return o;
        cache_object_unref(o);
        return NULL;
    }
    // Larger content is read while it is sent; what memory has no room for only passes through.
    if (!cache_insert(c, o) || fiber_start(load_rest, l, NULL)) {
        load_end(l, ERR_NO_MEMORY);
        cache_object_unref(o);
        return NULL;
    }
    return o;
}

struct cache_object *cache_tier_lookup(struct cache *c, const struct cache_key *k, const struct fields *request, struct arena *a)
{
    struct disk *d = disk_of(c);
    struct wanted w = {k, request, a};
    struct disk_object from;
    if (!d || !disk_may_have_group(d, k->url) || disk_lookup_group(d, k->url, answers, &w, &from))
        return NULL;
    return load(c, k, &from, a);
}

// ---- Purging and looking

struct tier_purge {
    enum purge_kind kind;
    struct span what;
    bool soft;
    struct arena arena; // of the metadata that was judged last
};

static bool is_meant(struct tier_purge *p, const struct disk_object *o, const struct unpacked *u)
{
    struct fields f;
    switch (p->kind) {
    case PURGE_URL:
    case PURGE_ALL:
        return true;
    case PURGE_PREFIX:
        return span_starts(span_first(o->key, o->group_len), p->what);
    case PURGE_TAG:
        return parse_lines(u->lines, &p->arena, &f) && cache_has_tag(&f, p->what);
    }
    return false;
}

// What cannot be read goes in any case.
static enum disk_verdict judge(void *arg, const struct disk_object *o, struct span *ret_metadata)
{
    struct tier_purge *p = (struct tier_purge *)arg;
    struct unpacked u;
    arena_reset(&p->arena);
    if (!unpack(o->metadata, &u))
        return DISK_DROP;
    if (!is_meant(p, o, &u))
        return DISK_KEEP;
    if (!p->soft)
        return DISK_DROP;
    u.m.lifetime_ms = 0;
    u.m.flags |= META_ALWAYS_VALIDATE;
    *ret_metadata = arena_join(&p->arena, span_of((const char *)&u.m, sizeof u.m), span_skip(o->metadata, sizeof u.m));
    return ret_metadata->ptr ? DISK_CHANGE : DISK_DROP;
}

uint64_t cache_tier_purge(struct cache *c, enum purge_kind kind, struct span what, bool soft)
{
    struct disk *d = disk_of(c);
    struct tier_purge p = {.kind = kind, .what = what, .soft = soft};
    if (!d)
        return 0;
    if (!soft && kind == PURGE_URL)
        return disk_remove_group(d, what);
    if (!soft && kind == PURGE_ALL)
        return disk_remove_all(d);
    arena_init(&p.arena, 0);
    uint64_t n = disk_judge(d, kind == PURGE_URL ? what : SPAN_NONE, judge, &p);
    arena_fini(&p.arena);
    return n;
}

struct looking {
    struct cache *cache;
    struct inspection *q;
};

static void inspect(void *arg, const struct disk_object *o)
{
    struct looking *l = (struct looking *)arg;
    struct unpacked u;
    struct fields f;
    struct arena a;
    arena_init(&a, 0);
    if (unpack(o->metadata, &u) && parse_lines(u.lines, &a, &f)) {
        struct freshness fresh = {.received_ms = u.m.received_ms, .initial_age_ms = u.m.initial_age_ms, .lifetime_ms = u.m.lifetime_ms};
        struct cache_inspection i = {.cache = cache_name(l->cache), .status = u.m.status, .age_ms = freshness_age_ms(&fresh, l->q->now_ms),
                                     .left_ms = freshness_left_ms(&fresh, l->q->now_ms), .bytes = o->length,
                                     .vary = fields_value(&f, FIELD_VARY), .etag = fields_value(&f, FIELD_ETAG)};
        i.fresh = i.left_ms > 0 && !(u.m.flags & META_ALWAYS_VALIDATE);
        l->q->n++;
        l->q->fn(l->q->arg, &i);
    }
    arena_fini(&a);
}

void cache_tier_inspect(struct cache *c, struct inspection *q)
{
    struct looking l = {c, q};
    if (disk_of(c))
        disk_each(disk_of(c), q->url, inspect, &l);
}
