// SPDX-License-Identifier: Apache-2.0
#include "proxy/overload.h"

#include "proxy/thread.h"

enum {
    TICK_MS = OVERLOAD_TICK_MS,
    ROOM_MIN = 4,
    BUSY_PERCENT = 30, // of its time the thread ran itself: then a late tick is proof
    CROWD = 32,        // requests under way from which on that is looked at
    MEAN_MS = 1000,
    QUIET_MS = 1000,       // without a refusal
    REFUSALS_A_TICK = 300, // of some 15 us each: a tenth of the time
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

// Late by too much work? Once may be a page fault, a suspended machine, or others that had the processor,
// unless the thread ran itself meanwhile; again is no accident. (The clock of its processor time is a system
// call: it is read only where there is much to do.)
static bool is_overloaded(struct overload *o, uint64_t passed_ms)
{
    return o->late_ticks++ > 0 || (o->cpu_us && (loop_cpu_us() - o->cpu_us) / 10 >= passed_ms * BUSY_PERCENT);
}

// What a thread gets through: those that slow clients or servers keep from ending have had their work done too.
static void count_ended(struct overload *o, uint64_t passed_ms)
{
    uint64_t now = (uint64_t)MAX(o->n_begun, o->n_ended) * 1000000 / MAX(passed_ms, UINT64_C(1)),
             weight = MIN(passed_ms, (uint64_t)MEAN_MS);
    o->per_1000_s = (o->per_1000_s * (MEAN_MS - weight) + now * weight) / MEAN_MS;
    o->n_begun = o->n_ended = 0;
}

// What is too much of the requests under way: those that wait for the thread, beyond what it does in half the
// time that is allowed. (Others wait for servers, and are no work.)
static void cut(struct overload *o, uint64_t lag_ms, uint64_t late_ms)
{
    uint64_t excess = o->per_1000_s * (late_ms - lag_ms / 2) / 1000000,
             keep = o->per_1000_s * (lag_ms / 2) / 1000000 + ROOM_MIN;
    unsigned from = o->room ? MIN(o->room, o->n_young) : o->n_young;
    o->room =
        (unsigned)MAX(from - MIN(excess, (uint64_t)from), MIN(keep, (uint64_t)MAX(from, (unsigned)ROOM_MIN)));
    o->settled_ms = loop_now_ms() + late_ms;
}

struct waiting {
    unsigned n;
    uint64_t ms; // how long the oldest has, at the most
};

// Those that wait to be accepted.
static struct waiting backlog(const struct service *s)
{
    struct waiting w = {0, 0};
    LIST_FOREACH (it, &s->listeners) {
        const struct service_listener *sl = container_of(it, const struct service_listener, node);
        if (likely(!sl->behind_ms) || sl->listener->kind == LISTENER_ADMIN)
            continue;
        w.n += io_backlog(&sl->io);
        w.ms = MAX(w.ms, loop_now_ms() - sl->behind_ms);
    }
    return w;
}

static void adjust(struct overload *o, uint64_t lag_ms, uint64_t late_ms, uint64_t passed_ms,
                   struct waiting w)
{
    uint64_t waiting_ms = MIN(w.ms, w.n * UINT64_C(1000000) / MAX(o->per_1000_s, UINT64_C(1000)));
    late_ms = MAX(late_ms, waiting_ms);
    if (late_ms > lag_ms) {
        if (!is_overloaded(o, passed_ms))
            return;
        if (waiting_ms > lag_ms)
            o->shed = w.n - (unsigned)MIN(o->per_1000_s * (lag_ms / 2) / 1000000, (uint64_t)w.n);
        if (loop_now_ms() >= o->settled_ms)
            cut(o, lag_ms, late_ms);
        return;
    }
    o->late_ticks = o->shed = 0;
    if (o->room && late_ms < lag_ms / 2) {
        o->room += o->room / 16 + 1;
        if (o->room > 2 * o->n_young + 4 * ROOM_MIN && loop_now_ms() > o->refused_ms + QUIET_MS)
            o->room = 0; // nobody comes near it any more
    }
}

static void on_tick(struct timer *t)
{
    struct service *s = container_of(t, struct service, overload.tick);
    struct overload *o = &s->overload;
    uint64_t now = loop_now_ms(), late = now > t->due_ms ? now - t->due_ms : 0, passed = now - o->tick_ms;
    advance(o);
    count_ended(o, passed);
    adjust(o, s->gen->limits.lag_ms, MAX(late, loop_queue_ms()), passed, backlog(s));
    o->n_refused = 0;
    o->tick_ms = now;
    o->cpu_us = o->n_young >= CROWD ? loop_cpu_us() : 0;
    if (s->n_exchanges || o->room)
        timer_set(t, now + TICK_MS);
}

void overload_init(struct overload *o)
{
    *o = (struct overload){.second = loop_now_ms() / 1000};
    timer_init(&o->tick, on_tick);
    loop_set_urgent(&o->tick);
}

void overload_fini(struct overload *o)
{
    timer_cancel(&o->tick);
    loop_set_urgent(NULL);
}

bool overload_enter(struct service *s, uint64_t *ret_second)
{
    struct overload *o = &s->overload;
    if (unlikely(loop_now_ms() / 1000 != o->second))
        advance(o);
    if (unlikely(!timer_is_set(&o->tick))) {
        o->late_ticks = 0;
        o->cpu_us = 0;
        o->tick_ms = loop_now_ms();
        timer_set(&o->tick, loop_now_ms() + TICK_MS);
    }
    *ret_second = o->second;
    bool ok = likely(o->room == 0) || o->n_young < o->room;
    o->n_begun += ok;
    if (unlikely(!ok))
        o->refused_ms = loop_now_ms();
    o->young[o->second % OVERLOAD_SECONDS]++;
    o->n_young++;
    return ok;
}

void overload_leave(struct service *s, uint64_t second, bool served)
{
    struct overload *o = &s->overload;
    o->n_ended += served;
    if (unlikely(loop_now_ms() / 1000 != o->second))
        advance(o);
    if (o->second - second >= OVERLOAD_SECONDS)
        return;
    o->young[second % OVERLOAD_SECONDS]--;
    o->n_young--;
}

bool overload_may_refuse(struct overload *o)
{
    o->refused_ms = loop_now_ms();
    if (o->n_refused >= REFUSALS_A_TICK)
        return false;
    o->n_refused++;
    o->shed -= o->shed > 0;
    return true;
}
