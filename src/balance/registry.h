// SPDX-License-Identifier: Apache-2.0
// What threads share of pools and servers and what lives on over reloads, by name. Whoever is the last to hold something frees it.
#ifndef WEIR_BALANCE_REGISTRY_H
#define WEIR_BALANCE_REGISTRY_H

#include "balance/budget.h"
#include "balance/member.h"
#include "balance/queue.h"

struct pool_shared {
    struct pool_shared *next; // in the registry
    unsigned refs;
    _Atomic uint32_t turn; // round-robin: position in the sequence
    _Atomic uint32_t load; // requests under way at all its members, where the picker wants to know
    _Atomic uint64_t typical_us; // latency of all its members together, where the picker measures; a slow mean
    struct budget budget;
    struct queue queue;
    struct span name;
    char text[];
};

enum { SERVER_PLACES_MAX = 64 };

/// What a server's name stands for: one place for each address.
struct place {
    struct addr addr;
    unsigned weight;
    uint8_t level;   // of a service: 0 is asked first; else 0
    uint64_t origin; // of a service: its target as a hash, so that the places of one that does not resolve any more can be kept
};

/// A server as its pool and its name tell it; what commands say of it holds for all its addresses, those to come too.
struct server_shared {
    struct server_shared *next; // in the registry
    unsigned refs;
    struct pool_shared *pool;
    struct member *members;
    uint32_t flags; // MEMBER_DRAINING, MEMBER_DISABLED
    struct span pool_name, name;
    struct place *places; // that its name stood for when it last resolved
    unsigned n_places;
    unsigned name_failures; // in a row; the keeper's thread only
    bool partly;            // of a service: some of its targets did not resolve when it was last asked for; the keeper's thread only
};

/// The state of a pool, made where it is not there yet, with one more reference. Any thread. NULL when memory is out.
MUST_USE struct pool_shared *pool_shared_get(struct span name);
void pool_shared_unref(struct pool_shared *s);
/// The state of a server, made where it is not there yet, with one more reference. Any thread. NULL when memory is out.
MUST_USE struct server_shared *server_shared_get(struct span pool, struct span name);
void server_shared_unref(struct server_shared *s);
/// What a command says of the server, its members of now and those to come: MEMBER_DRAINING, MEMBER_DISABLED, or 0. It holds until
/// another one, over reloads too.
void server_shared_order(struct server_shared *s, uint32_t flags);
/// What the name stands for. Returns how many.
unsigned server_shared_places(struct server_shared *s, struct place out[SERVER_PLACES_MAX]);
/// False: they are the same (in any order) as before, or memory is out, and the old ones stay.
bool server_shared_set_places(struct server_shared *s, const struct place *v, unsigned n);
/// The member at an address of a server, made where it is not there yet, with one more reference. NULL when memory is out.
MUST_USE struct member *member_get(struct server_shared *s, const struct addr *a);
/// One more reference for who has one. member_unref: m may be NULL.
void member_hold(struct member *m);
void member_unref(struct member *m);
/// A connection to the member was opened: it holds the member until it is closed.
void member_connected(struct member *m);
void member_disconnected(struct member *m);

#endif
