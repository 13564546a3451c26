// SPDX-License-Identifier: Apache-2.0
#include "admin/metrics.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"

static struct metric_block nowhere;
_Thread_local struct metric_block *metric_block = &nowhere;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct metric_block *blocks[METRIC_THREADS_MAX];
static unsigned n_blocks;

struct set_name {
    struct metric_set set;
    const char *kind;
    char name[256];
};
static struct set_name *sets[METRIC_SETS_MAX];
static unsigned n_sets;

void metrics_thread_begin(void)
{
    struct metric_block *b = (struct metric_block *)mem_calloc(1, sizeof *b);
    pthread_mutex_lock(&lock);
    if (b && n_blocks < METRIC_THREADS_MAX) {
        blocks[n_blocks++] = b;
        metric_block = b;
    } else {
        mem_free(b);
    }
    pthread_mutex_unlock(&lock);
}

struct metric_set *metric_set_get(const char *kind, struct span name)
{
    struct metric_set *found = NULL;
    pthread_mutex_lock(&lock);
    for (unsigned i = 0; i < n_sets && !found; i++)
        if (strcmp(sets[i]->kind, kind) == 0 && span_eq(span_str(sets[i]->name), span_first(name, sizeof sets[i]->name - 1)))
            found = &sets[i]->set;
    if (!found && n_sets < METRIC_SETS_MAX) {
        struct set_name *s = (struct set_name *)mem_calloc(1, sizeof *s);
        if (s) {
            s->set.index = n_sets;
            s->kind = kind;
            memcpy(s->name, name.ptr, MIN(name.len, sizeof s->name - 1));
            sets[n_sets++] = s;
            found = &s->set;
        }
    }
    if (!found && n_sets)
        found = &sets[n_sets - 1]->set;
    pthread_mutex_unlock(&lock);
    return found;
}

void metric_request(const struct metric_set *set, unsigned status, enum err reason, uint64_t duration_us)
{
    struct metric_block *b = metric_block;
    unsigned class_ = status / 100 < METRIC_CLASSES ? status / 100 : 0;
    unsigned bucket = 0;
    for (uint64_t limit = 64; bucket < METRIC_BUCKETS - 1 && duration_us > limit; limit *= 2)
        bucket++;
    metric_bump(&b->requests[set ? set->index : METRIC_SETS_MAX - 1][class_], 1);
    metric_bump(&b->duration[bucket], 1);
    metric_bump(&b->duration_us, duration_us);
    if (reason)
        metric_bump(&b->errors[reason], 1);
}

static uint64_t sum(size_t offset)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < n_blocks; i++)
        n += atomic_load_explicit((_Atomic uint64_t *)(void *)((char *)blocks[i] + offset), memory_order_relaxed);
    return n;
}

uint64_t metric_read(enum metric m)
{
    pthread_mutex_lock(&lock);
    uint64_t n = sum(offsetof(struct metric_block, v) + m * sizeof(uint64_t));
    pthread_mutex_unlock(&lock);
    return n;
}

struct text {
    struct arena *a;
    struct span s;
};

static void put(struct text *t, struct span s)
{
    t->s = arena_join(t->a, t->s, s);
}

static void put_requests(struct text *t)
{
    static const char *const classes[METRIC_CLASSES] = {"none", "1xx", "2xx", "3xx", "4xx", "5xx"};
    put(t, SPAN("# HELP weir_requests_total Requests that have ended, by where and by class of status.\n# TYPE weir_requests_total counter\n"));
    for (unsigned i = 0; i < METRIC_SETS_MAX; i++) {
        if (i >= n_sets && i != METRIC_SETS_MAX - 1)
            continue;
        for (unsigned c = 0; c < METRIC_CLASSES; c++) {
            uint64_t n = sum(offsetof(struct metric_block, requests) + (i * METRIC_CLASSES + c) * sizeof(uint64_t));
            if (n || (i < n_sets && c == 2))
                put(t, arena_printf(t->a, "weir_requests_total{%s=\"%s\",status=\"%s\"} %llu\n", i < n_sets ? sets[i]->kind : "site",
                                    i < n_sets ? sets[i]->name : "", classes[c], (unsigned long long)n));
        }
    }
}

static void put_errors(struct text *t)
{
    put(t, SPAN("# HELP weir_errors_total Requests that did not end well, by reason.\n# TYPE weir_errors_total counter\n"));
    for (unsigned i = 1; i < N_ERRS; i++) {
        uint64_t n = sum(offsetof(struct metric_block, errors) + i * sizeof(uint64_t));
        if (n)
            put(t, arena_printf(t->a, "weir_errors_total{reason=\"%s\"} %llu\n", err_name((enum err)i), (unsigned long long)n));
    }
}

static void put_durations(struct text *t)
{
    uint64_t n = 0;
    put(t, SPAN("# HELP weir_request_duration_seconds How long requests took.\n# TYPE weir_request_duration_seconds histogram\n"));
    for (unsigned i = 0; i < METRIC_BUCKETS; i++) {
        n += sum(offsetof(struct metric_block, duration) + i * sizeof(uint64_t));
        if (i < METRIC_BUCKETS - 1)
            put(t, arena_printf(t->a, "weir_request_duration_seconds_bucket{le=\"%g\"} %llu\n", 64e-6 * (double)(1u << i), (unsigned long long)n));
    }
    put(t, arena_printf(t->a, "weir_request_duration_seconds_bucket{le=\"+Inf\"} %llu\nweir_request_duration_seconds_sum %.6f\nweir_request_duration_seconds_count %llu\n",
                        (unsigned long long)n, (double)sum(offsetof(struct metric_block, duration_us)) / 1e6, (unsigned long long)n));
}

static void put_process(struct text *t)
{
    struct rusage u;
    long pages = 0, dummy = 0;
    FILE *f = fopen("/proc/self/statm", "re");
    if (f) {
        if (fscanf(f, "%ld %ld", &dummy, &pages) != 2)
            pages = 0;
        fclose(f);
    }
    if (getrusage(RUSAGE_SELF, &u) == 0)
        put(t, arena_printf(t->a, "# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total %.3f\n",
                            (double)(u.ru_utime.tv_sec + u.ru_stime.tv_sec) + (double)(u.ru_utime.tv_usec + u.ru_stime.tv_usec) / 1e6));
    if (pages)
        put(t, arena_printf(t->a, "# TYPE process_resident_memory_bytes gauge\nprocess_resident_memory_bytes %lld\n", (long long)pages * sysconf(_SC_PAGESIZE)));
}

struct span metrics_text(struct arena *a)
{
    struct text t = {a, SPAN("")};
    pthread_mutex_lock(&lock);
    put(&t, SPAN("# HELP weir_build_info The version that runs.\n# TYPE weir_build_info gauge\nweir_build_info{version=\"" WEIR_VERSION "\"} 1\n"));
    put_requests(&t);
    put_errors(&t);
    put_durations(&t);
#define METRIC(id, name, type, help)                                                                          \
    put(&t, arena_printf(a, "# HELP " #name " " help "\n# TYPE " #name " " #type "\n" #name " %llu\n",         \
                         (unsigned long long)sum(offsetof(struct metric_block, v) + METRIC_##id * sizeof(uint64_t))));
#include "admin/metrics.tbl"
#undef METRIC
    pthread_mutex_unlock(&lock);
    put_process(&t);
    return t.s;
}
