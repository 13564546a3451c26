// SPDX-License-Identifier: Apache-2.0
// A shard's table of URLs and the variants of each. Everything here runs under the shard's lock.
#include "base/mem.h"
#include "cache/internal.h"
#include "http/vary.h"

enum { BUCKETS_FIRST = 64 };

static uint32_t bucket_of(const struct shard *s, uint64_t hash)
{
    return (uint32_t)hash & (s->n_buckets - 1);
}

struct cache_entry *index_find(struct shard *s, uint64_t hash, struct span url)
{
    if (!s->buckets)
        return NULL;
    for (struct cache_entry *e = s->buckets[bucket_of(s, hash)]; e; e = e->next)
        if (e->hash == hash && span_eq(span_of(e->url, e->url_len), url))
            return e;
    return NULL;
}

// Doubles the table. Where there is no memory the chains grow longer.
static void grow(struct cache *c, struct shard *s)
{
    uint32_t n = s->n_buckets ? s->n_buckets * 2 : BUCKETS_FIRST;
    struct cache_entry **old = s->buckets, **v = (struct cache_entry **)mem_calloc(n, sizeof *v);
    uint32_t n_old = s->n_buckets;
    if (!v)
        return;
    cache_charge(c, (int64_t)((n - n_old) * sizeof *v) + (n_old ? 0 : MEM_OVERHEAD));
    s->buckets = v;
    s->n_buckets = n;
    for (uint32_t i = 0; i < n_old; i++) {
        for (struct cache_entry *e = old[i], *next; e; e = next) {
            next = e->next;
            struct cache_entry **b = &v[bucket_of(s, e->hash)];
            e->next = *b;
            *b = e;
        }
    }
    mem_free(old);
}

static int64_t entry_bytes(const struct cache_entry *e)
{
    return (int64_t)(sizeof *e + e->url_len + MEM_OVERHEAD);
}

struct cache_entry *index_find_or_add(struct cache *c, struct shard *s, uint64_t hash, struct span url)
{
    struct cache_entry *e = index_find(s, hash, url);
    if (e)
        return e;
    if (s->n_entries >= s->n_buckets)
        grow(c, s);
    e = s->buckets ? (struct cache_entry *)mem_alloc(sizeof *e + url.len) : NULL;
    if (!e)
        return NULL;
    *e = (struct cache_entry){.hash = hash, .url_len = (uint32_t)url.len};
    memcpy(e->url, url.ptr, url.len);
    list_init(&e->variants);
    list_init(&e->flights);
    struct cache_entry **b = &s->buckets[bucket_of(s, hash)];
    e->next = *b;
    *b = e;
    s->n_entries++;
    cache_charge(c, entry_bytes(e));
    return e;
}

void index_tidy(struct cache *c, struct shard *s, struct cache_entry *e)
{
    if (!list_empty(&e->variants) || !list_empty(&e->flights))
        return;
    struct cache_entry **b = &s->buckets[bucket_of(s, e->hash)];
    while (*b != e)
        b = &(*b)->next;
    *b = e->next;
    s->n_entries--;
    cache_charge(c, -entry_bytes(e));
    mem_free(e);
}

struct cache_object *index_match(struct cache_entry *e, struct span extra, const struct fields *request, struct arena *a)
{
    struct cache_object *less = NULL; // what is whole goes before a part, or a note about answers that could not be stored
    LIST_FOREACH (it, &e->variants) {
        struct cache_object *o = container_of(it, struct cache_object, variant);
        if (!span_eq(o->key.extra, extra) || (o->vary.len && !vary_matches(o->vary, request, a)))
            continue;
        if (!o->has_range && !cache_object_is_note(o))
            return o;
        less = less ? less : o;
    }
    return less;
}

void index_unlink(struct cache *c, struct shard *s, struct cache_object *o)
{
    struct cache_entry *e = o->entry;
    uint64_t bytes = cache_object_bytes(o);
    *(o->queue == FIFO_MAIN ? &s->main_bytes : &s->small_bytes) -= MIN(bytes, o->queue == FIFO_MAIN ? s->main_bytes : s->small_bytes);
    list_remove(&o->fifo);
    list_remove(&o->variant);
    o->queue = FIFO_NONE;
    o->entry = NULL;
    s->removals++;
    e->n_variants--;
    s->n_objects--;
    index_tidy(c, s, e);
}
