// SPDX-License-Identifier: Apache-2.0
// `weir top`: two looks at the metrics, a second apart, as rates.
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "base/ascii.h"
#include "main/cli_internal.h"
#include "main/control.h"

enum { ROWS_MAX = 4096, NAME_MAX_BYTES = 128, PERIOD_MS = 1000 };

enum column { REQUESTS, ERRORS, IN, OUT, N_COLUMNS };

struct row {
    char kind[8], name[NAME_MAX_BYTES];
    double v[N_COLUMNS];
};

struct table {
    struct row *rows; // in the arena
    unsigned n;
    double connections;
};

// Which numbers go into which column, and which labels name the row.
static const struct {
    const char *metric, *label; // label: only where it begins so
    enum column column;
} sources[] = {
    {"weir_requests_total", NULL, REQUESTS},          {"weir_errors_total", NULL, ERRORS},
    {"weir_received_bytes_total", NULL, IN},          {"weir_sent_bytes_total", NULL, OUT},
    {"weir_upstream_requests_total", NULL, REQUESTS}, {"weir_upstream_requests_total", "5xx", ERRORS},
};

// The value of a label in `{a="x",b="y"}`; what is escaped stays so.
static struct span label(struct span labels, struct span name)
{
    while (labels.len) {
        struct span key = span_cut(&labels, '=');
        size_t end = 1;
        while (end < labels.len && labels.ptr[end] != '"')
            end += labels.ptr[end] == '\\' ? 2 : 1;
        struct span value = end < labels.len ? span_of(labels.ptr + 1, end - 1) : SPAN_NONE;
        if (span_eq(key, name))
            return value;
        labels = span_skip(labels, MIN(end + 2, labels.len));
    }
    return SPAN_NONE;
}

static struct row *row_of(struct table *t, const char *kind, const char *name)
{
    for (unsigned i = 0; i < t->n; i++)
        if (strcmp(t->rows[i].kind, kind) == 0 && strcmp(t->rows[i].name, name) == 0)
            return &t->rows[i];
    if (t->n == ROWS_MAX)
        return NULL;
    struct row *r = &t->rows[t->n++];
    *r = (struct row){.v = {0}};
    snprintf(r->kind, sizeof r->kind, "%s", kind);
    snprintf(r->name, sizeof r->name, "%s", name);
    return r;
}

static void take_line(struct table *t, struct span line)
{
    size_t brace = span_find(line, '{');
    struct span metric = span_first(line, brace), rest = span_skip(line, brace + 1), labels = SPAN_NONE;
    size_t end = span_rfind(rest, '}');
    if (end < rest.len) {
        labels = span_first(rest, end);
        rest = span_skip(rest, end + 1);
    } else {
        return; // numbers of the whole process
    }
    char number[32], name[NAME_MAX_BYTES];
    snprintf(number, sizeof number, "%.*s", SPAN_ARG(span_trim(rest)));
    double v = strtod(number, NULL);
    if (span_eq(metric, SPAN("weir_connections")))
        t->connections += v;
    struct span site = label(labels, SPAN("site")), proxy = label(labels, SPAN("proxy")),
                pool = label(labels, SPAN("pool"));
    const char *kind = pool.len ? "server" : site.len ? "site" : "proxy";
    if (pool.len)
        snprintf(name, sizeof name, "%.*s %.*s", SPAN_ARG(pool), SPAN_ARG(label(labels, SPAN("server"))));
    else if (site.len || proxy.len)
        snprintf(name, sizeof name, "%.*s", SPAN_ARG(site.len ? site : proxy));
    else
        return;
    for (size_t i = 0; i < ARRAY_LEN(sources); i++) {
        bool same = span_eq(metric, span_str(sources[i].metric)) &&
                    (!sources[i].label || span_eq(label(labels, SPAN("status")), span_str(sources[i].label)));
        struct row *r = same ? row_of(t, kind, name) : NULL;
        if (r)
            r->v[sources[i].column] += v;
    }
}

static bool look(const char *path, struct arena *a, struct table *ret)
{
    int status = 0;
    const char *text = control_fetch(path, "metrics", a, &status);
    ret->rows = (struct row *)arena_alloc(a, ROWS_MAX * sizeof *ret->rows);
    if (!text || !ret->rows || status)
        return false;
    for (struct span rest = span_str(text); rest.len;) {
        struct span line = span_cut(&rest, '\n');
        if (line.len && line.ptr[0] != '#')
            take_line(ret, line);
    }
    return true;
}

static void put_bytes(double v)
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB"};
    unsigned u = 0;
    for (; v >= 10000 && u + 1 < ARRAY_LEN(units); u++)
        v /= 1024;
    printf(" %8.0f %-3s/s", v, units[u]);
}

static void show(struct table *before, const struct table *now, double seconds, bool terminal)
{
    printf("%s%.0f connections\n%-7s %-40s %12s %10s %14s %14s\n", terminal ? "\x1b[H\x1b[J" : "",
           now->connections, "", "", "requests/s", "errors/s", "in", "out");
    for (unsigned i = 0; i < now->n; i++) {
        const struct row *r = &now->rows[i], *old = row_of(before, r->kind, r->name);
        double rate[N_COLUMNS];
        for (unsigned c = 0; c < N_COLUMNS; c++)
            rate[c] = MAX(r->v[c] - (old ? old->v[c] : 0), 0.0) / seconds;
        printf("%-7s %-40.40s %12.1f %10.1f", r->kind, r->name, rate[REQUESTS], rate[ERRORS]);
        if (strcmp(r->kind, "server") != 0) {
            put_bytes(rate[IN]);
            put_bytes(rate[OUT]);
        }
        printf("\n");
    }
    fflush(stdout);
}

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

// Looks until nobody answers; where nobody watches, twice.
static int watch(const char *path, bool terminal)
{
    struct arena arenas[2];
    struct table tables[2] = {{0}, {0}};
    uint64_t at[2] = {now_ms(), 0};
    arena_init(&arenas[0], 0);
    arena_init(&arenas[1], 0);
    bool ok = look(path, &arenas[0], &tables[0]), more = ok;
    for (unsigned i = 1; more; i ^= 1) {
        nanosleep(&(struct timespec){PERIOD_MS / 1000, 0}, NULL);
        arena_fini(&arenas[i]);
        arena_init(&arenas[i], 0);
        tables[i] = (struct table){0};
        at[i] = now_ms();
        ok = more = look(path, &arenas[i], &tables[i]);
        if (ok)
            show(&tables[i ^ 1], &tables[i], (double)MAX(at[i] - at[i ^ 1], (uint64_t)1) / 1000, terminal);
        more = more && terminal && !ferror(stdout);
    }
    arena_fini(&arenas[0]);
    arena_fini(&arenas[1]);
    return ok ? OK : FAILED;
}

int command_top(const struct options *o)
{
    struct workbench w;
    const char *path = workbench_init(&w) ? cli_socket(o, &w) : NULL;
    int status = path ? watch(path, isatty(STDOUT_FILENO)) : BAD_USAGE;
    workbench_fini(&w);
    return status;
}
