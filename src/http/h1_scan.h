// SPDX-License-Identifier: Apache-2.0
// Looking for the ends of lines, names and values: the hottest loops over a head's octets. Sixteen at a time
// where every processor of the architecture can (SSE2, NEON), otherwise eight in a word, or by memchr.
// Nothing is chosen at run time: docs/decisions/0050 has the figures.
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

// ---- Where an octet occurs among sixteen

#ifdef H1_SCAN_WIDE
#ifdef __SSE2__
typedef uint32_t scan_mask;
enum { SCAN_MASK_BITS = 1 }; // for each octet, of which the lowest is set
static inline scan_mask scan_equal(const char *p, char c)
{
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
    return (scan_mask)_mm_movemask_epi8(_mm_cmpeq_epi8(v, _mm_set1_epi8(c)));
}
static inline unsigned scan_mask_first(scan_mask m)
{
    return (unsigned)__builtin_ctz(m);
}
#else
typedef uint64_t scan_mask;
enum { SCAN_MASK_BITS = 4 };
static inline scan_mask scan_mask_of(uint8x16_t v)
{
    return vget_lane_u64(vreinterpret_u64_u8(vshrn_n_u16(vreinterpretq_u16_u8(v), 4)), 0) &
           UINT64_C(0x1111111111111111);
}
static inline scan_mask scan_equal(const char *p, char c)
{
    return scan_mask_of(vceqq_u8(vld1q_u8((const uint8_t *)(const void *)p), vdupq_n_u8((uint8_t)c)));
}
static inline unsigned scan_mask_first(scan_mask m)
{
    return (unsigned)__builtin_ctzll(m) / SCAN_MASK_BITS;
}
#endif
#endif

/// The first c from p on, or NULL: where it is to be expected among the first sixteen octets.
static inline const char *scan_near(const char *p, const char *end, char c)
{
#ifdef H1_SCAN_WIDE
    if (likely(end - p >= 16)) {
        scan_mask m = scan_equal(p, c);
        if (likely(m != 0))
            return p + scan_mask_first(m);
        p += 16;
    }
#endif
    return p < end ? (const char *)memchr(p, c, (size_t)(end - p)) : NULL;
}

/// The line feeds of a run, one after the other.
struct scan_lines {
    const char *p, *end; // what has not been looked at
#ifdef H1_SCAN_WIDE
    const char *begin;
    const char *block; // where mask belongs to
    scan_mask mask;    // of those of the block that have not been told yet
#endif
};
static inline struct scan_lines scan_lines_of(const char *p, const char *end)
{
#ifdef H1_SCAN_WIDE
    return (struct scan_lines){.p = p, .end = end, .begin = p};
#else
    return (struct scan_lines){.p = p, .end = end};
#endif
}
/// The next one, or NULL where there is no other.
static inline const char *scan_lines_next(struct scan_lines *s)
{
#ifdef H1_SCAN_WIDE
    while (!s->mask && s->end - s->p >= 16) {
        s->mask = scan_equal(s->p, '\n');
        s->block = s->p;
        s->p += 16;
    }
    // The rest: the last sixteen, without those that have been looked at.
    if (!s->mask && s->p < s->end && s->end - s->begin >= 16) {
        s->mask = scan_equal(s->end - 16, '\n') >> ((16 - (s->end - s->p)) * SCAN_MASK_BITS);
        s->block = s->p;
        s->p = s->end;
    }
    if (s->mask) {
        unsigned i = scan_mask_first(s->mask);
        s->mask &= s->mask - 1;
        return s->block + i;
    }
#endif
    const char *found = s->p < s->end ? (const char *)memchr(s->p, '\n', (size_t)(s->end - s->p)) : NULL;
    s->p = found ? found + 1 : s->end;
    return found;
}

// ---- Where a field value ends

#ifdef H1_SCAN_WIDE
// The same among sixteen.
static inline scan_mask scan_control(const char *p)
{
#ifdef __SSE2__
    __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
    // One more, and signed: what is below SP, DEL, and (to be looked at closer) all beyond ASCII, is less
    // than 0x21.
    __m128i doubtful = _mm_cmplt_epi8(_mm_add_epi8(v, _mm_set1_epi8(1)), _mm_set1_epi8(0x21));
    if (likely(_mm_movemask_epi8(doubtful) == 0))
        return 0;
    __m128i control = _mm_cmpeq_epi8(_mm_min_epu8(v, _mm_set1_epi8(0x1f)), v);
    control = _mm_andnot_si128(_mm_cmpeq_epi8(v, _mm_set1_epi8('\t')), control);
    return (scan_mask)_mm_movemask_epi8(_mm_or_si128(control, _mm_cmpeq_epi8(v, _mm_set1_epi8(0x7f))));
#else
    uint8x16_t v = vld1q_u8((const uint8_t *)(const void *)p);
    uint8x16_t control = vbicq_u8(vcltq_u8(v, vdupq_n_u8(0x20)), vceqq_u8(v, vdupq_n_u8('\t')));
    return scan_mask_of(vorrq_u8(control, vceqq_u8(v, vdupq_n_u8(0x7f))));
#endif
}

/// As scan_value_scalar. Reads nothing before begin, which lets the last few octets be looked at at once, and
/// nothing beyond end.
static inline const char *scan_value_wide(const char *begin, const char *p, const char *end)
{
    for (; end - p >= 16; p += 16) {
        scan_mask m = scan_control(p);
        if (m)
            return p + scan_mask_first(m);
    }
    if (end - begin < 16)
        return scan_value_scalar(p, end);
    scan_mask m = p < end ? scan_control(end - 16) >> ((16 - (end - p)) * SCAN_MASK_BITS) : 0;
    return m ? p + scan_mask_first(m) : end;
}
#define scan_value(begin, p, end) scan_value_wide(begin, p, end)
#else
#define scan_value(begin, p, end) scan_value_scalar(p, end)
#endif

#endif
