// SPDX-License-Identifier: Apache-2.0
// Sets of CIDR prefixes with a value each, found by longest match: client lists, trust, egress.
#ifndef WEIR_NET_PREFIX_H
#define WEIR_NET_PREFIX_H

#include "net/addr.h"

struct prefix {
    struct addr ip; // host bits are zero; port 0
    uint8_t bits;   // 0 to 32 or 128
};

/// "10.0.0.0/8", "fc00::/7", or an address alone (all its bits). IPv4-mapped ones become IPv4. On failure
/// *ret_why (may be NULL) is a sentence; host bits that are set are a failure.
MUST_USE bool prefix_parse(struct span s, struct prefix *ret, const char **ret_why);
/// a is looked at in its canonical form (addr_canonical).
bool prefix_has(const struct prefix *p, const struct addr *a);

struct prefix_entry {
    struct prefix prefix;
    uint32_t value;
};

/// Immutable once built; lives in the arena that it was built in. All zero is the empty set.
struct prefix_set {
    const struct prefix_range4 *v4;
    const struct prefix_range6 *v6;
    uint32_t n_v4, n_v6;
};
/// Of two equal prefixes the first one's value counts. False when memory is out.
MUST_USE bool prefix_set_build(struct prefix_set *ret, struct arena *a, const struct prefix_entry *entries,
                               size_t n);
/// The value of the longest prefix that holds the address (in its canonical form). ret_value may be NULL.
/// O(log n).
bool prefix_set_find(const struct prefix_set *s, const struct addr *a, uint32_t *ret_value);

#endif
