// SPDX-License-Identifier: Apache-2.0
// What the memory tier asks of the disk tier: a cache without a folder asks nothing, and pays a pointer's test. Everything that is
// stored whole is written through; what memory has let go is read back where it is asked for, small contents into memory, large ones
// are left where they are and read from there.
#ifndef WEIR_CACHE_TIER_H
#define WEIR_CACHE_TIER_H

#include "cache/disk.h"
#include "cache/internal.h"

/// The cache's store, or NULL.
static inline struct disk *tier_of(const struct cache *c)
{
    return atomic_load_explicit(&c->disk, memory_order_acquire);
}

/// The stored response that answers, with a reference; NULL: none. Put into memory where it is small and nothing has been taken out of
/// memory under its hash since `removals` was read there. On a fiber.
struct cache_object *tier_lookup(struct cache *c, const struct cache_key *k, const struct fields *request, struct arena *a, uint32_t removals,
                                 bool *ret_url_known);
/// Writes a whole object that is in the index; what cannot be written does not leave an older one there either.
void tier_store(struct cache *c, struct cache_object *o);
/// Its head has changed, not its content.
void tier_update(struct cache *c, const struct cache_object *o);
/// It is not to be found any more.
void tier_remove(struct cache *c, const struct cache_object *o);
/// Whether it is on disk.
bool tier_has(struct cache *c, const struct cache_object *o);

/// As cache_purge, on disk alone.
uint64_t tier_purge(struct cache *c, enum purge_kind kind, struct span what, bool soft);
/// As cache_inspect, for what is on disk alone. Returns how many.
unsigned tier_inspect(struct cache *c, struct span url, int64_t now_ms, void (*fn)(void *arg, const struct cache_inspection *i), void *arg);

// ---- An object's head as bytes: tier_head.c

enum { TIER_SOFT = 1, TIER_KEY_EXTRA_BYTES = 4 }; // flag: purged softly

/// The key under which it is on disk.
MUST_USE enum err tier_key(const struct cache_object *o, struct arena *a, struct disk_key *ret);
MUST_USE enum err tier_encode(const struct cache_object *o, struct arena *a, struct span *ret);
/// What lookups look at.
struct tier_head {
    struct span extra, vary, fields;
    struct freshness fresh;
    uint32_t n_fields;
    uint16_t status;
    uint8_t flags;
};
/// False for what this version did not write.
bool tier_decode(struct span metadata, struct tier_head *ret);
/// The spans are the metadata's.
MUST_USE enum err tier_decode_fields(const struct tier_head *h, struct arena *a, struct fields *ret);
/// The metadata with TIER_SOFT set, in the arena.
MUST_USE enum err tier_soften(struct span metadata, struct arena *a, struct span *ret);

#endif
