// SPDX-License-Identifier: Apache-2.0
// `pre-open`: connections to servers that stand ready before a request asks for them. Each thread looks after
// its own.
#ifndef WEIR_BALANCE_PREOPEN_H
#define WEIR_BALANCE_PREOPEN_H

#include "balance/endpoints.h"
#include "balance/pool.h"

struct preopen;

struct preopen_hooks {
    /// A connection is there, after so long.
    void (*opened)(const struct pool *p, const struct server *s, uint64_t us);
    /// While one is being opened its pool must stay, whatever the configuration does: owner is what
    /// preopen_set_pools was given.
    void (*hold)(void *owner);
    void (*let_go)(void *owner);
};

/// On the thread whose connections these are. NULL when memory is out.
MUST_USE struct preopen *preopen_new(const struct preopen_hooks *hooks, struct endpoints *es);
/// From now on these pools are looked after. They must stay as long as they are. connect_ms, handshake_ms:
/// how long a server has for either. False when memory is out: none is looked after.
bool preopen_set_pools(struct preopen *po, struct pool *const *pools, unsigned n, uint64_t connect_ms,
                       uint64_t handshake_ms, void *owner);
/// Nothing begins any more, and what is under way ends after some turns of the loop.
void preopen_stop(struct preopen *po);
/// Runs the loop until everything has ended, and frees it. po may be NULL.
void preopen_free(struct preopen *po);

#endif
