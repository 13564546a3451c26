// SPDX-License-Identifier: Apache-2.0
// Questions for SRV records. They are asked seldom, by one that keeps the answer as long as it holds: no
// cache, and nobody joins.
#include "base/check.h"
#include "base/mem.h"
#include "net/dns_internal.h"
#include "net/waiter.h"

struct srv_query {
    struct list node; // of the dns
    struct dns *dns;
    struct upstream *upstream;
    struct dns_question question;
    struct srv_asker *asker; // NULL: it has left
    struct dns_srv_answer answer;
};
struct srv_asker {
    struct waiter waiter;
    struct dns_srv_answer *ret;
    bool done;
    enum err err;
};

static void query_free(struct srv_query *q)
{
    list_remove(&q->node);
    q->dns->stats.in_flight--;
    mem_free(q);
}

void dns_srv_fini(struct dns *d)
{
    while (!list_empty(&d->srv_queries)) {
        struct srv_query *q = container_of(d->srv_queries.next, struct srv_query, node);
        CHECK(!q->asker);
        query_free(q);
    }
}

void dns_srv_done(struct dns_question *question, enum err err)
{
    struct srv_query *q = container_of(question, struct srv_query, question);
    struct dns_stats *stats = &q->dns->stats;
    struct upstream *u = q->upstream;
    if (!err && !q->answer.n)
        err = ERR_DNS_FAILED;
    if (err)
        (*(err == ERR_DNS_TIMEOUT ? &stats->timeouts : &stats->failures))++;
    q->answer.ttl_s = MIN(MAX(q->answer.ttl_s, (uint32_t)DNS_TTL_MIN_S), (uint32_t)DNS_TTL_MAX_S);
    struct srv_asker *a = q->asker;
    if (a) {
        a->done = true;
        a->err = err;
        if (!err)
            *a->ret = q->answer;
        waiter_wake(&a->waiter);
    }
    query_free(q);
    u->n_asked--;
    dns_upstream_release(u);
}

// Leaves *ret_q NULL where the answer has come already.
static enum err ask(struct dns *d, const struct dns_name *name, struct srv_asker *a, struct srv_query **ret_q)
{
    struct upstream *u = d->upstream;
    if (!u->backend)
        return ERR_DNS_FAILED;
    struct srv_query *q = (struct srv_query *)mem_calloc(1, sizeof *q);
    if (!q)
        return ERR_NO_MEMORY;
    q->dns = d;
    q->upstream = u;
    q->asker = a;
    q->question.srv = &q->answer;
    memcpy(q->question.name, name->text, name->len + 1u);
    list_push_back(&d->srv_queries, &q->node);
    d->stats.in_flight++;
    d->stats.misses++;
    u->n_asked++;
    u->backend->ops->query(u->backend, &q->question);
    *ret_q = a->done ? NULL : q;
    return ERR_OK;
}

enum err dns_resolve_srv(struct dns *d, struct span name, uint64_t deadline, struct dns_srv_answer *ret)
{
    struct srv_asker a = {.ret = ret};
    struct srv_query *q = NULL;
    struct dns_name n;
    enum err e = dns_name_read(name, &n);
    if (!e)
        e = dns_name_is_unresolvable(&n) ? ERR_DNS_FAILED : ask(d, &n, &a, &q);
    while (!e && !a.done)
        e = waiter_park(&a.waiter, deadline);
    if (a.done)
        return a.err;
    if (q)
        q->asker = NULL; // the backend has its question still
    return e == ERR_TIMEOUT ? ERR_DNS_TIMEOUT : e;
}
