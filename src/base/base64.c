// SPDX-License-Identifier: Apache-2.0
#include "base/base64.h"

#include "base/ascii.h"

size_t base64_encode(struct span s, char *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    size_t n = 0;
    for (size_t i = 0; i < s.len; i += 3) {
        size_t left = MIN(s.len - i, (size_t)3);
        uint32_t v = 0;
        for (size_t j = 0; j < 3; j++)
            v = v << 8 | (j < left ? (unsigned char)s.ptr[i + j] : 0);
        for (size_t j = 0; j < 4; j++)
            out[n++] = j <= left ? digits[v >> (18 - 6 * j) & 63] : '=';
    }
    return n;
}

static int value_of(unsigned char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (ascii_is_digit(c))
        return c - '0' + 52;
    return c == '+' ? 62 : c == '/' ? 63 : -1;
}

size_t base64_decode(struct span s, char *out, size_t cap)
{
    size_t n = 0, padding = 0;
    while (s.len && s.ptr[s.len - 1] == '=' && padding < 2)
        s.len--, padding++;
    if (s.len % 4 == 1 || (padding && (s.len + padding) % 4))
        return SIZE_MAX;
    uint32_t bits = 0;
    for (size_t i = 0; i < s.len; i++) {
        int v = value_of((unsigned char)s.ptr[i]);
        if (v < 0)
            return SIZE_MAX;
        bits = bits << 6 | (uint32_t)v;
        if (i % 4 == 0)
            continue;
        if (n == cap)
            return SIZE_MAX;
        out[n++] = (char)(bits >> (6 - 2 * (i % 4)));
    }
    return n;
}
