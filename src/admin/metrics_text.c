// SPDX-License-Identifier: Apache-2.0
// The Prometheus text exposition format, version 0.0.4.
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>

#include "admin/metrics_internal.h"
#include "base/check.h"

static const struct metric_row rows[N_METRICS] = {
#define METRIC(id, scope, shape, type, name, help)                                                           \
    [METRIC_##id] = {METRIC_IN_##scope, METRIC_SHAPE_##shape, METRIC_CELLS_##shape, #type, name, help},
#include "admin/metrics.tbl"
#undef METRIC
};

static const char *const limit_words[N_LIMITS] = {
#define LIMIT(id, word) [LIMIT_##id] = word,
#include "admin/limits.tbl"
#undef LIMIT
};

static _Atomic uint64_t generation;

const struct metric_row *metric_row(enum metric m)
{
    return &rows[m];
}

void metrics_set_generation(uint64_t number)
{
    atomic_store_explicit(&generation, number, memory_order_relaxed);
}

static void flush(struct metric_text *t)
{
    if (!t->err)
        t->err = chunkq_append_copy(t->out, t->buffer, t->used);
    t->used = 0;
}

void metric_text_add(struct metric_text *t, const char *fmt, ...)
{
    for (unsigned turn = 0; turn < 2; turn++) {
        va_list ap;
        va_start(ap, fmt);
        int n = vsnprintf(t->buffer + t->used, sizeof(t->buffer) - t->used, fmt, ap);
        va_end(ap);
        CHECK(n >= 0);
        if ((size_t)n < sizeof(t->buffer) - t->used) {
            t->used += (unsigned)n;
            return;
        }
        flush(t); // and again into the empty buffer
    }
    t->err = t->err ? t->err : ERR_INTERNAL; // a name longer than the buffer
}

// ---- Labels

enum { LABELS_MAX = 2048 };

// A value between quotes; what does not fit is left out (names of a configuration are far shorter).
static size_t put_escaped(char *out, size_t at, size_t cap, const char *value)
{
    for (const char *p = value; *p && at + 3 < cap; p++) {
        char c = *p == '\n' ? 'n' : *p;
        if (*p == '\\' || *p == '"' || *p == '\n')
            out[at++] = '\\';
        out[at++] = c;
    }
    return at;
}

// `site="a",` for each label, without braces.
static void put_labels(const struct metric_entry *e, char out[LABELS_MAX])
{
    size_t at = 0;
    for (unsigned i = 0; i < 2 && e->name[i]; i++) {
        size_t cap = LABELS_MAX / 2 * (i + 1) - 4;
        at += (size_t)snprintf(out + at, LABELS_MAX - at, "%s=\"", e->name[i]);
        at = put_escaped(out, at, cap, e->value[i]);
        out[at++] = '"';
        out[at++] = ',';
    }
    out[at] = '\0';
}

static void add_line(struct metric_text *t, const char *name, const char *labels, const char *more, int64_t value)
{
    if (*labels || *more)
        metric_text_add(t, "%s{%s%s} %" PRId64 "\n", name, labels, more, value);
    else
        metric_text_add(t, "%s %" PRId64 "\n", name, value);
}

// ---- Shapes

// What an earlier generation said of a server says nothing of this one.
static void add_state(struct metric_text *t, const struct metric_row *r, const uint64_t *v, const char *labels)
{
    if (v[0] >> METRIC_STATE_BITS == atomic_load_explicit(&generation, memory_order_relaxed) + 1)
        add_line(t, r->name, labels, "", (int64_t)(v[0] & (((uint64_t)1 << METRIC_STATE_BITS) - 1)));
}

static void add_status(struct metric_text *t, const struct metric_row *r, const uint64_t *v, const char *labels)
{
    static const char *const classes[METRIC_CELLS_STATUS] = {"none", "1xx", "2xx", "3xx", "4xx", "5xx"};
    for (unsigned i = 0; i < METRIC_CELLS_STATUS; i++) {
        char more[32];
        snprintf(more, sizeof(more), "status=\"%s\"", classes[i]);
        add_line(t, r->name, labels, more, (int64_t)v[i]);
    }
}

// Reasons that never occurred are left out: there are many.
static void add_reasons(struct metric_text *t, const struct metric_row *r, const uint64_t *v, const char *labels)
{
    for (unsigned i = 0; i < N_ERRS; i++) {
        char more[80];
        snprintf(more, sizeof(more), "reason=\"%s\"", err_name((enum err)i));
        if (v[i])
            add_line(t, r->name, labels, more, (int64_t)v[i]);
    }
}

static void add_limits(struct metric_text *t, const struct metric_row *r, const uint64_t *v, const char *labels)
{
    for (unsigned i = 0; i < N_LIMITS; i++) {
        char more[40];
        snprintf(more, sizeof(more), "limit=\"%s\"", limit_words[i]);
        add_line(t, r->name, labels, more, (int64_t)v[i]);
    }
}

static void add_histogram(struct metric_text *t, const struct metric_row *r, const uint64_t *v, const char *labels)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < METRIC_BOUNDS; i++) {
        n += v[i];
        metric_text_add(t, "%s_bucket{%sle=\"%g\"} %" PRIu64 "\n", r->name, labels, metric_bounds_us[i] / 1e6, n);
    }
    n += v[METRIC_BOUNDS];
    metric_text_add(t, "%s_bucket{%sle=\"+Inf\"} %" PRIu64 "\n", r->name, labels, n);
    uint64_t us = v[METRIC_BOUNDS + 1];
    const char *open = *labels ? "{" : "", *close = *labels ? "}" : "";
    metric_text_add(t, "%s_sum%s%s%s %" PRIu64 ".%06u\n", r->name, open, labels, close, us / 1000000,
                    (unsigned)(us % 1000000));
    metric_text_add(t, "%s_count%s%s%s %" PRIu64 "\n", r->name, open, labels, close, n);
}

static void add_set(struct metric_text *t, enum metric m, const struct metric_set *s, const char *labels)
{
    const struct metric_row *r = &rows[m];
    uint64_t v[MAX((int)METRIC_CELLS_REASON, (int)METRIC_CELLS_HISTOGRAM)];
    for (uint32_t i = 0; i < r->cells; i++)
        v[i] = metric_cell_sum(s, metric_first_cell[m] + i);
    switch (r->shape) {
    case METRIC_SHAPE_ONE:
        add_line(t, r->name, labels, "", (int64_t)v[0]);
        break;
    case METRIC_SHAPE_STATE:
        add_state(t, r, v, labels);
        break;
    case METRIC_SHAPE_STATUS:
        add_status(t, r, v, labels);
        break;
    case METRIC_SHAPE_REASON:
        add_reasons(t, r, v, labels);
        break;
    case METRIC_SHAPE_LIMIT:
        add_limits(t, r, v, labels);
        break;
    case METRIC_SHAPE_HISTOGRAM:
        add_histogram(t, r, v, labels);
        break;
    }
}

static void add_metric(struct metric_text *t, enum metric m, const struct metric_entry *entries)
{
    const struct metric_row *r = &rows[m];
    metric_text_add(t, "# HELP %s %s\n# TYPE %s %s\n", r->name, r->help, r->name, r->type);
    if (r->scope == METRIC_IN_PROCESS)
        add_set(t, m, &metrics_process, "");
    for (const struct metric_entry *e = entries; e; e = e->next) {
        char labels[LABELS_MAX];
        if (e->scope != r->scope)
            continue;
        put_labels(e, labels);
        add_set(t, m, &e->set, labels);
    }
}

enum err metrics_write(struct chunkq *out)
{
    struct metric_text t;
    t.out = out;
    t.err = ERR_OK;
    t.used = 0;
    metric_text_add(&t, "# HELP weir_build_info What runs.\n# TYPE weir_build_info gauge\n"
                        "weir_build_info{version=\"" WEIR_VERSION "\"} 1\n");
    metric_text_add(&t, "# HELP weir_generation Number of the configuration in force; each reload is one more.\n"
                        "# TYPE weir_generation gauge\nweir_generation %" PRIu64 "\n",
                    atomic_load_explicit(&generation, memory_order_relaxed));
    const struct metric_entry *entries = metric_entries_lock();
    for (unsigned m = 0; m < N_METRICS; m++)
        add_metric(&t, (enum metric)m, entries);
    metric_entries_unlock();
    metric_text_process(&t);
    flush(&t);
    return t.err;
}
