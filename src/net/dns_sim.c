// SPDX-License-Identifier: Apache-2.0
#include "net/dns_sim.h"

#include "base/mem.h"
#include "io/loop.h"

struct sim_question {
    struct list node;
    struct timer timer;
    struct dns_sim *sim;
    struct dns_question *question;
    bool fails;
};
struct dns_sim {
    struct dns_backend backend;
    struct dns_sim_options o;
    struct list questions;
    uint64_t rng;
    unsigned n_asked;
};

enum { TTL_DEFAULT_S = 60 };

/// SplitMix64 (Steele, Lea, Flood 2014).
static uint64_t below(struct dns_sim *s, uint64_t n)
{
    uint64_t z = s->rng += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return (z ^ (z >> 31)) % n;
}

static void add_target(struct dns_srv_answer *a, const struct dns_sim_record *r)
{
    if (a->n == DNS_SRV_MAX)
        return;
    struct dns_srv *v = &a->v[a->n++];
    *v = (struct dns_srv){.priority = r->priority, .weight = r->weight, .port = r->port};
    memcpy(v->name, r->target, MIN(strlen(r->target), sizeof v->name - 1));
}

static void answer(struct sim_question *sq)
{
    struct dns_sim *s = sq->sim;
    struct dns_question *q = sq->question;
    struct addr addrs[DNS_ADDRS_MAX];
    unsigned n = 0;
    uint32_t ttl_s = UINT32_MAX;
    enum err e = sq->fails ? ERR_DNS_FAILED : ERR_OK;
    list_remove(&sq->node);
    mem_free(sq);
    for (unsigned i = 0; i < s->o.n && !e; i++) {
        const struct dns_sim_record *r = &s->o.records[i];
        if (strcmp(r->name, q->name) != 0)
            continue;
        e = r->err;
        ttl_s = MIN(ttl_s, r->ttl_s ? r->ttl_s : (uint32_t)TTL_DEFAULT_S);
        if (q->srv && r->target)
            add_target(q->srv, r);
        if (n < DNS_ADDRS_MAX && r->ip && addr_parse_ip(span_str(r->ip), &addrs[n]) &&
            addrs[n].family == q->family)
            n++;
    }
    if (ttl_s == UINT32_MAX)
        ttl_s = TTL_DEFAULT_S;
    if (q->srv)
        q->srv->ttl_s = ttl_s;
    dns_question_done(q, e, addrs, n, ttl_s);
}

static void on_timer(struct timer *t)
{
    answer(container_of(t, struct sim_question, timer));
}

/// UINT32_MAX: it never comes.
static uint32_t delay_of(struct dns_sim *s, const struct dns_question *q)
{
    uint32_t delay_ms = s->o.delay_max_ms ? (uint32_t)below(s, s->o.delay_max_ms + 1ull) : 0;
    for (unsigned i = 0; i < s->o.n; i++) {
        const struct dns_sim_record *r = &s->o.records[i];
        struct addr a;
        bool counts = strcmp(r->name, q->name) == 0 &&
                      !r->target == !q->srv && (!r->ip || (addr_parse_ip(span_str(r->ip), &a) && a.family == q->family));
        if (counts && r->delay_ms)
            return r->delay_ms == UINT32_MAX ? UINT32_MAX : delay_ms + r->delay_ms;
    }
    return delay_ms;
}

static void sim_query(struct dns_backend *b, struct dns_question *q)
{
    struct dns_sim *s = container_of(b, struct dns_sim, backend);
    struct sim_question *sq = (struct sim_question *)mem_alloc(sizeof(*sq));
    if (s->o.ret_asked)
        ++*s->o.ret_asked;
    if (!sq) {
        dns_question_done(q, ERR_NO_MEMORY, NULL, 0, 0);
        return;
    }
    *sq = (struct sim_question){.sim = s, .question = q, .fails = below(s, 1000) < s->o.fail_pm};
    sq->fails |= ++s->n_asked == s->o.fail_at;
    timer_init(&sq->timer, on_timer);
    list_push_back(&s->questions, &sq->node);
    uint32_t delay_ms = delay_of(s, q);
    if (delay_ms == 0)
        answer(sq);
    else if (delay_ms != UINT32_MAX)
        timer_set(&sq->timer, loop_now_ms() + delay_ms);
}

static void sim_free(struct dns_backend *b)
{
    struct dns_sim *s = container_of(b, struct dns_sim, backend);
    while (!list_empty(&s->questions)) {
        struct sim_question *sq = container_of(s->questions.next, struct sim_question, node);
        timer_cancel(&sq->timer);
        list_remove(&sq->node);
        mem_free(sq);
    }
    mem_free(s);
}

struct dns_backend *dns_sim_new(const struct dns_sim_options *o)
{
    static const struct dns_backend_ops ops = {sim_query, sim_free};
    struct dns_sim *s = (struct dns_sim *)mem_alloc(sizeof(*s));
    if (!s)
        return NULL;
    *s = (struct dns_sim){.backend = {&ops}, .o = *o, .rng = o->seed};
    list_init(&s->questions);
    return &s->backend;
}
