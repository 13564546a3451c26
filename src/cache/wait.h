// SPDX-License-Identifier: Apache-2.0
// Fibers of any thread that wait for something that any thread may bring about, under the lock of what they wait for.
#ifndef WEIR_CACHE_WAIT_H
#define WEIR_CACHE_WAIT_H

#include <pthread.h>

#include "base/list.h"
#include "io/fiber.h"

struct cache_waiter;

/// For the calling fiber. NULL when memory is out.
struct cache_waiter *cache_waiter_new(void);
/// Under the lock.
void cache_waiter_join(struct list *waiters, struct cache_waiter *w);
/// Without the lock: waits until woken, and frees w. An error is the fiber's own.
MUST_USE enum err cache_waiter_wait(struct cache_waiter *w, pthread_mutex_t *lock);
/// Frees one that has not joined.
void cache_waiter_free(struct cache_waiter *w);
/// Under the lock: wakes all and empties the list.
void cache_wake_all(struct list *waiters);

#endif
