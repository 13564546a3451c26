// SPDX-License-Identifier: Apache-2.0
// The requests that ended last, by their ids: what `weir explain ID` looks in. Records are texts of the owner's making. Each thread
// puts into a ring of its own, so that none waits for another; the oldest make room.
#ifndef WEIR_ADMIN_HISTORY_H
#define WEIR_ADMIN_HISTORY_H

#include "base/arena.h"
#include "base/err.h"

enum {
    HISTORY_BYTES = 8 << 20, // of all threads together: some 10,000 records
    HISTORY_RECORD_MAX_BYTES = 16 * 1024,
};

/// Begins to keep records of this many threads; at the most HISTORY_BYTES, and 64 KiB a thread. ERR_NO_MEMORY. Where it was not called
/// or failed, nothing is kept.
MUST_USE enum err history_start(unsigned threads);
/// Frees all. Nobody may be putting.
void history_stop(void);
/// Keeps a record, for a worker thread (metrics_thread_init says which). One that is too large is left out.
void history_put(struct span id, struct span record);
/// A copy of the newest record with this id in the arena; a NULL pointer where there is none. Any thread.
struct span history_find(struct span id, struct arena *a);

#endif
