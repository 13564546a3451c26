// SPDX-License-Identifier: Apache-2.0
#include "http/uri.h"

#include <arpa/inet.h>

#include "base/ascii.h"
#include "base/ipv4.h"
#include "base/num.h"

// ---- Authorities

enum { HOST_MAX_BYTES = 253, LABEL_MAX_BYTES = 63 };

enum { HOST_BAD, HOST_CHAR, HOST_UPPER, HOST_DOT };
static const uint8_t host_class[256] = {
    ['0' ... '9'] = HOST_CHAR, ['a' ... 'z'] = HOST_CHAR, ['-'] = HOST_CHAR, ['_'] = HOST_CHAR, ['~'] = HOST_CHAR,
    ['A' ... 'Z'] = HOST_UPPER, ['.'] = HOST_DOT,
};

static enum err parse_name(struct span s, struct arena *a, struct authority *ret)
{
    bool upper = false;
    size_t label = 0; // where it begins
    if (s.len && s.ptr[s.len - 1] == '.')
        s.len--;
    if (s.len == 0 || s.len > HOST_MAX_BYTES || s.ptr[s.len - 1] == '.')
        return ERR_BAD_HOST;
    for (size_t i = 0; i < s.len; i++) {
        uint8_t k = host_class[(unsigned char)s.ptr[i]];
        if (likely(k == HOST_CHAR))
            continue;
        if (k == HOST_BAD || (k == HOST_DOT && (i == label || i - label > LABEL_MAX_BYTES)))
            return ERR_BAD_HOST;
        label = k == HOST_DOT ? i + 1 : label;
        upper |= k == HOST_UPPER;
    }
    if (s.len - label > LABEL_MAX_BYTES)
        return ERR_BAD_HOST;
    ret->host = s;
    if (upper) {
        char *p = arena_bytes(a, s.len);
        if (!p)
            return ERR_NO_MEMORY;
        for (size_t i = 0; i < s.len; i++)
            p[i] = (char)ascii_lower((unsigned char)s.ptr[i]);
        ret->host = span_of(p, s.len);
    }
    uint8_t ip[4];
    ret->kind = ipv4_parse(s, ip) ? HOST_IPV4 : HOST_NAME;
    return ERR_OK;
}

static enum err parse_v6(struct span s, struct arena *a, struct authority *ret)
{
    char text[INET6_ADDRSTRLEN], *out;
    struct in6_addr v6;
    if (s.len >= sizeof text)
        return ERR_BAD_HOST;
    memcpy(text, s.ptr, s.len);
    text[s.len] = '\0';
    if (memchr(s.ptr, '\0', s.len) || inet_pton(AF_INET6, text, &v6) != 1)
        return ERR_BAD_HOST;
    out = arena_bytes(a, INET6_ADDRSTRLEN);
    if (!out)
        return ERR_NO_MEMORY;
    inet_ntop(AF_INET6, &v6, out, INET6_ADDRSTRLEN);
    ret->host = span_str(out);
    ret->kind = HOST_IPV6;
    return ERR_OK;
}

enum err authority_parse(struct span s, struct arena *a, struct authority *ret)
{
    struct authority r = {.text = s};
    struct span host = s, port = SPAN_NONE;
    enum err e;
    if (s.len && s.ptr[0] == '[') {
        size_t i = span_find(s, ']');
        if (i < 3 || i == s.len)
            return ERR_BAD_HOST;
        e = parse_v6(span_of(s.ptr + 1, i - 1), a, &r);
        struct span after = span_skip(s, i + 1);
        if (after.len) {
            if (after.ptr[0] != ':')
                return ERR_BAD_HOST;
            port = span_skip(after, 1);
        }
    } else {
        size_t i = span_find(s, ':');
        host = span_first(s, i);
        if (i < s.len)
            port = span_skip(s, i + 1);
        e = parse_name(host, a, &r);
    }
    if (e)
        return e;
    if (port.ptr) {
        uint64_t v;
        if (!num_parse_dec(port, 65535, &v) || v == 0 || port.len > 5)
            return ERR_BAD_HOST;
        r.port = (uint16_t)v;
    }
    *ret = r;
    return ERR_OK;
}

// ---- Paths

enum { P_OK = 0, P_BAD, P_ENCODE, P_PERCENT, P_SLASH, P_SEMICOLON };
static const uint8_t path_class[256] = {
    [0 ... 0x20] = P_BAD, ['"'] = P_ENCODE, ['#'] = P_BAD,   ['%'] = P_PERCENT, ['/'] = P_SLASH,  ['<'] = P_ENCODE,
    ['>'] = P_ENCODE,     ['?'] = P_BAD,    ['['] = P_ENCODE, ['\\'] = P_BAD,   [']'] = P_ENCODE, ['^'] = P_ENCODE,
    ['`'] = P_ENCODE,     ['{'] = P_ENCODE, ['|'] = P_ENCODE, ['}'] = P_ENCODE, [0x7f ... 0xff] = P_BAD, [';'] = P_SEMICOLON,
};

static bool is_unreserved(unsigned char c)
{
    return ascii_is_alnum(c) || c == '-' || c == '.' || c == '_' || c == '~';
}

// Canonical already: nothing to encode or decode, and no segment that begins with a dot.
static bool is_canonical(struct span s)
{
    for (size_t i = 0; i < s.len; i++) {
        uint8_t k = path_class[(unsigned char)s.ptr[i]];
        if (likely(k == P_OK))
            continue;
        if ((k != P_SLASH && k != P_SEMICOLON) || (k == P_SLASH && i + 1 < s.len && s.ptr[i + 1] == '.'))
            return false;
    }
    return true;
}

// Overlong UTF-8: a second spelling of a character that a rule may look for.
static bool is_overlong(int first, int second)
{
    return first == 0xC0 || first == 0xC1 || (first == 0xE0 && second >= 0x80 && second < 0xA0) ||
           (first == 0xF0 && second >= 0x80 && second < 0x90);
}

static int encoded_at(struct span s, size_t i)
{
    if (i + 2 >= s.len || s.ptr[i] != '%')
        return -1;
    int hi = ascii_hex((unsigned char)s.ptr[i + 1]), lo = ascii_hex((unsigned char)s.ptr[i + 2]);
    return hi < 0 || lo < 0 ? -1 : hi << 4 | lo;
}

static size_t put_encoded(char *o, unsigned char c)
{
    o[0] = '%';
    o[1] = "0123456789ABCDEF"[c >> 4];
    o[2] = "0123456789ABCDEF"[c & 15];
    return 3;
}

// One spelling for each character; out has room for three times the input.
static enum err respell(struct span s, char *out, size_t *ret_len)
{
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        switch (path_class[c]) {
        case P_BAD:
            return ERR_BAD_TARGET;
        case P_ENCODE:
            n += put_encoded(out + n, c);
            break;
        case P_PERCENT: {
            int v = encoded_at(s, i);
            if (v <= 0 || v == '\\' || is_overlong(v, encoded_at(s, i + 3)))
                return ERR_BAD_TARGET;
            if (is_unreserved((unsigned char)v))
                out[n++] = (char)v;
            else
                n += put_encoded(out + n, (unsigned char)v);
            i += 2;
            break;
        }
        default:
            out[n++] = (char)c;
        }
    }
    *ret_len = n;
    return ERR_OK;
}

static bool is_dots(struct span s)
{
    return span_eq(s, SPAN(".")) || span_eq(s, SPAN(".."));
}

// A dot segment with parameters, or one that only shows once %2F is decoded: servers differ, so nobody gets it.
static bool hides_dots(struct span seg)
{
    if (is_dots(span_first(seg, span_find(seg, ';'))))
        return !is_dots(seg);
    struct span rest = seg;
    for (;;) {
        size_t i = span_find_span(rest, SPAN("%2F"));
        bool last = i > rest.len;
        struct span part = last ? rest : span_first(rest, i);
        if (part.len < seg.len && is_dots(span_first(part, span_find(part, ';'))))
            return true;
        if (last)
            return false;
        rest = span_skip(rest, i + 3);
    }
}

// RFC 3986 5.2.4, in place.
static enum err remove_dots(char *p, size_t *len)
{
    size_t n = 0, i = 0;
    while (i < *len) { // p[i] is a slash
        size_t j = i + 1;
        while (j < *len && p[j] != '/')
            j++;
        struct span seg = span_of(p + i + 1, j - i - 1);
        if (hides_dots(seg))
            return ERR_BAD_TARGET;
        if (is_dots(seg)) {
            if (seg.len == 2) {
                if (n == 0)
                    return ERR_BAD_TARGET;
                while (p[--n] != '/')
                    ;
            }
            if (j == *len)
                p[n++] = '/';
        } else {
            memmove(p + n, p + i, j - i);
            n += j - i;
        }
        i = j;
    }
    *len = n;
    return ERR_OK;
}

static NOINLINE enum err canonical(struct span path, struct arena *a, struct span *ret)
{
    char *p = arena_bytes(a, path.len * 3);
    if (!p)
        return ERR_NO_MEMORY;
    size_t n;
    enum err e = respell(path, p, &n);
    if (!e)
        e = remove_dots(p, &n);
    if (!e)
        *ret = span_of(p, n);
    return e;
}

enum err path_normalise(struct span path, struct arena *a, struct span *ret)
{
    if (path.len == 0 || path.ptr[0] != '/')
        return ERR_BAD_TARGET;
    if (unlikely(!is_canonical(path)))
        return canonical(path, a, ret);
    *ret = path;
    return ERR_OK;
}

// Nobody reads it in another way.
static bool is_unambiguous(struct span s)
{
    for (size_t i = 0; i < s.len; i++) {
        uint8_t k = path_class[(unsigned char)s.ptr[i]];
        if (likely(k == P_OK))
            continue;
        if (k == P_PERCENT || k == P_SEMICOLON || (k == P_SLASH && i + 1 < s.len && s.ptr[i + 1] == '/'))
            return false;
    }
    return true;
}

static NOINLINE enum err loosened(struct span path, struct arena *a, struct span *ret)
{
    char *p = arena_bytes(a, path.len);
    if (!p)
        return ERR_NO_MEMORY;
    size_t n = 0;
    for (size_t i = 0; i < path.len; i++) {
        char c = path.ptr[i];
        if (span_starts(span_skip(path, i), SPAN("%2F"))) {
            c = '/';
            i += 2;
        } else if (c == ';') {
            while (i + 1 < path.len && path.ptr[i + 1] != '/')
                i++;
            continue;
        }
        if (c != '/' || n == 0 || p[n - 1] != '/')
            p[n++] = c;
    }
    *ret = span_of(p, n);
    return ERR_OK;
}

enum err path_loose(struct span path, struct arena *a, struct span *ret)
{
    if (unlikely(!is_unambiguous(path)))
        return loosened(path, a, ret);
    *ret = path;
    return ERR_OK;
}

enum err query_check(struct span query)
{
    for (size_t i = 0; i < query.len; i++) {
        unsigned char c = (unsigned char)query.ptr[i];
        if (c <= 0x20 || c == '#' || c >= 0x7f)
            return ERR_BAD_TARGET;
    }
    return ERR_OK;
}

enum err percent_decode(struct span s, struct arena *a, struct span *ret)
{
    if (span_find(s, '%') == s.len) {
        *ret = s;
        return ERR_OK;
    }
    char *p = arena_bytes(a, s.len);
    if (!p)
        return ERR_NO_MEMORY;
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] != '%') {
            p[n++] = s.ptr[i];
            continue;
        }
        int v = encoded_at(s, i);
        if (v <= 0)
            return ERR_BAD_TARGET;
        p[n++] = (char)v;
        i += 2;
    }
    *ret = span_of(p, n);
    return ERR_OK;
}

enum err uri_parse_absolute(struct span s, struct arena *a, struct uri *ret)
{
    size_t i = span_find_span(s, SPAN("://"));
    if (i == 0 || i > s.len || i > 32)
        return ERR_BAD_TARGET;
    char *scheme = arena_bytes(a, i);
    if (!scheme)
        return ERR_NO_MEMORY;
    for (size_t k = 0; k < i; k++) {
        unsigned char c = (unsigned char)s.ptr[k];
        if (!ascii_is_alnum(c) && c != '+' && c != '-' && c != '.')
            return ERR_BAD_TARGET;
        scheme[k] = (char)ascii_lower(c);
    }
    if (!ascii_is_alpha((unsigned char)scheme[0]))
        return ERR_BAD_TARGET;
    struct span rest = span_skip(s, i + 3);
    size_t end = 0;
    while (end < rest.len && rest.ptr[end] != '/' && rest.ptr[end] != '?' && rest.ptr[end] != '#')
        end++;
    struct uri u = {.scheme = span_of(scheme, i)};
    enum err e = authority_parse(span_first(rest, end), a, &u.authority);
    if (e)
        return e == ERR_BAD_HOST ? ERR_BAD_TARGET : e;
    struct span path = span_skip(rest, end);
    size_t q = span_find(path, '?');
    if (q < path.len) {
        u.query = span_skip(path, q + 1);
        path = span_first(path, q);
        if (query_check(u.query))
            return ERR_BAD_TARGET;
    }
    if (path.len == 0)
        path = SPAN("/");
    e = path_normalise(path, a, &u.path);
    if (!e)
        *ret = u;
    return e;
}
