// SPDX-License-Identifier: Apache-2.0
// A hundred servers of mixed speed that fail, hang, slow down and come back, and each way of choosing among them under the same
// load. What is tested is the balance room itself: choice, ejection, budget. Rules that must hold at every moment are checked at
// every moment; at the end the latencies are compared.
//   BALANCE_SECONDS=40  simulated time of each run
//   BALANCE_SEEDS=3     runs of each picker
//   BALANCE_TABLE=1     the figures, as in docs/balancing.md
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "balance/pool.h"
#include "balance/registry.h"
#include "base/mem.h"
#include "io/sim.h"

enum {
    SERVERS = 100,
    WORKERS = 4,          // requests that a server works on at a time
    RATE = 4000,          // requests a second
    FAST_MS = 20,         // mean time of work at a fast server
    WORK_PIECES = 4,
    SLOW_TIMES = 8,       // and how much more at a slow one
    SLOW_PART = 10,       // every tenth is slow
    TRIES = 2,            // beyond the first
    TIMEOUT_MS = 1000,    // of a try at a server that hangs
    TROUBLE_EVERY_MS = 4000,
    TROUBLE_MS = 8000,
    EJECT_ERRORS = 3,
    LATENCY_MAX_MS = 8192,
};

static void expect(bool ok, const char *what, uint64_t seed)
{
    if (ok)
        return;
    fprintf(stderr, "seed %llu: %s\n", (unsigned long long)seed, what);
    abort();
}

enum mood { WELL, REFUSES, HANGS, FAILS, SLOW, N_MOODS };

struct host {
    uint64_t free_at[WORKERS]; // when each of its workers is free
    unsigned mean_ms;
    enum mood mood;
    uint64_t until_ms;
    uint64_t last_ejection_ms; // as seen by the sampler
    unsigned ejections, troubles;
};

struct request_ {
    struct timer timer;
    struct request_ *next; // free list
    struct pick pick;
    struct target target;
    uint64_t began_ms, try_began_ms;
    unsigned tries;
    enum pool_outcome outcome;
};

struct run {
    uint64_t seed, rng, trouble_rng, ends_ms;
    struct pool *pool;
    struct host hosts[SERVERS];
    struct request_ *spare;
    struct timer arrivals, troubles, sampler;
    unsigned under_way;
    uint64_t requests, retries, failed;
    uint64_t latency[LATENCY_MAX_MS + 1];
};

static struct run r;

// The run's own randomness: the same troubles and the same load for each picker.
static uint32_t draw_from(uint64_t *rng, uint32_t below)
{
    *rng ^= *rng >> 12;
    *rng ^= *rng << 25;
    *rng ^= *rng >> 27;
    return (uint32_t)(((*rng * UINT64_C(0x2545F4914F6CDD1D)) >> 32) * below >> 32);
}

static uint32_t draw(uint32_t below)
{
    return draw_from(&r.rng, below);
}

static uint32_t draw_trouble(uint32_t below)
{
    return draw_from(&r.trouble_rng, below);
}

// Nearly exponential, without a logarithm: the probability halves with each step.
static unsigned exponential(unsigned mean)
{
    unsigned halvings = 0;
    while (halvings < 16 && draw(2))
        halvings++;
    unsigned step = MAX(mean * 69 / 100, 1u); // ln 2 of the mean
    return halvings * step + draw(step + 1);
}

// Some pieces of work one after the other (Erlang's distribution): most requests take about the mean, some three times as long.
static unsigned work(unsigned mean)
{
    unsigned ms = 0;
    for (unsigned i = 0; i < WORK_PIECES; i++)
        ms += exponential(mean / WORK_PIECES);
    return ms;
}

static struct host *host_of(const struct member *m)
{
    return &r.hosts[m->addr.port - 1];
}

// ---- One try

static void finish(struct timer *t);

static void begin_try(struct request_ *q)
{
    uint64_t now = loop_now_ms(), takes;
    struct host *h = host_of(q->target.member);
    q->try_began_ms = now;
    q->outcome = OUTCOME_OK;
    switch (h->mood) {
    case REFUSES:
        takes = 0;
        q->outcome = OUTCOME_UNREACHABLE;
        break;
    case HANGS:
        takes = TIMEOUT_MS;
        q->outcome = OUTCOME_FAILED;
        break;
    case FAILS:
        takes = 1;
        q->outcome = OUTCOME_FAILED;
        break;
    default: {
        uint64_t *first = &h->free_at[0];
        for (unsigned i = 1; i < WORKERS; i++)
            if (h->free_at[i] < *first)
                first = &h->free_at[i];
        uint64_t start = MAX(now, *first);
        *first = start + work(h->mean_ms * (h->mood == SLOW ? 5 : 1));
        takes = *first - now;
        if (takes > TIMEOUT_MS) {
            takes = TIMEOUT_MS;
            q->outcome = OUTCOME_FAILED;
        }
    }
    }
    timer_set(&q->timer, now + takes);
}

static void end_request(struct request_ *q, bool ok)
{
    uint64_t ms = MIN(loop_now_ms() - q->began_ms, (uint64_t)LATENCY_MAX_MS);
    r.latency[ms]++;
    r.failed += !ok;
    r.under_way--;
    q->next = r.spare;
    r.spare = q;
}

static bool another_try(struct request_ *q)
{
    struct target next;
    if (q->pick.n_tried < PICK_TRIED_MAX)
        q->pick.tried[q->pick.n_tried++] = q->target.member;
    if (q->outcome != OUTCOME_UNREACHABLE) {
        if (q->tries >= TRIES || !budget_take(&r.pool->shared->budget, 2000, loop_now_ms()))
            return false;
        q->tries++;
        r.retries++;
    }
    if (q->pick.n_tried >= PICK_TRIED_MAX || pool_acquire(r.pool, &q->pick, &next))
        return false;
    pool_release(r.pool, &q->target);
    q->target = next;
    begin_try(q);
    return true;
}

static void finish(struct timer *t)
{
    struct request_ *q = container_of(t, struct request_, timer);
    pool_report(r.pool, &q->target, q->outcome, (loop_now_ms() - q->try_began_ms) * 1000);
    if (q->outcome != OUTCOME_OK && another_try(q))
        return;
    pool_release(r.pool, &q->target);
    end_request(q, q->outcome == OUTCOME_OK);
}

static void arrive(void)
{
    struct request_ *q = r.spare;
    if (q)
        r.spare = q->next;
    else
        q = (struct request_ *)mem_alloc(sizeof *q);
    expect(q != NULL, "out of memory", r.seed);
    *q = (struct request_){.began_ms = loop_now_ms()};
    q->pick.no_wait = true;
    timer_init(&q->timer, finish);
    r.requests++;
    r.under_way++;
    budget_note_request(&r.pool->shared->budget, q->began_ms);
    if (pool_acquire(r.pool, &q->pick, &q->target))
        end_request(q, false);
    else
        begin_try(q);
}

// ---- The world

static void on_arrivals(struct timer *t)
{
    for (unsigned n = RATE / 1000 * 2; n; n--) // a binomial number with the right mean
        if (draw(2))
            arrive();
    if (loop_now_ms() < r.ends_ms)
        timer_set(t, loop_now_ms() + 1);
}

// One more server gets into trouble; now and then a whole part of them, as by a partition.
static void on_troubles(struct timer *t)
{
    unsigned n = draw_trouble(10) ? 1 : 10;
    for (unsigned first = draw_trouble(SERVERS), i = 0; i < n; i++) {
        struct host *h = &r.hosts[(first + i) % SERVERS];
        h->mood = n > 1 ? HANGS : (enum mood)(1 + draw_trouble(N_MOODS - 1));
        h->until_ms = loop_now_ms() + TROUBLE_MS / 2 + draw_trouble(TROUBLE_MS);
        h->troubles++;
    }
    if (loop_now_ms() < r.ends_ms)
        timer_set(t, loop_now_ms() + TROUBLE_EVERY_MS / 2 + draw_trouble(TROUBLE_EVERY_MS));
}

static void on_sampler(struct timer *t)
{
    uint64_t now = loop_now_ms();
    const struct tier *tier = &pool_targets(r.pool)->tiers[TIER_MAIN];
    unsigned ejected = 0;
    for (unsigned i = 0; i < tier->n; i++) {
        const struct member *m = tier->v[i].member;
        struct host *h = host_of(m);
        uint64_t until = atomic_load_explicit(&m->ejected_until_ms, memory_order_relaxed);
        ejected += member_flags(m) & MEMBER_EJECTED && now < until;
        if (until != h->last_ejection_ms) {
            h->last_ejection_ms = until;
            h->ejections++;
        }
        if (h->mood != WELL && now >= h->until_ms)
            h->mood = WELL;
    }
    expect(2 * ejected <= tier->n, "more than half is ejected", r.seed);
    // Between two slots of the budget one second's requests may go out of sight before its retries do.
    expect(r.retries <= BUDGET_START + r.requests / 5 + RATE / 5, "retries beyond the budget", r.seed);
    if (now < r.ends_ms)
        timer_set(t, now + 10);
}

static bool has_ended(void *arg)
{
    (void)arg;
    return loop_now_ms() >= r.ends_ms && r.under_way == 0;
}

static struct pool *make_pool(const char *picker, struct conf **ret_conf, struct arena *a)
{
    static char text[SERVERS * 40 + 400];
    int n = snprintf(text, sizeof text, "pool p {\n balance %s\n eject after %d errors for 2s\n", picker, EJECT_ERRORS);
    for (int i = 0; i < SERVERS; i++)
        n += snprintf(text + n, sizeof text - (size_t)n, " server 10.0.0.1:%d\n", i + 1);
    snprintf(text + n, sizeof text - (size_t)n, "}\nsite * { listen 127.0.0.1:1\n route * -> pool p }\n");
    struct conf_diags *d = conf_diags_new();
    *ret_conf = d ? conf_load_text(span_str(text), "simulation", d) : NULL;
    struct pool *p = *ret_conf ? pool_new(*ret_conf, conf_child(conf_root(*ret_conf), CONF_POOL), SPAN_NONE, a, d) : NULL;
    expect(p != NULL, "the pool cannot be made", 0);
    conf_diags_free(d);
    return p;
}

struct figures {
    unsigned p50, p99, p999;
    uint64_t requests, retries, failed;
    unsigned ejections, troubles;
};

static unsigned percentile(unsigned per_thousand)
{
    uint64_t seen = 0, want = r.requests * per_thousand / 1000;
    for (unsigned ms = 0; ms <= LATENCY_MAX_MS; ms++)
        if ((seen += r.latency[ms]) > want)
            return ms;
    return LATENCY_MAX_MS;
}

static struct figures simulate_one(const char *picker, uint64_t seed, uint64_t seconds)
{
    struct sim_options o = {.seed = seed};
    struct loop *l;
    struct arena a;
    struct conf *conf;
    memset(&r, 0, sizeof r);
    sim_begin(&o);
    expect(loop_new(&l) == ERR_OK, "no loop", seed);
    arena_init(&a, 0);
    r.seed = seed;
    r.rng = seed * UINT64_C(0x9E3779B97F4A7C15) + 1;
    r.trouble_rng = ~r.rng;
    r.pool = make_pool(picker, &conf, &a);
    r.ends_ms = loop_now_ms() + seconds * 1000;
    for (unsigned i = 0; i < SERVERS; i++)
        r.hosts[i].mean_ms = FAST_MS * (i % SLOW_PART ? 1 : SLOW_TIMES);
    timer_init(&r.arrivals, on_arrivals);
    timer_init(&r.troubles, on_troubles);
    timer_init(&r.sampler, on_sampler);
    timer_set(&r.arrivals, loop_now_ms() + 1);
    timer_set(&r.troubles, loop_now_ms() + TROUBLE_EVERY_MS);
    timer_set(&r.sampler, loop_now_ms() + 1);
    expect(loop_run_until(l, has_ended, NULL), "the run came to no end", seed);
    timer_cancel(&r.arrivals);
    timer_cancel(&r.troubles);
    timer_cancel(&r.sampler);
    struct figures f = {percentile(500), percentile(990), percentile(999), r.requests, r.retries, r.failed, 0, 0};
    for (unsigned i = 0; i < SERVERS; i++) {
        f.ejections += r.hosts[i].ejections;
        f.troubles += r.hosts[i].troubles;
    }
    for (struct request_ *q = r.spare, *next; q; q = next) {
        next = q->next;
        mem_free(q);
    }
    pool_free(r.pool);
    arena_fini(&a);
    conf_unref(conf);
    loop_free(l);
    sim_end();
    return f;
}

static uint64_t number(const char *name, uint64_t otherwise)
{
    const char *s = getenv(name);
    return s ? strtoull(s, NULL, 10) : otherwise;
}

int main(void)
{
    static const char *const pickers[] = {"p2c", "round-robin", "least-requests", "random"};
    setvbuf(stdout, NULL, _IOLBF, 0);
    uint64_t seconds = number("BALANCE_SECONDS", 40), seeds = number("BALANCE_SEEDS", 3);
    bool table = getenv("BALANCE_TABLE") != NULL;
    if (table)
        printf("| seed | picker | p50 ms | p99 ms | p99.9 ms | failed | retries | ejections | troubles |\n| --- | --- | --- | --- | --- | --- | --- | --- | --- |\n");
    for (uint64_t seed = 1; seed <= seeds; seed++) {
        struct figures f[ARRAY_LEN(pickers)];
        for (unsigned i = 0; i < ARRAY_LEN(pickers); i++) {
            f[i] = simulate_one(pickers[i], seed, seconds);
            if (table)
                printf("| %llu | %s | %u | %u | %u | %.4f %% | %.2f %% | %u | %u |\n", (unsigned long long)seed, pickers[i], f[i].p50, f[i].p99, f[i].p999,
                       100.0 * (double)f[i].failed / (double)f[i].requests, 100.0 * (double)f[i].retries / (double)f[i].requests, f[i].ejections, f[i].troubles);
            // A server in trouble is ejected, probed some times and ejected longer; one that is well stays.
            expect(f[i].ejections <= 8 * f[i].troubles + SERVERS / 10, "ejection oscillates", seed);
        }
        expect(f[0].p99 * 4 <= f[1].p99 * 3, "p2c is not 25 % better than round-robin at the 99th percentile", seed);
        expect(f[0].p99 * 4 <= f[2].p99 * 3, "p2c is not 25 % better than least-requests at the 99th percentile", seed);
    }
    return 0;
}
