// SPDX-License-Identifier: Apache-2.0
#include "balance/places.h"

#include "base/hash.h"
#include "base/mem.h"

enum {
    WEIGHT_MAX = 1000,  // as in the configuration
    TARGET_RETRY_S = 5, // until a target without an address is looked for again
};

static enum err find_addresses(struct dns *dns, const struct server *s, uint64_t deadline, struct places *ret)
{
    struct dns_answer answer;
    enum err e = dns_resolve(dns, s->host, deadline, &answer);
    if (e)
        return e;
    *ret = (struct places){.ttl_s = answer.ttl_s, .fixed = answer.fixed};
    for (; ret->n < answer.n; ret->n++) {
        ret->v[ret->n] = (struct place){.addr = answer.addrs[ret->n], .weight = s->weight};
        ret->v[ret->n].addr.port = s->addr.port;
    }
    return ERR_OK;
}

// ---- Services

struct search {
    struct dns *dns;
    const struct server *server;
    uint64_t deadline;
    struct places *ret;
    struct dns_srv_answer srv;
    struct place before[SERVER_PLACES_MAX];
    unsigned n_before;
};

static bool holds(const struct places *all, const struct addr *a)
{
    for (unsigned i = 0; i < all->n; i++)
        if (addr_eq(&all->v[i].addr, a))
            return true;
    return false;
}

// An address stands where it stood first: in the least level.
static void add(struct places *all, const struct addr *a, const struct dns_srv *t, uint8_t level,
                uint64_t origin)
{
    struct place p = {.addr = *a, .level = level, .origin = origin};
    p.addr.port = t->port;
    if (all->n < SERVER_PLACES_MAX && !holds(all, &p.addr))
        all->v[all->n++] = p;
}

static uint64_t origin_of(const struct dns_srv *t)
{
    return hash_fast_seed(span_str(t->name), t->port);
}

// What came beside the answer, or what the name stands for; where it does not resolve, what it stood for
// last.
static void find_target(struct search *s, unsigned i, uint8_t level)
{
    const struct dns_srv *t = &s->srv.v[i];
    struct places *ret = s->ret;
    struct dns_answer answer;
    bool beside = false;
    for (unsigned k = 0; k < s->srv.n_addrs; k++) {
        if (s->srv.addrs[k].of != i)
            continue;
        add(ret, &s->srv.addrs[k].addr, t, level, origin_of(t));
        beside = true;
    }
    if (beside)
        return;
    enum err e = dns_resolve(s->dns, span_str(t->name), s->deadline, &answer);
    for (unsigned k = 0; !e && k < answer.n; k++)
        add(ret, &answer.addrs[k], t, level, origin_of(t));
    for (unsigned k = 0; e && k < s->n_before; k++)
        if (s->before[k].origin == origin_of(t))
            add(ret, &s->before[k].addr, t, level, origin_of(t));
    if (e)
        ret->partly = e;
    ret->ttl_s = MIN(ret->ttl_s, e ? (uint32_t)TARGET_RETRY_S : answer.ttl_s);
}

static const struct dns_srv *target_of(const struct search *s, const struct place *p)
{
    for (unsigned i = 0; i < s->srv.n; i++)
        if (origin_of(&s->srv.v[i]) == p->origin)
            return &s->srv.v[i];
    return NULL;
}

// A record's weight is its target's: its addresses share it. A weight of 0 beside others gets next to
// nothing; where all are 0 they are alike (RFC 2782). Weights that need not be divided are taken as they
// stand.
static void give_weights(const struct search *s, uint8_t level)
{
    struct places *all = s->ret;
    uint32_t most = 0, addresses[SERVER_PLACES_MAX];
    bool as_they_stand = true;
    for (unsigned i = 0; i < all->n; i++) {
        const struct dns_srv *t = all->v[i].level == level ? target_of(s, &all->v[i]) : NULL;
        addresses[i] = 0;
        for (unsigned k = 0; t && k < all->n; k++)
            addresses[i] += all->v[k].origin == all->v[i].origin && all->v[k].level == level;
        most = t ? MAX(most, (uint32_t)t->weight) : most;
        as_they_stand &= !t || (t->weight && addresses[i] == 1);
    }
    as_they_stand &= most <= WEIGHT_MAX;
    for (unsigned i = 0; i < all->n; i++) {
        const struct dns_srv *t = addresses[i] ? target_of(s, &all->v[i]) : NULL;
        if (!t)
            continue;
        uint32_t w = most == 0 ? WEIGHT_MAX : as_they_stand ? t->weight : t->weight * WEIGHT_MAX / most;
        all->v[i].weight = MAX(w / addresses[i], 1u);
    }
}

// Priorities in order, each a level; all that are too many share the last one.
static void find_targets(struct search *s)
{
    struct dns_srv_answer *srv = &s->srv;
    uint32_t next = 0;
    uint8_t level = 0;
    for (;;) {
        uint32_t priority = UINT32_MAX;
        for (unsigned i = 0; i < srv->n; i++)
            if (srv->v[i].priority >= next)
                priority = MIN(priority, (uint32_t)srv->v[i].priority);
        if (priority == UINT32_MAX || fiber_canceled(fiber_self()))
            break;
        unsigned before = s->ret->n;
        for (unsigned i = 0; i < srv->n; i++)
            if (srv->v[i].priority == priority)
                find_target(s, i, level);
        next = priority + 1;
        if (s->ret->n > before && level < LEVELS_MAX - 1) // one of which nothing is known is no level
            level++;
    }
    for (uint8_t i = 0; i <= level; i++)
        give_weights(s, i);
}

static enum err find_service(struct search *s)
{
    enum err e = dns_resolve_srv(s->dns, s->server->host, s->deadline, &s->srv);
    if (e)
        return e;
    *s->ret = (struct places){.ttl_s = s->srv.ttl_s};
    s->n_before = server_shared_places(s->server->shared, s->before);
    find_targets(s);
    if (s->ret->n == 0)
        return s->ret->partly ? s->ret->partly : ERR_DNS_FAILED;
    return ERR_OK;
}

enum err places_find(struct dns *dns, const struct server *s, uint64_t deadline, struct places *ret)
{
    if (!s->is_service)
        return find_addresses(dns, s, deadline, ret);
    struct search *search = (struct search *)mem_calloc(1, sizeof *search); // too much for a fiber's stack
    if (!search)
        return ERR_NO_MEMORY;
    search->dns = dns;
    search->server = s;
    search->deadline = deadline;
    search->ret = ret;
    enum err e = find_service(search);
    mem_free(search);
    return e;
}
