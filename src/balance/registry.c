// SPDX-License-Identifier: Apache-2.0
// The registry of pools, servers and members. It changes with configurations and with the answers of resolvers only, so one lock is
// enough; requests count themselves without it.
#include "balance/registry.h"

#include <pthread.h>

#include "base/hash.h"
#include "base/mem.h"

enum { BUCKETS = 4096 };

static struct server_shared *buckets[BUCKETS];
static struct pool_shared *pools[BUCKETS];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

// ---- Pools

static struct pool_shared *pool_get_locked(struct span name)
{
    struct pool_shared **head = &pools[hash_fast(name) % BUCKETS], *p = *head;
    while (p && !span_eq(p->name, name))
        p = p->next;
    if (!p && (p = (struct pool_shared *)mem_calloc(1, sizeof *p + name.len))) {
        memcpy(p->text, name.ptr, name.len);
        p->name = span_of(p->text, name.len);
        queue_init(&p->queue);
        p->next = *head;
        *head = p;
    }
    if (p)
        p->refs++;
    return p;
}

static void pool_unref_locked(struct pool_shared *s)
{
    if (--s->refs)
        return;
    struct pool_shared **p = &pools[hash_fast(s->name) % BUCKETS];
    while (*p != s)
        p = &(*p)->next;
    *p = s->next;
    queue_fini(&s->queue);
    mem_free(s);
}

struct pool_shared *pool_shared_get(struct span name)
{
    pthread_mutex_lock(&lock);
    struct pool_shared *p = pool_get_locked(name);
    pthread_mutex_unlock(&lock);
    return p;
}

void pool_shared_unref(struct pool_shared *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&lock);
    pool_unref_locked(s);
    pthread_mutex_unlock(&lock);
}

// ---- Servers

static struct server_shared **bucket_of(struct span pool, struct span name)
{
    return &buckets[hash_fast_seed(name, hash_fast(pool)) % BUCKETS];
}

static struct server_shared *server_new(struct span pool, struct span name)
{
    struct server_shared *s = (struct server_shared *)mem_calloc(1, sizeof *s + pool.len + name.len);
    if (!s)
        return NULL;
    char *p = (char *)(s + 1);
    memcpy(p, pool.ptr, pool.len);
    memcpy(p + pool.len, name.ptr, name.len);
    s->pool_name = span_of(p, pool.len);
    s->name = span_of(p + pool.len, name.len);
    s->pool = pool_get_locked(pool);
    if (!s->pool) {
        mem_free(s);
        return NULL;
    }
    return s;
}

struct server_shared *server_shared_get(struct span pool, struct span name)
{
    pthread_mutex_lock(&lock);
    struct server_shared **head = bucket_of(pool, name), *s = *head;
    while (s && !(span_eq(s->name, name) && span_eq(s->pool_name, pool)))
        s = s->next;
    if (!s && (s = server_new(pool, name))) {
        s->next = *head;
        *head = s;
    }
    if (s)
        s->refs++;
    pthread_mutex_unlock(&lock);
    return s;
}

static void server_unref_locked(struct server_shared *s)
{
    if (--s->refs)
        return;
    struct server_shared **p = bucket_of(s->pool_name, s->name);
    while (*p != s)
        p = &(*p)->next;
    *p = s->next;
    pool_unref_locked(s->pool);
    mem_free(s->places);
    mem_free(s);
}

void server_shared_unref(struct server_shared *s)
{
    if (!s)
        return;
    pthread_mutex_lock(&lock);
    server_unref_locked(s);
    pthread_mutex_unlock(&lock);
}

void server_shared_order(struct server_shared *s, uint32_t flags)
{
    pthread_mutex_lock(&lock);
    s->flags = flags;
    for (struct member *m = s->members; m; m = m->next)
        member_set_flags(m, flags, (MEMBER_DRAINING | MEMBER_DISABLED) & ~flags);
    pthread_mutex_unlock(&lock);
}

unsigned server_shared_places(struct server_shared *s, struct place out[SERVER_PLACES_MAX])
{
    pthread_mutex_lock(&lock);
    unsigned n = s->n_places;
    if (n)
        memcpy(out, s->places, n * sizeof *out);
    pthread_mutex_unlock(&lock);
    return n;
}

static bool holds(const struct server_shared *s, const struct place *a)
{
    for (unsigned i = 0; i < s->n_places; i++)
        if (addr_eq(&s->places[i].addr, &a->addr))
            return s->places[i].weight == a->weight && s->places[i].level == a->level && s->places[i].origin == a->origin;
    return false;
}

bool server_shared_set_places(struct server_shared *s, const struct place *v, unsigned n)
{
    n = MIN(n, (unsigned)SERVER_PLACES_MAX);
    pthread_mutex_lock(&lock);
    bool same = n == s->n_places;
    for (unsigned i = 0; i < n && same; i++)
        same = holds(s, &v[i]);
    struct place *copy = same ? NULL : (struct place *)mem_alloc((n + 1) * sizeof *v);
    if (copy) {
        memcpy(copy, v, n * sizeof *v);
        mem_free(s->places);
        s->places = copy;
        s->n_places = n;
    }
    pthread_mutex_unlock(&lock);
    return copy != NULL;
}

// ---- Members

static struct member *member_new(struct server_shared *s, const struct addr *a)
{
    size_t path = a->family == AF_UNIX && a->path ? strlen(a->path) + 1 : 0;
    struct member *m = (struct member *)mem_calloc(1, sizeof *m + path);
    if (!m)
        return NULL;
    m->addr = *a;
    if (path) {
        memcpy(m->path, a->path, path);
        m->addr.path = m->path;
    }
    queue_init(&m->connecting);
    m->server = s;
    m->next = s->members;
    s->members = m;
    s->refs++;
    atomic_init(&m->flags, s->flags);
    return m;
}

struct member *member_get(struct server_shared *s, const struct addr *a)
{
    pthread_mutex_lock(&lock);
    struct member *m = s->members;
    while (m && !addr_eq(&m->addr, a))
        m = m->next;
    if (!m)
        m = member_new(s, a);
    if (m)
        atomic_fetch_add_explicit(&m->use, MEMBER_REF, memory_order_relaxed);
    pthread_mutex_unlock(&lock);
    return m;
}

void member_hold(struct member *m)
{
    pthread_mutex_lock(&lock);
    atomic_fetch_add_explicit(&m->use, MEMBER_REF, memory_order_relaxed);
    pthread_mutex_unlock(&lock);
}

void member_unref(struct member *m)
{
    if (!m)
        return;
    pthread_mutex_lock(&lock);
    // References are counted up under the lock only, so the last one can take it off its server before it lets go. Where requests
    // outlived their configuration it is off already when their connection goes.
    if (m->server && atomic_load_explicit(&m->use, memory_order_relaxed) >> 32 == 1) {
        struct member **p = &m->server->members;
        while (*p != m)
            p = &(*p)->next;
        *p = m->next;
        struct server_shared *s = m->server;
        m->server = NULL;
        server_unref_locked(s);
    }
    uint64_t left = atomic_fetch_sub_explicit(&m->use, MEMBER_REF, memory_order_acq_rel) - MEMBER_REF;
    pthread_mutex_unlock(&lock);
    if (left == 0)
        member_free(m);
}

void member_connected(struct member *m)
{
    member_hold(m);
    atomic_fetch_add_explicit(&m->connections, 1, memory_order_relaxed);
}

void member_disconnected(struct member *m)
{
    atomic_fetch_sub_explicit(&m->connections, 1, memory_order_relaxed);
    atomic_thread_fence(memory_order_seq_cst); // who waits looks at the number after it is in the queue
    if (unlikely(queue_length(&m->connecting)))
        (void)queue_hand_over(&m->connecting, m);
    member_unref(m);
}
