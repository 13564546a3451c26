// SPDX-License-Identifier: Apache-2.0
#include "cache/key.h"

#include "base/hash.h"
#include "base/num.h"

enum { PARAMETERS_MAX = 256 }; // of a query that is to be changed; one with more stays as it is

// `*` stands for any run.
static bool glob(struct span pattern, struct span s)
{
    size_t star = span_find(pattern, '*');
    if (star == pattern.len)
        return span_eq(pattern, s);
    struct span head = span_first(pattern, star), tail = span_skip(pattern, star + 1);
    if (!span_starts(s, head))
        return false;
    s = span_skip(s, head.len);
    while (span_find(tail, '*') < tail.len) {
        struct span part = span_cut(&tail, '*');
        size_t at = span_find_span(s, part);
        if (at > s.len)
            return false;
        s = span_skip(s, at + part.len);
    }
    return span_ends(s, tail);
}

static bool any(const struct span *v, unsigned n, struct span name)
{
    for (unsigned i = 0; i < n; i++)
        if (glob(v[i], name))
            return true;
    return false;
}

static bool counts(const struct cache_key_rules *r, struct span parameter)
{
    struct span name = span_first(parameter, span_find(parameter, '='));
    return !any(r->ignore_query, r->n_ignore, name) && (r->n_keep == 0 || any(r->keep_query, r->n_keep, name));
}

// The parameters that count, in their own order or sorted. *ret's pointer is NULL where none is left.
static enum err apply_rules(const struct cache_key_rules *r, struct span query, struct arena *a, struct span *ret)
{
    struct span v[PARAMETERS_MAX];
    unsigned n = 0;
    struct span rest = query;
    while (rest.ptr) {
        struct span p = span_cut(&rest, '&');
        if (!counts(r, p))
            continue;
        if (n == PARAMETERS_MAX)
            return ERR_OK;
        unsigned i = n++;
        for (; r->sort_query && i > 0 && span_cmp(v[i - 1], p) > 0; i--)
            v[i] = v[i - 1];
        v[i] = p;
    }
    *ret = SPAN_NONE;
    if (n == 0)
        return ERR_OK;
    char *out = arena_bytes(a, query.len + 1), *o = out;
    if (!out)
        return ERR_NO_MEMORY;
    for (unsigned i = 0; i < n; i++) {
        if (i)
            *o++ = '&';
        if (v[i].len)
            memcpy(o, v[i].ptr, v[i].len);
        o += v[i].len;
    }
    *ret = span_of(out, (size_t)(o - out));
    return ERR_OK;
}

static char *put(char *o, struct span s)
{
    if (s.len)
        memcpy(o, s.ptr, s.len);
    return o + s.len;
}

static uint16_t port_of(struct span scheme, const struct authority *h)
{
    uint16_t own = span_eq(scheme, SPAN("https")) ? 443 : 80;
    return h->port == own ? 0 : h->port;
}

enum err cache_key_url(struct span scheme, const struct authority *h, struct span path, struct span query, const struct cache_key_rules *rules,
                       struct arena *a, struct span *ret)
{
    if (query.ptr && rules && (rules->n_ignore || rules->n_keep || rules->sort_query)) {
        enum err e = apply_rules(rules, query, a, &query);
        if (e)
            return e;
    }
    if (rules && rules->ignore_all_query)
        query = SPAN_NONE;
    bool v6 = h->kind == HOST_IPV6;
    uint16_t port = port_of(scheme, h);
    char *p = arena_bytes(a, scheme.len + h->host.len + path.len + query.len + 16), *o = p;
    if (!p)
        return ERR_NO_MEMORY;
    o = put(put(o, scheme), SPAN("://"));
    o = put(o, v6 ? SPAN("[") : SPAN(""));
    o = put(o, h->host);
    o = put(o, v6 ? SPAN("]") : SPAN(""));
    if (port) {
        *o++ = ':';
        o += num_put_dec(o, port);
    }
    o = put(o, path);
    if (query.ptr) {
        *o++ = '?';
        o = put(o, query);
    }
    *ret = span_of(p, (size_t)(o - p));
    return ERR_OK;
}

bool cache_key_url_parse(struct span url, const struct cache_key_rules *rules, struct arena *a, struct span *ret)
{
    struct uri u;
    url = span_first(url, span_find(url, '#'));
    if (uri_parse_absolute(url, a, &u) || !(span_eq(u.scheme, SPAN("http")) || span_eq(u.scheme, SPAN("https"))))
        return false;
    return !cache_key_url(u.scheme, &u.authority, u.path, u.query, rules, a, ret);
}

uint64_t cache_key_hash(struct span url)
{
    return hash_keyed(url);
}
