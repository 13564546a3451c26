// SPDX-License-Identifier: Apache-2.0
#include "base/arena.h"

#include <stdio.h>

#include "base/mem.h"

struct arena_block {
    struct arena_block *next;
    size_t size; // of the whole block, this header included
    char data[] __attribute__((aligned(16)));
};

enum {
    THREAD_BLOCKS_MAX = 64
}; // each reload leaves a configuration's blocks with whichever thread lets go of it last: not much may stay
static _Thread_local struct arena_block *spare;
static _Thread_local unsigned n_spare;

void arena_init(struct arena *a, size_t limit_bytes)
{
    *a = (struct arena){.limit = limit_bytes};
}

void arena_reset(struct arena *a)
{
    struct arena_block *b = a->blocks;
    while (b) {
        struct arena_block *next = b->next;
        if (b->size == ARENA_BLOCK_BYTES && n_spare < THREAD_BLOCKS_MAX) {
            b->next = spare;
            spare = b;
            n_spare++;
        } else {
            mem_free(b);
        }
        b = next;
    }
    arena_init(a, a->limit);
}

static struct arena_block *block_new(size_t size)
{
    struct arena_block *b;
    if (size <= ARENA_BLOCK_BYTES) {
        if (spare) {
            b = spare;
            spare = b->next;
            n_spare--;
            return b;
        }
        size = ARENA_BLOCK_BYTES;
    }
    b = (struct arena_block *)mem_alloc(size);
    if (b)
        b->size = size;
    return b;
}

static void *refuse(struct arena *a)
{
    a->failed = true;
    return NULL;
}

void *arena_alloc_slow(struct arena *a, size_t size, size_t align)
{
    if (size > SIZE_MAX / 2)
        return refuse(a);
    size_t want = size + sizeof(struct arena_block);
    size_t block_size = MAX(want, (size_t)ARENA_BLOCK_BYTES);
    if (a->limit && (block_size > a->limit || a->total > a->limit - block_size))
        return refuse(a);
    struct arena_block *b = block_new(want);
    if (!b)
        return refuse(a);
    a->total += b->size;
    b->next = a->blocks;
    a->blocks = b;
    (void)align; // a fresh block is aligned for everything
    // A large request gets a block of its own and the current one goes on being filled.
    if (size > ARENA_BLOCK_BYTES / 2 && a->next) {
        return b->data;
    }
    a->next = b->data + size;
    a->end = (char *)b + b->size;
    return b->data;
}

void *arena_zalloc(struct arena *a, size_t size)
{
    void *p = arena_alloc(a, size);
    if (p)
        memset(p, 0, size);
    return p;
}

char *arena_cstr(struct arena *a, struct span s)
{
    char *p = arena_bytes(a, s.len + 1);
    if (!p)
        return NULL;
    if (s.len)
        memcpy(p, s.ptr, s.len);
    p[s.len] = '\0';
    return p;
}

bool arena_dup(struct arena *a, struct span s, struct span *ret)
{
    char *p = arena_cstr(a, s);
    if (!p)
        return false;
    *ret = span_of(p, s.len);
    return true;
}

struct span arena_vprintf(struct arena *a, const char *fmt, va_list ap)
{
    va_list ap2;
    va_copy(ap2, ap);
    int n = vsnprintf(NULL, 0, fmt, ap2);
    va_end(ap2);
    if (n < 0)
        return SPAN_NONE;
    char *p = arena_bytes(a, (size_t)n + 1);
    if (!p)
        return SPAN_NONE;
    vsnprintf(p, (size_t)n + 1, fmt, ap);
    return span_of(p, (size_t)n);
}

struct span arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    struct span s = arena_vprintf(a, fmt, ap);
    va_end(ap);
    return s;
}

struct span arena_concat(struct arena *a, const struct span *parts, size_t n)
{
    size_t len = 0;
    for (size_t i = 0; i < n; i++)
        len += parts[i].len;
    char *p = arena_bytes(a, len + 1), *o = p;
    if (!p)
        return SPAN_NONE;
    for (size_t i = 0; i < n; i++) {
        if (parts[i].len)
            memcpy(o, parts[i].ptr, parts[i].len);
        o += parts[i].len;
    }
    *o = '\0';
    return span_of(p, len);
}

struct span arena_join(struct arena *a, struct span x, struct span y)
{
    return arena_concat(a, (const struct span[]){x, y}, 2);
}

void arena_thread_fini(void)
{
    while (spare) {
        struct arena_block *b = spare;
        spare = b->next;
        mem_free(b);
    }
    n_spare = 0;
}
