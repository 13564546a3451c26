// SPDX-License-Identifier: Apache-2.0
#include "cache/cache.h"

#include "base/mem.h"
#include "cache/tier.h"

enum {
    SMALL_PERCENT = 10,  // of a shard's bytes, for what has not shown its use yet
    MAIN_AT_ONCE = 2,    // missed, evicted and missed again lately: a ghost, in S3-FIFO's words
    WINDOW_TIMES = 2,    // as many misses and evictions as it has objects are lately, in a shard
    EVICT_BATCH = 16,    // freed after one lock
    TRIES_MAX = 4,       // looked at in one shard before the next one's turn
};

// ---- The process's caches. They are never freed, for their content may outlive its place in the index; one that nobody refers
// to any more is emptied, and used again under its name.

static pthread_mutex_t registry_lock = PTHREAD_MUTEX_INITIALIZER;
static struct list registry = {&registry, &registry};

static struct cache *find_locked(struct span name)
{
    LIST_FOREACH (it, &registry) {
        struct cache *c = container_of(it, struct cache, node);
        if (span_eq(span_str(c->name), name))
            return c;
    }
    return NULL;
}

static struct cache *cache_new(struct span name)
{
    struct cache *c = NULL;
    char *text = (char *)mem_alloc(name.len + 1);
    if (text && (c = (struct cache *)mem_calloc(1, sizeof *c))) {
        memcpy(text, name.ptr, name.len);
        text[name.len] = 0;
        c->name = text;
        c->folder_fd = -1;
        for (unsigned i = 0; i < CACHE_SHARDS; i++) {
            pthread_mutex_init(&c->shards[i].lock, NULL);
            list_init(&c->shards[i].small);
            list_init(&c->shards[i].main);
        }
        list_push_back(&registry, &c->node);
        return c;
    }
    mem_free(text);
    return NULL;
}

struct cache *cache_open(const struct cache_config *config)
{
    pthread_mutex_lock(&registry_lock);
    struct cache *c = find_locked(config->name);
    if (!c)
        c = cache_new(config->name);
    bool fresh = c && c->refs++ == 0;
    pthread_mutex_unlock(&registry_lock);
    if (fresh)
        cache_configure(c, config);
    return c;
}

void cache_configure(struct cache *c, const struct cache_config *config)
{
    atomic_store(&c->limit_bytes, config->memory_bytes);
    atomic_store(&c->max_object_bytes, config->max_object_bytes);
    cache_configure_folder(c, config);
    (void)cache_make_room(c);
}

struct cache *cache_find(struct span name)
{
    pthread_mutex_lock(&registry_lock);
    struct cache *c = find_locked(name);
    if (c && c->refs)
        c->refs++;
    else
        c = NULL;
    pthread_mutex_unlock(&registry_lock);
    return c;
}

// What an empty shard keeps for the next content.
static void give_back(struct cache *c)
{
    for (unsigned i = 0; i < CACHE_SHARDS; i++) {
        struct shard *s = &c->shards[i];
        pthread_mutex_lock(&s->lock);
        if (s->n_entries == 0) {
            cache_charge(c, s->buckets ? -(int64_t)(s->n_buckets * sizeof(struct cache_entry *) + MEM_OVERHEAD) : 0);
            mem_free(s->buckets);
            s->buckets = NULL;
            s->n_buckets = 0;
            sketch_fini(&s->sketch);
        }
        pthread_mutex_unlock(&s->lock);
    }
}

void cache_close(struct cache *c)
{
    if (!c)
        return;
    pthread_mutex_lock(&registry_lock);
    bool last = --c->refs == 0;
    if (last)
        atomic_store(&c->disk, NULL); // idle
    pthread_mutex_unlock(&registry_lock);
    if (last) {
        cache_forget_all(c);
        give_back(c);
    }
}

void cache_each_ever(void (*fn)(void *arg, struct cache *c), void *arg)
{
    pthread_mutex_lock(&registry_lock);
    LIST_FOREACH (it, &registry)
        fn(arg, container_of(it, struct cache, node));
    pthread_mutex_unlock(&registry_lock);
}

void cache_each(void (*fn)(void *arg, struct cache *c), void *arg)
{
    pthread_mutex_lock(&registry_lock);
    LIST_FOREACH (it, &registry) {
        struct cache *c = container_of(it, struct cache, node);
        if (c->refs)
            fn(arg, c);
    }
    pthread_mutex_unlock(&registry_lock);
}

struct span cache_name(const struct cache *c)
{
    return span_str(c->name);
}

uint64_t cache_max_in_memory(const struct cache *c)
{
    return MIN(atomic_load_explicit(&c->max_object_bytes, memory_order_relaxed), atomic_load_explicit(&c->limit_bytes, memory_order_relaxed) / 2);
}

uint64_t cache_max_object(const struct cache *c)
{
    uint64_t in_memory = cache_max_in_memory(c);
    if (likely(!tier_of(c)))
        return in_memory;
    return MAX(in_memory, MIN(atomic_load_explicit(&c->max_object_bytes, memory_order_relaxed), disk_max_object(tier_of(c))));
}

struct cache_stats cache_stats_of(struct cache *c)
{
    struct cache_stats s = {.used_bytes = atomic_load(&c->used_bytes), .limit_bytes = atomic_load(&c->limit_bytes),
                            .evicted = atomic_load(&c->evicted), .inserted = atomic_load(&c->inserted)};
    for (unsigned i = 0; i < CACHE_SHARDS; i++) {
        pthread_mutex_lock(&c->shards[i].lock);
        s.objects += c->shards[i].n_objects;
        pthread_mutex_unlock(&c->shards[i].lock);
    }
    s.has_disk = tier_of(c) != NULL;
    if (s.has_disk)
        disk_get_stats(tier_of(c), &s.disk);
    return s;
}

// ---- Looking

unsigned cache_note_miss(struct cache *c, const struct cache_key *k, bool is_counted)
{
    struct shard *s = cache_shard(c, k->hash);
    pthread_mutex_lock(&s->lock);
    unsigned n = sketch_add(&s->sketch, k->hash, is_counted ? SKETCH_WINDOW_MAX : WINDOW_TIMES * s->n_objects);
    pthread_mutex_unlock(&s->lock);
    return n;
}

struct cache_object *cache_lookup(struct cache *c, const struct cache_key *k, const struct fields *request, struct arena *a, bool *ret_url_known)
{
    struct shard *s = cache_shard(c, k->hash);
    pthread_mutex_lock(&s->lock);
    struct cache_entry *e = index_find(s, k->hash, k->url);
    struct cache_object *o = e ? index_match(e, k->extra, request, a) : NULL;
    *ret_url_known = e && !list_empty(&e->variants);
    if (o) {
        cache_object_ref(o);
        uint8_t uses = atomic_load_explicit(&o->uses, memory_order_relaxed);
        if (uses < 3)
            atomic_store_explicit(&o->uses, uses + 1, memory_order_relaxed);
    }
    uint32_t removals = s->removals;
    pthread_mutex_unlock(&s->lock);
    return o || likely(!tier_of(c)) ? o : tier_lookup(c, k, request, a, removals, ret_url_known);
}

bool cache_has(struct cache *c, struct span url, struct span extra, struct span vary)
{
    uint64_t hash = cache_key_hash(url);
    struct shard *s = cache_shard(c, hash);
    bool has = false;
    pthread_mutex_lock(&s->lock);
    struct cache_entry *e = index_find(s, hash, url);
    if (e) {
        LIST_FOREACH (it, &e->variants) {
            const struct cache_object *o = container_of(it, const struct cache_object, variant);
            has |= !o->has_range && !cache_object_is_note(o) && span_eq(o->key.extra, extra) && span_eq(o->vary, vary);
        }
    }
    pthread_mutex_unlock(&s->lock);
    return has;
}

bool cache_is_indexed(const struct cache *c, const struct cache_object *o)
{
    struct shard *s = cache_shard((struct cache *)(uintptr_t)c, o->key.hash);
    pthread_mutex_lock(&s->lock);
    bool is = o->entry != NULL;
    pthread_mutex_unlock(&s->lock);
    return is;
}

// ---- Storing

uint64_t cache_object_bytes(const struct cache_object *o)
{
    return o->charge;
}

// Same keys, or as many variants as there may be. What has to go is collected, for it is freed without the lock.
static void displace(struct cache *c, struct shard *s, struct cache_entry *e, const struct cache_object *o, struct list *gone)
{
    struct cache_object *oldest = NULL;
    LIST_FOREACH (it, &e->variants) {
        struct cache_object *v = container_of(it, struct cache_object, variant);
        bool same = span_eq(v->key.extra, o->key.extra) && span_eq(v->vary, o->vary);
        if (same && v->has_range == o->has_range) {
            index_unlink(c, s, v);
            list_push_back(gone, &v->fifo);
        } else {
            oldest = v;
        }
    }
    if (oldest && e->n_variants >= VARIANTS_MAX) {
        index_unlink(c, s, oldest);
        list_push_back(gone, &oldest->fifo);
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

// Under the lock; the entry has to be there.
static void link_object(struct shard *s, struct cache_entry *e, struct cache_object *o, bool to_main)
{
    cache_object_ref(o);
    o->entry = e;
    o->queue = to_main ? FIFO_MAIN : FIFO_SMALL;
    list_push_front(&e->variants, &o->variant);
    list_push_front(to_main ? &s->main : &s->small, &o->fifo);
    *(to_main ? &s->main_bytes : &s->small_bytes) += cache_object_bytes(o);
    e->n_variants++;
    s->n_objects++;
}

uint32_t cache_purges_of(const struct cache *c, uint64_t hash)
{
    return atomic_load(&c->purges_of_many) + atomic_load(&c->purges_of_url[hash % PURGE_SLOTS]);
}

// purges: NULL, or what cache_purges_of has to say still.
static bool insert(struct cache *c, struct cache_object *o, const uint32_t *purges)
{
    struct list gone;
    struct shard *s = cache_shard(c, o->key.hash);
    if (cache_body_disk(o->body)) { // its content stays there, and so does its place in the index
        tier_update(c, o);
        return true;
    }
    list_init(&gone);
    pthread_mutex_lock(&s->lock);
    // A purge counts first and then takes the lock: it is seen here, or it finds what is put here.
    bool purged = purges && *purges != cache_purges_of(c, o->key.hash);
    struct cache_entry *e = purged ? NULL : index_find_or_add(c, s, o->key.hash, o->key.url);
    if (e) {
        struct list hold; // the entry must not be tidied away while its last variant is displaced
        list_push_back(&e->flights, &hold);
        displace(c, s, e, o, &gone);
        list_remove(&hold);
        link_object(s, e, o, sketch_estimate(&s->sketch, o->key.hash) > MAIN_AT_ONCE);
    }
    pthread_mutex_unlock(&s->lock);
    free_all(&gone);
    if (!e)
        return false;
    atomic_fetch_add_explicit(&c->inserted, 1, memory_order_relaxed);
    if (cache_object_is_note(o))
        tier_remove(c, o); // what was stored under its key is not to be found any more
    (void)cache_make_room(c);
    return true;
}

bool cache_insert(struct cache *c, struct cache_object *o)
{
    return insert(c, o, NULL);
}

bool cache_insert_since(struct cache *c, struct cache_object *o, uint32_t purges)
{
    return insert(c, o, &purges);
}

void cache_completed(struct cache *c, struct cache_object *o)
{
    tier_store(c, o);
    (void)cache_make_room(c);
}

void cache_promote(struct cache *c, struct cache_object *o, uint32_t removals)
{
    struct shard *s = cache_shard(c, o->key.hash);
    bool has = cache_has(c, o->key.url, o->key.extra, o->vary);
    pthread_mutex_lock(&s->lock);
    // Who puts the same in between takes the older one out, and so changes removals, or is found here.
    struct cache_entry *e = has || s->removals != removals ? NULL : index_find_or_add(c, s, o->key.hash, o->key.url);
    if (e)
        link_object(s, e, o, sketch_estimate(&s->sketch, o->key.hash) > MAIN_AT_ONCE);
    pthread_mutex_unlock(&s->lock);
    if (e)
        (void)cache_make_room(c);
}

bool cache_replace(struct cache *c, struct cache_object *old, struct cache_object *o)
{
    struct shard *s = cache_shard(c, o->key.hash);
    pthread_mutex_lock(&s->lock);
    struct cache_entry *e = old->entry;
    if (e) {
        bool main = old->queue == FIFO_MAIN;
        struct list hold;
        list_push_back(&e->flights, &hold);
        index_unlink(c, s, old);
        list_remove(&hold);
        link_object(s, e, o, main);
    }
    pthread_mutex_unlock(&s->lock);
    if (e) {
        tier_update(c, o);
        cache_object_unref(old); // the index's
    }
    return e != NULL;
}

void cache_remove(struct cache *c, struct cache_object *o)
{
    struct shard *s = cache_shard(c, o->key.hash);
    pthread_mutex_lock(&s->lock);
    bool linked = o->entry != NULL;
    if (linked)
        index_unlink(c, s, o);
    pthread_mutex_unlock(&s->lock);
    if (linked || cache_body_disk(o->body))
        tier_remove(c, o);
    if (linked)
        cache_object_unref(o);
}

// ---- Evicting: S3-FIFO (Yang et al. 2023). What comes in goes to the small queue; what is used there more than once before its
// end moves on to the main one, where it comes round again as long as it is used. What leaves unused is remembered by the sketch.

static struct cache_object *last_of(struct list *l)
{
    return container_of(l->prev, struct cache_object, fifo);
}

static void move_to_main(struct shard *s, struct cache_object *o)
{
    uint64_t bytes = cache_object_bytes(o);
    if (o->queue == FIFO_SMALL) {
        s->small_bytes -= bytes;
        s->main_bytes += bytes;
    }
    o->queue = FIFO_MAIN;
    list_remove(&o->fifo);
    list_push_front(&s->main, &o->fifo);
}

// The next to go, unlinked; NULL where the shard is empty, or has shown only what is used: that got less, and others' shards are looked at
// before it is looked at again.
static struct cache_object *evict_one(struct cache *c, struct shard *s)
{
    for (unsigned tried = 0; tried < TRIES_MAX; tried++) {
        bool small = !list_empty(&s->small) &&
                     (list_empty(&s->main) || s->small_bytes * 100 > (s->small_bytes + s->main_bytes) * SMALL_PERCENT);
        if (!small && list_empty(&s->main))
            return NULL;
        struct cache_object *o = last_of(small ? &s->small : &s->main);
        uint8_t uses = atomic_load_explicit(&o->uses, memory_order_relaxed);
        if (small && uses > 1) {
            atomic_store_explicit(&o->uses, 0, memory_order_relaxed);
            move_to_main(s, o);
        } else if (!small && uses > 0) {
            atomic_store_explicit(&o->uses, uses - 1, memory_order_relaxed);
            move_to_main(s, o);
            return NULL;
        } else {
            (void)sketch_add(&s->sketch, o->key.hash, WINDOW_TIMES * s->n_objects);
            index_unlink(c, s, o);
            return o;
        }
    }
    return NULL;
}

static bool is_full(struct cache *c, uint64_t evicted)
{
    uint64_t used = atomic_load_explicit(&c->used_bytes, memory_order_relaxed);
    return used > evicted && used - evicted > atomic_load_explicit(&c->limit_bytes, memory_order_relaxed);
}

bool cache_make_room(struct cache *c)
{
    unsigned empty = 0;
    while (is_full(c, 0)) {
        struct list gone;
        struct shard *s = &c->shards[atomic_fetch_add_explicit(&c->evict_cursor, 1, memory_order_relaxed) % CACHE_SHARDS];
        uint64_t bytes = 0;
        struct cache_object *o = NULL;
        list_init(&gone);
        pthread_mutex_lock(&s->lock);
        for (unsigned i = 0; i < EVICT_BATCH && is_full(c, bytes) && (o = evict_one(c, s)); i++) {
            bytes += cache_object_bytes(o) + cache_body_charge(o->body);
            list_push_back(&gone, &o->fifo);
            if (i + 1 >= MAX(1U, (unsigned)(s->n_objects / 16)))
                break; // the others' turn
        }
        bool none = list_empty(&gone), nothing = s->n_objects == 0;
        pthread_mutex_unlock(&s->lock);
        if (!none)
            atomic_fetch_add_explicit(&c->evicted, 1, memory_order_relaxed);
        free_all(&gone);
        empty = none && nothing ? empty + 1 : 0;
        if (empty >= CACHE_SHARDS)
            return !is_full(c, 0);
    }
    return true;
}
