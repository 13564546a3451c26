// SPDX-License-Identifier: Apache-2.0
#include "admin/metrics.h"

#include <pthread.h>

#include "admin/metrics_internal.h"
#include "base/check.h"
#include "base/hash.h"
#include "base/mem.h"

// Where each metric begins in its scope: an enumeration counts the widths of the scope's own rows.
#define WIDTH(scope, want, shape) (METRIC_IN_##scope == METRIC_IN_##want ? (int)METRIC_CELLS_##shape : 0)
enum {
#define METRIC(id, scope, shape, type, name, help)                                                           \
    AT_PROCESS_##id, AFTER_PROCESS_##id = AT_PROCESS_##id + WIDTH(scope, PROCESS, shape) - 1,
#include "admin/metrics.tbl"
#undef METRIC
    WIDTH_OF_PROCESS
};
enum {
#define METRIC(id, scope, shape, type, name, help)                                                           \
    AT_LISTENER_##id, AFTER_LISTENER_##id = AT_LISTENER_##id + WIDTH(scope, LISTENER, shape) - 1,
#include "admin/metrics.tbl"
#undef METRIC
    WIDTH_OF_LISTENER
};
enum {
#define METRIC(id, scope, shape, type, name, help)                                                           \
    AT_TRAFFIC_##id, AFTER_TRAFFIC_##id = AT_TRAFFIC_##id + WIDTH(scope, TRAFFIC, shape) - 1,
#include "admin/metrics.tbl"
#undef METRIC
    WIDTH_OF_TRAFFIC
};
enum {
#define METRIC(id, scope, shape, type, name, help)                                                           \
    AT_UPSTREAM_##id, AFTER_UPSTREAM_##id = AT_UPSTREAM_##id + WIDTH(scope, UPSTREAM, shape) - 1,
#include "admin/metrics.tbl"
#undef METRIC
    WIDTH_OF_UPSTREAM
};
enum {
#define METRIC(id, scope, shape, type, name, help)                                                           \
    AT_CACHE_##id, AFTER_CACHE_##id = AT_CACHE_##id + WIDTH(scope, CACHE, shape) - 1,
#include "admin/metrics.tbl"
#undef METRIC
    WIDTH_OF_CACHE
};

const uint16_t metric_first_cell[N_METRICS] = {
#define METRIC(id, scope, shape, type, name, help) [METRIC_##id] = AT_##scope##_##id,
#include "admin/metrics.tbl"
#undef METRIC
};

static const uint16_t scope_cells[N_METRIC_SCOPES] = {
    [METRIC_IN_PROCESS] = WIDTH_OF_PROCESS,
    [METRIC_IN_LISTENER] = WIDTH_OF_LISTENER,
    [METRIC_IN_TRAFFIC] = WIDTH_OF_TRAFFIC,
    [METRIC_IN_UPSTREAM] = WIDTH_OF_UPSTREAM,
    [METRIC_IN_CACHE] = WIDTH_OF_CACHE,
};

const uint32_t metric_bounds_us[METRIC_BOUNDS] = {500,    1000,   2500,   5000,    10000,   25000,   50000,
                                                  100000, 250000, 500000, 1000000, 2500000, 5000000, 10000000};

_Thread_local uint32_t metrics_slot;

enum { LINE_CELLS = 64 / sizeof(uint64_t) };

static _Atomic uint64_t process_cells[WIDTH_OF_PROCESS]; // until metrics_init
struct metric_set metrics_process = {.cells = process_cells};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; // the list and threads
static struct metric_entry *first, **last = &first;
static struct metric_entry *buckets[1024]; // by labels: there may be thousands of servers
static unsigned slots = 1;
static struct metric_entry process_entry;

// Zeroed numbers for all threads, beginning on a cache line.
static bool cells_new(struct metric_entry *e)
{
    size_t cells = scope_cells[e->scope];
    size_t stride = (cells + LINE_CELLS - 1) / LINE_CELLS * LINE_CELLS;
    e->memory = mem_calloc(1, (slots * stride + LINE_CELLS) * sizeof(uint64_t));
    if (!e->memory)
        return false;
    uintptr_t at = ((uintptr_t)e->memory + 63) & ~(uintptr_t)63;
    e->set = (struct metric_set){.cells = (_Atomic uint64_t *)at, .stride = (uint32_t)stride};
    return true;
}

enum err metrics_init(unsigned threads)
{
    CHECK(threads > 0 && threads <= METRICS_THREADS_MAX && !first && !process_entry.memory);
    slots = threads + 1;
    process_entry = (struct metric_entry){.scope = METRIC_IN_PROCESS};
    if (!cells_new(&process_entry)) {
        slots = 1;
        return ERR_NO_MEMORY;
    }
    metrics_process = process_entry.set;
    return ERR_OK;
}

void metrics_thread_init(unsigned n)
{
    CHECK(slots == 1 || n + 1 < slots);
    metrics_slot = slots == 1 ? 0 : n + 1;
}

static void entry_free(struct metric_entry *e)
{
    for (unsigned i = 0; i < 2; i++)
        mem_free(e->value[i]);
    mem_free(e->memory);
    mem_free(e);
}

void metrics_fini(void)
{
    while (first) {
        struct metric_entry *e = first;
        first = e->next;
        entry_free(e);
    }
    last = &first;
    memset(buckets, 0, sizeof buckets);
    mem_free(process_entry.memory);
    process_entry.memory = NULL;
    metrics_process = (struct metric_set){.cells = process_cells};
    for (unsigned i = 0; i < WIDTH_OF_PROCESS; i++)
        atomic_store_explicit(&process_cells[i], 0, memory_order_relaxed);
    slots = 1;
}

// ---- Sets

static bool label_is(const struct metric_entry *e, unsigned i, const struct metric_label *l)
{
    return e->name[i] == l->name && (!l->name || span_eq(span_str(e->value[i]), l->value));
}

static char *copy(struct span s)
{
    char *p = (char *)mem_alloc(s.len + 1);
    if (p) {
        memcpy(p, s.ptr ? s.ptr : "", s.len);
        p[s.len] = '\0';
    }
    return p;
}

static struct metric_entry *entry_new(enum metric_scope scope, const struct metric_label label[2])
{
    struct metric_entry *e = (struct metric_entry *)mem_calloc(1, sizeof(*e));
    if (!e)
        return NULL;
    e->scope = scope;
    bool ok = cells_new(e);
    for (unsigned i = 0; ok && i < 2; i++) {
        e->name[i] = label[i].name;
        ok = !label[i].name || (e->value[i] = copy(label[i].value)) != NULL;
    }
    if (ok)
        return e;
    entry_free(e);
    return NULL;
}

// Label names are compared by address: the literals of the functions below.
static struct metric_set *set_get(enum metric_scope scope, const struct metric_label label[2])
{
    uint64_t hash = hash_fast_seed(label[1].value, hash_fast_seed(label[0].value, (uint64_t)scope));
    struct metric_entry **bucket = &buckets[hash % ARRAY_LEN(buckets)];
    pthread_mutex_lock(&lock);
    struct metric_entry *e = *bucket;
    while (e && !(e->scope == scope && label_is(e, 0, &label[0]) && label_is(e, 1, &label[1])))
        e = e->next_alike;
    if (!e && (e = entry_new(scope, label))) {
        *last = e;
        last = &e->next;
        e->next_alike = *bucket;
        *bucket = e;
    }
    pthread_mutex_unlock(&lock);
    return e ? &e->set : NULL;
}

static const char listener_label[] = "listener", site_label[] = "site", proxy_label[] = "proxy",
                  pool_label[] = "pool", server_label[] = "server", cache_label[] = "cache";

struct metric_set *metrics_listener(struct span listener)
{
    return set_get(METRIC_IN_LISTENER, (struct metric_label[2]){{listener_label, listener}});
}

struct metric_set *metrics_site(struct span site)
{
    return set_get(METRIC_IN_TRAFFIC, (struct metric_label[2]){{site_label, site}});
}

struct metric_set *metrics_proxy(struct span proxy)
{
    return set_get(METRIC_IN_TRAFFIC, (struct metric_label[2]){{proxy_label, proxy}});
}

struct metric_set *metrics_nowhere(void)
{
    return set_get(METRIC_IN_TRAFFIC, (struct metric_label[2]){{NULL, SPAN_NONE}});
}

struct metric_set *metrics_server(struct span pool, struct span server)
{
    return set_get(METRIC_IN_UPSTREAM, (struct metric_label[2]){{pool_label, pool}, {server_label, server}});
}

struct metric_set *metrics_origins(struct span proxy)
{
    return set_get(METRIC_IN_UPSTREAM, (struct metric_label[2]){{proxy_label, proxy}});
}

struct metric_set *metrics_cache(struct span cache)
{
    return set_get(METRIC_IN_CACHE, (struct metric_label[2]){{cache_label, cache}});
}

void metric_put(struct metric_set *s, enum metric m, uint64_t value)
{
    atomic_store_explicit(&s->cells[metric_first_cell[m]], value, memory_order_relaxed);
}

void metric_put_state(struct metric_set *s, enum metric m, uint64_t of_generation, uint64_t state)
{
    metric_put(s, m, (of_generation + 1) << METRIC_STATE_BITS | (state & (((uint64_t)1 << METRIC_STATE_BITS) - 1)));
}

// ---- Adding

void metric_add_status(struct metric_set *s, enum metric m, unsigned status)
{
    unsigned class_ = status >= 100 && status < 600 ? status / 100 : 0;
    metric_add_cell(s, metric_first_cell[m] + class_, 1);
}

void metric_add_reason(struct metric_set *s, enum metric m, enum err e)
{
    if (e != ERR_OK)
        metric_add_cell(s, metric_first_cell[m] + (uint32_t)e, 1);
}

void metric_observe_us(struct metric_set *s, enum metric m, uint64_t us)
{
    uint32_t i = 0;
    while (i < METRIC_BOUNDS && us > metric_bounds_us[i])
        i++;
    metric_add_cell(s, metric_first_cell[m] + i, 1);
    metric_add_cell(s, metric_first_cell[m] + METRIC_BOUNDS + 1, us);
}

// ---- Reading

uint64_t metric_cell_sum(const struct metric_set *s, uint32_t cell)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < slots; i++)
        sum += atomic_load_explicit(&s->cells[i * s->stride + cell], memory_order_relaxed);
    return sum;
}

const struct metric_entry *metric_entries_lock(void)
{
    pthread_mutex_lock(&lock);
    return first;
}

void metric_entries_unlock(void)
{
    pthread_mutex_unlock(&lock);
}

int64_t metrics_total(enum metric m)
{
    const struct metric_row *r = metric_row(m);
    uint64_t sum = 0;
    uint32_t cells = r->cells - (r->shape == METRIC_SHAPE_HISTOGRAM); // the last one is the sum
    for (const struct metric_entry *e = metric_entries_lock(); e; e = e->next) {
        for (uint32_t i = 0; e->scope == r->scope && i < cells; i++)
            sum += metric_cell_sum(&e->set, metric_first_cell[m] + i);
    }
    metric_entries_unlock();
    for (uint32_t i = 0; r->scope == METRIC_IN_PROCESS && i < cells; i++)
        sum += metric_cell_sum(&metrics_process, metric_first_cell[m] + i);
    return (int64_t)sum;
}
