// SPDX-License-Identifier: Apache-2.0
// Comparing octets a word at a time, for where a call for each comparison would cost more than the comparing.
#ifndef WEIR_BASE_WORDS_H
#define WEIR_BASE_WORDS_H

#include <string.h>

#include "base/ascii.h"

#define WORDS_EACH_BYTE(b) (UINT64_C(0x0101010101010101) * (b))

static inline uint64_t load_word(const char *p)
{
    uint64_t w;
    memcpy(&w, p, sizeof w);
    return w;
}

// Four to eight octets in a word; those in the middle twice.
static inline uint64_t load_halves(const char *p, size_t n)
{
    uint32_t first, last;
    memcpy(&first, p, sizeof first);
    memcpy(&last, p + n - sizeof last, sizeof last);
    return (uint64_t)last << 32 | first;
}

/// n octets each: what memcmp says, without a call.
static inline bool bytes_eq(const char *a, const char *b, size_t n)
{
    if (n >= 8) {
        for (size_t i = 0; i + 8 < n; i += 8)
            if (load_word(a + i) != load_word(b + i))
                return false;
        return load_word(a + n - 8) == load_word(b + n - 8);
    }
    if (n >= 4)
        return load_halves(a, n) == load_halves(b, n);
    for (size_t i = 0; i < n; i++)
        if (a[i] != b[i])
            return false;
    return true;
}

/// Eight octets at a time: they may differ in the bit of case, and there only where both are letters.
static inline bool words_eq_ci(uint64_t a, uint64_t b)
{
    uint64_t differ = a ^ b;
    if (likely(differ == 0))
        return true;
    if (differ & ~WORDS_EACH_BYTE(0x20))
        return false;
    uint64_t lower = a | WORDS_EACH_BYTE(0x20), low7 = lower & WORDS_EACH_BYTE(0x7f);
    uint64_t letters = (low7 + WORDS_EACH_BYTE(0x80 - 'a')) & ~(low7 + WORDS_EACH_BYTE(0x7f - 'z')) & ~lower &
                       WORDS_EACH_BYTE(0x80);
    return ((differ << 2) & ~letters) == 0;
}

/// Without regard to ASCII case, n octets each.
static inline bool bytes_eq_ci(const char *a, const char *b, size_t n)
{
    if (n >= 8) {
        for (size_t i = 0; i + 8 < n; i += 8)
            if (!words_eq_ci(load_word(a + i), load_word(b + i)))
                return false;
        return words_eq_ci(load_word(a + n - 8), load_word(b + n - 8));
    }
    if (n >= 4)
        return words_eq_ci(load_halves(a, n), load_halves(b, n));
    for (size_t i = 0; i < n; i++)
        if (ascii_lower((unsigned char)a[i]) != ascii_lower((unsigned char)b[i]))
            return false;
    return true;
}

#endif
