// SPDX-License-Identifier: Apache-2.0
// New contexts for the assembly switch; and where there is none (other architectures, or
// -DWEIR_FIBER_UCONTEXT for valgrind, which follows swapcontext but not a stack pointer that jumps), the
// whole switch by ucontext.
#include "io/internal.h"

#ifdef WEIR_FIBER_ASM

void fiber_begin(void);

void *fiber_context(char *low, char *top, void *arg)
{
    (void)low;
#ifdef __x86_64__
    // r15 r14 r13 r12 rbx rbp and the address to go to; above them the stack is aligned as a call wants it.
    enum { ARG = 3, GO_TO = 6, WORDS = 7 };
#else
    // x19-x30, d8-d15.
    enum { ARG = 0, GO_TO = 11, WORDS = 20 };
#endif
    uintptr_t *frame = (uintptr_t *)(void *)((uintptr_t)top & ~(uintptr_t)15) - WORDS;
    for (unsigned i = 0; i < WORDS; i++)
        frame[i] = 0;
    frame[ARG] = (uintptr_t)arg;
    frame[GO_TO] = (uintptr_t)fiber_begin;
    return frame;
}

bool fiber_context_here(void **ret)
{
    *ret = NULL;
    return true;
}

void fiber_context_free(void *context)
{
    (void)context;
}

char *fiber_context_stack(void *context)
{
    return (char *)context;
}

#else

#include <ucontext.h>

#include "base/mem.h"

static void begin(unsigned low, unsigned high)
{
    fiber_main((void *)(uintptr_t)((uint64_t)high << 32 | low));
}

void *fiber_context(char *low, char *top, void *arg)
{
    ucontext_t *c = (ucontext_t *)mem_alloc(sizeof(*c));
    if (!c)
        return NULL;
    if (getcontext(c) != 0) {
        mem_free(c);
        return NULL;
    }
    c->uc_stack.ss_sp = low;
    c->uc_stack.ss_size = (size_t)(top - low);
    c->uc_link = NULL;
    uint64_t a = (uintptr_t)arg;
    makecontext(c, (void (*)(void))(void *)begin, 2, (unsigned)a, (unsigned)(a >> 32));
    return c;
}

bool fiber_context_here(void **ret)
{
    *ret = mem_alloc(sizeof(ucontext_t));
    return *ret != NULL;
}

void fiber_context_free(void *context)
{
    mem_free(context);
}

char *fiber_context_stack(void *context)
{
    (void)context;
    return NULL;
}

void fiber_switch(void **save, void *to)
{
    swapcontext((ucontext_t *)*save, (ucontext_t *)to);
}

#endif
