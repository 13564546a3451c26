// SPDX-License-Identifier: Apache-2.0
// Stacks of fibers: mapped with a guard page below, kept for reuse last in first out.
#include <sys/mman.h>
#include <unistd.h>

#include "base/check.h"
#include "io/internal.h"

#ifdef WEIR_ASAN
#include <sanitizer/lsan_interface.h>
#else
#define __lsan_register_root_region(p, n)   ((void)(p), (void)(n))
#define __lsan_unregister_root_region(p, n) ((void)(p), (void)(n))
#endif

#ifndef MADV_GUARD_INSTALL
#define MADV_GUARD_INSTALL 102 // Linux 6.13
#endif

// A stack is a multiple of every page size in use (4, 16 and 64 KiB).
static size_t guard_bytes(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

static size_t mapped_bytes(void)
{
    return guard_bytes() + FIBER_STACK_BYTES;
}

// At the top of a stack that is free.
struct stack_free {
    struct stack_free *next;
    char *low;
};

// A guard that the kernel keeps in the page table lets neighbouring stacks share one mapping; a protected
// page costs two mappings for each stack, of which a process has 65,530 by default.
static bool guard_install(char *p)
{
    return madvise(p, guard_bytes(), MADV_GUARD_INSTALL) == 0 || mprotect(p, guard_bytes(), PROT_NONE) == 0;
}

static bool stack_map(struct stack_pool *p, struct fiber_stack *ret)
{
    // NORESERVE: almost all of a stack is never touched. STACK (and NOHUGEPAGE on older kernels): no huge
    // pages.
    int flags = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK;
    char *m = (char *)mmap(NULL, mapped_bytes(), PROT_READ | PROT_WRITE, flags, -1, 0);
    if (m == MAP_FAILED)
        return false;
    (void)madvise(m, mapped_bytes(), MADV_NOHUGEPAGE);
    if (!guard_install(m)) {
        munmap(m, mapped_bytes());
        return false;
    }
    // Tops at the same place of a page would all compete for the same sets of the first-level cache. 17 is
    // odd, so that the colours visit each of the 32 places of a half page.
    enum { LINE = 64, COLORS = 32, STEP = 17 };
    unsigned color = p->next_color++ * STEP % COLORS;
    trim_begin(container_of(p, struct loop, stacks));
    ret->low = m + guard_bytes();
    ret->top = m + mapped_bytes() - (size_t)color * LINE;
    __lsan_register_root_region(ret->low, FIBER_STACK_BYTES);
    return true;
}

bool stack_take(struct stack_pool *p, struct fiber_stack *ret)
{
    if (sys_alloc_fails())
        return false;
    struct stack_free *s = p->first;
    if (unlikely(!s))
        return stack_map(p, ret);
    p->first = s->next;
    p->n--;
    ret->low = s->low;
    ret->top = (char *)(s + 1);
    return true;
}

static bool stack_unmap(char *low)
{
    __lsan_unregister_root_region(low, FIBER_STACK_BYTES);
    if (munmap(low - guard_bytes(), mapped_bytes()) == 0)
        return true;
    __lsan_register_root_region(low, FIBER_STACK_BYTES);
    return false; // it would have split a mapping, and there are too many
}

void stack_give(struct stack_pool *p, struct fiber_stack s)
{
    // The last frames of a fiber never return, so their poison is still there.
    ASAN_UNPOISON_MEMORY_REGION(s.low, FIBER_STACK_BYTES);
    if (unlikely(p->n >= FIBER_STACKS_KEPT) && stack_unmap(s.low))
        return;
    struct stack_free *f = (struct stack_free *)(void *)s.top - 1;
    f->low = s.low;
    f->next = p->first;
    p->first = f;
    p->n++;
}

void stack_pool_fini(struct stack_pool *p)
{
    while (p->first) {
        struct stack_free *s = p->first;
        p->first = s->next;
        CHECK(stack_unmap(s->low));
    }
    p->n = 0;
}
