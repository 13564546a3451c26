// SPDX-License-Identifier: Apache-2.0
// The connections of one thread to upstream addresses, kept for reuse, last in first out. Keyed by address
// and by what TLS verifies there (tls_client_identity; 0: plain), so they outlive the generations of the
// configuration that made them.
#ifndef WEIR_BALANCE_ENDPOINTS_H
#define WEIR_BALANCE_ENDPOINTS_H

#include "base/slab.h"
#include "net/addr.h"
#include "session/upstream.h"

struct endpoint;
struct pool;

struct endpoints {
    struct slab conns; // struct upstream_conn
    struct endpoint **table;
    unsigned n_buckets, n_endpoints;
    unsigned n_idle, max_idle; // over all addresses
    unsigned n_active;
    uint64_t idle_ms;
};

/// max_idle: connections kept at most; idle_ms: how long one is kept unused.
MUST_USE enum err endpoints_init(struct endpoints *es);
void endpoints_configure(struct endpoints *es, unsigned max_idle, uint64_t idle_ms);
/// Closes what is idle. Nothing may be active.
void endpoints_fini(struct endpoints *es);
/// Closes everything idle.
void endpoints_drop_idle(struct endpoints *es);
/// Closes what is idle at members where somebody waits for a connection.
void endpoints_drop_called(struct endpoints *es);

/// Takes a kept connection to this address, the one used last; NULL where there is none.
struct upstream_conn *endpoints_take(struct endpoints *es, const struct addr *a, uint64_t tls);
/// Memory for a connection, into whose t.io is dialled: then either endpoints_adopt or endpoints_abandon
/// (which closes it, where it is open). NULL when memory is out.
struct upstream_conn *endpoints_new(struct endpoints *es);
/// The connection is open, to this address. On failure it is closed and its memory gone.
MUST_USE enum err endpoints_adopt(struct endpoints *es, const struct addr *a, uint64_t tls,
                                  struct upstream_conn *u);
void endpoints_abandon(struct endpoints *es, struct upstream_conn *u);
/// An adopted connection is this pool's, to this member: it counts there, and lives no longer than the pool
/// says.
void endpoints_dedicate(struct upstream_conn *u, const struct pool *p, struct member *m);
/// How many connections to this address would take a request at once: the idle ones, and shared ones that
/// have room.
unsigned endpoints_ready(const struct endpoints *es, const struct addr *a, uint64_t tls);

// ---- Connections that carry many exchanges (HTTP/2): one is looked for before one is made, and who comes
// while one is made waits for it.

/// *ret: a connection that takes another exchange; or NULL: the caller is to make one, and to say
/// endpoints_share_end afterwards. ERR_TIMEOUT, or the fiber's cancellation.
MUST_USE enum err endpoints_share_begin(struct endpoints *es, const struct addr *a, uint64_t tls,
                                        uint64_t deadline, struct upstream_conn **ret);
/// u: the connection, which others may use from now on; NULL: there is none.
void endpoints_share_end(struct endpoints *es, const struct addr *a, uint64_t tls, struct upstream_conn *u);
/// This adopted connection speaks HTTP/2: waits until the server has said so too. On failure it is closed and
/// its memory gone.
MUST_USE enum err endpoints_speak_h2(struct endpoints *es, struct upstream_conn *u, uint64_t deadline);

#endif
