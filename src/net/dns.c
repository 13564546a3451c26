// SPDX-License-Identifier: Apache-2.0
// A name is looked for where it costs least: literal, fixed, cached, already being asked for, and only then
// asked for. A query asks for both families at once; who waits for it is told once, when both have answered,
// or one has and the other had its time, or the whole query's time is over.
#include "net/dns.h"

#include "base/check.h"
#include "base/mem.h"
#include "io/loop.h"
#include "net/dns_ares.h"
#include "net/dns_hosts.h"
#include "net/dns_internal.h"
#include "net/waiter.h"

enum { FAILURE_TTL_S = 1 };

enum { PART_V6, PART_V4, N_PARTS };

struct part {
    struct dns_query *query;
    struct dns_question question;
    bool is_asked;
    enum err err;
    unsigned n;
    uint32_t ttl_s;
    struct addr addrs[DNS_ADDRS_MAX];
};
struct dns_query {
    struct list node;
    struct dns *dns;
    struct upstream *upstream;
    struct dns_entry *entry; // where the answer goes; NULL: nowhere
    struct list askers;
    struct timer timer;
    uint64_t ends_ms;
    bool starting, told;
    struct part parts[N_PARTS];
};
/// A fiber that waits for a query, on its own stack.
struct asker {
    struct list node;
    struct waiter waiter;
    bool done;
    enum err err;
    struct dns_answer answer;
};

// ---- Resolvers

static void upstream_free(struct upstream *u)
{
    timer_cancel(&u->end);
    list_remove(&u->node);
    if (u->backend)
        u->backend->ops->free(u->backend);
    mem_free(u);
}

static void upstream_end(struct timer *t)
{
    upstream_free(container_of(t, struct upstream, end));
}

void dns_upstream_release(struct upstream *u)
{
    if (u->n_asked == 0 && u != u->dns->upstream)
        timer_set(&u->end, loop_now_ms());
}

static struct dns_backend *(*make_backend)(void *);
static void *make_arg;

void dns_backend_set(struct dns_backend *(*make)(void *arg), void *arg)
{
    make_backend = make;
    make_arg = arg;
}

static enum err ask_by(struct upstream *u)
{
    bool guarded = false;
    for (unsigned i = 0; i < u->n_resolvers; i++)
        guarded |= !addr_is_loopback(&u->resolvers[i]);
    if (likely(!make_backend))
        return dns_ares_new(u->resolvers, u->n_resolvers, guarded, &u->backend);
    u->backend = make_backend(make_arg);
    return u->backend ? ERR_OK : ERR_NO_MEMORY;
}

static enum err upstream_new(struct dns *d, const struct dns_config *c, struct upstream **ret)
{
    struct upstream *u = (struct upstream *)mem_calloc(1, sizeof(*u));
    if (!u)
        return ERR_NO_MEMORY;
    list_init(&u->node);
    timer_init(&u->end, upstream_end);
    u->dns = d;
    u->backend = c->backend;
    for (unsigned i = 0; i < c->n_resolvers && i < DNS_RESOLVERS_MAX; i++)
        u->resolvers[u->n_resolvers++] = c->resolvers[i];
    enum err e = ERR_OK;
    if (!u->backend && u->n_resolvers)
        e = ask_by(u);
    if (e) {
        mem_free(u);
        return e;
    }
    *ret = u;
    return ERR_OK;
}

static bool same_resolvers(const struct upstream *u, const struct dns_config *c)
{
    if (c->backend || u->n_resolvers != MIN(c->n_resolvers, (unsigned)DNS_RESOLVERS_MAX))
        return false;
    for (unsigned i = 0; i < u->n_resolvers; i++)
        if (!addr_eq(&u->resolvers[i], &c->resolvers[i]))
            return false;
    return true;
}

static void take_config(struct dns *d, const struct dns_config *c)
{
    d->hosts = c->hosts;
    d->query_timeout_ms = c->query_timeout_ms ? c->query_timeout_ms : DNS_QUERY_TIMEOUT_MS;
}

enum err dns_new(const struct dns_config *c, struct dns **ret)
{
    struct dns *d = (struct dns *)mem_calloc(1, sizeof(*d));
    if (!d)
        return ERR_NO_MEMORY;
    list_init(&d->old_upstreams);
    list_init(&d->queries);
    list_init(&d->srv_queries);
    take_config(d, c);
    if (!dns_cache_init(&d->cache, c->cache_entries ? c->cache_entries : DNS_CACHE_ENTRIES)) {
        mem_free(d);
        return ERR_NO_MEMORY;
    }
    enum err e = upstream_new(d, c, &d->upstream);
    if (e) {
        dns_cache_fini(&d->cache);
        mem_free(d);
        return e;
    }
    *ret = d;
    return ERR_OK;
}

enum err dns_set_config(struct dns *d, const struct dns_config *c)
{
    if (!same_resolvers(d->upstream, c)) {
        struct upstream *u;
        enum err e = upstream_new(d, c, &u);
        if (e)
            return e;
        struct upstream *old = d->upstream;
        d->upstream = u;
        list_push_back(&d->old_upstreams, &old->node);
        dns_upstream_release(old);
        dns_flush(d);
    }
    take_config(d, c);
    return ERR_OK;
}

static void query_detach(struct dns_query *q)
{
    if (q->entry)
        q->entry->query = NULL;
    q->entry = NULL;
}

static void query_free(struct dns_query *q)
{
    CHECK(list_empty(&q->askers));
    query_detach(q);
    timer_cancel(&q->timer);
    list_remove(&q->node);
    q->dns->stats.in_flight--;
    mem_free(q);
}

void dns_free(struct dns *d)
{
    if (!d)
        return;
    upstream_free(d->upstream);
    while (!list_empty(&d->old_upstreams))
        upstream_free(container_of(d->old_upstreams.next, struct upstream, node));
    while (!list_empty(&d->queries))
        query_free(container_of(d->queries.next, struct dns_query, node));
    dns_srv_fini(d);
    dns_cache_fini(&d->cache);
    mem_free(d);
}

void dns_flush(struct dns *d)
{
    LIST_FOREACH (it, &d->queries)
        query_detach(container_of(it, struct dns_query, node));
    while (!list_empty(&d->cache.used))
        dns_cache_remove(&d->cache, container_of(d->cache.used.next, struct dns_entry, used));
}

const struct dns_stats *dns_stats(struct dns *d)
{
    d->stats.entries = d->cache.n;
    return &d->stats;
}

// ---- Queries

struct result {
    enum err err;
    uint32_t ttl_s;
    unsigned n;
    struct addr addrs[DNS_ADDRS_MAX];
};

static uint32_t clamp_ttl(uint32_t ttl_s, uint32_t most_s)
{
    return MIN(MAX(ttl_s, (uint32_t)DNS_TTL_MIN_S), most_s);
}

/// What the answers so far come to. The families take turns, so that neither pushes the other out.
static void combine(const struct dns_query *q, struct result *ret)
{
    *ret = (struct result){.err = ERR_DNS_FAILED, .ttl_s = UINT32_MAX};
    bool failed = false;
    for (unsigned p = 0; p < N_PARTS; p++) {
        const struct part *part = &q->parts[p];
        if (!part->is_asked && part->err) {
            failed = true;
            ret->err = part->err;
        } else if (!part->is_asked && part->n) {
            ret->ttl_s = MIN(ret->ttl_s, part->ttl_s);
        }
    }
    for (unsigned i = 0; i < DNS_ADDRS_MAX; i++)
        for (unsigned p = 0; p < N_PARTS; p++)
            if (!q->parts[p].is_asked && i < q->parts[p].n && ret->n < DNS_ADDRS_MAX)
                ret->addrs[ret->n++] = q->parts[p].addrs[i];
    if (ret->n) {
        ret->err = ERR_OK;
        ret->ttl_s = clamp_ttl(ret->ttl_s, DNS_TTL_MAX_S);
    } else if (failed) {
        ret->ttl_s = FAILURE_TTL_S;
    } else {
        uint32_t ttl_s = MIN(q->parts[PART_V4].ttl_s, q->parts[PART_V6].ttl_s);
        ret->ttl_s = clamp_ttl(ttl_s, DNS_NEGATIVE_TTL_MAX_S);
    }
}

static void entry_store(struct dns_entry *e, const struct result *r)
{
    e->err = r->err;
    e->n = (uint8_t)r->n;
    memcpy(e->addrs, r->addrs, r->n * sizeof(*r->addrs));
    e->expires_ms = r->err == ERR_NO_MEMORY ? 0 : loop_now_ms() + 1000ull * r->ttl_s;
}

/// Gives what there is to the cache and to those who wait.
static void query_tell(struct dns_query *q, const struct result *r)
{
    struct dns_stats *stats = &q->dns->stats;
    if (!q->told && r->err)
        (*(r->err == ERR_DNS_TIMEOUT ? &stats->timeouts : &stats->failures))++;
    q->told = true;
    if (q->entry)
        entry_store(q->entry, r);
    while (!list_empty(&q->askers)) {
        struct asker *a = container_of(q->askers.next, struct asker, node);
        list_remove(&a->node);
        a->done = true;
        a->err = r->err;
        a->answer = (struct dns_answer){.n = (uint8_t)r->n, .ttl_s = r->ttl_s};
        memcpy(a->answer.addrs, r->addrs, r->n * sizeof(*r->addrs));
        waiter_wake(&a->waiter);
    }
}

static void query_progress(struct dns_query *q)
{
    if (q->starting)
        return;
    const struct part *v4 = &q->parts[PART_V4], *v6 = &q->parts[PART_V6];
    if (!v4->is_asked && !v6->is_asked) {
        // A query whose time was over has told so already and belongs to no entry any more.
        if (!q->told || q->entry) {
            struct result r;
            combine(q, &r);
            query_tell(q, &r);
        }
        query_free(q);
    } else if (!v4->is_asked && v4->n && !q->told) {
        // Resolvers that never answer for IPv6 are common. The other way round it is waited for: many a
        // machine that gets IPv6 addresses quickly has only IPv4 to reach them.
        timer_set(&q->timer, MIN(q->ends_ms, loop_now_ms() + DNS_SECOND_FAMILY_MS));
    }
}

static void on_query_timer(struct timer *t)
{
    struct dns_query *q = container_of(t, struct dns_query, timer);
    struct result r;
    combine(q, &r);
    if (r.n == 0) {
        r.err = ERR_DNS_TIMEOUT;
        r.ttl_s = FAILURE_TTL_S;
    }
    query_tell(q, &r);
    if (r.err)
        query_detach(q); // so that a new one can begin; this one goes when the backend lets go of it
}

void dns_question_done(struct dns_question *question, enum err err, const struct addr *addrs, unsigned n,
                       uint32_t ttl_s)
{
    if (question->srv) {
        dns_srv_done(question, err);
        return;
    }
    struct part *part = container_of(question, struct part, question);
    struct dns_query *q = part->query;
    CHECK(part->is_asked);
    part->is_asked = false;
    part->err = err;
    part->n = err ? 0 : MIN(n, (unsigned)DNS_ADDRS_MAX);
    part->ttl_s = ttl_s;
    for (unsigned i = 0; i < part->n; i++) {
        part->addrs[i] = addrs[i];
        part->addrs[i].port = 0;
    }
    struct upstream *u = q->upstream;
    u->n_asked--;
    query_progress(q);
    dns_upstream_release(u);
}

/// ERR_OK: it is under way, or has answered already (and is gone).
static enum err query_start(struct dns *d, struct dns_entry *e, const struct dns_name *name, struct asker *a)
{
    struct upstream *u = d->upstream;
    if (!u->backend)
        return ERR_DNS_FAILED;
    struct dns_query *q = (struct dns_query *)mem_calloc(1, sizeof(*q));
    if (!q)
        return ERR_NO_MEMORY;
    q->dns = d;
    q->upstream = u;
    q->entry = e;
    e->query = q;
    list_init(&q->askers);
    list_push_back(&q->askers, &a->node);
    list_push_back(&d->queries, &q->node);
    d->stats.in_flight++;
    q->ends_ms = loop_now_ms() + d->query_timeout_ms;
    timer_init(&q->timer, on_query_timer);
    timer_set(&q->timer, q->ends_ms);
    q->starting = true;
    for (unsigned p = 0; p < N_PARTS; p++) {
        struct part *part = &q->parts[p];
        part->query = q;
        part->is_asked = true;
        part->question.family = p == PART_V6 ? AF_INET6 : AF_INET;
        memcpy(part->question.name, name->text, name->len + 1u);
        u->n_asked++;
        u->backend->ops->query(u->backend, &part->question);
    }
    q->starting = false;
    query_progress(q);
    return ERR_OK;
}

// ---- Resolving

static bool literal(struct span host, struct dns_answer *ret)
{
    bool brackets = host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']';
    if (brackets)
        host = span_of(host.ptr + 1, host.len - 2);
    struct addr a;
    if (!addr_parse_ip(host, &a) || (brackets && a.family != AF_INET6))
        return false;
    ret->addrs[0] = a;
    ret->n = 1;
    return true;
}

/// ERR_AGAIN: a resolver must be asked.
static enum err fixed_answer(struct dns *d, const struct dns_name *name, struct dns_answer *ret)
{
    if (dns_hosts_find(d->hosts, name, ret))
        return ERR_OK;
    if (dns_name_is_unresolvable(name))
        return ERR_DNS_FAILED;
    if (!dns_name_is_localhost(name))
        return ERR_AGAIN;
    ret->addrs[0] = addr_v4(127, 0, 0, 1, 0);
    ret->addrs[1] = (struct addr){.family = AF_INET6, .v6 = {[15] = 1}};
    ret->n = 2;
    return ERR_OK;
}

static enum err cached_answer(const struct dns_entry *e, struct dns_answer *ret)
{
    uint64_t now = loop_now_ms();
    if (!e || e->expires_ms <= now)
        return ERR_AGAIN;
    if (e->err)
        return e->err;
    memcpy(ret->addrs, e->addrs, e->n * sizeof(*e->addrs));
    ret->n = e->n;
    ret->ttl_s = (uint32_t)((e->expires_ms - now + 999) / 1000);
    ret->fixed = false;
    return ERR_OK;
}

/// Puts a on the query for the entry, a new one where none is under way.
static enum err join_query(struct dns *d, struct dns_entry *e, const struct dns_name *name, struct asker *a)
{
    if (e && e->query && e->query->told)
        query_detach(
            e->query); // it waits for its second family, and the first one's answer is too old already
    if (e && e->query) {
        d->stats.joined++;
        list_push_back(&e->query->askers, &a->node);
        return ERR_OK;
    }
    d->stats.misses++;
    if (!e)
        e = dns_cache_add(&d->cache, name);
    return e ? query_start(d, e, name, a) : ERR_NO_MEMORY;
}

enum err dns_resolve(struct dns *d, struct span host, uint64_t deadline, struct dns_answer *ret)
{
    if (literal(host, ret)) {
        ret->fixed = true;
        ret->ttl_s = UINT32_MAX;
        return ERR_OK;
    }
    struct asker a = {.answer = {.fixed = true, .ttl_s = UINT32_MAX}};
    struct dns_name name;
    enum err e = dns_name_read(host, &name);
    if (e)
        return e;
    e = fixed_answer(d, &name, &a.answer);
    if (e == ERR_AGAIN) {
        struct dns_entry *entry = dns_cache_find(&d->cache, &name);
        e = cached_answer(entry, &a.answer);
        if (e != ERR_AGAIN) {
            d->stats.hits++;
        } else {
            list_init(&a.node);
            e = join_query(d, entry, &name, &a);
            while (!e && !a.done)
                e = waiter_park(&a.waiter, deadline);
            list_remove(&a.node);
            if (a.done)
                e = a.err;
            else if (e == ERR_TIMEOUT)
                e = ERR_DNS_TIMEOUT;
        }
    }
    if (!e)
        *ret = a.answer;
    return e;
}
