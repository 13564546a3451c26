// SPDX-License-Identifier: Apache-2.0
#include "balance/endpoints.h"

#include "balance/connecting.h"
#include "balance/pool.h"
#include "balance/registry.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"
#include "io/fiber.h"

enum { BUCKETS = 256 }; // chains stay short: a thread talks to some hundreds of addresses, and empty ones go

struct endpoint {
    struct endpoint *next; // in its bucket
    struct endpoints *owner;
    struct addr addr;
    uint64_t tls; // what is verified and shown there (tls_client_identity); 0: plain
    struct list idle;   // newest first
    struct list shared; // HTTP/2
    struct list waiting; // struct sharer
    bool connecting;     // somebody makes a connection to share
    bool unshareable;    // the last one did not speak HTTP/2
    struct timer timer; // set while something is idle: when the oldest has been so for long enough
    unsigned n_conns;   // idle and active
    char path[];        // of a unix socket
};

static unsigned bucket_of(const struct endpoints *es, const struct addr *a, uint64_t tls)
{
    return (unsigned)(hash_fast_seed(addr_ip_bytes(a), a->port ^ tls) % es->n_buckets);
}

enum err endpoints_init(struct endpoints *es)
{
    *es = (struct endpoints){.n_buckets = BUCKETS, .max_idle = 512, .idle_ms = 60000};
    slab_init(&es->conns, sizeof(struct upstream_conn));
    es->table = (struct endpoint **)mem_calloc(BUCKETS, sizeof(struct endpoint *));
    return es->table ? connecting_join(es) : ERR_NO_MEMORY;
}

void endpoints_configure(struct endpoints *es, unsigned max_idle, uint64_t idle_ms)
{
    es->max_idle = max_idle;
    es->idle_ms = idle_ms;
}

static void endpoint_free_if_unused(struct endpoint *e)
{
    if (e->n_conns)
        return;
    struct endpoints *es = e->owner;
    struct endpoint **p = &es->table[bucket_of(es, &e->addr, e->tls)];
    while (*p != e)
        p = &(*p)->next;
    *p = e->next;
    es->n_endpoints--;
    timer_cancel(&e->timer);
    mem_free(e);
}

static void close_conn(struct endpoint *e, struct upstream_conn *u)
{
    if (u->member)
        member_disconnected(u->member);
    upstream_close(u);
    slab_free(&e->owner->conns, u);
    e->n_conns--;
}

// Closes an idle connection.
static void drop(struct upstream_conn *u)
{
    struct endpoint *e = (struct endpoint *)u->owner;
    list_remove(&u->node);
    e->owner->n_idle--;
    close_conn(e, u);
}

static void on_idle_event(struct io *io)
{
    // Whatever a server says between two exchanges (its end, bytes that nobody asked for), the connection is of no more use.
    struct upstream_conn *u = container_of(io, struct upstream_conn, t.io);
    struct endpoint *e = (struct endpoint *)u->owner;
    if (!(io->state & (IO_READABLE | IO_PEER_ENDED | IO_BROKEN)))
        return;
    // But a layer has words of its own (sessions to resume).
    if (u->t.ops && !(io->state & (IO_PEER_ENDED | IO_BROKEN)) && upstream_is_alive(u))
        return;
    drop(u);
    endpoint_free_if_unused(e);
}

static struct upstream_conn *oldest(struct endpoint *e)
{
    return container_of(e->idle.prev, struct upstream_conn, node);
}

static void on_timer(struct timer *t)
{
    struct endpoint *e = container_of(t, struct endpoint, timer);
    while (!list_empty(&e->idle)) {
        uint64_t due = oldest(e)->idle_since_ms + e->owner->idle_ms;
        if (due > loop_now_ms()) {
            timer_set(t, due);
            return;
        }
        drop(oldest(e));
    }
    endpoint_free_if_unused(e);
}

static void on_finish(struct upstream_conn *u, bool reusable)
{
    struct endpoint *e = (struct endpoint *)u->owner;
    struct endpoints *es = e->owner;
    es->n_active--;
    list_remove(&u->node);
    // Something came behind the answer's last octets, or while it was on its way: that will be no event any more.
    if (reusable && unlikely(u->t.io.state & IO_READABLE) && !upstream_is_alive(u))
        reusable = false;
    bool used_up = (u->exchanges_max && u->n_exchanges >= u->exchanges_max) || loop_now_ms() >= u->expires_ms;
    if (!reusable || used_up || member_calls(u->member) || es->n_idle >= es->max_idle) {
        close_conn(e, u);
        endpoint_free_if_unused(e);
        return;
    }
    u->idle_since_ms = loop_now_ms();
    u->t.io.on_event = on_idle_event;
    if (list_empty(&e->idle))
        timer_set(&e->timer, u->idle_since_ms + es->idle_ms);
    list_push_front(&e->idle, &u->node);
    es->n_idle++;
}

struct upstream_conn *endpoints_take(struct endpoints *es, const struct addr *a, uint64_t tls)
{
    struct endpoint *e = es->table[bucket_of(es, a, tls)];
    while (e && (e->tls != tls || !addr_eq(&e->addr, a)))
        e = e->next;
    while (e && !list_empty(&e->idle) && loop_now_ms() >= container_of(e->idle.next, struct upstream_conn, node)->expires_ms)
        drop(container_of(e->idle.next, struct upstream_conn, node));
    if (!e || list_empty(&e->idle))
        return NULL; // an endpoint without connections goes when its timer fires, or with its next one
    struct upstream_conn *u = container_of(e->idle.next, struct upstream_conn, node);
    list_remove(&u->node);
    if (list_empty(&e->idle))
        timer_cancel(&e->timer);
    u->t.io.on_event = NULL;
    es->n_idle--;
    es->n_active++;
    return u;
}

static struct endpoint *endpoint_get(struct endpoints *es, const struct addr *a, uint64_t tls)
{
    struct endpoint **head = &es->table[bucket_of(es, a, tls)];
    for (struct endpoint *e = *head; e; e = e->next)
        if (e->tls == tls && addr_eq(&e->addr, a))
            return e;
    size_t path = a->family == AF_UNIX && a->path ? strlen(a->path) + 1 : 0;
    struct endpoint *e = (struct endpoint *)mem_calloc(1, sizeof *e + path);
    if (!e)
        return NULL;
    e->owner = es;
    e->addr = *a;
    if (path) {
        memcpy(e->path, a->path, path);
        e->addr.path = e->path;
    }
    e->tls = tls;
    list_init(&e->idle);
    list_init(&e->shared);
    list_init(&e->waiting);
    timer_init(&e->timer, on_timer);
    e->next = *head;
    *head = e;
    es->n_endpoints++;
    return e;
}

struct upstream_conn *endpoints_new(struct endpoints *es)
{
    struct upstream_conn *u = (struct upstream_conn *)slab_alloc(&es->conns);
    if (u)
        u->t = (struct transport){.io.fd = -1};
    return u;
}

void endpoints_abandon(struct endpoints *es, struct upstream_conn *u)
{
    transport_close(&u->t);
    slab_free(&es->conns, u);
}

enum err endpoints_adopt(struct endpoints *es, const struct addr *a, uint64_t tls, struct upstream_conn *u)
{
    struct endpoint *e = endpoint_get(es, a, tls);
    if (!e) {
        transport_close(&u->t);
        slab_free(&es->conns, u);
        return ERR_NO_MEMORY;
    }
    upstream_init(u);
    u->owner = e;
    u->on_finish = on_finish;
    e->n_conns++;
    es->n_active++;
    return ERR_OK;
}

void endpoints_dedicate(struct upstream_conn *u, const struct pool *p, struct member *m)
{
    u->member = m;
    if (likely(!p->max_connections))
        member_connected(m); // else it has been since before it was opened
    u->exchanges_max = p->proxy_protocol ? 1 : p->connection_requests;
    if (p->connection_age_ms)
        u->expires_ms = loop_now_ms() + p->connection_age_ms;
}

unsigned endpoints_ready(const struct endpoints *es, const struct addr *a, uint64_t tls)
{
    const struct endpoint *e = es->table[bucket_of(es, a, tls)];
    unsigned n = 0;
    while (e && (e->tls != tls || !addr_eq(&e->addr, a)))
        e = e->next;
    if (!e)
        return 0;
    LIST_FOREACH (it, &e->idle)
        n += loop_now_ms() < container_of(it, struct upstream_conn, node)->expires_ms;
    LIST_FOREACH (it, &e->shared)
        n += upstream_h2_has_room(container_of(it, struct upstream_conn, node));
    return n;
}

void endpoints_drop_idle(struct endpoints *es)
{
    for (unsigned i = 0; i < es->n_buckets; i++) {
        for (struct endpoint *e = es->table[i], *next; e; e = next) {
            next = e->next;
            e->n_conns++; // until here is done
            while (!list_empty(&e->idle))
                drop(oldest(e));
            LIST_FOREACH (it, &e->shared) {
                struct upstream_conn *u = container_of(it, struct upstream_conn, node);
                if (upstream_h2_is_idle(u))
                    on_finish(u, false);
            }
            e->n_conns--;
            endpoint_free_if_unused(e);
        }
    }
}

// ---- Shared connections

struct sharer {
    struct list node;
    struct fiber *fiber;
};

static struct upstream_conn *with_room(const struct endpoint *e)
{
    LIST_FOREACH (it, &e->shared) {
        struct upstream_conn *u = container_of(it, struct upstream_conn, node);
        if (upstream_h2_has_room(u))
            return u;
    }
    return NULL;
}

enum err endpoints_share_begin(struct endpoints *es, const struct addr *a, uint64_t tls, uint64_t deadline, struct upstream_conn **ret)
{
    struct endpoint *e = endpoint_get(es, a, tls);
    if (!e)
        return ERR_NO_MEMORY;
    e->n_conns++; // so that it stays, also while somebody makes a connection
    for (;;) {
        *ret = with_room(e);
        if (*ret || !e->connecting || e->unshareable)
            break;
        struct sharer w = {.fiber = fiber_self()};
        list_push_back(&e->waiting, &w.node);
        enum err err = fiber_park(deadline);
        list_remove(&w.node);
        if (err) {
            e->n_conns--;
            return err;
        }
    }
    if (*ret)
        e->n_conns--;
    else
        e->connecting = true;
    return ERR_OK;
}

void endpoints_share_end(struct endpoints *es, const struct addr *a, uint64_t tls, struct upstream_conn *u)
{
    struct endpoint *e = endpoint_get(es, a, tls); // it is there
    CHECK(e && e->n_conns > 0);
    e->n_conns--;
    e->connecting = false;
    if (u)
        e->unshareable = !u->h2;
    LIST_FOREACH (it, &e->waiting)
        fiber_wake(container_of(it, struct sharer, node)->fiber);
    endpoint_free_if_unused(e);
}

enum err endpoints_speak_h2(struct endpoints *es, struct upstream_conn *u, uint64_t deadline)
{
    enum err e = upstream_h2_start(u, es->idle_ms);
    if (!e)
        e = upstream_h2_greet(u, deadline);
    if (e)
        u->on_finish(u, false);
    else
        list_push_back(&((struct endpoint *)u->owner)->shared, &u->node);
    return e;
}

void endpoints_drop_called(struct endpoints *es)
{
    for (unsigned i = 0; i < es->n_buckets; i++) {
        for (struct endpoint *e = es->table[i], *next; e; e = next) {
            next = e->next;
            LIST_FOREACH (it, &e->idle) {
                struct upstream_conn *u = container_of(it, struct upstream_conn, node);
                if (member_calls(u->member))
                    drop(u);
            }
            endpoint_free_if_unused(e);
        }
    }
}

void endpoints_fini(struct endpoints *es)
{
    if (!es->table)
        return;
    connecting_leave(es);
    endpoints_drop_idle(es);
    CHECK(es->n_active == 0);
    mem_free(es->table);
    es->table = NULL;
    slab_fini(&es->conns);
}
