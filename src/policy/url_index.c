// SPDX-License-Identifier: Apache-2.0
#include "policy/url_index.h"

#include <stdlib.h>

#include "base/mem.h"

bool url_index_add(struct url_index *u, struct span url, struct list_place at)
{
    if (u->n == u->cap) {
        uint32_t cap = u->cap ? u->cap * 2 : 64;
        struct url_entry *v = cap < UINT32_MAX / 4 ? (struct url_entry *)mem_realloc(u->v, cap * sizeof *v) : NULL;
        if (!v)
            return false;
        u->v = v;
        u->cap = cap;
    }
    u->v[u->n++] = (struct url_entry){.url = url.ptr, .len = (uint32_t)url.len, .line = at.line, .source = at.source};
    return true;
}

static struct span url_of(const struct url_entry *e)
{
    return span_of(e->url, e->len);
}

static int compare(const void *a, const void *b)
{
    const struct url_entry *x = (const struct url_entry *)a, *y = (const struct url_entry *)b;
    int c = span_cmp(url_of(x), url_of(y));
    return c ? c : x->source != y->source ? x->source - y->source : x->line < y->line ? -1 : x->line > y->line;
}

// In order of their bytes, whatever begins with an entry stands right behind it: its prefixes are on the way up.
void url_index_finish(struct url_index *u)
{
    if (!u->n)
        return;
    qsort(u->v, u->n, sizeof *u->v, compare);
    uint32_t n = 1;
    for (uint32_t i = 1; i < u->n; i++)
        if (!span_eq(url_of(&u->v[n - 1]), url_of(&u->v[i])))
            u->v[n++] = u->v[i];
    u->n = n;
    for (uint32_t i = 1; i < n; i++) {
        uint32_t up = i;
        while (up && !span_starts(url_of(&u->v[i]), url_of(&u->v[up - 1])))
            up = u->v[up - 1].shorter;
        u->v[i].shorter = up;
    }
}

bool url_index_find(const struct url_index *u, struct span url, struct list_place *ret)
{
    uint32_t lo = 0, hi = u->n;
    while (lo < hi) { // the last entry that is not behind the URL
        uint32_t mid = lo + (hi - lo) / 2;
        if (span_cmp(url_of(&u->v[mid]), url) <= 0)
            lo = mid + 1;
        else
            hi = mid;
    }
    while (lo && !span_starts(url, url_of(&u->v[lo - 1])))
        lo = u->v[lo - 1].shorter;
    if (lo)
        *ret = (struct list_place){u->v[lo - 1].line, u->v[lo - 1].source};
    return lo != 0;
}

void url_index_fini(struct url_index *u)
{
    mem_free(u->v);
    *u = (struct url_index){NULL, 0, 0};
}
