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

// Smooth weighted round-robin, worked out once: at each step everybody gains its weight, and the richest is taken and pays the sum.
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

static bool add_target(const struct pool *p, struct targets *all, struct tier *t, const struct server *s, const struct addr *a)
{
    struct member *m = member_get(s->shared, a);
    if (!m)
        return false;
    struct target *c = &t->v[t->n++];
    *c = (struct target){.member = m, .server = s, .weight = s->weight};
    if (p->sticky_cookie.len) {
        char *token = arena_bytes(&all->arena, STICKY_TOKEN_BYTES);
        if (!token)
            return false;
        sticky_token(p, s, a, token);
        c->token = token;
    }
    t->weight += s->weight;
    return true;
}

static bool add_server(const struct pool *p, struct targets *t, const struct server *s)
{
    struct tier *tier = &t->tiers[s->backup ? TIER_BACKUP : TIER_MAIN];
    struct addr addrs[SERVER_ADDRS_MAX];
    if (!s->host.len)
        return add_target(p, t, tier, s, &s->addr);
    unsigned n = server_shared_addrs(s->shared, addrs);
    for (unsigned i = 0; i < n; i++) {
        if (!addrs[i].port)
            addrs[i].port = s->addr.port;
        if (!add_target(p, t, tier, s, &addrs[i]))
            return false;
    }
    const struct addr unknown = {.family = AF_UNSPEC, .port = s->addr.port};
    return n || add_target(p, t, tier, s, &unknown);
}

static bool prepare(const struct pool *p, struct tier *t, struct arena *a)
{
    const struct picker *by = p->key_is_sticky ? &picker_hash : p->picker;
    return !by->prepare || !t->n || by->prepare(t, a);
}

struct targets *targets_new(struct pool *p)
{
    struct targets *t = (struct targets *)mem_calloc(1, sizeof *t);
    unsigned most = 0;
    if (!t)
        return NULL;
    atomic_init(&t->refs, 1);
    arena_init(&t->arena, ARENA_NO_LIMIT);
    for (unsigned i = 0; i < p->n_servers; i++)
        most += p->servers[i].host.len ? SERVER_ADDRS_MAX : 1;
    bool ok = true;
    for (unsigned k = 0; k < N_TIERS; k++)
        ok &= (t->tiers[k].v = (struct target *)arena_alloc(&t->arena, (most + 1) * sizeof(struct target))) != NULL;
    for (unsigned i = 0; i < p->n_servers && ok; i++)
        ok = add_server(p, t, &p->servers[i]);
    for (unsigned k = 0; k < N_TIERS && ok; k++)
        ok = make_slots(&t->tiers[k], &t->arena) && prepare(p, &t->tiers[k], &t->arena);
    if (ok)
        return t;
    targets_unref(t);
    return NULL;
}

void targets_unref(struct targets *t)
{
    if (!t || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (unsigned k = 0; k < N_TIERS; k++)
        for (unsigned i = 0; t->tiers[k].v && i < t->tiers[k].n; i++)
            member_unref(t->tiers[k].v[i].member);
    arena_fini(&t->arena);
    mem_free(t);
}
