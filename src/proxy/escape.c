// SPDX-License-Identifier: Apache-2.0
#include "proxy/escape.h"

static const char hex[] = "0123456789abcdef";

// What stands for itself in both forms: printable ASCII but `"` and `\`.
static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c < 0x7f && c != '"' && c != '\\';
}

static size_t plain_run(struct span s, size_t from)
{
    size_t i = from;
    while (i < s.len && is_plain((unsigned char)s.ptr[i]))
        i++;
    return i - from;
}

// The length of the well-formed character at s (RFC 3629, no overlong form, no surrogate), 0 where there is
// none; *ret is its number.
static size_t utf8_length(struct span s, uint32_t *ret)
{
    unsigned char c = (unsigned char)s.ptr[0];
    size_t n = c >= 0xc2 && c < 0xe0 ? 2 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xf0 && c < 0xf5 ? 4 : 0;
    uint32_t v = n == 2 ? c & 31 : n == 3 ? c & 15 : c & 7;
    if (n == 0 || s.len < n)
        return 0;
    for (size_t i = 1; i < n; i++) {
        unsigned char t = (unsigned char)s.ptr[i];
        if ((t & 0xc0) != 0x80)
            return 0;
        v = v << 6 | (t & 63);
    }
    if ((n == 3 && v < 0x800) || (n == 4 && (v < 0x10000 || v > 0x10ffff)) || (v >= 0xd800 && v < 0xe000))
        return 0;
    *ret = v;
    return n;
}

struct piece {
    char text[6];
    size_t n, taken; // bytes written, bytes of the input that they stand for
};

static struct piece json_unicode(uint32_t v, size_t taken)
{
    return (struct piece){
        {'\\', 'u', hex[v >> 12 & 15], hex[v >> 8 & 15], hex[v >> 4 & 15], hex[v & 15]}, 6, taken};
}

static struct piece json_piece(struct span s)
{
    unsigned char c = (unsigned char)s.ptr[0];
    uint32_t v = c;
    if (c == '"' || c == '\\')
        return (struct piece){{'\\', (char)c}, 2, 1};
    size_t n = c < 0x80 ? 0 : utf8_length(s, &v);
    if (n == 0)
        return json_unicode(c, 1);
    if (v < 0xa0 || v == 0x2028 || v == 0x2029)
        return json_unicode(v, n);
    struct piece p = {.n = n, .taken = n};
    memcpy(p.text, s.ptr, n);
    return p;
}

static struct piece log_piece(struct span s)
{
    unsigned char c = (unsigned char)s.ptr[0];
    if (c == '"' || c == '\\')
        return (struct piece){{'\\', (char)c}, 2, 1};
    return (struct piece){{'\\', 'x', hex[c >> 4], hex[c & 15]}, 4, 1};
}

static size_t escape(struct span s, char *out, size_t cap, struct piece (*piece)(struct span))
{
    size_t n = 0, i = 0;
    while (i < s.len) {
        size_t run = plain_run(s, i);
        run = MIN(run, cap - n);
        memcpy(out + n, s.ptr + i, run);
        n += run;
        i += run;
        if (i == s.len || n == cap)
            break;
        struct piece p = piece(span_skip(s, i));
        if (p.n > cap - n)
            break;
        memcpy(out + n, p.text, p.n);
        n += p.n;
        i += p.taken;
    }
    return n;
}

size_t escape_json(struct span s, char *out, size_t cap)
{
    return escape(s, out, cap, json_piece);
}

size_t escape_log(struct span s, char *out, size_t cap)
{
    return escape(s, out, cap, log_piece);
}

struct span escape_html(struct arena *a, struct span s)
{
    char *p = arena_bytes(a, s.len * 6 + 1);
    size_t n = 0;
    for (size_t i = 0; p && i < s.len; i++) {
        char c = s.ptr[i];
        struct span e = c == '<'    ? SPAN("&lt;")
                        : c == '>'  ? SPAN("&gt;")
                        : c == '&'  ? SPAN("&amp;")
                        : c == '"'  ? SPAN("&quot;")
                        : c == '\'' ? SPAN("&#39;")
                                    : span_of(s.ptr + i, 1);
        memcpy(p + n, e.ptr, e.len);
        n += e.len;
    }
    return p ? span_of(p, n) : SPAN_NONE;
}
