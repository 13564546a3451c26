// SPDX-License-Identifier: Apache-2.0
#include "balance/connecting.h"

#include <pthread.h>

#include "balance/pool.h"
#include "balance/registry.h"

// ---- The threads that keep connections

struct keeping {
    struct loop_msg msg;
    struct loop *loop; // NULL: nobody's
    struct endpoints *endpoints;
    bool called; // the message is on its way
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct keeping threads[POOL_THREADS_MAX + 1]; // of static storage: a message may still lie at a loop that ends

static void on_called(struct loop_msg *msg)
{
    struct keeping *k = container_of(msg, struct keeping, msg);
    pthread_mutex_lock(&lock);
    k->called = false;
    struct endpoints *es = k->endpoints;
    pthread_mutex_unlock(&lock);
    if (es)
        endpoints_drop_called(es);
}

enum err connecting_join(struct endpoints *es)
{
    enum err e = ERR_NO_MEMORY;
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < ARRAY_LEN(threads) && e; i++) {
        struct keeping *k = &threads[i];
        if (k->loop || k->called)
            continue;
        *k = (struct keeping){.msg.fn = on_called, .loop = loop_self(), .endpoints = es};
        e = ERR_OK;
    }
    pthread_mutex_unlock(&lock);
    return e;
}

void connecting_leave(struct endpoints *es)
{
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        if (threads[i].endpoints == es) {
            threads[i].loop = NULL;
            threads[i].endpoints = NULL;
        }
    }
    pthread_mutex_unlock(&lock);
}

static void call_threads(void)
{
    pthread_mutex_lock(&lock);
    for (size_t i = 0; i < ARRAY_LEN(threads); i++) {
        struct keeping *k = &threads[i];
        if (!k->loop || k->called)
            continue;
        k->called = true;
        loop_post(k->loop, &k->msg);
    }
    pthread_mutex_unlock(&lock);
}

// ---- Who needs one

struct connecting {
    struct queue_waiter waiter;
    struct member *member;
    unsigned max;
    bool found;
};

static bool reserve(struct member *m, unsigned max)
{
    uint32_t n = atomic_load_explicit(&m->connections, memory_order_relaxed);
    while (n < max)
        if (atomic_compare_exchange_weak_explicit(&m->connections, &n, n + 1, memory_order_relaxed, memory_order_relaxed))
            return true;
    return false;
}

// Under the queue's lock: the first who waits takes it here, if it is free.
static bool takes(const struct queue_waiter *qw, const struct member *m)
{
    const struct connecting *c = container_of(qw, const struct connecting, waiter);
    (void)m;
    return reserve(c->member, c->max);
}

static bool look_again(void *arg)
{
    struct connecting *c = (struct connecting *)arg;
    atomic_thread_fence(memory_order_seq_cst); // member_disconnected has the other one: one of the two sees the other
    c->found = reserve(c->member, c->max);
    if (!c->found)
        call_threads();
    return c->found;
}

enum err member_connect(struct member *m, unsigned max, uint64_t deadline)
{
    struct connecting c = {.waiter.wants = takes, .member = m, .max = max};
    enum err e = ERR_OK;
    bool room = !queue_length(&m->connecting) && reserve(m, max);
    if (!room)
        e = queue_wait(&m->connecting, &c.waiter, PRIORITY_NORMAL, UINT32_MAX, deadline, look_again, &c);
    // Found and handed over: one of the two, or both.
    unsigned n = room + c.found + (c.waiter.granted != NULL);
    for (unsigned i = 0; i < n; i++)
        member_hold(m);
    for (unsigned i = e ? 0 : 1; i < n; i++)
        member_disconnected(m);
    return e;
}
