// SPDX-License-Identifier: Apache-2.0
#include "io/internal.h"

void wheel_init(struct wheel *w, uint64_t now)
{
    w->now = now;
    for (unsigned level = 0; level < WHEEL_LEVELS; level++) {
        w->used[level] = 0;
        for (unsigned i = 0; i < WHEEL_SLOTS; i++)
            list_init(&w->slot[level][i]);
    }
    list_init(&w->past);
}

// Hangs t, which hangs nowhere, by its due time. Goes on holding while now grows and stays before the slot's
// time: digits above the slot's level are equal, and at its level the slot's digit is the greater one.
static void insert(struct wheel *w, struct timer *t)
{
    if (t->due_ms <= w->now) {
        list_push_back(&w->past, &t->node);
        return;
    }
    unsigned level = (63u - (unsigned)__builtin_clzll(t->due_ms ^ w->now)) / WHEEL_BITS;
    unsigned slot = (unsigned)(t->due_ms >> (level * WHEEL_BITS)) % WHEEL_SLOTS;
    list_push_back(&w->slot[level][slot], &t->node);
    w->used[level] |= (uint64_t)1 << slot;
}

void wheel_set(struct wheel *w, struct timer *t, uint64_t due_ms)
{
    list_remove(&t->node);
    t->due_ms = due_ms;
    insert(w, t);
}

// The first slot in order of time, and the time at which it begins. Cancelling leaves the bit of an emptied
// slot behind; it goes here, so each bit is paid for once by the timer_set that set it.
static struct list *first_slot(struct wheel *w, uint64_t *ret_time)
{
    for (unsigned level = 0; level < WHEEL_LEVELS; level++) {
        while (w->used[level]) {
            unsigned slot = (unsigned)__builtin_ctzll(w->used[level]);
            struct list *head = &w->slot[level][slot];
            if (likely(!list_empty(head))) {
                unsigned shift = level * WHEEL_BITS;
                uint64_t below =
                    shift + WHEEL_BITS < 64 ? ((uint64_t)1 << (shift + WHEEL_BITS)) - 1 : UINT64_MAX;
                *ret_time = (w->now & ~below) | (uint64_t)slot << shift;
                return head;
            }
            w->used[level] &= w->used[level] - 1;
        }
    }
    return NULL;
}

void wheel_advance(struct wheel *w, uint64_t to, struct list *out)
{
    list_take_all(&w->past, out);
    uint64_t time;
    struct list *head;
    while ((head = first_slot(w, &time)) && time <= to) {
        struct list slot;
        list_init(&slot);
        list_take_all(head, &slot);
        w->now = MAX(w->now, time);
        while (!list_empty(&slot)) {
            struct timer *t = container_of(slot.next, struct timer, node);
            list_remove(&t->node);
            insert(w, t); // lower, or into past when it is due now
        }
        list_take_all(&w->past, out);
    }
    w->now = MAX(w->now, to);
}

uint64_t wheel_next(struct wheel *w)
{
    if (!list_empty(&w->past))
        return w->now;
    uint64_t time;
    return first_slot(w, &time) ? time : UINT64_MAX;
}

void timer_init(struct timer *t, void (*fn)(struct timer *t))
{
    list_init(&t->node);
    t->due_ms = 0;
    t->fn = fn;
}

void timer_set(struct timer *t, uint64_t due_ms)
{
    wheel_set(&loop_current->wheel, t, due_ms);
}

void timer_cancel(struct timer *t)
{
    list_remove(&t->node);
}
