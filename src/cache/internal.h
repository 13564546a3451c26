// SPDX-License-Identifier: Apache-2.0
// What the files of the cache room share: shards, the index, accounting.
#ifndef WEIR_CACHE_INTERNAL_H
#define WEIR_CACHE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "cache/cache.h"
#include "cache/sketch.h"

enum {
    CACHE_SHARDS = 64,
    VARIANTS_MAX = 64,  // of one URL; the oldest goes
    MEM_OVERHEAD = 16,  // of the allocator, each block
    PURGE_SLOTS = 4096, // URLs are told apart so far where it is asked whether one was purged meanwhile; a power of two
};
enum fifo { FIFO_NONE, FIFO_SMALL, FIFO_MAIN };

/// All that is stored, or under way, for a URL.
struct cache_entry {
    struct cache_entry *next; // in its bucket
    struct list variants;     // struct cache_object, newest first
    struct list flights;      // struct cache_flight
    uint64_t hash;
    uint32_t n_variants, url_len;
    char url[];
};

struct shard {
    pthread_mutex_t lock;
    struct cache_entry **buckets; // a power of two; NULL: nothing stored yet
    uint32_t n_buckets, n_entries;
    struct list small, main;      // struct cache_object by fifo, newest first
    uint64_t small_bytes, main_bytes;
    uint64_t n_objects;
    uint32_t removals;    // counts what was taken out, or was to be
    struct sketch sketch; // of keys that were asked for and were not there
};

struct cache {
    struct list node; // in the registry
    unsigned refs;    // under the registry's lock
    char *name;
    _Atomic uint64_t limit_bytes, max_object_bytes;
    _Atomic uint64_t used_bytes; // memory that objects and their content have, in the index or not
    _Atomic uint64_t evicted, inserted;
    _Atomic uint32_t evict_cursor;
    _Atomic uint32_t purges_of_many, purges_of_url[PURGE_SLOTS]; // counted; the latter by the lower bits of the URL's hash
    _Atomic uint32_t loads_due; // counts hits on disk of content that need not be loaded
    struct disk *_Atomic disk; // the store while it is in use; NULL: none
    // Of who configures and opens; folder.c
    struct disk *store;           // stays open once it is
    char *folder, *store_folder;  // paths: as configured, and the store's
    int folder_fd;                // the configuration's; -1: none
    uint64_t disk_bytes;          // 0: no disk tier
    uint64_t write_rate_bytes_s;  // of it; 0: the default
    struct shard shards[CACHE_SHARDS];
};

static inline struct shard *cache_shard(struct cache *c, uint64_t hash)
{
    return &c->shards[hash >> 58];
}
_Static_assert(CACHE_SHARDS == 64, "the upper six bits of a hash choose the shard");

/// Charges or gives back memory.
static inline void cache_charge(struct cache *c, int64_t bytes)
{
    if (c)
        atomic_fetch_add_explicit(&c->used_bytes, (uint64_t)bytes, memory_order_relaxed);
}
/// Puts what was read from disk into memory, unless something was taken out since removals was read, or has its keys.
void cache_promote(struct cache *c, struct cache_object *o, uint32_t removals);
/// Whether it is in the index.
bool cache_is_indexed(const struct cache *c, const struct cache_object *o);
/// Whether a response with these keys is.
bool cache_has(struct cache *c, struct span url, struct span extra, struct span vary);
/// Whether the fields have the tag (Cache-Tag, Surrogate-Key, xkey).
bool cache_fields_have_tag(const struct fields *f, struct span tag);
/// All of an object's memory.
uint64_t cache_object_bytes(const struct cache_object *o);

// The index, under the shard's lock.
struct cache_entry *index_find(struct shard *s, uint64_t hash, struct span url);
/// NULL when memory is out.
struct cache_entry *index_find_or_add(struct cache *c, struct shard *s, uint64_t hash, struct span url);
/// Frees the entry where nothing is left in it.
void index_tidy(struct cache *c, struct shard *s, struct cache_entry *e);
/// The newest variant that answers.
struct cache_object *index_match(struct cache_entry *e, struct span extra, const struct fields *request, struct arena *a);
/// Unlinks a variant; the index's reference is the caller's now, to be dropped after unlocking.
void index_unlink(struct cache *c, struct shard *s, struct cache_object *o);

/// Takes everything out of memory.
void cache_forget_all(struct cache *c);
/// What a configuration says of the disk tier; no file is touched.
void cache_configure_folder(struct cache *c, const struct cache_config *config);
/// For every cache, under the registry's lock.
void cache_each(void (*fn)(void *arg, struct cache *c), void *arg);
/// The same for those that nobody refers to as well.
void cache_each_ever(void (*fn)(void *arg, struct cache *c), void *arg);
/// All that are in use, to be gone through without a lock: they are never freed.
enum { CACHES_MAX = 256 };
struct cache_list {
    struct cache *v[CACHES_MAX];
    unsigned n;
};
void cache_collect(struct cache_list *ret);

#endif
