// SPDX-License-Identifier: Apache-2.0
#include "base/slab.h"

#include "base/check.h"
#include "base/mem.h"
#include "base/sanitize.h"

enum { PAGE_BYTES = 16384 };

struct slab_page {
    struct slab_page *next;
    char data[] __attribute__((aligned(16)));
};
struct free_object {
    struct free_object *next;
};

void slab_init(struct slab *s, size_t size)
{
    size = (MAX(size, sizeof(struct free_object)) + 15) & ~(size_t)15;
    *s = (struct slab){.size = (uint32_t)size};
    s->per_page = (uint32_t)MAX((size_t)1, (PAGE_BYTES - sizeof(struct slab_page)) / size);
}

void slab_fini(struct slab *s)
{
    CHECK(s->live == 0);
    while (s->pages) {
        struct slab_page *p = s->pages;
        s->pages = p->next;
        ASAN_UNPOISON_MEMORY_REGION(p->data, (size_t)s->size * s->per_page);
        mem_free(p);
    }
    s->free = NULL;
}

static bool grow(struct slab *s)
{
    struct slab_page *page = (struct slab_page *)mem_alloc(sizeof(*page) + (size_t)s->size * s->per_page);
    if (!page)
        return false;
    page->next = s->pages;
    s->pages = page;
    for (uint32_t i = s->per_page; i-- > 0;) {
        struct free_object *o = (struct free_object *)(void *)(page->data + (size_t)i * s->size);
        o->next = (struct free_object *)s->free;
        s->free = o;
        ASAN_POISON_MEMORY_REGION(o, s->size);
    }
    return true;
}

void *slab_alloc(struct slab *s)
{
    if (unlikely(!s->free) && !grow(s))
        return NULL;
    struct free_object *o = (struct free_object *)s->free;
    ASAN_UNPOISON_MEMORY_REGION(o, s->size);
    s->free = o->next;
    s->live++;
    return o;
}

void slab_free(struct slab *s, void *p)
{
    CHECK_SLOW(s->live > 0);
    struct free_object *o = (struct free_object *)p;
    o->next = (struct free_object *)s->free;
    s->free = o;
    s->live--;
    ASAN_POISON_MEMORY_REGION(p, s->size);
}
