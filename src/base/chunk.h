// SPDX-License-Identifier: Apache-2.0
// Bytes in motion. A chunk is a refcounted buffer; a segment is a run inside one (or of memory that outlives
// the queue, with chunk NULL); a chunk queue is a FIFO of segments. Relay, cache and filters share chunks
// without copying: bytes below a chunk's `used` mark are never changed while anybody else holds a reference.
#ifndef WEIR_BASE_CHUNK_H
#define WEIR_BASE_CHUNK_H

#include <stdatomic.h>
#include <sys/uio.h>

#include "base/err.h"
#include "base/span.h"

enum {
    CHUNK_SMALL_BYTES = 16 * 1024 - 64,  // heads and small content
    CHUNK_MEDIUM_BYTES = 72 * 1024 - 64, // content that goes on; a head and 64 KiB fit
    CHUNK_LARGE_BYTES = 256 * 1024 - 64, // large transfers
};

struct chunk {
    _Atomic uint32_t refs;
    uint32_t cap;  // bytes in data
    uint32_t used; // bytes filled; the owner appends behind it
    uint32_t class_;
    struct chunk *next; // in the thread's cache
    char data[] __attribute__((aligned(16)));
};

/// A chunk of at least min_bytes (one of the three sizes, or exactly that where it is larger); one reference;
/// NULL when memory is out. The thread keeps some for reuse, last in first out.
MUST_USE struct chunk *chunk_new(size_t min_bytes);
/// A chunk of exactly these bytes, for what is kept for long; the thread's reuse has no part in it.
MUST_USE struct chunk *chunk_new_exact(size_t bytes);
static inline struct chunk *chunk_ref(struct chunk *c)
{
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}
/// Gives one reference back (NULL is fine). Any thread may drop the last one.
void chunk_unref(struct chunk *c);
static inline bool chunk_is_shared(const struct chunk *c)
{
    return atomic_load_explicit(&c->refs, memory_order_acquire) > 1;
}
/// Frees what this thread keeps for reuse (at thread end).
void chunk_thread_fini(void);
/// Chunks that exist and are referenced, over all threads (leak tests, metrics).
int64_t chunk_live_count(void);

struct seg {
    struct chunk *chunk; // referenced by the queue; NULL: memory that outlives the queue
    const char *ptr;
    size_t len;
};

enum { CHUNKQ_INLINE = 4 };

struct chunkq {
    struct seg *v;         // points to inline_ or to memory of its own
    uint32_t head, n, cap; // segments v[head .. head + n)
    size_t bytes;
    struct seg inline_[CHUNKQ_INLINE];
};

/// A queue must not be moved or copied as a struct once initialised (chunkq_move takes its content over).
void chunkq_init(struct chunkq *q);
/// Drops everything; the queue may be used again.
void chunkq_clear(struct chunkq *q);
static inline void chunkq_fini(struct chunkq *q)
{
    if (q->n || q->v != q->inline_)
        chunkq_clear(q);
}
/// Appends len bytes at ptr inside chunk, taking a reference of its own (chunk NULL: borrowed memory). Empty
/// runs are ignored; a run that goes on where the last segment ends is merged with it.
MUST_USE enum err chunkq_append(struct chunkq *q, struct chunk *chunk, const char *ptr, size_t len);
/// The same before the first segment.
MUST_USE enum err chunkq_prepend(struct chunkq *q, struct chunk *chunk, const char *ptr, size_t len);
/// Copies the bytes into chunks of the queue's own.
MUST_USE enum err chunkq_append_copy(struct chunkq *q, const void *bytes, size_t len);
/// Moves the first n bytes (at most all) of from to the end of to. On failure some may have moved; nothing is
/// lost.
MUST_USE enum err chunkq_move(struct chunkq *to, struct chunkq *from, size_t n);
/// Like chunkq_move, but both share the chunks afterwards.
MUST_USE enum err chunkq_share(struct chunkq *to, const struct chunkq *from, size_t n);
/// Drops the first n bytes (at most all).
void chunkq_skip(struct chunkq *q, size_t n);
/// The first run of bytes (empty when the queue is).
static inline struct span chunkq_first(const struct chunkq *q)
{
    return q->n ? span_of(q->v[q->head].ptr, q->v[q->head].len) : SPAN_NONE;
}
/// Fills at most max entries for writev from the front; returns how many.
unsigned chunkq_iov(const struct chunkq *q, struct iovec *iov, unsigned max);
/// Copies up to n bytes from the front into out without removing them; returns how many.
size_t chunkq_peek(const struct chunkq *q, void *out, size_t n);

#endif
