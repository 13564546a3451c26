// SPDX-License-Identifier: Apache-2.0
// Fibers that wait for long, as those of slow clients do, keep the pages of their stacks that hold frames;
// what earlier and deeper calls left below them goes back to the system, and what their owners know not to
// need meanwhile. Only where there are many fibers, and never on a request's quick way: a few stacks are not
// worth the calls.
#include "base/mem.h"
#include "io/internal.h"

enum {
    TICK_MS = 100,
    TICKS_A_ROUND = 8, // a round looks at every descriptor once
    FIBERS_MIN = 128,  // fewer than these: nothing is done
    ROUNDS = 3,        // how many are told apart
    TRIMMED = ROUNDS + 1,
    RED_ZONE_BYTES = 128, // below the stack pointer, by the ABI
};

// One that was seen to wait in an earlier round, and has not run since, is one that waits for long. While it
// waits nobody counts its operations: what was seen is kept where they are.
static void look_at(struct loop *l, struct fiber *f)
{
    if (!f || (f->state != FIBER_WAITING && f->state != FIBER_PARKED) || f->busy == l->trim_round ||
        f->busy >= TRIMMED)
        return;
    if (f->busy == 0) {
        f->busy = l->trim_round;
        return;
    }
    f->busy = TRIMMED;
    if (f->on_long_wait)
        f->on_long_wait(f->long_wait_arg);
    char *sp = fiber_context_stack(f->context);
    if (sp)
        mem_discard(f->stack.low, sp - RED_ZONE_BYTES);
}

static void on_tick(struct timer *t)
{
    struct loop *l = container_of(t, struct loop, trim);
    if (l->live_fibers < FIBERS_MIN)
        return;
    for (uint32_t end = MIN(l->trim_at + l->n_ios / TICKS_A_ROUND + 1, l->n_ios); l->trim_at < end;
         l->trim_at++) {
        struct io *io = l->ios[l->trim_at];
        if (!io)
            continue;
        look_at(l, io->reader);
        look_at(l, io->writer);
        look_at(l, io->watcher);
    }
    if (l->trim_at >= l->n_ios) {
        l->trim_at = 0;
        l->trim_round = (uint8_t)(l->trim_round % ROUNDS + 1);
    }
    timer_set(t, l->now_ms + TICK_MS);
}

void trim_init(struct loop *l)
{
    timer_init(&l->trim, on_tick);
    l->trim_round = 1;
}

void trim_begin(struct loop *l)
{
    if (!timer_is_set(&l->trim))
        timer_set(&l->trim, l->now_ms + TICK_MS);
}
