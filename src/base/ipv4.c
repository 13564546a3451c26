// SPDX-License-Identifier: Apache-2.0
#include "base/ipv4.h"

bool ipv4_parse(struct span s, uint8_t ret[4])
{
    const char *p = s.ptr, *end = p + s.len;
    for (unsigned i = 0; i < 4; i++) {
        if (i && (p == end || *p++ != '.'))
            return false;
        unsigned v = p == end ? 10 : (unsigned)(unsigned char)*p - '0', d;
        if (v > 9)
            return false;
        p++;
        // At most two more digits, and none behind a zero.
        for (unsigned k = 0; v && k < 2 && p < end && (d = (unsigned)(unsigned char)*p - '0') <= 9; k++, p++)
            v = v * 10 + d;
        if (v > 255)
            return false;
        ret[i] = (uint8_t)v;
    }
    return p == end;
}
