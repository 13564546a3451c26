// SPDX-License-Identifier: Apache-2.0
// The content of a stored response, in segments. It may still be arriving: one fiber appends, any number read on any thread,
// each at its own pace. Once whole it never changes and is read without a lock.
#ifndef WEIR_CACHE_BODY_H
#define WEIR_CACHE_BODY_H

#include "base/chunk.h"
#include "base/list.h"

struct cache;
struct cache_body;
struct disk_object;

enum {
    BODY_SEGMENT_BYTES = 256 * 1024, // of large content
    BODY_WINDOW_BYTES = 1 << 20,     // of content that is only passing through
};

/// Empty, to be filled; expected: its length, or UINT64_MAX. One reference. cache: whom its memory is charged to (NULL: nobody).
/// NULL when memory is out.
struct cache_body *cache_body_new(struct cache *c, uint64_t expected);
/// Whole content that stays on disk. Takes o over, which is closed then. NULL when memory is out.
struct cache_body *cache_body_new_on_disk(struct cache *c, struct disk_object *o);
/// Where it is on disk; NULL: in memory. Only to be duplicated.
const struct disk_object *cache_body_disk(const struct cache_body *b);
struct cache_body *cache_body_ref(struct cache_body *b);
void cache_body_unref(struct cache_body *b);

/// Whom it is charged to.
struct cache *cache_body_owner(const struct cache_body *b);

/// Copies q's bytes to the end and empties it. ERR_NO_MEMORY.
MUST_USE enum err cache_body_append(struct cache_body *b, struct chunkq *q);
/// No more comes: it is whole.
void cache_body_finish(struct cache_body *b);
/// It broke off (e), and whoever reads is told so.
void cache_body_break(struct cache_body *b, enum err e);
/// From now on only what is between the slowest reader and the end is kept. For content that is too large to be stored.
void cache_body_pass_through(struct cache_body *b);
/// Waits until the slowest reader is near enough. ERR_CANCELED: nobody reads any more.
MUST_USE enum err cache_body_wait_room(struct cache_body *b);
/// Drops what every reader has, or all of it where there is none. Instead of giving up where nobody reads.
void cache_body_drop_read(struct cache_body *b);
/// Of content that is still arriving and not passing through: shares all that there is.
MUST_USE enum err cache_body_share_so_far(struct cache_body *b, struct chunkq *q);

/// Whether anybody reads it while it arrives.
bool cache_body_has_readers(struct cache_body *b);
bool cache_body_is_whole(const struct cache_body *b);
bool cache_body_is_broken(const struct cache_body *b);
/// Bytes that are there.
uint64_t cache_body_length(const struct cache_body *b);
/// What it will have, or UINT64_MAX.
uint64_t cache_body_expected(const struct cache_body *b);
/// Memory charged, to the byte.
uint64_t cache_body_charge(const struct cache_body *b);

/// Whoever reads content that may still be arriving.
struct body_reader {
    struct list node;
    struct cache_body *body;
    uint64_t offset;
};
/// Takes a reference of the body. False: it passes through already, and its beginning is gone.
MUST_USE bool body_reader_open(struct body_reader *r, struct cache_body *b, uint64_t offset);
void body_reader_close(struct body_reader *r);
/// Appends at most max bytes from the reader's offset on, waiting for the first. ERR_EOF: the end. ERR_TIMEOUT never: whoever
/// fills has deadlines of its own.
MUST_USE enum err body_reader_read(struct body_reader *r, struct chunkq *q, uint64_t max);
/// Whether read would give something at once.
bool body_reader_ready(const struct body_reader *r);

/// Of whole content: shares bytes [first, first + length) without copying. What is on disk is read (on the calling fiber); ERR_IO
/// where that fails.
MUST_USE enum err cache_body_share(const struct cache_body *b, uint64_t first, uint64_t length, struct chunkq *q);

#endif
