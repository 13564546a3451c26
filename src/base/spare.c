// SPDX-License-Identifier: Apache-2.0
#include "base/spare.h"

#include <malloc.h>
#include <string.h>

#include "base/mem.h"
#include "base/sanitize.h"

enum {
    UNIT_BYTES = 16,
    LEAST_BYTES = 24, // what the C library's smallest piece holds
    SMALL_CLASSES = 128,
    BUFFER_BYTES = 17 * 1024, // records of TLS, in and out, each with a few hundred octets around it
    BUFFER_MIN_BYTES = 16 * 1024,
    BUFFER_CLASS = SMALL_CLASSES,
    CLASSES,
    KEEP_BYTES = 8 * 1024, // of a class
    KEEP_BUFFERS = 8,
};

struct piece {
    struct piece *next;
};

static _Thread_local struct {
    struct piece *first;
    uint32_t n;
} kept[CLASSES];
static _Thread_local bool ended; // what comes after the thread's end, from destructors, is not kept

static size_t class_bytes(uint32_t c)
{
    return c == BUFFER_CLASS ? (size_t)BUFFER_BYTES : LEAST_BYTES + (size_t)c * UNIT_BYTES;
}

static uint32_t keep_max(uint32_t c)
{
    return c == BUFFER_CLASS ? (uint32_t)KEEP_BUFFERS : (uint32_t)(KEEP_BYTES / class_bytes(c));
}

// The smallest class that holds size; CLASSES: none does.
static uint32_t class_for(size_t size)
{
    if (size <= LEAST_BYTES)
        return 0;
    size_t c = (size - LEAST_BYTES + UNIT_BYTES - 1) / UNIT_BYTES;
    if (likely(c < SMALL_CLASSES))
        return (uint32_t)c;
    return size > BUFFER_MIN_BYTES && size <= BUFFER_BYTES ? (uint32_t)BUFFER_CLASS : (uint32_t)CLASSES;
}

// The largest class that a piece of this size serves.
static uint32_t class_of(size_t size)
{
    if (unlikely(size < LEAST_BYTES))
        return CLASSES;
    size_t c = (size - LEAST_BYTES) / UNIT_BYTES;
    if (likely(c < SMALL_CLASSES))
        return (uint32_t)c;
    return size >= BUFFER_BYTES && size < BUFFER_BYTES + 256 ? (uint32_t)BUFFER_CLASS : (uint32_t)CLASSES;
}

void *spare_alloc(size_t size)
{
    uint32_t c = class_for(size);
    if (unlikely(c == CLASSES))
        return mem_alloc(size);
    struct piece *p = kept[c].first;
    if (unlikely(!p))
        return mem_alloc(class_bytes(c));
    ASAN_UNPOISON_MEMORY_REGION(p + 1, class_bytes(c) - sizeof *p);
    kept[c].first = p->next;
    kept[c].n--;
    return p;
}

void spare_free(void *ptr)
{
    struct piece *p = (struct piece *)ptr;
    if (!p)
        return;
    uint32_t c = class_of(malloc_usable_size(p));
    if (unlikely(c == CLASSES || kept[c].n >= keep_max(c) || ended)) {
        mem_free(p);
        return;
    }
    p->next = kept[c].first;
    kept[c].first = p;
    kept[c].n++;
    ASAN_POISON_MEMORY_REGION(p + 1, class_bytes(c) -
                                         sizeof *p); // but for the link, which a search for leaks follows
}

void *spare_realloc(void *p, size_t size)
{
    if (!p)
        return spare_alloc(size);
    size_t has = malloc_usable_size(p);
    if (size <= has && size >= has / 2)
        return p;
    void *fresh = spare_alloc(size);
    if (fresh) {
        memcpy(fresh, p, MIN(size, has));
        spare_free(p);
    }
    return fresh;
}

void spare_thread_fini(void)
{
    ended = true;
    for (uint32_t c = 0; c < CLASSES; c++) {
        while (kept[c].first) {
            struct piece *p = kept[c].first;
            ASAN_UNPOISON_MEMORY_REGION(p + 1, class_bytes(c) - sizeof *p);
            kept[c].first = p->next;
            mem_free(p);
        }
        kept[c].n = 0;
    }
}
