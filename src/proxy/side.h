// SPDX-License-Identifier: Apache-2.0
// Connections beside an exchange's own, to services that the configuration names (ICAP, `auth request`). They
// are kept among the thread's others, under an identity of their own, so that no exchange comes to use one.
#ifndef WEIR_PROXY_SIDE_H
#define WEIR_PROXY_SIDE_H

#include "proxy/exchange.h"

struct upstream_conn;
struct member;

struct side {
    struct span host;
    uint16_t port;
    uint64_t identity;     // never 0
    struct member *member; // counts its connections over all threads; NULL: nobody does
    unsigned max;          // of them
    uint64_t wait_ms;      // for one of them
};
/// A kept connection that is alive, or a new one; fresh: a new one. Its end is told to (*ret)->on_finish.
/// Errors of resolving, connecting and waiting (ERR_QUEUE_TIMEOUT), or the fiber's cancellation.
MUST_USE enum err side_connect(struct exchange *x, const struct side *s, bool fresh,
                               struct upstream_conn **ret);

#endif
