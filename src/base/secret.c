// SPDX-License-Identifier: Apache-2.0
#include "base/secret.h"

#include <stddef.h>
#include <string.h>
#include <sys/mman.h>

struct secret {
    size_t size; // of the mapping
    char data[] __attribute__((aligned(16)));
};

void *secret_alloc(size_t size)
{
    size_t whole;
    if (__builtin_add_overflow(size, sizeof(struct secret), &whole))
        return NULL;
    void *p = mmap(NULL, whole, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (p == MAP_FAILED)
        return NULL;
    (void)mlock(p, whole); // what a user may lock is little; the rest still holds
    (void)madvise(p, whole, MADV_DONTDUMP);
    struct secret *s = (struct secret *)p;
    s->size = whole;
    return s->data;
}

void secret_free(void *p)
{
    if (!p)
        return;
    struct secret *s = (struct secret *)(void *)((char *)p - offsetof(struct secret, data));
    size_t size = s->size;
    secret_wipe(s, size);
    munmap(s, size);
}

void secret_wipe(void *p, size_t size)
{
    if (size)
        explicit_bzero(p, size);
}
