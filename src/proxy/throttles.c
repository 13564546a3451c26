// SPDX-License-Identifier: Apache-2.0
#include "proxy/throttles.h"

#include "admin/metrics.h"
#include "base/mem.h"
#include "proxy/thread.h"

// What an exchange holds until it ends (in its arena).
struct throttle_hold {
    struct throttle_hold *next;
    struct throttle_slot *slot;
};

// What a connection holds: one place for each statement.
struct throttle_place {
    struct throttle_place *next;
    struct throttle_key key;
    struct throttle_slot *slot;
};

// ---- Keys

static void key_of_client(const struct throttle *t, const struct addr *a, char kind, struct throttle_key *ret)
{
    uint8_t bytes[16] = {0};
    size_t n = 0;
    if (a->family == AF_INET) {
        memcpy(bytes, a->v4, n = 4);
    } else if (a->family == AF_INET6) {
        n = t->v6_bits / 8;
        memcpy(bytes, a->v6, n);
        if (t->v6_bits % 8) {
            bytes[n] = (uint8_t)(a->v6[n] & (0xff00 >> t->v6_bits % 8));
            n++;
        }
    }
    throttle_key_set(ret, t->owner, kind, span_of((const char *)bytes, n));
}

static struct span header_value(const struct exchange *x, struct span name)
{
    const struct field *f = fields_find(&x->req->fields, name);
    return f ? f->value : SPAN_NONE;
}

void throttle_key_of(const struct throttle *t, const struct exchange *x, struct throttle_key *ret)
{
    struct span text = SPAN_NONE;
    switch (t->by) {
    case THROTTLE_BY_CLIENT:
        break;
    case THROTTLE_BY_USER:
        text = x->user;
        break;
    case THROTTLE_BY_HEADER:
        text = header_value(x, t->header);
        break;
    case THROTTLE_BY_HOST:
        text = x->req->authority.host;
        break;
    }
    if (text.len)
        throttle_key_set(ret, t->owner, 't', text);
    else
        key_of_client(t, &x->client_addr, x->client_addr.family == AF_INET6 ? '6' : '4', ret);
}

// ---- Counting

static enum err refuse(struct exchange *x, const struct throttle *t, enum limit counted, enum err e)
{
    metrics_limit(counted);
    x->rule = t->where;
    return e;
}

static enum err count_rate(struct exchange *x, const struct throttle *t, struct throttle_table *table)
{
    struct throttle_key k;
    uint64_t wait_ns = 0;
    throttle_key_of(t, x, &k);
    if (throttle_take(table, &k, t->interval_ns, t->most, x->started_us * 1000, &wait_ns))
        return ERR_OK;
    x->retry_after_s = (unsigned)MIN((wait_ns + 999999999) / 1000000000, (uint64_t)86400);
    return refuse(x, t, LIMIT_RATE, ERR_TOO_MANY_REQUESTS);
}

static enum err count_request(struct exchange *x, const struct throttle *t, struct throttle_table *table)
{
    struct throttle_key k;
    struct throttle_hold *h = (struct throttle_hold *)arena_alloc(x->arena, sizeof *h);
    if (!h)
        return ERR_NO_MEMORY;
    throttle_key_of(t, x, &k);
    switch (throttle_enter(table, &k, t->most, &h->slot)) {
    case THROTTLE_FULL:
        return refuse(x, t, LIMIT_REQUESTS, ERR_TOO_MANY_REQUESTS);
    case THROTTLE_ENTERED:
        h->next = x->holds;
        x->holds = h;
        break;
    case THROTTLE_UNCOUNTED:
        break;
    }
    return ERR_OK;
}

// A connection counts from its first request for what the statement stands in until it closes. Where a request names another key,
// its place goes over to that one.
static enum err count_connection(struct exchange *x, const struct throttle *t, struct throttle_table *table)
{
    struct service_client *sc = container_of(x->conn, struct service_client, conn);
    struct throttle_key k;
    struct throttle_slot *slot = NULL;
    struct throttle_place *p = sc->places;
    throttle_key_of(t, x, &k);
    while (p && p->key.owner != t->owner)
        p = p->next;
    if (p && throttle_key_eq(&p->key, &k))
        return ERR_OK;
    enum throttle_entry entered = throttle_enter(table, &k, t->most, &slot);
    if (entered == THROTTLE_FULL) {
        x->client->close = true;
        return refuse(x, t, LIMIT_KEYED_CONNECTIONS, ERR_TOO_MANY_CONNECTIONS);
    }
    if (entered == THROTTLE_UNCOUNTED)
        return ERR_OK;
    if (p) {
        throttle_leave(table, p->slot);
    } else if ((p = (struct throttle_place *)mem_alloc(sizeof *p))) {
        p->next = sc->places;
        sc->places = p;
    } else {
        throttle_leave(table, slot);
        return ERR_NO_MEMORY;
    }
    p->key = k;
    p->slot = slot;
    return ERR_OK;
}

static enum err count_all(struct exchange *x, const struct throttles *ts, enum throttle_stage stage)
{
    struct throttle_table *table = ts ? throttle_table_shared() : NULL;
    enum err e = ERR_OK;
    for (unsigned i = 0; table && i < ts->n && !e; i++) {
        const struct throttle *t = &ts->v[i];
        if ((t->by == THROTTLE_BY_USER) != (stage == THROTTLE_KNOWN_USER))
            continue;
        e = t->kind == THROTTLE_RATE       ? count_rate(x, t, table)
            : t->kind == THROTTLE_REQUESTS ? count_request(x, t, table)
                                           : count_connection(x, t, table);
    }
    return e;
}

enum err throttles_admit(struct exchange *x, enum throttle_stage stage)
{
    enum err e = ERR_OK;
    if (x->proxy && x->proxy->throttles)
        e = count_all(x, x->proxy->throttles, stage);
    if (x->site && x->site->throttles)
        e = count_all(x, x->site->throttles, stage);
    if (!e && x->route && x->route->throttles)
        e = count_all(x, x->route->throttles, stage);
    return e;
}

void throttles_release(struct exchange *x)
{
    for (; x->holds; x->holds = x->holds->next)
        throttle_leave(throttle_table_shared(), x->holds->slot);
}

void throttles_release_connection(struct service_client *sc)
{
    struct throttle_place *p;
    while ((p = sc->places)) {
        sc->places = p->next;
        throttle_leave(throttle_table_shared(), p->slot);
        mem_free(p);
    }
}
