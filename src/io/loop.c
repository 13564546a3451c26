// SPDX-License-Identifier: Apache-2.0
#include "io/loop.h"

#include <limits.h>
#include <sched.h>
#include <string.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/mem.h"
#include "base/spare.h"
#include "io/internal.h"

#ifdef WEIR_TSAN
#include <sanitizer/tsan_interface.h>
#endif

_Thread_local struct loop *loop_current;

// What the poller says of the descriptor that other threads wake the loop by: a generation that io_open never gives.
enum { WAKE_DATA = 0 };

enum err loop_new(struct loop **ret)
{
    CHECK(loop_current == NULL);
    struct loop *l = (struct loop *)mem_calloc(1, sizeof(*l));
    if (!l)
        return ERR_NO_MEMORY;
    l->beat = &l->own_beat;
    if (!fiber_context_here(&l->context)) {
        mem_free(l);
        return ERR_NO_MEMORY;
    }
    l->poll_fd = sys_poll_new();
    l->wake_fd = l->poll_fd < 0 ? l->poll_fd : sys_wake_new(l->poll_fd, WAKE_DATA);
    if (l->wake_fd < 0) {
        enum err e = l->wake_fd == -EMFILE || l->wake_fd == -ENFILE ? ERR_NO_FILES : ERR_NO_MEMORY;
        if (l->poll_fd >= 0)
            sys_poll_free(l->poll_fd);
        fiber_context_free(l->context);
        mem_free(l);
        return e;
    }
    list_init(&l->ready);
    list_init(&l->yielded);
    list_init(&l->tasks);
    l->now_ms = sys_clock_us() / 1000;
    wheel_init(&l->wheel, l->now_ms);
    trim_init(l);
    l->wall_turn = UINT64_MAX;
#ifdef WEIR_TSAN
    l->tsan = __tsan_get_current_fiber();
#endif
    loop_current = l;
    *ret = l;
    return ERR_OK;
}

static void run_posted(struct loop *l);

void loop_free(struct loop *l)
{
    CHECK(l == loop_current && !l->current);
    // A message that its sender need not see arrive may still be there.
    run_posted(l);
    CHECK(l->live_ios == 0 && l->live_fibers == 0);
    // A thread whose last message has run may still be about to wake us.
    while (atomic_load_explicit(&l->posting, memory_order_acquire))
        sched_yield();
    io_pipes_fini(l);
    sys_close(l->wake_fd);
    sys_poll_free(l->poll_fd);
    stack_pool_fini(&l->stacks);
    fiber_context_free(l->context);
    mem_free(l->ios);
    mem_free(l);
    loop_current = NULL;
    chunk_thread_fini();
    spare_thread_fini();
    arena_thread_fini();
}

struct loop *loop_self(void)
{
    return loop_current;
}

// ---- Time and randomness

uint64_t loop_now_ms(void)
{
    return likely(loop_current != NULL) ? loop_current->now_ms : sys_clock_us() / 1000;
}

uint64_t loop_clock_us(void)
{
    return sys_clock_us();
}

uint64_t loop_cpu_us(void)
{
    return sys_cpu_us();
}

uint64_t loop_wall_ms(void)
{
    struct loop *l = loop_current;
    if (!l)
        return sys_wall_ms();
    uint64_t turn = atomic_load_explicit(&l->turns, memory_order_relaxed);
    if (l->wall_turn != turn) {
        l->wall_ms = sys_wall_ms();
        l->wall_turn = turn;
    }
    return l->wall_ms;
}

uint64_t loop_turns(const struct loop *l)
{
    return atomic_load_explicit(&l->turns, memory_order_relaxed);
}

void loop_random(void *out, size_t n)
{
    struct loop *l = loop_current;
    if (!l || n > LOOP_RANDOM_BYTES / 16) {
        sys_random(out, n);
        return;
    }
    if (l->random_left < n) {
        sys_random(l->random, sizeof(l->random));
        l->random_left = sizeof(l->random);
    }
    // What was given out is not kept.
    unsigned char *p = l->random + l->random_left - n;
    memcpy(out, p, n);
    explicit_bzero(p, n);
    l->random_left -= (unsigned)n;
}

// The poller hands events out in the order in which they came, so one of our own tells how long the others waited.
uint64_t loop_queue_ms(void)
{
    struct loop *l = loop_current;
    uint64_t ms = l->marked ? MAX(l->queue_ms, l->now_ms - l->mark_ms) : l->queue_ms;
    if (!l->marked && l->full) {
        l->marked = true;
        l->mark_ms = l->now_ms;
        sys_wake(l->wake_fd);
    }
    l->queue_ms = 0;
    l->full = false;
    return ms;
}

void loop_set_urgent(struct timer *t)
{
    loop_current->urgent = t;
}

static void look_at_urgent(struct loop *l)
{
    struct timer *t = l->urgent;
    if (!t || !timer_is_set(t) || sys_clock_us() / 1000 < t->due_ms)
        return;
    l->now_ms = sys_clock_us() / 1000;
    l->full = true;
    timer_cancel(t);
    t->fn(t);
}

static void mark_came(struct loop *l)
{
    l->queue_ms = MAX(l->queue_ms, l->now_ms - l->mark_ms);
    l->marked = false;
}

void loop_beat_at(struct loop *l, _Atomic uint64_t *beat)
{
    l->beat = beat;
}

void loop_beat(struct loop *l)
{
    loop_count_beat(l);
}

// ---- Messages

void loop_post(struct loop *l, struct loop_msg *m)
{
    bool other_thread = l != loop_current;
    if (other_thread)
        atomic_fetch_add_explicit(&l->posting, 1, memory_order_relaxed);
    struct loop_msg *first = atomic_load_explicit(&l->posted, memory_order_relaxed);
    do {
        m->next = first;
    } while (!atomic_compare_exchange_weak_explicit(&l->posted, &first, m, memory_order_acq_rel,
                                                    memory_order_relaxed));
    if (!other_thread)
        return;
    // Whoever found it empty wakes the loop; it looks at the list before it sleeps.
    if (!first)
        sys_wake(l->wake_fd);
    atomic_fetch_sub_explicit(&l->posting, 1, memory_order_release);
}

static void run_posted(struct loop *l)
{
    if (likely(atomic_load_explicit(&l->posted, memory_order_relaxed) == NULL))
        return;
    struct loop_msg *m = atomic_exchange_explicit(&l->posted, NULL, memory_order_acq_rel);
    struct loop_msg *oldest = NULL;
    while (m) {
        struct loop_msg *next = m->next;
        m->next = oldest;
        oldest = m;
        m = next;
    }
    while (oldest) {
        struct loop_msg *next = oldest->next;
        oldest->fn(oldest);
        oldest = next;
    }
}

// ---- The turn

void loop_task_set(struct loop_task *k)
{
    if (list_empty(&k->node))
        list_push_back(&loop_current->tasks, &k->node);
}

// What fibers do because of a task may set it again: a few times in the same turn, then others have theirs.
static void run_tasks(struct loop *l)
{
    enum { ROUNDS = 3 };
    for (unsigned i = 0; i < ROUNDS && !list_empty(&l->tasks); i++) {
        struct list now;
        list_init(&now);
        list_take_all(&l->tasks, &now);
        while (!list_empty(&now)) {
            struct loop_task *k = container_of(now.next, struct loop_task, node);
            list_remove(&k->node);
            k->fn(k);
        }
        fiber_run_ready(l);
    }
}

static int timeout_ms(struct loop *l)
{
    if (!list_empty(&l->ready) || !list_empty(&l->yielded) || !list_empty(&l->tasks) ||
        atomic_load_explicit(&l->posted, memory_order_relaxed))
        return 0;
    uint64_t next = wheel_next(&l->wheel);
    if (next == UINT64_MAX)
        return -1;
    if (next <= l->now_ms)
        return 0;
    return (int)MIN(next - l->now_ms, (uint64_t)INT_MAX);
}

static void run_timers(struct loop *l)
{
    struct list due;
    list_init(&due);
    wheel_advance(&l->wheel, l->now_ms, &due);
    while (!list_empty(&due)) {
        struct timer *t = container_of(due.next, struct timer, node);
        list_remove(&t->node);
        t->fn(t);
    }
}

enum { LONG_TURN = 15, LOOK_EVERY = 8 }; // events

// False: nothing can ever happen again.
static bool turn(struct loop *l)
{
    int n = sys_poll_wait(l->poll_fd, l->events, LOOP_EVENTS_MAX, timeout_ms(l));
    if (unlikely(n == SYS_NOTHING_LEFT))
        return false;
    l->now_ms = sys_clock_us() / 1000;
    atomic_store_explicit(&l->turns, atomic_load_explicit(&l->turns, memory_order_relaxed) + 1,
                          memory_order_relaxed);
    // Who yielded runs after the events, before those whom the events make ready.
    list_take_all(&l->yielded, &l->ready);
    // Events go before timers: what arrived in time is no timeout, however long we were kept from looking.
    for (int i = 0; i < n; i++) {
        uint64_t data = l->events[i].data.u64;
        uint32_t fd = (uint32_t)data;
        struct io *io = fd < l->n_ios ? l->ios[fd] : NULL;
        // A descriptor that was closed earlier in this batch, and perhaps opened again, has another
        // generation.
        if (likely(io && io->gen == data >> 32))
            io_event(io, l->events[i].events);
        else if (data == WAKE_DATA && l->marked)
            mark_came(l);
        if (unlikely(i > LONG_TURN && i % LOOK_EVERY == 0))
            look_at_urgent(l);
    }
    if (unlikely(n == LOOP_EVENTS_MAX))
        l->full = true;
    run_timers(l);
    run_posted(l);
    fiber_run_ready(l);
    if (!list_empty(&l->tasks))
        run_tasks(l);
    return true;
}

bool loop_run_until(struct loop *l, bool (*pred)(void *arg), void *arg)
{
    CHECK(l == loop_current && !l->current);
    while (!pred(arg)) {
        if (!turn(l))
            return pred(arg);
    }
    return true;
}

void loop_run(struct loop *l)
{
    CHECK(l == loop_current && !l->current);
    while (!l->stopping && turn(l)) {
    }
    l->stopping = false;
}

void loop_stop(struct loop *l)
{
    l->stopping = true;
}
