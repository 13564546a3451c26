// SPDX-License-Identifier: Apache-2.0
// Two hashes: hash_fast (XXH3) for tables of our own keys, hash_keyed (SipHash-1-3 with a key of the process)
// for tables that a peer can aim at. Both are 64 bits; whoever looks up always compares the full key.
#ifndef WEIR_BASE_HASH_H
#define WEIR_BASE_HASH_H

#include "base/span.h"

uint64_t hash_fast(struct span s);
uint64_t hash_fast_seed(struct span s, uint64_t seed);

struct hash_key {
    uint64_t k0, k1;
};
/// The process's key; set it once at start from random bytes, before threads start.
extern struct hash_key hash_process_key;
/// SipHash-1-3 (Aumasson, Bernstein 2012).
uint64_t hash_keyed_with(const struct hash_key *key, struct span s);
static inline uint64_t hash_keyed(struct span s)
{
    return hash_keyed_with(&hash_process_key, s);
}

#endif
