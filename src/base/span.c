// SPDX-License-Identifier: Apache-2.0
#include "base/span.h"

#include "base/ascii.h"

size_t span_rfind(struct span s, char c)
{
    const char *p = s.len ? (const char *)memrchr(s.ptr, c, s.len) : NULL;
    return p ? (size_t)(p - s.ptr) : s.len;
}

#define EACH_BYTE(b) (UINT64_C(0x0101010101010101) * (b))

static uint64_t load_word(const char *p)
{
    uint64_t w;
    memcpy(&w, p, sizeof w);
    return w;
}

// Eight octets at a time: they may differ in the bit of case, and there only where both are letters.
static bool words_eq_ci(uint64_t a, uint64_t b)
{
    uint64_t differ = a ^ b;
    if (likely(differ == 0))
        return true;
    if (differ & ~EACH_BYTE(0x20))
        return false;
    uint64_t lower = a | EACH_BYTE(0x20), low7 = lower & EACH_BYTE(0x7f);
    uint64_t letters =
        (low7 + EACH_BYTE(0x80 - 'a')) & ~(low7 + EACH_BYTE(0x7f - 'z')) & ~lower & EACH_BYTE(0x80);
    return ((differ << 2) & ~letters) == 0;
}

static bool eq_ci(const char *a, const char *b, size_t n)
{
    if (n >= 8) {
        for (size_t i = 0; i + 8 < n; i += 8)
            if (!words_eq_ci(load_word(a + i), load_word(b + i)))
                return false;
        return words_eq_ci(load_word(a + n - 8), load_word(b + n - 8));
    }
    for (size_t i = 0; i < n; i++)
        if (ascii_lower((unsigned char)a[i]) != ascii_lower((unsigned char)b[i]))
            return false;
    return true;
}

bool span_eq_ci(struct span a, struct span b)
{
    return a.len == b.len && eq_ci(a.ptr, b.ptr, a.len);
}

bool span_starts_ci(struct span s, struct span prefix)
{
    return s.len >= prefix.len && eq_ci(s.ptr, prefix.ptr, prefix.len);
}

bool span_ends_ci(struct span s, struct span suffix)
{
    return s.len >= suffix.len &&
           (suffix.len == 0 || eq_ci(s.ptr + s.len - suffix.len, suffix.ptr, suffix.len));
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
