// SPDX-License-Identifier: Apache-2.0
#include "session/h2_memory.h"

#include <string.h>

#include "base/mem.h"
#include "session/h2.h"

enum {
    STEP_BYTES = 64,
    CLASSES = 32,    // up to CLASSES * STEP_BYTES; larger blocks go straight to the allocator
    KEPT_MAX = 1024, // of a class
};

// Before each block: how large it is, since who frees it does not say.
struct block {
    struct block *next; // while it is kept
    size_t bytes;
};
_Static_assert(sizeof(struct block) == 16, "blocks stay aligned");

static _Thread_local struct {
    struct block *first;
    unsigned n;
} kept[CLASSES];

static void *get(size_t size, void *arg)
{
    (void)arg;
    size_t class_ = size ? (size - 1) / STEP_BYTES : 0;
    struct block *b;
    if (class_ < CLASSES && (b = kept[class_].first)) {
        kept[class_].first = b->next;
        kept[class_].n--;
    } else {
        size_t room = class_ < CLASSES ? (class_ + 1) * STEP_BYTES : size;
        if (room > SIZE_MAX - sizeof *b || !(b = (struct block *)mem_alloc(sizeof *b + room)))
            return NULL;
        b->bytes = room;
    }
    return b + 1;
}

static void put(void *ptr, void *arg)
{
    (void)arg;
    if (!ptr)
        return;
    struct block *b = (struct block *)ptr - 1;
    size_t class_ = (b->bytes - 1) / STEP_BYTES;
    if (b->bytes > CLASSES * STEP_BYTES || kept[class_].n >= KEPT_MAX) {
        mem_free(b);
        return;
    }
    b->next = kept[class_].first;
    kept[class_].first = b;
    kept[class_].n++;
}

static void *get_zeroed(size_t n, size_t size, void *arg)
{
    size_t total;
    if (__builtin_mul_overflow(n, size, &total))
        return NULL;
    void *p = get(total, arg);
    if (p)
        memset(p, 0, total);
    return p;
}

static void *resize(void *ptr, size_t size, void *arg)
{
    if (!ptr)
        return get(size, arg);
    size_t before = ((struct block *)ptr - 1)->bytes;
    if (size <= before)
        return ptr;
    void *p = get(size, arg);
    if (p) {
        memcpy(p, ptr, before);
        put(ptr, arg);
    }
    return p;
}

nghttp2_mem *h2_memory(void)
{
    static nghttp2_mem mem = {NULL, get, put, get_zeroed, resize};
    return &mem;
}

void h2_thread_fini(void)
{
    for (unsigned i = 0; i < CLASSES; i++) {
        while (kept[i].first) {
            struct block *b = kept[i].first;
            kept[i].first = b->next;
            mem_free(b);
        }
        kept[i].n = 0;
    }
}
