// SPDX-License-Identifier: Apache-2.0
// A fiber that waits for something of net's own. It is woken at most once a wait, so that no wake is left
// over for whatever it waits for next.
#ifndef WEIR_NET_WAITER_H
#define WEIR_NET_WAITER_H

#include "io/fiber.h"

struct waiter {
    struct fiber *fiber;
    bool waiting;
};

/// Waits on the calling fiber, which is w's.
static inline MUST_USE enum err waiter_park(struct waiter *w, uint64_t deadline)
{
    w->fiber = fiber_self();
    w->waiting = true;
    enum err e = fiber_park(deadline);
    if (e == ERR_TIMEOUT && !w->waiting)
        e = fiber_park(0); // the wake came after the deadline's timer and before we ran: take it
    w->waiting = false;
    return e;
}
static inline void waiter_wake(struct waiter *w)
{
    if (!w->waiting)
        return;
    w->waiting = false;
    fiber_wake(w->fiber);
}

#endif
