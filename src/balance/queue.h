// SPDX-License-Identifier: Apache-2.0
// Requests that wait for a server to have room (`max-requests N queue M wait T`): first come, first served within a priority, over
// all threads. Room that is given back goes to the first in the queue directly, so that nobody who comes later gets it before.
#ifndef WEIR_BALANCE_QUEUE_H
#define WEIR_BALANCE_QUEUE_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/list.h"
#include "io/loop.h"
#include "net/waiter.h"

struct member;

enum queue_priority { PRIORITY_HIGH, PRIORITY_NORMAL, PRIORITY_LOW, N_PRIORITIES };

struct queue {
    pthread_mutex_t lock;
    struct list waiting[N_PRIORITIES];
    _Atomic unsigned n;
};

/// One that waits, on its fiber's stack.
struct queue_waiter {
    struct list node;
    struct loop *loop;
    struct waiter waiter;
    struct loop_msg msg;
    struct member *granted; // with the place at it; the waiter holds it then
    bool told;              // the message has come
    /// Whether a place at this member is of use to the waiter.
    bool (*wants)(const struct queue_waiter *w, const struct member *m);
};

void queue_init(struct queue *q);
void queue_fini(struct queue *q);
static inline unsigned queue_length(const struct queue *q)
{
    return atomic_load_explicit(&q->n, memory_order_relaxed);
}
/// Waits on the calling fiber for a place. again(arg) is asked once more after the waiter has its place in the queue, and may find
/// one by itself. ERR_QUEUE_FULL where max wait already, ERR_QUEUE_TIMEOUT, or the fiber's cancellation.
MUST_USE enum err queue_wait(struct queue *q, struct queue_waiter *w, enum queue_priority priority, unsigned max, uint64_t deadline,
                             bool (*again)(void *arg), void *arg);
/// Hands a place at m, which the caller has, to the first who wants it. False: nobody does, the place is still the caller's.
bool queue_hand_over(struct queue *q, struct member *m);

#endif
