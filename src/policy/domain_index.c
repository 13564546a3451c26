// SPDX-License-Identifier: Apache-2.0
#include "policy/domain_index.h"

#include "base/ascii.h"
#include "base/hash.h"
#include "base/mem.h"

bool domain_index_add(struct domain_index *d, struct span name, bool below, struct list_place at)
{
    if (name.len == 0 || name.len > UINT8_MAX)
        return true;
    if (d->n == d->cap) {
        uint32_t cap = d->cap ? d->cap * 2 : 64;
        struct domain_entry *v = cap > d->cap && cap < UINT32_MAX / 4 ? (struct domain_entry *)mem_realloc(d->v, cap * sizeof *v) : NULL;
        if (!v)
            return false;
        d->v = v;
        d->cap = cap;
    }
    d->v[d->n++] = (struct domain_entry){name.ptr, at.line, at.source, (uint8_t)name.len, below};
    return true;
}

static struct span name_of(const struct domain_entry *e)
{
    return span_of(e->name, e->len);
}

static uint64_t folded_hash(struct span s)
{
    char lower[UINT8_MAX];
    for (size_t i = 0; i < s.len; i++)
        lower[i] = (char)ascii_lower((unsigned char)s.ptr[i]);
    return hash_fast(span_of(lower, s.len));
}

static void insert(struct domain_index *d, uint32_t i)
{
    const struct domain_entry *e = &d->v[i];
    uint64_t h = folded_hash(name_of(e));
    uint32_t at = (uint32_t)h & (d->n_slots - 1);
    for (; d->slots[at]; at = (at + 1) & (d->n_slots - 1)) {
        const struct domain_entry *other = &d->v[(uint32_t)d->slots[at] - 1];
        if (d->slots[at] >> 32 == h >> 32 && other->below == e->below && span_eq_ci(name_of(other), name_of(e)))
            return;
    }
    d->slots[at] = (h & 0xffffffff00000000u) | (i + 1);
}

bool domain_index_finish(struct domain_index *d)
{
    if (!d->n)
        return true;
    for (d->n_slots = 64; d->n_slots < d->n * 2;)
        d->n_slots *= 2;
    d->slots = (uint64_t *)mem_calloc(d->n_slots, sizeof *d->slots);
    struct domain_entry *v = (struct domain_entry *)mem_realloc(d->v, d->n * sizeof *v);
    if (v) {
        d->v = v;
        d->cap = d->n;
    }
    for (uint32_t i = 0; d->slots && i < d->n; i++)
        insert(d, i);
    return d->slots != NULL;
}

static const struct domain_entry *find(const struct domain_index *d, struct span name, bool whole)
{
    uint64_t h = hash_fast(name);
    for (uint32_t at = (uint32_t)h & (d->n_slots - 1); d->slots[at]; at = (at + 1) & (d->n_slots - 1)) {
        if (d->slots[at] >> 32 != h >> 32)
            continue;
        const struct domain_entry *e = &d->v[(uint32_t)d->slots[at] - 1];
        if ((whole || e->below) && span_eq_ci(name_of(e), name))
            return e;
    }
    return NULL;
}

bool domain_index_find(const struct domain_index *d, struct span host, bool is_name, struct list_place *ret)
{
    if (!d->n || !host.len)
        return false;
    const struct domain_entry *e = find(d, host, true);
    while (!e && is_name && host.len) {
        host = span_skip(host, span_find(host, '.') + 1);
        e = host.len ? find(d, host, false) : NULL;
    }
    if (e)
        *ret = (struct list_place){e->line, e->source};
    return e != NULL;
}

void domain_index_fini(struct domain_index *d)
{
    mem_free(d->v);
    mem_free(d->slots);
    *d = (struct domain_index){NULL, NULL, 0, 0, 0};
}
