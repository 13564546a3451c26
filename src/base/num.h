// SPDX-License-Identifier: Apache-2.0
// Numbers from text and arithmetic that cannot wrap. Every function that can fail says so and leaves *ret
// untouched.
#ifndef WEIR_BASE_NUM_H
#define WEIR_BASE_NUM_H

#include "base/span.h"

/// 1*DIGIT, the whole span, at most max. No sign, no white space.
MUST_USE bool num_parse_dec(struct span s, uint64_t max, uint64_t *ret);
/// 1*HEXDIG, the whole span, at most max.
MUST_USE bool num_parse_hex(struct span s, uint64_t max, uint64_t *ret);
/// Writes v in decimal; returns the number of bytes (at most 20). No terminator.
size_t num_put_dec(char *out, uint64_t v);
/// Writes v in lower-case hexadecimal without leading zeros; returns the number of bytes (at most 16).
size_t num_put_hex(char *out, uint64_t v);

static inline MUST_USE bool num_add(uint64_t a, uint64_t b, uint64_t *ret)
{
    uint64_t r;
    if (__builtin_add_overflow(a, b, &r))
        return false;
    *ret = r;
    return true;
}
static inline MUST_USE bool num_mul(uint64_t a, uint64_t b, uint64_t *ret)
{
    uint64_t r;
    if (__builtin_mul_overflow(a, b, &r))
        return false;
    *ret = r;
    return true;
}
static inline uint64_t num_add_sat(uint64_t a, uint64_t b)
{
    uint64_t r;
    return __builtin_add_overflow(a, b, &r) ? UINT64_MAX : r;
}

#endif
