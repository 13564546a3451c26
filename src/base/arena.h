// SPDX-License-Identifier: Apache-2.0
// An arena hands out memory that is all given back at once. Its blocks come from a small cache of the calling
// thread, so an exchange that fits its blocks costs no malloc. Not thread-safe; an arena stays on the thread
// that uses it, or is read-only once built (a configuration snapshot).
#ifndef WEIR_BASE_ARENA_H
#define WEIR_BASE_ARENA_H

#include <stdarg.h>

#include "base/span.h"

struct arena_block;

struct arena {
    char *next, *end;
    struct arena_block *blocks; // newest first
    size_t total, limit;        // bytes in blocks; no block is added beyond the limit
    bool failed;                // an allocation was refused since the last init or reset
};

enum { ARENA_BLOCK_BYTES = 8192, ARENA_NO_LIMIT = 0 };

/// Nothing is allocated until first use. limit_bytes: ARENA_NO_LIMIT, or the most that the arena's blocks may
/// add up to.
void arena_init(struct arena *a, size_t limit_bytes);
/// Gives back everything; the arena may be used again.
void arena_reset(struct arena *a);
static inline void arena_fini(struct arena *a)
{
    arena_reset(a);
}

MUST_USE void *arena_alloc_slow(struct arena *a, size_t size, size_t align);
/// Uninitialised memory aligned to 16; NULL when memory or the limit is out.
static inline MUST_USE void *arena_alloc(struct arena *a, size_t size)
{
    char *p = (char *)(((uintptr_t)a->next + 15) & ~(uintptr_t)15);
    if (likely(a->next != NULL && p <= a->end && size <= (size_t)(a->end - p))) {
        a->next = p + size;
        return p;
    }
    return arena_alloc_slow(a, size, 16);
}
/// Uninitialised bytes without alignment.
static inline MUST_USE char *arena_bytes(struct arena *a, size_t size)
{
    if (likely(a->next != NULL && size <= (size_t)(a->end - a->next))) {
        char *p = a->next;
        a->next += size;
        return p;
    }
    return (char *)arena_alloc_slow(a, size, 1);
}
/// Zeroed memory.
MUST_USE void *arena_zalloc(struct arena *a, size_t size);
/// A copy of the bytes (with a terminator behind them that does not count). False when memory is out.
MUST_USE bool arena_dup(struct arena *a, struct span s, struct span *ret);
/// A C string copy, for calls into libraries; NULL when memory is out.
MUST_USE char *arena_cstr(struct arena *a, struct span s);
/// Formatted text with a terminator behind it; an empty span with a NULL pointer when memory is out.
struct span arena_printf(struct arena *a, const char *fmt, ...) PRINTF_LIKE(2, 3);
struct span arena_vprintf(struct arena *a, const char *fmt, va_list ap);
/// a and b one after the other; NULL pointer when memory is out.
struct span arena_join(struct arena *a, struct span x, struct span y);
/// The same of n parts, whose lengths together must not wrap.
struct span arena_concat(struct arena *a, const struct span *parts, size_t n);
/// Frees the blocks that this thread keeps for reuse (at thread end).
void arena_thread_fini(void);

#endif
