// SPDX-License-Identifier: Apache-2.0
// What the commands ask about pools: how their servers are, and what is to be done with one.
#include "balance/registry.h"
#include "proxy/ask.h"
#include "proxy/escape.h"
#include "proxy/generation.h"

enum { NAME_TEXT_MAX = 512 };

// In words of a circuit breaker: an ejected server is open, one that is being probed half-open.
static const char *state_of(const struct member *m, uint64_t now_ms)
{
    uint32_t flags = member_flags(m);
    if (flags & MEMBER_DISABLED)
        return "disabled";
    if (flags & MEMBER_DOWN)
        return "down";
    if (flags & MEMBER_EJECTED)
        return now_ms < atomic_load_explicit(&m->ejected_until_ms, memory_order_relaxed) ? "ejected" : "probing";
    if (flags & MEMBER_PROBING)
        return "probing";
    return flags & MEMBER_DRAINING ? "draining" : flags & MEMBER_SLOW ? "slow-start" : "up";
}

static struct span json_text(struct ask *k, struct span s)
{
    char text[NAME_TEXT_MAX];
    struct span ret;
    return arena_dup(k->arena, span_of(text, escape_json(s, text, sizeof text)), &ret) ? ret : SPAN("");
}

static void say_target(struct ask *k, const struct pool *p, const struct target *t, bool backup, bool first)
{
    const struct member *m = t->member;
    char at[ADDR_TEXT_MAX] = "";
    uint64_t now_ms = loop_now_ms();
    if (m->addr.family)
        addr_format(&m->addr, at);
    const char *state = state_of(m, now_ms);
    unsigned load = member_load(m), connections = atomic_load_explicit(&m->connections, memory_order_relaxed);
    unsigned long long failures = atomic_load_explicit(&m->failures, memory_order_relaxed), us = member_latency_us(m, now_ms);
    if (k->json) {
        struct span pool = json_text(k, p->name), server = json_text(k, t->server->name), addr = json_text(k, span_str(at));
        ask_say(k, "%s{\"pool\": \"%.*s\", \"server\": \"%.*s\", \"address\": \"%.*s\", \"state\": \"%s\", \"weight\": %u, \"backup\": %s, \"requests\": %u, \"connections\": %u, \"failures\": %llu, \"latency_ms\": %llu.%03llu}",
                first ? "" : ", ", SPAN_ARG(pool), SPAN_ARG(server), SPAN_ARG(addr), state, t->weight, backup ? "true" : "false", load, connections, failures, us / 1000, us % 1000);
        return;
    }
    bool other = at[0] && t->server->host.len;
    ask_say(k, "  %.*s%s%s: %s%s, %u under way, %u connections, %llu failures, %llu.%01llu ms\n", SPAN_ARG(t->server->name), other ? " at " : "", other ? at : "", state,
            backup ? " (backup)" : "", load, connections, failures, us / 1000, us % 1000 / 100);
}

static void say_pool(struct ask *k, struct pool *p, bool *first)
{
    const struct targets *t = pool_targets(p);
    if (!k->json)
        ask_say(k, "pool %.*s: %s, %u waiting\n", SPAN_ARG(p->name), p->picker->word, queue_length(&p->shared->queue));
    for (unsigned i = 0; i < t->n_tiers; i++) {
        for (unsigned n = 0; n < t->tiers[i].n; n++) {
            say_target(k, p, &t->tiers[i].v[n], i > TIER_MAIN, *first);
            *first = false;
        }
    }
}

void ask_say_pools(struct ask *k)
{
    bool first = true;
    if (k->json)
        ask_say(k, ", \"servers\": [");
    for (unsigned i = 0; i < k->gen->n_pools; i++)
        say_pool(k, k->gen->pools[i], &first);
    if (k->json)
        ask_say(k, "]");
}

void ask_pools(struct ask *k)
{
    if (!k->json) {
        ask_say_pools(k);
        return;
    }
    ask_say(k, "{\"pools\": [");
    for (unsigned i = 0; i < k->gen->n_pools; i++) {
        const struct pool *p = k->gen->pools[i];
        struct span name = json_text(k, p->name);
        ask_say(k, "%s{\"pool\": \"%.*s\", \"balance\": \"%s\", \"waiting\": %u}", i ? ", " : "", SPAN_ARG(name), p->picker->word, queue_length(&p->shared->queue));
    }
    ask_say(k, "]");
    ask_say_pools(k);
    ask_say(k, "}\n");
}

static const struct server *server_named(const struct generation *g, struct span pool, struct span server, struct pool **ret)
{
    for (unsigned i = 0; i < g->n_pools; i++) {
        if (!span_eq(g->pools[i]->name, pool))
            continue;
        *ret = g->pools[i];
        for (unsigned n = 0; n < g->pools[i]->n_servers; n++)
            if (span_eq(g->pools[i]->servers[n].name, server))
                return &g->pools[i]->servers[n];
    }
    return NULL;
}

void ask_server(struct ask *k)
{
    static const struct {
        struct span word;
        uint32_t flags;
        const char *text;
    } orders[] = {{SPAN_INIT("drain"), MEMBER_DRAINING, "takes no new sessions from now on; those that it has go on"},
                  {SPAN_INIT("disable"), MEMBER_DISABLED, "gets no request from now on"},
                  {SPAN_INIT("enable"), 0, "is used again"}};
    struct pool *pool = NULL;
    const struct server *s = k->n_words == 4 ? server_named(k->gen, k->words[1], k->words[2], &pool) : NULL;
    if (k->n_words == 4 && !s) {
        k->status = 1;
        ask_say(k, pool ? "the pool %.*s has no server %.*s\n" : "there is no pool %.*s (asked for its server %.*s)\n", SPAN_ARG(k->words[1]), SPAN_ARG(k->words[2]));
        return;
    }
    for (size_t i = 0; s && i < ARRAY_LEN(orders); i++) {
        if (!span_eq(k->words[3], orders[i].word))
            continue;
        server_shared_order(s->shared, orders[i].flags);
        ask_say(k, "server %.*s of pool %.*s %s\n", SPAN_ARG(s->name), SPAN_ARG(pool->name), orders[i].text);
        return;
    }
    k->status = 2;
    ask_say(k, "the form is: server POOL SERVER drain|disable|enable, with the server as it stands in the configuration\n");
}
