// SPDX-License-Identifier: Apache-2.0
#include "base/span.h"

#include "base/words.h"

size_t span_rfind(struct span s, char c)
{
    const char *p = s.len ? (const char *)memrchr(s.ptr, c, s.len) : NULL;
    return p ? (size_t)(p - s.ptr) : s.len;
}

bool span_eq_ci(struct span a, struct span b)
{
    return a.len == b.len && bytes_eq_ci(a.ptr, b.ptr, a.len);
}

bool span_starts_ci(struct span s, struct span prefix)
{
    return s.len >= prefix.len && bytes_eq_ci(s.ptr, prefix.ptr, prefix.len);
}

bool span_ends_ci(struct span s, struct span suffix)
{
    return s.len >= suffix.len &&
           (suffix.len == 0 || bytes_eq_ci(s.ptr + s.len - suffix.len, suffix.ptr, suffix.len));
}

int span_cmp(struct span a, struct span b)
{
    size_t n = MIN(a.len, b.len);
    int r = n ? memcmp(a.ptr, b.ptr, n) : 0;
    if (r)
        return r;
    return a.len < b.len ? -1 : a.len > b.len;
}

size_t span_find_span(struct span s, struct span needle)
{
    if (needle.len == 0)
        return 0;
    const char *p = s.len ? (const char *)memmem(s.ptr, s.len, needle.ptr, needle.len) : NULL;
    return p ? (size_t)(p - s.ptr) : s.len + 1;
}

struct span span_trim(struct span s)
{
    while (s.len && (s.ptr[0] == ' ' || s.ptr[0] == '\t'))
        s.ptr++, s.len--;
    while (s.len && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
        s.len--;
    return s;
}

struct span span_cut(struct span *rest, char sep)
{
    size_t i = span_find(*rest, sep);
    struct span head = span_first(*rest, i);
    *rest = i < rest->len ? span_skip(*rest, i + 1) : SPAN_NONE;
    return head;
}
