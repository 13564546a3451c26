// SPDX-License-Identifier: Apache-2.0
#include "io/fiber.h"

#include "base/check.h"
#include "io/internal.h"

#ifdef WEIR_ASAN
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef WEIR_TSAN
#include <sanitizer/tsan_interface.h>
#endif
#if defined(WEIR_FIBER_UCONTEXT) && __has_include(<valgrind/valgrind.h>)
#include <valgrind/valgrind.h>
#else
#define VALGRIND_STACK_REGISTER(low, top) ((void)(low), (void)(top), 0u)
#define VALGRIND_STACK_DEREGISTER(id)     ((void)(id))
#endif

// ---- The two switches: from the loop to a fiber, and back. Fibers never switch to each other.

static void enter(struct loop *l, struct fiber *f)
{
    l->current = f;
    f->state = FIBER_RUNNING;
#ifdef WEIR_ASAN
    __sanitizer_start_switch_fiber(&l->asan_fake, f->stack.low, (size_t)((char *)f - f->stack.low));
#endif
#ifdef WEIR_TSAN
    __tsan_switch_to_fiber(f->tsan, 0);
#endif
    fiber_switch(&l->context, f->context);
#ifdef WEIR_ASAN
    __sanitizer_finish_switch_fiber(l->asan_fake, NULL, NULL);
#endif
    l->current = NULL;
}

static void leave(struct loop *l, struct fiber *f)
{
#ifdef WEIR_ASAN
    void **keep = f->state == FIBER_ENDED ? NULL : &f->asan_fake;
    __sanitizer_start_switch_fiber(keep, l->asan_low, l->asan_size);
#endif
#ifdef WEIR_TSAN
    __tsan_switch_to_fiber(l->tsan, 0);
#endif
    fiber_switch(&f->context, l->context);
#ifdef WEIR_ASAN
    __sanitizer_finish_switch_fiber(f->asan_fake, NULL, NULL);
#endif
}

// ---- Life

static void on_deadline(struct timer *t)
{
    fiber_end_wait_now(container_of(t, struct fiber, deadline), ERR_TIMEOUT);
}

static struct fiber *fiber_new(struct loop *l, void (*fn)(void *arg), void *arg)
{
    struct fiber_stack stack;
    if (!stack_take(&l->stacks, &stack))
        return NULL;
    struct fiber *f = (struct fiber *)(void *)(stack.top - (sizeof(struct fiber) + 63) / 64 * 64);
    *f = (struct fiber){.fn = fn, .arg = arg, .stack = stack};
    f->context = fiber_context(stack.low, (char *)f, f);
    if (!f->context) {
        stack_give(&l->stacks, stack);
        return NULL;
    }
    list_init(&f->node);
    timer_init(&f->deadline, on_deadline);
#ifdef WEIR_TSAN
    f->tsan = __tsan_create_fiber(0);
#endif
    f->valgrind_id = VALGRIND_STACK_REGISTER(stack.low, stack.top);
    l->live_fibers++;
    return f;
}

static void fiber_free(struct loop *l, struct fiber *f)
{
#ifdef WEIR_TSAN
    __tsan_destroy_fiber(f->tsan);
#endif
    VALGRIND_STACK_DEREGISTER(f->valgrind_id);
    fiber_context_free(f->context);
    stack_give(&l->stacks, f->stack);
}

static void make_ready(struct loop *l, struct fiber *f)
{
    f->state = FIBER_READY;
    list_push_back(&l->ready, &f->node);
}

// Runs f, from the loop, until it waits or ends.
static void resume(struct loop *l, struct fiber *f)
{
    loop_count_beat(l);
    enter(l, f);
    if (f->state != FIBER_ENDED)
        return;
    if (f->joiner)
        fiber_end_wait(f->joiner, ERR_OK);
    else if (!f->joinable)
        fiber_free(l, f);
}

void fiber_main(void *arg)
{
    struct fiber *f = (struct fiber *)arg;
    struct loop *l = loop_current;
#ifdef WEIR_ASAN
    __sanitizer_finish_switch_fiber(NULL, &l->asan_low, &l->asan_size);
#endif
    f->fn(f->arg);
    f->state = FIBER_ENDED;
    l->live_fibers--;
    leave(l, f);
    __builtin_unreachable();
}

enum err fiber_start(void (*fn)(void *arg), void *arg, struct fiber **ret_fiber)
{
    struct loop *l = loop_current;
    CHECK(l != NULL);
    struct fiber *f = fiber_new(l, fn, arg);
    if (unlikely(!f))
        return ERR_NO_MEMORY;
    if (ret_fiber) {
        f->joinable = true;
        *ret_fiber = f;
    }
    if (l->current)
        make_ready(l, f);
    else
        resume(l, f);
    return ERR_OK;
}

struct fiber *fiber_self(void)
{
    return loop_current ? loop_current->current : NULL;
}

unsigned fiber_live_count(void)
{
    return loop_current ? loop_current->live_fibers : 0;
}

void fiber_on_long_wait(void (*fn)(void *arg), void *arg)
{
    struct fiber *f = fiber_self();
    CHECK(f != NULL);
    f->on_long_wait = fn;
    f->long_wait_arg = arg;
}

void fiber_join(struct fiber *f)
{
    struct loop *l = loop_current;
    CHECK(f->joinable && !f->joiner && f != l->current);
    if (f->state != FIBER_ENDED) {
        f->joiner = l->current;
        enum err e = fiber_wait(DEADLINE_NONE, false);
        CHECK(e == ERR_OK && f->state == FIBER_ENDED);
    }
    fiber_free(l, f);
}

// ---- Waiting

static enum err wait_as(enum fiber_state state, uint64_t deadline, bool cancelable)
{
    struct loop *l = loop_current;
    struct fiber *f = l->current;
    CHECK(f != NULL); // only a fiber can wait
    if (unlikely(cancelable && f->canceled))
        return f->canceled;
    if (deadline != DEADLINE_NONE) {
        if (unlikely(deadline <= l->now_ms))
            return ERR_TIMEOUT;
        timer_set(&f->deadline, deadline);
    }
    f->state = (uint8_t)state;
    f->cancelable = cancelable;
    f->busy = 0;
    leave(l, f);
    return f->result;
}

enum err fiber_wait(uint64_t deadline, bool cancelable)
{
    return wait_as(FIBER_WAITING, deadline, cancelable);
}

static bool end_wait(struct fiber *f, enum err e)
{
    if (f->state != FIBER_WAITING && f->state != FIBER_PARKED)
        return false;
    timer_cancel(&f->deadline);
    f->result = e;
    return true;
}

void fiber_end_wait(struct fiber *f, enum err e)
{
    if (end_wait(f, e))
        make_ready(loop_current, f);
}

void fiber_end_wait_now(struct fiber *f, enum err e)
{
    if (!end_wait(f, e))
        return;
    if (loop_current->current)
        make_ready(loop_current, f);
    else
        resume(loop_current, f);
}

enum err fiber_park(uint64_t deadline)
{
    struct fiber *f = loop_current->current;
    CHECK(f != NULL);
    if (f->token && !f->canceled) {
        f->token = false;
        return ERR_OK;
    }
    return wait_as(FIBER_PARKED, deadline, true);
}

void fiber_wake(struct fiber *f)
{
    if (f->state == FIBER_PARKED)
        fiber_end_wait(f, ERR_OK);
    else
        f->token = true;
}

enum err fiber_sleep(uint64_t ms)
{
    uint64_t now = loop_current->now_ms;
    enum err e = fiber_wait(ms > UINT64_MAX - 1 - now ? UINT64_MAX - 1 : now + ms, true);
    return e == ERR_TIMEOUT ? ERR_OK : e;
}

void fiber_yield(void)
{
    struct loop *l = loop_current;
    struct fiber *f = l->current;
    CHECK(f != NULL);
    f->state = FIBER_READY;
    f->busy = 0;
    list_push_back(&l->yielded, &f->node);
    leave(l, f);
}

void fiber_cancel(struct fiber *f, enum err e)
{
    CHECK(e != ERR_OK);
    if (f->canceled || f->state == FIBER_ENDED)
        return;
    f->canceled = e;
    if (f->cancelable)
        fiber_end_wait(f, e);
}

enum err fiber_canceled(const struct fiber *f)
{
    return f->canceled;
}

void fiber_uncancel(void)
{
    CHECK(fiber_self() != NULL);
    loop_current->current->canceled = ERR_OK;
}

void fiber_run_ready(struct loop *l)
{
    // Fibers that go on waking each other must not keep the events away for ever.
    enum { RESUMES_MAX = 4096 };
    for (unsigned n = 0; n < RESUMES_MAX && !list_empty(&l->ready); n++) {
        struct fiber *f = container_of(l->ready.next, struct fiber, node);
        list_remove(&f->node);
        resume(l, f);
    }
}
