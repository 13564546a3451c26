// SPDX-License-Identifier: Apache-2.0
// A pool: the servers that requests are spread over. Immutable once compiled, but for counters that all threads share.
#ifndef WEIR_BALANCE_POOL_H
#define WEIR_BALANCE_POOL_H

#include <stdatomic.h>

#include "conf/conf.h"
#include "net/addr.h"
#include "tls/client.h"

enum { POOL_SERVERS_MAX = 4096, POOL_SEQUENCE_MAX = 65536 };

struct server {
    struct span name;   // as written in the configuration
    struct span host;   // to resolve; empty where addr is fixed
    struct addr addr;   // fixed, or only its port
    unsigned weight;
    bool fixed;         // an address was written
    unsigned index;     // in its pool
    unsigned metric;    // label of its metrics
};

struct pool {
    struct span name;
    struct server *servers;
    unsigned n_servers;
    uint16_t *sequence; // round-robin: server indexes, each as often as its weight, smoothly interleaved
    unsigned n_sequence;
    _Atomic uint32_t next; // position in the sequence
    unsigned max_idle;
    const struct tls_client *tls; // NULL: plain
};

/// Compiles a `pool` statement into the arena. NULL when memory is out; mistakes go to the diagnostics.
struct pool *pool_new(const struct conf *c, const struct conf_stmt *stmt, struct arena *a, struct conf_diags *diags);
/// The next server in turn, passing over those whose bit is set in tried (bits beyond 63 count as not tried). NULL when all were.
struct server *pool_pick(struct pool *p, uint64_t tried);

#endif
