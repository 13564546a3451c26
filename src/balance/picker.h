// SPDX-License-Identifier: Apache-2.0
// How the next server is chosen: one file for each way (pick_*.c), one row for each in pickers.tbl.
#ifndef WEIR_BALANCE_PICKER_H
#define WEIR_BALANCE_PICKER_H

#include "balance/member.h"

enum { PICK_TRIED_MAX = 16 };

struct server;
struct pool;

/// Where a request may be sent.
struct target {
    struct member *member;
    const struct server *server;
    unsigned weight;
    const char *token; // of the sticky cookie; NULL: there is none
};

/// A point on the ring of a consistent hash.
struct ring_point {
    uint32_t at, target;
};

/// Targets of one rank, with what the picker has worked out about them. Immutable.
struct tier {
    struct target *v;
    unsigned n;
    uint32_t weight; // of all together
    uint16_t *slots; // indexes, each as often as its weight, evenly interleaved
    unsigned n_slots;
    struct ring_point *ring;
    unsigned n_ring;
};

/// The targets of a pool at one time. Shared, counted; servers that are names have one for each address. Who has a place in a tier is
/// asked only where nobody of the tiers before it may be: `backup` servers come after all others, and a service's priorities follow
/// one another within either.
enum { TIER_MAIN, LEVELS_MAX = 4, TIERS_MAX = 2 * LEVELS_MAX };
struct targets {
    _Atomic unsigned refs;
    unsigned n_tiers;
    uint64_t serial; // no others ever had it
    struct tier tiers[TIERS_MAX];
    struct arena arena;
};
/// From the addresses that the names have now. The pool's servers must be complete. NULL when memory is out.
MUST_USE struct targets *targets_new(struct pool *p);
void targets_unref(struct targets *t);

/// What a request brings to the choice, and what it has tried.
struct pick {
    uint64_t key; // of `balance hash`
    bool has_key;
    struct span session; // the value of the sticky cookie; NULL pointer: none
    bool desperate; // nobody is well: whoever is not disabled may be tried
    bool no_wait;   // not in a queue
    uint8_t priority; // in the queue: enum queue_priority
    bool saw_full;  // somebody was passed over because `max-requests` was reached
    uint64_t now_ms;
    const struct member *tried[PICK_TRIED_MAX];
    unsigned n_tried;
};
static inline bool pick_has_tried(const struct pick *k, const struct member *m)
{
    for (unsigned i = 0; i < k->n_tried; i++)
        if (k->tried[i] == m)
            return true;
    return false;
}
/// A random number below n (at least 1), from the thread's own sequence.
uint32_t pick_random(uint32_t n);

struct picker {
    const char *word; // in the configuration
    bool has_key;     // wants the request's key
    bool counts_load; // wants pool_shared.load
    bool measures;    // wants the members' latency
    /// Works something out about a tier, in the arena. NULL: nothing. False when memory is out.
    bool (*prepare)(struct tier *t, struct arena *a);
    /// One of the tier's targets that pick_may allows, or NULL where there is none.
    const struct target *(*pick)(struct pool *p, const struct tier *t, struct pick *k);
};
#define PICKER(id, word) extern const struct picker picker_##id;
#include "balance/pickers.tbl"
#undef PICKER
/// NULL for an unknown word.
const struct picker *picker_find(struct span word);

#endif
