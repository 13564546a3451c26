// SPDX-License-Identifier: Apache-2.0
// A stored response: its head, its freshness, its content.
#ifndef WEIR_CACHE_OBJECT_H
#define WEIR_CACHE_OBJECT_H

#include <stdatomic.h>

#include "base/list.h"
#include "cache/body.h"
#include "cache/key.h"
#include "http/conditional.h"
#include "http/freshness.h"

struct cache_entry;

struct cache_object {
    _Atomic uint32_t refs;
    _Atomic uint8_t uses;       // S3-FIFO's, 0 to 3
    _Atomic bool soft_purged;   // stale, whatever fresh says
    _Atomic bool revalidating;  // somebody does in the background
    // Under the shard's lock:
    uint8_t queue;              // which queue it is in
    struct cache_entry *entry;  // NULL: not in the index
    struct list variant, fifo;
    // Never changed:
    uint16_t status; // 0: a note that the key is not for sharing, until fresh's lifetime ends (why)
    uint16_t n_fields;
    enum storable why;
    bool has_range;  // a part: bytes [range_first, range_first + the content's length) of range_size
    uint32_t charge; // of this memory block
    struct freshness fresh;
    struct validators validators;
    struct cache_key key;
    struct span vary;  // secondary key
    struct span lines; // the fields as HTTP/1 lines, in order
    const struct field *fields;
    uint64_t present[(N_FIELDS + 63) / 64];
    uint64_t range_first, range_size;
    struct cache_body *body;
};

/// What cache_object_new copies.
struct cache_head {
    const struct cache_key *key;
    struct span vary;
    uint16_t status;
    const struct fields *fields; // removed ones are left out
    struct freshness fresh;
    int64_t now_s;   // for dates
    struct cache_body *body; // a reference of its own is taken
    bool has_range;
    uint64_t range_first, range_size;
};
/// In one block of memory, one reference. NULL when memory is out.
struct cache_object *cache_object_new(struct cache *c, const struct cache_head *h);
/// A note that a key is not for sharing, for so long.
struct cache_object *cache_object_new_note(struct cache *c, const struct cache_key *key, struct span vary, enum storable why, int64_t now_ms,
                                           int64_t lasts_ms);
struct cache_object *cache_object_ref(struct cache_object *o);
void cache_object_unref(struct cache_object *o);
/// The fields as a message's, in the arena (what is changed there does not reach the object).
MUST_USE enum err cache_object_fields(const struct cache_object *o, struct arena *a, struct fields *ret);
/// The same without copying, for looking only.
struct fields cache_object_view(const struct cache_object *o);
static inline bool cache_object_is_note(const struct cache_object *o)
{
    return o->status == 0;
}

#endif
