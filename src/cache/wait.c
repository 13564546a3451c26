// SPDX-License-Identifier: Apache-2.0
#include "cache/wait.h"

#include "base/mem.h"
#include "io/loop.h"
#include "net/waiter.h"

// Woken by a message to the waiter's loop. Where the fiber leaves while that is under way, the message frees the waiter.
struct cache_waiter {
    struct list node; // in the list while nobody has woken it
    struct loop_msg msg;
    struct loop *loop;
    struct waiter waiter;
    bool arrived, abandoned; // the loop's alone
};

struct cache_waiter *cache_waiter_new(void)
{
    struct cache_waiter *w = (struct cache_waiter *)mem_calloc(1, sizeof *w);
    if (w) {
        list_init(&w->node);
        w->loop = loop_self();
        w->waiter.fiber = fiber_self();
    }
    return w;
}

void cache_waiter_free(struct cache_waiter *w)
{
    mem_free(w);
}

void cache_waiter_join(struct list *waiters, struct cache_waiter *w)
{
    list_push_back(waiters, &w->node);
}

static void on_message(struct loop_msg *m)
{
    struct cache_waiter *w = container_of(m, struct cache_waiter, msg);
    w->arrived = true;
    if (w->abandoned)
        mem_free(w);
    else
        waiter_wake(&w->waiter);
}

void cache_wake_all(struct list *waiters)
{
    LIST_FOREACH (it, waiters) {
        struct cache_waiter *w = container_of(it, struct cache_waiter, node);
        list_remove(&w->node);
        w->msg.fn = on_message;
        loop_post(w->loop, &w->msg);
    }
}

enum err cache_waiter_wait(struct cache_waiter *w, pthread_mutex_t *lock)
{
    enum err e = ERR_OK;
    while (!w->arrived && !e)
        e = waiter_park(&w->waiter, DEADLINE_NONE);
    if (w->arrived) {
        mem_free(w);
        return e;
    }
    pthread_mutex_lock(lock);
    bool still_waiting = !list_empty(&w->node);
    list_remove(&w->node);
    pthread_mutex_unlock(lock);
    if (still_waiting)
        mem_free(w);
    else
        w->abandoned = true;
    return e;
}
