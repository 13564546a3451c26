// SPDX-License-Identifier: Apache-2.0
// A span is a borrowed run of bytes: pointer and length, no terminator, never owned. Whoever made it says how
// long it lives.
#ifndef WEIR_BASE_SPAN_H
#define WEIR_BASE_SPAN_H

#include <string.h>

#include "base/macros.h"

struct span {
    const char *ptr;
    size_t len;
};

/// A span over a string literal, without its terminator; usable in constant initialisers with SPAN_INIT.
#define SPAN(lit) ((struct span){"" lit, sizeof(lit) - 1})
#define SPAN_INIT(lit)                                                                                       \
    {                                                                                                        \
        "" lit, sizeof(lit) - 1                                                                              \
    }
#define SPAN_NONE ((struct span){NULL, 0})
/// For printf("%.*s", SPAN_ARG(s)).
#define SPAN_ARG(s) (int)(s).len, (s).ptr

static inline struct span span_of(const char *ptr, size_t len)
{
    return (struct span){ptr, len};
}
static inline struct span span_str(const char *s)
{
    return (struct span){s, s ? strlen(s) : 0};
}
static inline bool span_eq(struct span a, struct span b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}
static inline bool span_starts(struct span s, struct span prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.ptr, prefix.ptr, prefix.len) == 0);
}
static inline bool span_ends(struct span s, struct span suffix)
{
    return s.len >= suffix.len &&
           (suffix.len == 0 || memcmp(s.ptr + s.len - suffix.len, suffix.ptr, suffix.len) == 0);
}
/// Drops the first n bytes (at most all of them).
static inline struct span span_skip(struct span s, size_t n)
{
    if (n > s.len)
        n = s.len;
    return (struct span){n ? s.ptr + n : s.ptr, s.len - n};
}
/// The first n bytes (at most all of them).
static inline struct span span_first(struct span s, size_t n)
{
    return (struct span){s.ptr, n < s.len ? n : s.len};
}
/// The position of c, or s.len where it does not occur.
static inline size_t span_find(struct span s, char c)
{
    const char *p = s.len ? (const char *)memchr(s.ptr, c, s.len) : NULL;
    return p ? (size_t)(p - s.ptr) : s.len;
}
/// The position of the last c, or s.len where it does not occur.
size_t span_rfind(struct span s, char c);
/// Without regard to ASCII case.
bool span_eq_ci(struct span a, struct span b);
bool span_starts_ci(struct span s, struct span prefix);
bool span_ends_ci(struct span s, struct span suffix);
/// Like memcmp, then by length.
int span_cmp(struct span a, struct span b);
/// The position of needle in s, or s.len + 1 where it does not occur.
size_t span_find_span(struct span s, struct span needle);
/// Without optional whitespace (SP and HTAB, RFC 9110 5.6.3) at both ends.
struct span span_trim(struct span s);
/// Cuts *rest at the first sep: returns what is before it and leaves what is after it (empty with a NULL
/// pointer when there was none).
struct span span_cut(struct span *rest, char sep);

#endif
