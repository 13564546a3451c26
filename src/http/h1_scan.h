// SPDX-License-Identifier: Apache-2.0
// Looking for the end of a field value: the hottest loop over a head's octets. Sixteen at a time where every
// processor of the architecture can (SSE2, NEON), otherwise eight in a word. Line ends are memchr's business,
// for which the C library chooses among wider units at run time; here these would cost more in the choice
// than they save (docs/performance.md).
#ifndef WEIR_HTTP_H1_SCAN_H
#define WEIR_HTTP_H1_SCAN_H

#include <string.h>

#include "base/macros.h"

#if defined(__SSE2__)
#include <emmintrin.h>
#define H1_SCAN_WIDE 1
#elif defined(__aarch64__)
#include <arm_neon.h>
#define H1_SCAN_WIDE 1
#endif

// Whether one of eight octets is a control character or DEL. (May say so of an HTAB or an octet that only
// borders on one; the caller looks closer then.)
static inline bool word_has_control(uint64_t w)
{
    uint64_t below = (w - UINT64_C(0x2020202020202020)) & ~w & UINT64_C(0x8080808080808080);
    uint64_t del = w ^ UINT64_C(0x7f7f7f7f7f7f7f7f);
    return (below | ((del - UINT64_C(0x0101010101010101)) & ~del & UINT64_C(0x8080808080808080))) != 0;
}

/// The first octet from p on that a field value may not have (RFC 9110 5.5: a control character but HTAB, or
/// DEL); end where there is none.
static inline const char *scan_value_scalar(const char *p, const char *end)
{
    for (;;) {
        while (end - p >= 8) {
            uint64_t w;
            memcpy(&w, p, 8);
            if (word_has_control(w))
                break;
            p += 8;
        }
        const char *stop = end - p > 8 ? p + 8 : end;
        for (; p < stop; p++) {
            unsigned char c = (unsigned char)*p;
            if (unlikely((c < 0x20 && c != '\t') || c == 0x7f))
                return p;
        }
        if (p == end)
            return p;
    }
}

#ifdef H1_SCAN_WIDE
/// The same. Reads nothing beyond end.
static inline const char *scan_value_wide(const char *p, const char *end)
{
    for (; end - p >= 16; p += 16) {
#ifdef __SSE2__
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1f)), v);
        control = _mm_andnot_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('\t')), control);
        unsigned mask =
            (unsigned)_mm_movemask_epi8(_mm_or_si128(control, _mm_cmpeq_epi8(v, _mm_set1_epi8(0x7f))));
        if (mask)
            return p + __builtin_ctz(mask);
#else
        uint8x16_t v = vld1q_u8((const uint8_t *)(const void *)p);
        uint8x16_t control = vbicq_u8(vcltq_u8(v, vdupq_n_u8(0x20)), vceqq_u8(v, vdupq_n_u8('\t')));
        control = vorrq_u8(control, vceqq_u8(v, vdupq_n_u8(0x7f)));
        // Four bits for each octet.
        uint64_t mask = vget_lane_u64(vreinterpret_u64_u8(vshrn_n_u16(vreinterpretq_u16_u8(control), 4)), 0);
        if (mask)
            return p + __builtin_ctzll(mask) / 4;
#endif
    }
    return scan_value_scalar(p, end);
}
#define scan_value scan_value_wide
#else
#define scan_value scan_value_scalar
#endif

#endif
