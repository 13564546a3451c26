// SPDX-License-Identifier: Apache-2.0
// A set is a sorted list of where ranges begin, each with the value that holds up to the next one's
// beginning: prefixes nest or are apart, so n of them make at most 2 n + 1 ranges, and the longest match is
// one binary search.
#include "net/prefix.h"

#include <stdlib.h>

#include "base/mem.h"
#include "base/num.h"

typedef unsigned __int128 u128; // the one number that C has no name for

struct prefix_range4 {
    uint32_t start, value;
    bool held; // by some prefix
};
struct prefix_range6 {
    u128 start;
    uint32_t value;
    bool held;
};

static unsigned width_of(const struct addr *a)
{
    return a->family == AF_INET ? 32 : 128;
}

static u128 key_of(const struct addr *a)
{
    struct span b = addr_ip_bytes(a);
    u128 k = 0;
    for (size_t i = 0; i < b.len; i++)
        k = k << 8 | (uint8_t)b.ptr[i];
    return k;
}

/// The bits of a key that are the host's.
static u128 host_mask(unsigned width, unsigned bits)
{
    unsigned host = width - bits;
    return host == 128 ? ~(u128)0 : ((u128)1 << host) - 1;
}

bool prefix_parse(struct span s, struct prefix *ret, const char **ret_why)
{
    const char *ignored;
    if (!ret_why)
        ret_why = &ignored;
    size_t slash = span_find(s, '/');
    struct prefix p;
    if (!addr_parse_ip(span_first(s, slash), &p.ip)) {
        *ret_why = "This is not an IP address.";
        return false;
    }
    uint64_t bits = width_of(&p.ip);
    struct span after = span_skip(s, slash + 1);
    bool zeros = after.len > 1 && after.ptr[0] == '0';
    if (slash < s.len && (zeros || !num_parse_dec(after, bits, &bits))) {
        *ret_why = "The length of the prefix is not a number from 0 to 32 (IPv4) or 128 (IPv6).";
        return false;
    }
    p.bits = (uint8_t)bits;
    if (key_of(&p.ip) & host_mask(width_of(&p.ip), p.bits)) {
        *ret_why = "The address has bits beyond the length of the prefix.";
        return false;
    }
    struct addr canonical = addr_canonical(&p.ip);
    if (canonical.family != p.ip.family && p.bits >= 96)
        p = (struct prefix){canonical, (uint8_t)(p.bits - 96)};
    *ret = p;
    return true;
}

static uint32_t key4_of(const struct addr *a)
{
    return (uint32_t)a->v4[0] << 24 | (uint32_t)a->v4[1] << 16 | (uint32_t)a->v4[2] << 8 | a->v4[3];
}

bool prefix_has(const struct prefix *p, const struct addr *a)
{
    if (likely(a->family == AF_INET)) // narrow numbers, as most are
        return p->ip.family == AF_INET && (uint64_t)(key4_of(a) ^ key4_of(&p->ip)) >> (32 - p->bits) == 0;
    struct addr ip = addr_canonical(a);
    if (ip.family != p->ip.family)
        return false;
    return ((key_of(&ip) ^ key_of(&p->ip)) & ~host_mask(width_of(&ip), p->bits)) == 0;
}

// ---- Building

struct item {
    u128 first, last;
    size_t order;
    uint32_t value;
};

/// Enclosing prefixes come before what they enclose, equal ones in the order given.
static int item_cmp(const void *x, const void *y)
{
    const struct item *a = (const struct item *)x, *b = (const struct item *)y;
    if (a->first != b->first)
        return a->first < b->first ? -1 : 1;
    if (a->last != b->last)
        return a->last > b->last ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

static size_t collect(struct item *items, const struct prefix_entry *entries, size_t n, sa_family_t family)
{
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        const struct prefix *p = &entries[i].prefix;
        if (p->ip.family != family)
            continue;
        u128 first = key_of(&p->ip);
        items[k++] = (struct item){first, first | host_mask(width_of(&p->ip), p->bits), i, entries[i].value};
    }
    if (k)
        qsort(items, k, sizeof(*items), item_cmp);
    size_t unique = 0;
    for (size_t i = 0; i < k; i++)
        if (!unique || items[i].first != items[unique - 1].first || items[i].last != items[unique - 1].last)
            items[unique++] = items[i];
    return unique;
}

struct sweep {
    struct prefix_range6 *out;
    size_t n_out;
    const struct item **open; // prefixes around the current place, outermost first
    size_t n_open;
    u128 max;
};

static void emit(struct sweep *w, u128 start, const struct item *of)
{
    if (w->n_out && w->out[w->n_out - 1].start == start)
        w->n_out--;
    w->out[w->n_out++] = (struct prefix_range6){start, of ? of->value : 0, of != NULL};
}

/// Ends the innermost prefix: after it the one around it holds again.
static void close_innermost(struct sweep *w)
{
    const struct item *ended = w->open[--w->n_open];
    if (ended->last != w->max)
        emit(w, ended->last + 1, w->n_open ? w->open[w->n_open - 1] : NULL);
}

static size_t flatten(struct sweep *w, const struct item *items, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        while (w->n_open && w->open[w->n_open - 1]->last < items[i].first)
            close_innermost(w);
        emit(w, items[i].first, &items[i]);
        w->open[w->n_open++] = &items[i];
    }
    while (w->n_open)
        close_innermost(w);
    return w->n_out;
}

static bool store4(struct prefix_set *set, struct arena *a, const struct prefix_range6 *r, size_t n)
{
    struct prefix_range4 *v4 = (struct prefix_range4 *)arena_alloc(a, (n ? n : 1) * sizeof(*v4));
    if (!v4)
        return false;
    for (size_t i = 0; i < n; i++)
        v4[i] = (struct prefix_range4){(uint32_t)r[i].start, r[i].value, r[i].held};
    set->v4 = v4;
    set->n_v4 = (uint32_t)n;
    return true;
}

static bool store6(struct prefix_set *set, struct arena *a, const struct prefix_range6 *r, size_t n)
{
    struct prefix_range6 *v6 = (struct prefix_range6 *)arena_alloc(a, (n ? n : 1) * sizeof(*v6));
    if (!v6)
        return false;
    for (size_t i = 0; i < n; i++)
        v6[i] = r[i];
    set->v6 = v6;
    set->n_v6 = (uint32_t)n;
    return true;
}

bool prefix_set_build(struct prefix_set *ret, struct arena *a, const struct prefix_entry *entries, size_t n)
{
    struct prefix_set set = {0};
    if (n == 0) {
        *ret = set;
        return true;
    }
    if (n >= UINT32_MAX / 2)
        return false;
    struct item *items = (struct item *)mem_calloc(n, sizeof(*items));
    const struct item **open = (const struct item **)mem_calloc(n, sizeof(*open));
    struct prefix_range6 *out = (struct prefix_range6 *)mem_calloc(2 * n + 1, sizeof(*out));
    bool ok = items && open && out;
    if (ok) {
        struct sweep w = {out, 0, open, 0, UINT32_MAX};
        ok = store4(&set, a, out, flatten(&w, items, collect(items, entries, n, AF_INET)));
    }
    if (ok) {
        struct sweep w = {out, 0, open, 0, ~(u128)0};
        ok = store6(&set, a, out, flatten(&w, items, collect(items, entries, n, AF_INET6)));
    }
    mem_free(items);
    mem_free(open);
    mem_free(out);
    if (ok)
        *ret = set;
    return ok;
}

// ---- Finding

/// The last range that begins at or before the key; NULL where the first begins behind it.
#define RANGE_BEFORE(T, ranges, n, key)                                                                      \
    ({                                                                                                       \
        size_t low_ = 0, high_ = (n);                                                                        \
        while (low_ < high_) {                                                                               \
            size_t mid_ = low_ + (high_ - low_) / 2;                                                         \
            if ((ranges)[mid_].start <= (key))                                                               \
                low_ = mid_ + 1;                                                                             \
            else                                                                                             \
                high_ = mid_;                                                                                \
        }                                                                                                    \
        low_ ? &(ranges)[low_ - 1] : (const T *)NULL;                                                        \
    })

bool prefix_set_find(const struct prefix_set *s, const struct addr *a, uint32_t *ret_value)
{
    struct addr ip = addr_canonical(a);
    bool held = false;
    uint32_t value = 0;
    if (ip.family == AF_INET) {
        uint32_t key = (uint32_t)key_of(&ip);
        const struct prefix_range4 *r = RANGE_BEFORE(struct prefix_range4, s->v4, s->n_v4, key);
        if (r) {
            held = r->held;
            value = r->value;
        }
    } else if (ip.family == AF_INET6) {
        u128 key = key_of(&ip);
        const struct prefix_range6 *r = RANGE_BEFORE(struct prefix_range6, s->v6, s->n_v6, key);
        if (r) {
            held = r->held;
            value = r->value;
        }
    }
    if (held && ret_value)
        *ret_value = value;
    return held;
}
