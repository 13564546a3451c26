// SPDX-License-Identifier: Apache-2.0
// The answers that a resolver remembers: bounded, keyed by name, the least recently used goes first.
#ifndef WEIR_NET_DNS_CACHE_H
#define WEIR_NET_DNS_CACHE_H

#include "base/list.h"
#include "net/dns_name.h"

struct dns_query;

struct dns_entry {
    struct dns_entry *chain; // the next one of the same slot
    struct list used;        // in the cache's list, most recently used last
    uint64_t hash;
    uint64_t expires_ms;     // of the loop's clock; 0: holds nothing
    struct dns_query *query; // that is under way for it, which keeps it from being evicted
    enum err err;            // ERR_OK: addrs
    uint8_t n;
    struct addr addrs[DNS_ADDRS_MAX];
    uint8_t name_len;
    char name[];
};

struct dns_cache {
    struct dns_entry **slots;
    uint32_t n_slots, n, max;
    struct list used;
};

/// False when memory is out.
MUST_USE bool dns_cache_init(struct dns_cache *c, uint32_t max);
void dns_cache_fini(struct dns_cache *c);
struct dns_entry *dns_cache_find(struct dns_cache *c, const struct dns_name *name);
/// A new, empty entry for a name that is not there. NULL when memory is out, or every entry has a query under
/// way.
MUST_USE struct dns_entry *dns_cache_add(struct dns_cache *c, const struct dns_name *name);
void dns_cache_remove(struct dns_cache *c, struct dns_entry *e);

#endif
