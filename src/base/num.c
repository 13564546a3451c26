// SPDX-License-Identifier: Apache-2.0
#include "base/num.h"

#include "base/ascii.h"

static bool parse(struct span s, unsigned base, uint64_t max, uint64_t *ret)
{
    uint64_t v = 0;
    if (s.len == 0)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        int d = ascii_hex((unsigned char)s.ptr[i]);
        if (d < 0 || (unsigned)d >= base)
            return false;
        if (__builtin_mul_overflow(v, (uint64_t)base, &v) || __builtin_add_overflow(v, (uint64_t)d, &v))
            return false;
        if (v > max)
            return false;
    }
    *ret = v;
    return true;
}

enum { DEC_DIGITS_SAFE = 19 }; // so many cannot exceed 64 bits

bool num_parse_dec(struct span s, uint64_t max, uint64_t *ret)
{
    if (s.len > DEC_DIGITS_SAFE)
        return parse(s, 10, max, ret);
    uint64_t v = 0;
    for (size_t i = 0; i < s.len; i++) {
        unsigned d = (unsigned char)s.ptr[i] - (unsigned)'0';
        if (d > 9)
            return false;
        v = v * 10 + d;
    }
    if (s.len == 0 || v > max)
        return false;
    *ret = v;
    return true;
}

bool num_parse_hex(struct span s, uint64_t max, uint64_t *ret)
{
    return parse(s, 16, max, ret);
}

size_t num_put_dec(char *out, uint64_t v)
{
    char tmp[20];
    size_t n = 0;
    do
        tmp[n++] = (char)('0' + v % 10);
    while (v /= 10);
    for (size_t i = 0; i < n; i++)
        out[i] = tmp[n - 1 - i];
    return n;
}

size_t num_put_hex(char *out, uint64_t v)
{
    size_t n = v ? (size_t)(67 - __builtin_clzll(v)) / 4 : 1;
    for (size_t i = n; i-- > 0; v >>= 4)
        out[i] = "0123456789abcdef"[v & 15];
    return n;
}
