// SPDX-License-Identifier: Apache-2.0
// The targets of a pool: from its servers and what their names stand for.
#include "base/mem.h"
#include "balance/pool.h"
#include "balance/registry.h"

enum {
    SLOTS_MAX = 65536,
    STEPS_MAX = 1 << 22, // of working out a sequence
};

static unsigned gcd(unsigned a, unsigned b)
{
    while (b) {
        unsigned r = a % b;
        a = b;
        b = r;
    }
    return a;
}

// Smooth weighted round-robin, worked out once: at each step everybody gains its weight, and the richest is
// taken and pays the sum.
static void interleave(struct tier *t, const unsigned *weights, int64_t *credit)
{
    unsigned best = 0;
    for (unsigned k = 0; k < t->n_slots; k++) {
        best = 0;
        for (unsigned i = 0; i < t->n; i++) {
            credit[i] += weights[i];
            if (credit[i] > credit[best])
                best = i;
        }
        credit[best] -= t->n_slots;
        t->slots[k] = (uint16_t)best;
    }
}

// Weights in lowest terms, and coarser where the sequence would become too long.
static bool make_slots(struct tier *t, struct arena *a)
{
    unsigned *w = (unsigned *)arena_alloc(a, (t->n + 1) * sizeof *w), divisor = 0;
    int64_t *credit = (int64_t *)arena_zalloc(a, (t->n + 1) * sizeof *credit);
    if (!w || !credit)
        return false;
    for (unsigned i = 0; i < t->n; i++)
        divisor = gcd(t->v[i].weight, divisor);
    uint64_t most = MAX(MIN((uint64_t)STEPS_MAX / MAX(t->n, 1u), (uint64_t)SLOTS_MAX), (uint64_t)t->n);
    while (divisor && t->weight / divisor > most)
        divisor *= 2;
    for (unsigned i = 0; i < t->n; i++) {
        w[i] = MAX(t->v[i].weight / divisor, 1u);
        t->n_slots += w[i];
    }
    t->slots = (uint16_t *)arena_alloc(a, (t->n_slots + 1) * sizeof *t->slots);
    if (!t->slots)
        return false;
    if (t->n_slots == t->n) // all alike
        for (unsigned i = 0; i < t->n; i++)
            t->slots[i] = (uint16_t)i;
    else
        interleave(t, w, credit);
    return true;
}

// ---- What the servers stand for

// Everybody's places, each with its tier.
struct found_place {
    struct place place;
    const struct server *server;
    unsigned tier;
};
struct found {
    struct found_place *v;
    size_t n, most;
};

static bool add_place(struct found *f, const struct server *s, const struct place *at)
{
    if (f->n == f->most) {
        size_t most = f->most ? 2 * f->most : 64;
        struct found_place *v = (struct found_place *)mem_realloc(f->v, most * sizeof *v);
        if (!v)
            return false;
        f->v = v;
        f->most = most;
    }
    f->v[f->n] = (struct found_place){.place = *at, .server = s};
    if (!s->is_service)
        f->v[f->n].place.weight = s->weight; // the configuration may have another one since the name resolved
    f->n++;
    return true;
}

static bool find_places(const struct pool *p, struct found *f)
{
    struct place own[SERVER_PLACES_MAX];
    bool ok = true;
    for (unsigned i = 0; i < p->n_servers && ok; i++) {
        const struct server *s = &p->servers[i];
        unsigned n = s->host.len ? server_shared_places(s->shared, own) : 0;
        if (n == 0) // a fixed address, or a name that nobody knows yet
            own[n++] = (struct place){
                .addr = s->host.len ? (struct addr){.family = AF_UNSPEC, .port = s->addr.port} : s->addr,
                .weight = s->weight};
        for (unsigned k = 0; k < n && ok; k++)
            ok = add_place(f, s, &own[k]);
    }
    return ok;
}

// Those of `backup` servers stand behind all others.
static unsigned give_tiers(struct found *f)
{
    unsigned first_backup = 1, n = 1;
    for (size_t i = 0; i < f->n; i++)
        if (!f->v[i].server->backup)
            first_backup = MAX(first_backup, f->v[i].place.level + 1u);
    for (size_t i = 0; i < f->n; i++) {
        f->v[i].tier = f->v[i].place.level + (f->v[i].server->backup ? first_backup : 0);
        n = MAX(n, f->v[i].tier + 1);
    }
    return n;
}

static bool add_target(const struct pool *p, struct targets *all, struct tier *t, const struct server *s,
                       const struct place *at)
{
    struct member *m = member_get(s->shared, &at->addr);
    if (!m)
        return false;
    struct target *c = &t->v[t->n++];
    *c = (struct target){.member = m, .server = s, .weight = at->weight};
    if (p->sticky_cookie.len) {
        char *token = arena_bytes(&all->arena, STICKY_TOKEN_BYTES);
        if (!token)
            return false;
        sticky_token(p, s, &at->addr, token);
        c->token = token;
    }
    t->weight += at->weight;
    return true;
}

static bool fill_tier(const struct pool *p, struct targets *t, unsigned k, const struct found *f)
{
    struct tier *tier = &t->tiers[k];
    size_t n = 1;
    for (size_t i = 0; i < f->n; i++)
        n += f->v[i].tier == k;
    tier->v = (struct target *)arena_alloc(&t->arena, n * sizeof *tier->v);
    bool ok = tier->v != NULL;
    for (size_t i = 0; i < f->n && ok; i++)
        ok = f->v[i].tier != k || add_target(p, t, tier, f->v[i].server, &f->v[i].place);
    return ok;
}

static bool prepare(const struct pool *p, struct tier *t, struct arena *a)
{
    const struct picker *by = p->key_is_sticky ? &picker_hash : p->picker;
    return !by->prepare || !t->n || by->prepare(t, a);
}

struct targets *targets_new(struct pool *p)
{
    struct targets *t = (struct targets *)mem_calloc(1, sizeof *t);
    struct found f = {0};
    static _Atomic uint64_t serials;
    if (!t)
        return NULL;
    atomic_init(&t->refs, 1);
    t->serial = atomic_fetch_add_explicit(&serials, 1, memory_order_relaxed) + 1;
    arena_init(&t->arena, ARENA_NO_LIMIT);
    bool ok = find_places(p, &f);
    t->n_tiers = ok ? give_tiers(&f) : 0;
    for (unsigned k = 0; k < t->n_tiers && ok; k++)
        ok = fill_tier(p, t, k, &f) && make_slots(&t->tiers[k], &t->arena) &&
             prepare(p, &t->tiers[k], &t->arena);
    mem_free(f.v);
    if (ok)
        return t;
    targets_unref(t);
    return NULL;
}

void targets_unref(struct targets *t)
{
    if (!t || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (unsigned k = 0; k < t->n_tiers; k++)
        for (unsigned i = 0; t->tiers[k].v && i < t->tiers[k].n; i++)
            member_unref(t->tiers[k].v[i].member);
    arena_fini(&t->arena);
    mem_free(t);
}
