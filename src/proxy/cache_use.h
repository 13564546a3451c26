// SPDX-License-Identifier: Apache-2.0
// What a route or proxy says of its cache, compiled.
#ifndef WEIR_PROXY_CACHE_USE_H
#define WEIR_PROXY_CACHE_USE_H

#include "cache/cache.h"
#include "net/prefix.h"
#include "policy/condition.h"

struct cache_use {
    struct cache *cache; // the generation has the reference
    struct span name;
    struct freshness_policy policy;
    struct cache_key_rules key;
    const struct span *key_headers, *key_cookies;
    unsigned n_key_headers, n_key_cookies;
    bool key_device;
    unsigned min_uses;
    const struct prefix *purge_from; // whose PURGE counts
    unsigned n_purge_from;
    bool purge_soft;
    bool ignore_directives; // of requests
    const struct condition_set **bypass; // any of them
    unsigned n_bypass;
};

#endif
