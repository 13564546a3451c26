// SPDX-License-Identifier: Apache-2.0
// Consistent hashing with bounded load: servers stand at many points of a ring, a key belongs to the first point behind it. When a
// server leaves, only its own keys move, and they come home with it. One that has a quarter more than its share of all requests
// under way is passed over, so that a popular key does not drown its server.
#include <stdlib.h>

#include "balance/pool.h"
#include "balance/registry.h"
#include "base/hash.h"

enum {
    POINTS = 160,          // of a server of mean weight; the shares then differ by some percent
    RING_MAX = 256 * 1024,
    LOAD_FLOOR = 16,       // a server with fewer requests is never too busy
};

static int by_place(const void *x, const void *y)
{
    const struct ring_point *a = (const struct ring_point *)x, *b = (const struct ring_point *)y;
    if (a->at != b->at)
        return a->at < b->at ? -1 : 1;
    return a->target < b->target ? -1 : a->target > b->target;
}

// Points depend on the server alone, not on who else is there or in which order.
static void add_points(struct tier *t, unsigned i, unsigned n)
{
    const struct target *c = &t->v[i];
    char text[ADDR_TEXT_MAX];
    size_t len = addr_format(&c->member->addr, text);
    uint64_t seed = hash_fast(c->member->addr.family ? span_of(text, len) : c->server->name);
    for (unsigned k = 0; k < n; k++) {
        uint64_t h = hash_fast_seed(span_of((const char *)&k, sizeof k), seed);
        t->ring[t->n_ring++] = (struct ring_point){(uint32_t)(h >> 32), i};
    }
}

static bool prepare(struct tier *t, struct arena *a)
{
    // By absolute weight: a server's points stay where they are whoever comes or goes.
    uint64_t points = POINTS, per_weight = 1;
    while (t->weight * points / per_weight > RING_MAX)
        per_weight *= 2;
    t->ring = (struct ring_point *)arena_alloc(a, (size_t)(t->weight * points / per_weight + t->n) * sizeof *t->ring);
    if (!t->ring)
        return false;
    for (unsigned i = 0; i < t->n; i++)
        add_points(t, i, (unsigned)MAX(t->v[i].weight * points / per_weight, (uint64_t)1));
    qsort(t->ring, t->n_ring, sizeof *t->ring, by_place);
    return true;
}

static unsigned first_behind(const struct tier *t, uint32_t at)
{
    unsigned lo = 0, hi = t->n_ring;
    while (lo < hi) {
        unsigned mid = lo + (hi - lo) / 2;
        if (t->ring[mid].at < at)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo == t->n_ring ? 0 : lo;
}

static bool too_busy(const struct pool *p, const struct tier *t, const struct target *c)
{
    uint64_t load = member_load(c->member), all = atomic_load_explicit(&p->shared->load, memory_order_relaxed);
    return load >= LOAD_FLOOR && load * t->weight * 4 > (all + 1) * c->weight * 5;
}

static const struct target *pick(struct pool *p, const struct tier *t, struct pick *k)
{
    if (!k->has_key)
        return picker_p2c.pick(p, t, k); // no key: no reason to send all of these to one server
    const struct target *busy = NULL;
    unsigned at = first_behind(t, (uint32_t)(k->key >> 32));
    for (unsigned i = 0; i < t->n_ring; i++) {
        const struct target *c = &t->v[t->ring[at].target];
        at = at + 1 == t->n_ring ? 0 : at + 1;
        if (!pick_may(p, k, c))
            continue;
        if (!too_busy(p, t, c))
            return c;
        busy = busy ? busy : c;
    }
    return busy;
}

const struct picker picker_hash = {.word = "hash", .has_key = true, .counts_load = true, .prepare = prepare, .measures = true, .pick = pick};
