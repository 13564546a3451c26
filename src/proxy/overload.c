// SPDX-License-Identifier: Apache-2.0
#include "proxy/overload.h"

#include "proxy/thread.h"

enum {
    TICK_MS = 50,
    ROOM_MIN = 4,
    BUSY_PERCENT = 30, // of the time the thread must have run itself: late because others had the processor is no reason to refuse
};

static void advance(struct overload *o)
{
    uint64_t now = loop_now_ms() / 1000;
    uint64_t steps = MIN(now - o->second, (uint64_t)OVERLOAD_SECONDS);
    for (uint64_t i = 0; i < steps; i++) {
        unsigned *slot = &o->young[(now - i) % OVERLOAD_SECONDS];
        o->n_young -= *slot;
        *slot = 0;
    }
    o->second = now;
}

// Whether the thread has run itself for most of the time since it was first seen to be late. (The clock of its processor time is a system
// call: it is read only then.)
static bool is_busy(struct overload *o)
{
    uint64_t cpu = loop_cpu_us(), clock = loop_clock_us();
    bool busy = o->measuring && (cpu - o->cpu_us) * 100 >= (clock - o->clock_us) * BUSY_PERCENT;
    o->measuring = true;
    o->cpu_us = cpu;
    o->clock_us = clock;
    return busy;
}

static void adjust(struct overload *o, uint64_t lag_ms, uint64_t late_ms)
{
    if (late_ms > lag_ms) {
        if (!is_busy(o))
            return;
        unsigned from = o->room ? MIN(o->room, o->n_young) : o->n_young;
        o->room = MAX(from - from / 3, (unsigned)ROOM_MIN);
        return;
    }
    o->measuring = false;
    if (o->room && late_ms < lag_ms / 2) {
        o->room += o->room / 16 + 1;
        if (o->room > 2 * o->n_young + 4 * ROOM_MIN)
            o->room = 0; // nobody comes near it any more
    }
}

static void on_tick(struct timer *t)
{
    struct service *s = container_of(t, struct service, overload.tick);
    struct overload *o = &s->overload;
    uint64_t late = loop_now_ms() > t->due_ms ? loop_now_ms() - t->due_ms : 0;
    advance(o);
    adjust(o, s->gen->limits.lag_ms, late);
    if (s->n_exchanges || o->room)
        timer_set(t, loop_now_ms() + TICK_MS);
}

void overload_init(struct overload *o)
{
    *o = (struct overload){.second = loop_now_ms() / 1000};
    timer_init(&o->tick, on_tick);
}

void overload_fini(struct overload *o)
{
    timer_cancel(&o->tick);
}

bool overload_enter(struct service *s, uint64_t *ret_second)
{
    struct overload *o = &s->overload;
    if (unlikely(loop_now_ms() / 1000 != o->second))
        advance(o);
    if (unlikely(!timer_is_set(&o->tick))) {
        o->measuring = false;
        timer_set(&o->tick, loop_now_ms() + TICK_MS);
    }
    *ret_second = o->second;
    bool ok = !overload_is_full(o);
    o->young[o->second % OVERLOAD_SECONDS]++;
    o->n_young++;
    return ok;
}

void overload_leave(struct service *s, uint64_t second)
{
    struct overload *o = &s->overload;
    if (unlikely(loop_now_ms() / 1000 != o->second))
        advance(o);
    if (o->second - second >= OVERLOAD_SECONDS)
        return;
    o->young[second % OVERLOAD_SECONDS]--;
    o->n_young--;
}

bool overload_is_full(const struct overload *o)
{
    return unlikely(o->room != 0) && o->n_young >= o->room;
}
