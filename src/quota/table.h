// SPDX-License-Identifier: Apache-2.0
// What users have used up, in memory: one counter for each user and period, shared by the process's threads.
// Each knows how much of it is not in the store yet. Counting is an atomic addition; finding a counter takes
// a lock, once a request.
#ifndef WEIR_QUOTA_TABLE_H
#define WEIR_QUOTA_TABLE_H

#include <stdatomic.h>

#include "base/span.h"

enum {
    QUOTA_ENTRIES_MAX = 65536, // in memory; what is used by nobody and saved goes first
    QUOTA_TEXT_MAX = 256,      // of a scope or of a user's name
};

/// Whose use: scope names the statement, the same over restarts; period a day (2026-11-25) or a month
/// (2026-11).
struct quota_key {
    struct span scope, who, period;
    int64_t ends_s; // when the period ends, by the wall clock: long after that the store forgets it
};

struct quota_entry {
    struct quota_entry *next; // in its bucket
    struct quota_key key;
    unsigned holds;                 // under the table's lock
    bool counted;                   // it counts for a summary
    _Atomic uint64_t used, unsaved; // bytes
    char text[];
};

/// The counter, held, where it is in memory; otherwise NULL: quota_insert, with what the store knows, makes
/// it.
struct quota_entry *quota_find(const struct quota_key *k);
/// Makes it, held. Somebody else may have meanwhile: then it is that one, and used is of no account. NULL:
/// memory is out, or the table is full of what is in use.
MUST_USE struct quota_entry *quota_insert(const struct quota_key *k, uint64_t used);
void quota_release(struct quota_entry *e);

/// Counts n bytes. Returns how many there are then.
static inline uint64_t quota_add(struct quota_entry *e, uint64_t n)
{
    atomic_fetch_add_explicit(&e->unsaved, n, memory_order_relaxed);
    return atomic_fetch_add_explicit(&e->used, n, memory_order_relaxed) + n;
}
static inline uint64_t quota_used(const struct quota_entry *e)
{
    return atomic_load_explicit(&e->used, memory_order_relaxed);
}

/// Those with something that is not in the store, held; at most max of them. all: as if nothing of any were.
unsigned quota_collect_unsaved(struct quota_entry **v, unsigned max, bool all);
/// How many users of a scope and period there are in memory, and how many of them have used limit or more.
void quota_summary(struct span scope, struct span period, uint64_t limit, unsigned *ret_users,
                   unsigned *ret_over);
/// Forgets everything; nobody may hold anything.
void quota_table_clear(void);

#endif
