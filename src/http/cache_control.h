// SPDX-License-Identifier: Apache-2.0
// Cache directives: of Cache-Control (RFC 9111 5.2), and of targeted fields (RFC 9213).
#ifndef WEIR_HTTP_CACHE_CONTROL_H
#define WEIR_HTTP_CACHE_CONTROL_H

#include "http/field.h"

enum {
    CACHE_FIELD_LISTS = 4,             // of `private="..."` and `no-cache="..."`; with more of them the unqualified form counts
    CACHE_SECONDS_MAX = 0x7fffffff,    // what is longer counts as this (RFC 9111 1.2.2)
    CACHE_SECONDS_NONE = -1,
};

struct cache_control {
    bool no_store, no_cache, private_, public_, must_revalidate, proxy_revalidate, must_understand, no_transform, immutable, only_if_cached;
    bool present; // there was a directive
    int64_t max_age, s_maxage, min_fresh, max_stale, stale_while_revalidate, stale_if_error; // seconds, or CACHE_SECONDS_NONE
    struct span no_cache_fields[CACHE_FIELD_LISTS], private_fields[CACHE_FIELD_LISTS]; // comma-separated names
    unsigned n_no_cache, n_private;
};

/// All lines of Cache-Control. What contradicts itself or cannot be read counts as the stricter reading: the smaller of two
/// lifetimes, none where it is no number, the whole message where a list of fields is malformed.
void cache_control_parse(const struct fields *f, struct cache_control *ret);
/// A targeted field, as a structured dictionary. False: it is not there, is empty or does not parse, and must be ignored. A known
/// directive of the wrong type is ignored.
MUST_USE bool cache_control_parse_targeted(const struct fields *f, struct span name, struct arena *a, struct cache_control *ret);
/// 1*DIGIT as seconds, cut at CACHE_SECONDS_MAX. False for anything else.
MUST_USE bool cache_seconds_parse(struct span s, int64_t *ret);

#endif
