// SPDX-License-Identifier: Apache-2.0
#include "balance/queue.h"

void queue_init(struct queue *q)
{
    pthread_mutex_init(&q->lock, NULL);
    for (unsigned i = 0; i < N_PRIORITIES; i++)
        list_init(&q->waiting[i]);
}

void queue_fini(struct queue *q)
{
    pthread_mutex_destroy(&q->lock);
}

// On the waiter's loop.
static void on_granted(struct loop_msg *m)
{
    struct queue_waiter *w = container_of(m, struct queue_waiter, msg);
    w->told = true;
    waiter_wake(&w->waiter);
}

// False: full.
static bool enter(struct queue *q, struct queue_waiter *w, enum queue_priority priority, unsigned max)
{
    pthread_mutex_lock(&q->lock);
    bool fits = queue_length(q) < max;
    if (fits) {
        list_push_back(&q->waiting[priority], &w->node);
        atomic_fetch_add_explicit(&q->n, 1, memory_order_seq_cst);
    }
    pthread_mutex_unlock(&q->lock);
    return fits;
}

// True: it waits no more. False: a place is on its way to it.
static bool leave(struct queue *q, struct queue_waiter *w)
{
    pthread_mutex_lock(&q->lock);
    bool waits = !list_empty(&w->node);
    if (waits) {
        list_remove(&w->node);
        atomic_fetch_sub_explicit(&q->n, 1, memory_order_relaxed);
    }
    pthread_mutex_unlock(&q->lock);
    return waits;
}

enum err queue_wait(struct queue *q, struct queue_waiter *w, enum queue_priority priority, unsigned max, uint64_t deadline,
                    bool (*again)(void *arg), void *arg)
{
    list_init(&w->node);
    w->loop = loop_self();
    w->waiter = (struct waiter){0};
    w->msg.fn = on_granted;
    w->granted = NULL;
    w->told = false;
    if (!enter(q, w, priority, max))
        return ERR_QUEUE_FULL;
    // A place that became free between the last look and now went to nobody.
    if (again(arg)) {
        if (leave(q, w))
            return ERR_OK;
        // Two places: the one on its way is passed on below.
    }
    enum err e = ERR_OK;
    while (!w->told && !e)
        e = waiter_park(&w->waiter, deadline);
    if (e && leave(q, w))
        return e == ERR_TIMEOUT ? ERR_QUEUE_TIMEOUT : e;
    enum err canceled = fiber_canceled(fiber_self());
    if (canceled)
        fiber_uncancel();
    e = ERR_OK;
    while (!w->told && !e)
        e = waiter_park(&w->waiter, DEADLINE_NONE); // the message names our stack: it must have come before we go
    if (canceled)
        fiber_cancel(fiber_self(), canceled);
    return canceled;
}

bool queue_hand_over(struct queue *q, struct member *m)
{
    struct queue_waiter *found = NULL;
    pthread_mutex_lock(&q->lock);
    for (unsigned i = 0; i < N_PRIORITIES && !found; i++) {
        LIST_FOREACH (it, &q->waiting[i]) {
            struct queue_waiter *w = container_of(it, struct queue_waiter, node);
            if (w->wants(w, m)) {
                found = w;
                break;
            }
        }
    }
    if (found) {
        list_remove(&found->node);
        atomic_fetch_sub_explicit(&q->n, 1, memory_order_relaxed);
        found->granted = m;
    }
    pthread_mutex_unlock(&q->lock);
    if (found)
        loop_post(found->loop, &found->msg);
    return found != NULL;
}
