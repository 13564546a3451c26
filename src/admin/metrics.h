// SPDX-License-Identifier: Apache-2.0
// Counters: each thread writes its own block, without a lock and without atomic read-modify-write; reading sums them up.
// Labels come from the configuration, never from a request. Counters go on over generations.
#ifndef WEIR_ADMIN_METRICS_H
#define WEIR_ADMIN_METRICS_H

#include <stdatomic.h>

#include "base/arena.h"
#include "base/err.h"

enum metric {
#define METRIC(id, name, type, help) METRIC_##id,
#include "admin/metrics.tbl"
#undef METRIC
    N_METRICS
};
enum { METRIC_SETS_MAX = 1024, METRIC_CLASSES = 6, METRIC_BUCKETS = 24, METRIC_THREADS_MAX = 256 };

struct metric_block {
    _Atomic uint64_t v[N_METRICS];
    _Atomic uint64_t errors[N_ERRS];
    _Atomic uint64_t duration[METRIC_BUCKETS], duration_us; // of requests, by powers of two of 64 us
    _Atomic uint64_t requests[METRIC_SETS_MAX][METRIC_CLASSES];
};
/// This thread's block (never NULL: a thread that has none counts into one that nobody reads).
extern _Thread_local struct metric_block *metric_block;

/// What a site, or a proxy, counts under its name.
struct metric_set {
    unsigned index;
};
/// The set of this kind ("site" or "proxy") and name, made where there is none. Any thread. Beyond the maximum all share one.
struct metric_set *metric_set_get(const char *kind, struct span name);

/// Gives the calling thread a block; again after metrics_thread_end. What a thread counted stays.
void metrics_thread_begin(void);
static inline void metric_bump(_Atomic uint64_t *c, uint64_t n)
{
    atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n, memory_order_relaxed);
}
static inline void metric_add(enum metric m, uint64_t n)
{
    metric_bump(&metric_block->v[m], n);
}
static inline void metric_sub(enum metric m, uint64_t n)
{
    metric_bump(&metric_block->v[m], (uint64_t)0 - n);
}
/// One request has ended. set may be NULL. status 0: it got no answer.
void metric_request(const struct metric_set *set, unsigned status, enum err reason, uint64_t duration_us);
/// The sum over all threads.
uint64_t metric_read(enum metric m);
/// All of it in Prometheus' text format.
struct span metrics_text(struct arena *a);

#endif
