// SPDX-License-Identifier: Apache-2.0
#include "base/mem.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static bool (*fail_hook)(void *);
static void *fail_arg;
static _Atomic int64_t live;

void mem_fail_set(bool (*hook)(void *arg), void *arg)
{
    fail_hook = hook;
    fail_arg = arg;
}

static bool fails(void)
{
    return unlikely(fail_hook != NULL) && fail_hook(fail_arg);
}

static void *count(void *p)
{
    if (p)
        atomic_fetch_add_explicit(&live, 1, memory_order_relaxed);
    return p;
}

void *mem_alloc(size_t size)
{
    return fails() ? NULL : count(malloc(size ? size : 1));
}

void *mem_calloc(size_t n, size_t size)
{
    return fails() ? NULL : count(calloc(n ? n : 1, size ? size : 1));
}

void *mem_realloc(void *p, size_t size)
{
    if (!p)
        return mem_alloc(size);
    return fails() ? NULL : realloc(p, size ? size : 1);
}

char *mem_strdup(const char *s)
{
    size_t n = strlen(s) + 1;
    char *p = (char *)mem_alloc(n);
    if (p)
        memcpy(p, s, n);
    return p;
}

void mem_free(void *p)
{
    if (!p)
        return;
    atomic_fetch_sub_explicit(&live, 1, memory_order_relaxed);
    free(p);
}

int64_t mem_live_count(void)
{
    return atomic_load_explicit(&live, memory_order_relaxed);
}

void mem_discard(char *from, char *to)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), low = ((uintptr_t)from + page - 1) & ~(page - 1), high = (uintptr_t)to & ~(page - 1);
    if (low < high)
        (void)madvise((void *)low, high - low, MADV_DONTNEED);
}
