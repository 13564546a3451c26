// SPDX-License-Identifier: Apache-2.0
#include "balance/pool.h"

enum { DEFAULT_PORT = 80, DEFAULT_TLS_PORT = 443 };

static bool parse_server(const struct conf *c, const struct conf_stmt *stmt, struct arena *a, struct conf_diags *d, struct server *s)
{
    const struct conf_value *v = &stmt->args[0], *weight = conf_option(stmt, "weight");
    s->weight = weight ? (unsigned)weight->num : 1;
    if (!arena_dup(a, v->text, &s->name))
        return false;
    if (addr_parse(v->text, NULL, &s->addr)) {
        s->fixed = true;
        return true;
    }
    size_t colon = span_rfind(v->text, ':');
    struct span host = span_first(v->text, colon), port = span_skip(v->text, colon + 1);
    s->addr.port = conf_child(stmt->parent, CONF_POOL_TLS) ? DEFAULT_TLS_PORT : DEFAULT_PORT;
    if (colon < v->text.len && !addr_parse_port(port, &s->addr.port)) {
        conf_error(d, c, &v->pos, "`%.*s` is no port (1 to 65535)", SPAN_ARG(port));
        return false;
    }
    uint16_t p = s->addr.port;
    if (addr_parse_ip(host, &s->addr)) {
        s->addr.port = p;
        s->fixed = true;
        return true;
    }
    if (host.len == 0 || span_find(host, '/') < host.len || span_find(host, ':') < host.len) {
        conf_error(d, c, &v->pos, "`%.*s` is no server: HOST:PORT is wanted here (an IPv6 address in brackets)", SPAN_ARG(v->text));
        return false;
    }
    return arena_dup(a, host, &s->host);
}

// Smooth weighted round-robin, worked out once: at each step everybody gains its weight, and the richest is taken and pays the sum.
static bool make_sequence(struct pool *p, struct arena *a)
{
    unsigned total = 0;
    for (unsigned i = 0; i < p->n_servers; i++)
        total += p->servers[i].weight;
    p->n_sequence = MIN(total, (unsigned)POOL_SEQUENCE_MAX);
    p->sequence = (uint16_t *)arena_alloc(a, (p->n_sequence + 1) * sizeof *p->sequence);
    int64_t *credit = (int64_t *)arena_zalloc(a, (p->n_servers + 1) * sizeof *credit);
    if (!p->sequence || !credit)
        return false;
    for (unsigned k = 0; k < p->n_sequence; k++) {
        unsigned best = 0;
        for (unsigned i = 0; i < p->n_servers; i++) {
            credit[i] += p->servers[i].weight;
            if (credit[i] > credit[best])
                best = i;
        }
        credit[best] -= total;
        p->sequence[k] = (uint16_t)best;
    }
    return true;
}

struct pool *pool_new(const struct conf *c, const struct conf_stmt *stmt, struct arena *a, struct conf_diags *diags)
{
    unsigned n = 0;
    for (const struct conf_stmt *s = conf_child(stmt, CONF_SERVER); s; s = conf_next(s))
        n++;
    struct pool *p = (struct pool *)arena_zalloc(a, sizeof *p);
    if (!p || n > POOL_SERVERS_MAX || !(p->servers = (struct server *)arena_zalloc(a, (n + 1) * sizeof *p->servers))) {
        conf_error(diags, c, &stmt->pos, n > POOL_SERVERS_MAX ? "the pool has too many servers" : "out of memory");
        return NULL;
    }
    p->name = stmt->args[0].text;
    p->max_idle = (unsigned)conf_number(stmt, CONF_MAX_IDLE);
    for (const struct conf_stmt *s = conf_child(stmt, CONF_SERVER); s; s = conf_next(s)) {
        struct server *v = &p->servers[p->n_servers];
        v->index = p->n_servers++;
        if (!parse_server(c, s, a, diags, v))
            return NULL;
    }
    return make_sequence(p, a) ? p : NULL;
}

struct server *pool_pick(struct pool *p, uint64_t tried)
{
    if (p->n_servers == 1)
        return tried & 1 ? NULL : &p->servers[0];
    for (unsigned i = 0; i < p->n_sequence; i++) {
        unsigned at = atomic_fetch_add_explicit(&p->next, 1, memory_order_relaxed) % p->n_sequence;
        struct server *s = &p->servers[p->sequence[at]];
        if (s->index >= 64 || !(tried >> s->index & 1))
            return s;
    }
    return NULL;
}
