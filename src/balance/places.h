// SPDX-License-Identifier: Apache-2.0
// What the name of a server stands for: addresses, or the targets of a service (SRV, RFC 2782).
#ifndef WEIR_BALANCE_PLACES_H
#define WEIR_BALANCE_PLACES_H

#include "balance/pool.h"
#include "balance/registry.h"
#include "net/dns.h"

struct places {
    struct place v[SERVER_PLACES_MAX];
    unsigned n; // at least 1
    uint32_t ttl_s;
    bool fixed;      // no resolver was asked
    enum err partly; // why some targets of a service are missing, or stand for what they stood for last
};
/// Asks for it; waits on the calling fiber. Any thread that has a dns. As dns_resolve; *ret may have been
/// written to whatever is returned.
MUST_USE enum err places_find(struct dns *dns, const struct server *s, uint64_t deadline, struct places *ret);

#endif
