// SPDX-License-Identifier: Apache-2.0
// What keeps pools up to date: one thread asks all servers how they are and what their names stand for, and all threads see it.
#ifndef WEIR_BALANCE_KEEPER_H
#define WEIR_BALANCE_KEEPER_H

#include "balance/pool.h"
#include "net/dns.h"

struct keeper;

enum keeper_event {
    KEEPER_UP,          // a server answers its checks again
    KEEPER_DOWN,        // and does not
    KEEPER_NAME_FAILED, // a name does not resolve: the last good answer is kept
    KEEPER_NAME_BACK,   // it does again
    KEEPER_NAME_MOVED,  // it has other addresses
    KEEPER_TARGET_FAILED, // some targets of a service do not resolve: what they stood for is kept
};
struct keeper_hooks {
    /// For the log. a: of the server; NULL for names.
    void (*event)(enum keeper_event ev, const struct pool *p, const struct server *s, const struct addr *a, enum err why);
    /// While a check runs its pools must stay, whatever the configuration does: owner is what keeper_set_pools was given.
    void (*hold)(void *owner);
    void (*let_go)(void *owner);
};

/// On the thread that does the work. NULL when memory is out.
MUST_USE struct keeper *keeper_new(const struct keeper_hooks *hooks, struct dns *dns);
/// From now on these pools are looked after. They must stay as long as they are; what is under way for earlier ones is seen to its
/// end. Servers that are still there keep their state and their time.
void keeper_set_pools(struct keeper *k, struct pool *const *pools, unsigned n, void *owner);
/// Ends what is under way: it has ended after some turns of the loop. Nothing begins any more.
void keeper_stop(struct keeper *k);
/// Runs the loop until everything has ended, and frees it. k may be NULL.
void keeper_free(struct keeper *k);

#endif
