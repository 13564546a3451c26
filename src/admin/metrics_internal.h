// SPDX-License-Identifier: Apache-2.0
// What metrics.c and metrics_text.c share.
#ifndef WEIR_ADMIN_METRICS_INTERNAL_H
#define WEIR_ADMIN_METRICS_INTERNAL_H

#include "admin/metrics.h"

enum metric_scope {
    METRIC_IN_PROCESS,
    METRIC_IN_LISTENER,
    METRIC_IN_TRAFFIC,
    METRIC_IN_UPSTREAM,
    METRIC_IN_CACHE,
    N_METRIC_SCOPES,
};

enum metric_shape {
    METRIC_SHAPE_ONE,
    METRIC_SHAPE_STATE,
    METRIC_SHAPE_STATUS,
    METRIC_SHAPE_REASON,
    METRIC_SHAPE_LIMIT,
    METRIC_SHAPE_HISTOGRAM,
};

enum {
    METRIC_BOUNDS = 14,
    METRIC_CELLS_ONE = 1,
    METRIC_CELLS_STATE = 1, // the generation, from 1, << 1 | the state; 0: nobody has said it
    METRIC_CELLS_STATUS = 6, // none, 1xx to 5xx
    METRIC_CELLS_REASON = N_ERRS,
    METRIC_CELLS_LIMIT = N_LIMITS,
    METRIC_CELLS_HISTOGRAM = METRIC_BOUNDS + 2, // each bucket by itself, the one beyond all bounds, the sum
};
extern const uint32_t metric_bounds_us[METRIC_BOUNDS];

struct metric_label {
    const char *name; // NULL: no label
    struct span value;
};

/// A registered set.
struct metric_entry {
    struct metric_set set;
    enum metric_scope scope;
    const char *name[2];
    char *value[2];
    void *memory;
    struct metric_entry *next;        // in the order of their making
    struct metric_entry *next_alike;  // in its bucket
};

struct metric_row {
    enum metric_scope scope;
    enum metric_shape shape;
    uint16_t cells;
    const char *type, *name, *help;
};
const struct metric_row *metric_row(enum metric m);

/// A cell over all threads.
uint64_t metric_cell_sum(const struct metric_set *s, uint32_t cell);
/// The registered sets (without the process's), in the order of their registration; locked until the unlock.
const struct metric_entry *metric_entries_lock(void);
void metric_entries_unlock(void);

/// Appends formatted text to the queue, through a buffer.
struct metric_text {
    struct chunkq *out;
    enum err err;
    unsigned used;
    char buffer[4096];
};
void metric_text_add(struct metric_text *t, const char *fmt, ...) PRINTF_LIKE(2, 3);
/// What the system knows of this process.
void metric_text_process(struct metric_text *t);

#endif
