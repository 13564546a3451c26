// SPDX-License-Identifier: Apache-2.0
// Purging, and looking at what is stored.
#include "cache/tier.h"

#include "base/mem.h"

enum { SETTLE_MS = 2000 };

struct purge {
    enum purge_kind kind;
    struct span what;
    bool soft;
    uint64_t n;
};

static bool list_has_exactly(struct span list, char separator, struct span tag)
{
    while (list.ptr) {
        if (span_eq(span_trim(span_cut(&list, separator)), tag))
            return true;
    }
    return false;
}

// Cache-Tag is a list with commas; Surrogate-Key and xkey are separated by spaces.
bool cache_fields_have_tag(const struct fields *f, struct span tag)
{
    for (const struct field *x = fields_get(f, FIELD_CACHE_TAG); x; x = fields_next(f, x))
        if (list_has_exactly(x->value, ',', tag))
            return true;
    for (const struct field *x = fields_get(f, FIELD_SURROGATE_KEY); x; x = fields_next(f, x))
        if (list_has_exactly(x->value, ' ', tag))
            return true;
    for (const struct field *x = fields_find(f, SPAN("xkey")); x; x = fields_find_next(f, x))
        if (list_has_exactly(x->value, ' ', tag))
            return true;
    return false;
}

static bool is_meant(const struct purge *p, const struct cache_object *o)
{
    switch (p->kind) {
    case PURGE_URL:
        return span_eq(o->key.url, p->what);
    case PURGE_PREFIX:
        return span_starts(o->key.url, p->what);
    case PURGE_TAG: {
        struct fields f = cache_object_view(o);
        return cache_fields_have_tag(&f, p->what);
    }
    case PURGE_ALL:
        return true;
    }
    return false;
}

static void purge_list(struct cache *c, struct shard *s, struct list *fifo, struct purge *p, struct list *gone)
{
    LIST_FOREACH (it, fifo) {
        struct cache_object *o = container_of(it, struct cache_object, fifo);
        if (!is_meant(p, o))
            continue;
        p->n += !cache_object_is_note(o) && !tier_has(c, o); // the disk tier counts its own
        if (p->soft) {
            atomic_store_explicit(&o->soft_purged, true, memory_order_relaxed);
            continue;
        }
        index_unlink(c, s, o);
        list_push_back(gone, &o->fifo);
    }
}

static void free_all(struct list *gone)
{
    LIST_FOREACH (it, gone) {
        struct cache_object *o = container_of(it, struct cache_object, fifo);
        list_remove(&o->fifo);
        cache_object_unref(o);
    }
}

static void purge_shard(struct cache *c, struct shard *s, struct purge *p)
{
    struct list gone;
    list_init(&gone);
    pthread_mutex_lock(&s->lock);
    s->removals++;
    purge_list(c, s, &s->small, p, &gone);
    purge_list(c, s, &s->main, p, &gone);
    pthread_mutex_unlock(&s->lock);
    free_all(&gone);
}

// One URL is found by its hash; its variants are few.
static void purge_url(struct cache *c, struct purge *p)
{
    struct list gone;
    uint64_t hash = cache_key_hash(p->what);
    struct shard *s = cache_shard(c, hash);
    list_init(&gone);
    pthread_mutex_lock(&s->lock);
    s->removals++;
    struct cache_entry *e = index_find(s, hash, p->what);
    if (e) {
        struct list hold;
        list_push_back(&e->flights, &hold);
        LIST_FOREACH (it, &e->variants) {
            struct cache_object *o = container_of(it, struct cache_object, variant);
            p->n += !cache_object_is_note(o) && !tier_has(c, o); // the disk tier counts its own
            if (p->soft) {
                atomic_store_explicit(&o->soft_purged, true, memory_order_relaxed);
                continue;
            }
            index_unlink(c, s, o);
            list_push_back(&gone, &o->fifo);
        }
        list_remove(&hold);
        index_tidy(c, s, e);
    }
    pthread_mutex_unlock(&s->lock);
    free_all(&gone);
}

// What is being fetched now is not to be stored (cache_insert_since).
static void count(struct cache *c, const struct purge *p)
{
    if (p->kind == PURGE_URL)
        atomic_fetch_add(&c->purges_of_url[cache_key_hash(p->what) % PURGE_SLOTS], 1);
    else
        atomic_fetch_add(&c->purges_of_many, 1);
}

static void purge_memory(struct cache *c, struct purge *p)
{
    count(c, p);
    if (p->kind == PURGE_URL)
        purge_url(c, p);
    else
        for (unsigned i = 0; i < CACHE_SHARDS; i++)
            purge_shard(c, &c->shards[i], p);
}

// What is in memory goes first, so that nothing of it is written any more (tier_store looks there last); then what is on disk; then again what
// was read back in between.
uint64_t cache_purge(struct cache *c, enum purge_kind kind, struct span what, bool soft)
{
    struct purge p = {.kind = kind, .what = what, .soft = soft}, again = p;
    if (tier_of(c) && kind != PURGE_URL)
        disk_settle(tier_of(c), SETTLE_MS); // what goes is counted on disk rather than among many writes
    purge_memory(c, &p);
    if (tier_of(c)) {
        p.n += tier_purge(c, kind, what, soft);
        purge_memory(c, &again);
    }
    return p.n;
}

void cache_forget_all(struct cache *c)
{
    struct purge p = {.kind = PURGE_ALL};
    purge_memory(c, &p);
}

static void add_cache(void *arg, struct cache *c)
{
    struct cache_list *l = (struct cache_list *)arg;
    if (l->n < ARRAY_LEN(l->v))
        l->v[l->n++] = c;
}

void cache_collect(struct cache_list *ret)
{
    ret->n = 0;
    cache_each(add_cache, ret);
}

void cache_for_each(void (*fn)(void *arg, struct cache *c), void *arg)
{
    struct cache_list l;
    cache_collect(&l);
    for (unsigned i = 0; i < l.n; i++)
        fn(arg, l.v[i]);
}

uint64_t cache_purge_everywhere(enum purge_kind kind, struct span what, bool soft)
{
    struct cache_list l;
    uint64_t n = 0;
    cache_collect(&l);
    for (unsigned i = 0; i < l.n; i++)
        n += cache_purge(l.v[i], kind, what, soft);
    return n;
}

void cache_sync_everywhere(void)
{
    struct cache_list l;
    cache_collect(&l);
    for (unsigned i = 0; i < l.n; i++)
        if (tier_of(l.v[i]))
            disk_sync(tier_of(l.v[i]));
}

// ---- Looking

struct inspection {
    struct span url;
    int64_t now_ms;
    void (*fn)(void *arg, const struct cache_inspection *i);
    void *arg;
    unsigned n;
};

static void inspect_object(struct inspection *q, const struct cache *c, const struct cache_object *o)
{
    struct fields f = cache_object_view(o);
    bool filling = !cache_body_is_whole(o->body);
    struct cache_inspection i = {
        .cache = cache_name(c),
        .status = o->status,
        .filling = filling,
        .partial = o->has_range,
        .age_ms = freshness_age_ms(&o->fresh, q->now_ms),
        .left_ms = freshness_left_ms(&o->fresh, q->now_ms),
        .bytes = cache_body_length(o->body),
        .uses = atomic_load_explicit(&o->uses, memory_order_relaxed),
        .in_memory = true,
        .on_disk = tier_has((struct cache *)(uintptr_t)c, o),
        .vary = fields_value(&f, FIELD_VARY),
        .etag = o->validators.etag,
        .why = o->why,
    };
    i.fresh = i.left_ms > 0 && !o->fresh.always_validate && !atomic_load_explicit(&o->soft_purged, memory_order_relaxed);
    if (cache_object_is_note(o) && i.left_ms <= 0)
        return;
    q->n++;
    q->fn(q->arg, &i);
}

static void inspect_cache(struct inspection *q, struct cache *c)
{
    uint64_t hash = cache_key_hash(q->url);
    struct shard *s = cache_shard(c, hash);
    pthread_mutex_lock(&s->lock);
    struct cache_entry *e = index_find(s, hash, q->url);
    if (e) {
        LIST_FOREACH (it, &e->variants)
            inspect_object(q, c, container_of(it, struct cache_object, variant));
    }
    pthread_mutex_unlock(&s->lock);
    q->n += tier_inspect(c, q->url, q->now_ms, q->fn, q->arg);
}

unsigned cache_inspect(struct span url, int64_t now_ms, void (*fn)(void *arg, const struct cache_inspection *i), void *arg)
{
    struct inspection q = {.url = url, .now_ms = now_ms, .fn = fn, .arg = arg};
    struct cache_list l;
    cache_collect(&l);
    for (unsigned i = 0; i < l.n; i++)
        inspect_cache(&q, l.v[i]);
    return q.n;
}
