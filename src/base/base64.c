// SPDX-License-Identifier: Apache-2.0
#include "base/base64.h"

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
