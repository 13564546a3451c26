// SPDX-License-Identifier: Apache-2.0
// Under which key a response is stored. The URL in its canonical form is the first part (no two URLs write the same); what else
// decides the answer (the pool, keyed fields) is the second, so that a purge by URL finds them all.
#ifndef WEIR_CACHE_KEY_H
#define WEIR_CACHE_KEY_H

#include "base/arena.h"
#include "http/message.h"

enum query_rule { QUERY_AS_IT_CAME, QUERY_SORTED };
/// The `key` statements.
struct cache_key_rules {
    const struct span *ignore_query; // globs over the names of parameters
    unsigned n_ignore;
    const struct span *keep_query;   // only these; n_keep 0: all
    unsigned n_keep;
    bool sort_query;
    bool ignore_all_query;
};

struct cache_key {
    uint64_t hash; // of url
    struct span url;
    struct span extra; // the second part
};

/// scheme://host[:port]path[?query]. rules may be NULL. ERR_NO_MEMORY.
MUST_USE enum err cache_key_url(struct span scheme, const struct authority *authority, struct span path, struct span query,
                                const struct cache_key_rules *rules, struct arena *a, struct span *ret);
/// The same from a URL in text (a purge, Location). False: not an absolute http or https URL.
MUST_USE bool cache_key_url_parse(struct span url, const struct cache_key_rules *rules, struct arena *a, struct span *ret);
uint64_t cache_key_hash(struct span url);

#endif
