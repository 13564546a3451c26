// SPDX-License-Identifier: Apache-2.0
#include "proxy_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "admin/log.h"
#include "admin/metrics.h"
#include "base/hash.h"
#include "base/num.h"
#include "proxy/peers.h"
#include "proxy/service.h"

struct log_seen log_seen;
static bool is_loud; // SIM_LOG: the access log is shown

static const char *conf_text;
static struct generation *generation;
static struct service *service;
static void (*line_fn)(struct span line);
static struct dns_sim_options names_now;

struct span log_text(struct span line, const char *name)
{
    char key[40];
    int n = snprintf(key, sizeof key, "\"%s\":\"", name);
    size_t at = span_find_span(line, span_of(key, (size_t)n));
    if (at >= line.len)
        return SPAN_NONE;
    struct span rest = span_skip(line, at + (size_t)n);
    rest.len = span_find(rest, '"');
    return rest;
}

uint64_t log_number(struct span line, const char *name)
{
    char key[40];
    uint64_t v = 0;
    int n = snprintf(key, sizeof key, "\"%s\":", name);
    size_t at = span_find_span(line, span_of(key, (size_t)n));
    if (at >= line.len)
        return 0;
    for (const char *p = line.ptr + at + n; *p >= '0' && *p <= '9'; p++)
        v = v * 10 + (uint64_t)(*p - '0');
    return v;
}

static void on_log(void *arg, struct span line)
{
    (void)arg;
    if (is_loud)
        fprintf(stderr, "%llu ms: %.*s", (unsigned long long)loop_now_ms(), SPAN_ARG(line));
    log_seen.lines++;
    log_seen.not_ok += !span_eq(log_text(line, "reason"), SPAN("ok"));
    log_seen.bytes_out += (int64_t)log_number(line, "bytes_out");
    if (line_fn)
        line_fn(line);
}

static struct dns_backend *backend(void *arg)
{
    (void)arg;
    return dns_sim_new(&names_now);
}

static struct generation *compile(uint64_t number)
{
    struct conf_diags *d = conf_diags_new();
    struct conf *c = d ? conf_load_text(span_str(conf_text), "sim.conf", d) : NULL;
    struct generation *g = c ? generation_new(c, d, number) : NULL;
    if (!g && d &&
        !strstr(conf_diags_text(d).ptr ? conf_diags_text(d).ptr : "out of memory", "out of memory")) {
        fprintf(stderr, "%.*s\n", SPAN_ARG(conf_diags_text(d)));
        EXPECT(!"a configuration without mistakes");
    }
    conf_unref(c);
    conf_diags_free(d);
    return g;
}

void proxy_world_prepare(void)
{
    is_loud = getenv("SIM_LOG") != NULL;
    EXPECT(peers_shared() != NULL);
    (void)hash_keyed(SPAN("x"));
    log_set_level(LOG_ERROR + 1); // what goes wrong here is meant to
    log_sink_set(on_log, NULL);
    dns_backend_set(backend, NULL);
}

void proxy_world_begin(const char *conf, const struct dns_sim_options *names,
                       void (*on_line)(struct span line))
{
    conf_text = conf;
    names_now = *names;
    line_fn = on_line;
    log_seen = (struct log_seen){0};
    generation = compile(1);
    EXPECT(generation != NULL);
    service = service_new(generation, 0);
    EXPECT(service != NULL);
    unsigned n;
    const struct listener_spec *v = generation_listeners(generation, &n);
    for (unsigned i = 0; i < n; i++) {
        struct sockaddr_storage ss;
        socklen_t len = addr_to_sockaddr(&v[i].addr, &ss);
        EXPECT(service_add_listener(service, sim_listen((struct sockaddr *)&ss, len), &v[i].addr));
    }
}

bool proxy_world_reload(void)
{
    struct generation *g = compile(2);
    if (!g)
        return false;
    generation_unref(generation);
    generation = g;
    service_set_generation(service, g);
    return true;
}

static struct fiber *drainer;

static void on_drained(void *arg)
{
    (void)arg;
    fiber_wake(drainer);
}

static void begin_drain(struct timer *t)
{
    (void)t;
    service_drain(service, on_drained, NULL);
}

void proxy_world_drain(void)
{
    struct timer t;
    drainer = fiber_self();
    timer_init(&t, begin_drain);
    timer_set(&t, loop_now_ms());
    EXPECT(fiber_park(deadline_in(600 * 1000)) == ERR_OK);
}

void proxy_world_end(void)
{
    EXPECT(service_connections(service) == 0);
    service_free(service);
    generation_unref(generation);
    EXPECT(metrics_total(METRIC_REQUESTS) == log_seen.lines);
    EXPECT(metrics_total(METRIC_ERRORS) == log_seen.not_ok);
    EXPECT(metrics_total(METRIC_BYTES_OUT) == log_seen.bytes_out);
    EXPECT(metrics_total(METRIC_CONNECTIONS_OPEN) == 0);
    EXPECT(metrics_total(METRIC_TUNNELS_OPEN) == 0);
    EXPECT(peers_total(peers_shared()) == 0);
    metrics_fini();
}
