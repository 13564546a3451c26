// SPDX-License-Identifier: Apache-2.0
// Counters, gauges and histograms (metrics.tbl), and their Prometheus text. Each thread adds to numbers of its own, on
// cache lines of its own, without a locked instruction; whoever reads adds the threads up. Labels come from the
// configuration only: a set of numbers is registered by its labels when a generation is built, and the same
// labels give the same set again, so that counters go on over reloads and never go down.
#ifndef WEIR_ADMIN_METRICS_H
#define WEIR_ADMIN_METRICS_H

#include <stdatomic.h>

#include "base/chunk.h"
#include "base/err.h"
#include "base/span.h"

enum metric {
#define METRIC(id, scope, shape, type, name, help) METRIC_##id,
#include "admin/metrics.tbl"
#undef METRIC
    N_METRICS
};

enum limit {
#define LIMIT(id, word) LIMIT_##id,
#include "admin/limits.tbl"
#undef LIMIT
    N_LIMITS
};

enum { METRICS_THREADS_MAX = 256 };

/// The numbers of one combination of labels. Lives until metrics_fini.
struct metric_set {
    _Atomic uint64_t *cells; // stride for each thread
    uint32_t stride;         // in cells; whole cache lines
};

/// Which of a set's numbers are this thread's: 0 is shared by all that are no worker threads.
extern _Thread_local uint32_t metrics_slot __attribute__((tls_model("initial-exec")));
/// Where a metric begins in the numbers of its scope.
extern const uint16_t metric_first_cell[N_METRICS];
/// The set of the process itself.
extern struct metric_set metrics_process;

/// Before any set is registered: how many worker threads there will be (at most METRICS_THREADS_MAX). Without it
/// there is one, as in tests. ERR_NO_MEMORY.
MUST_USE enum err metrics_init(unsigned threads);
/// Says that the calling thread is worker thread n, counted from 0. Nothing where metrics_init was not called.
void metrics_thread_init(unsigned n);
/// Frees all sets; nobody may be adding.
void metrics_fini(void);

/// The set with these labels, made where it is not there yet. Any thread. NULL when memory is out.
MUST_USE struct metric_set *metrics_listener(struct span listener);
MUST_USE struct metric_set *metrics_site(struct span site);
MUST_USE struct metric_set *metrics_proxy(struct span proxy);
/// Requests that reached no site and no proxy.
MUST_USE struct metric_set *metrics_nowhere(void);
/// A server of a pool; and whatever a forward proxy connects to.
MUST_USE struct metric_set *metrics_server(struct span pool, struct span server);
MUST_USE struct metric_set *metrics_origins(struct span proxy);
/// A cache. Its numbers are counted elsewhere and put here before the text is written.
MUST_USE struct metric_set *metrics_cache(struct span cache);

static inline void metric_add_cell(struct metric_set *s, uint32_t cell, uint64_t n)
{
    _Atomic uint64_t *c = &s->cells[metrics_slot * s->stride + cell];
    if (unlikely(metrics_slot == 0)) {
        atomic_fetch_add_explicit(c, n, memory_order_relaxed);
        return;
    }
    atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + n, memory_order_relaxed);
}
/// Adds to a metric of shape ONE. A gauge goes down by a negative n, also on another thread than it went up.
static inline void metric_add(struct metric_set *s, enum metric m, int64_t n)
{
    metric_add_cell(s, metric_first_cell[m], (uint64_t)n);
}
/// Sets a metric of shape ONE that nobody adds to.
void metric_put(struct metric_set *s, enum metric m, uint64_t value);
enum { METRIC_STATE_BITS = 40 }; // what a state may have, beside the generation
/// Sets a metric of shape STATE (its lower METRIC_STATE_BITS). It is left out of the text once another generation is in force, until that one has said it too: so
/// what the configuration names no more has no state.
void metric_put_state(struct metric_set *s, enum metric m, uint64_t of_generation, uint64_t state);
/// One more of this response status (0: there was none).
void metric_add_status(struct metric_set *s, enum metric m, unsigned status);
/// One more of this reason; ERR_OK counts nowhere.
void metric_add_reason(struct metric_set *s, enum metric m, enum err e);
void metric_observe_us(struct metric_set *s, enum metric m, uint64_t us);
/// For metrics of the process.
static inline void metrics_add(enum metric m, int64_t n)
{
    metric_add(&metrics_process, m, n);
}
/// One more refusal of this limit.
static inline void metrics_limit(enum limit l)
{
    metric_add_cell(&metrics_process, (uint32_t)metric_first_cell[METRIC_LIMIT_REFUSALS] + l, 1);
}

/// All numbers of a metric over all sets and threads (for status). Of a histogram: the observations.
int64_t metrics_total(enum metric m);
/// What weir_generation says from now on.
void metrics_set_generation(uint64_t number);
/// Opens what the process_* metrics are read from; before the process shuts itself in.
void metrics_process_open(void);
/// Appends the Prometheus text (version 0.0.4). Any thread, one at a time.
MUST_USE enum err metrics_write(struct chunkq *out);

#endif
