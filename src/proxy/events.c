// SPDX-License-Identifier: Apache-2.0
#include "proxy/events.h"

#include <inttypes.h>
#include <stdio.h>

#include "admin/metrics.h"
#include "base/mem.h"
#include "net/waiter.h"
#include "proxy/thread.h"

enum { EVERY_MS = 1000, TEXT_MAX = 4096, N_STATUS = 6, LATENCIES_MAX = 32 };

struct listener_of_events {
    struct list node;
    struct waiter waiter;
    bool news;
};

// What is counted, added up.
struct totals {
    uint64_t requests[N_STATUS], latency[LATENCIES_MAX];
    uint64_t upstream[N_STATUS];
    int64_t accepted, bytes_in, bytes_out, retries, hits, forwards, errors;
};

struct events {
    struct service *service;
    struct timer timer;
    struct list listeners;
    unsigned n_listeners;
    bool ending;
    struct totals last;
    uint64_t last_us;
    struct chunkq text; // the newest event
};

// ---- Making one

static void count(struct totals *t)
{
    *t = (struct totals){.accepted = metrics_total(METRIC_CONNECTIONS),
                         .bytes_in = metrics_total(METRIC_BYTES_IN),
                         .bytes_out = metrics_total(METRIC_BYTES_OUT),
                         .retries = metrics_total(METRIC_RETRIES),
                         .hits = metrics_total(METRIC_CACHE_HITS),
                         .forwards = metrics_total(METRIC_CACHE_FORWARDS),
                         .errors = metrics_total(METRIC_ERRORS)};
    metrics_cells(METRIC_REQUESTS, t->requests, N_STATUS);
    metrics_cells(METRIC_UPSTREAM_REQUESTS, t->upstream, N_STATUS);
    metrics_cells(METRIC_REQUEST_SECONDS, t->latency, LATENCIES_MAX);
}

struct event_text {
    char bytes[TEXT_MAX];
    size_t n;
};

static void put(struct event_text *t, const char *fmt, ...) PRINTF_LIKE(2, 3);
static void put(struct event_text *t, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    int n = vsnprintf(t->bytes + t->n, sizeof t->bytes - t->n, fmt, ap);
    va_end(ap);
    t->n = n < 0 ? t->n : MIN(t->n + (size_t)n, sizeof t->bytes - 1);
}

static void put_differences(struct event_text *t, const char *name, const uint64_t *now, const uint64_t *then,
                            unsigned n)
{
    put(t, ", \"%s\": [", name);
    for (unsigned i = 0; i < n; i++)
        put(t, "%s%" PRIu64, i ? ", " : "", now[i] - then[i]);
    put(t, "]");
}

static void put_bounds(struct event_text *t, unsigned n, const uint32_t *bounds)
{
    put(t, ", \"latency_bounds_us\": [");
    for (unsigned i = 0; i < n; i++)
        put(t, "%s%" PRIu32, i ? ", " : "", bounds[i]);
    put(t, "]");
}

// Counts are of the time since the last one.
static void make(struct events *e)
{
    struct totals now;
    struct event_text t = {.n = 0};
    const struct totals *then = &e->last;
    const uint32_t *bounds;
    unsigned n_bounds = metrics_bounds(&bounds);
    uint64_t now_us = loop_clock_us();
    count(&now);
    bool first = !e->last_us;
    if (first)
        then = &now;
    put(&t,
        "data: {\"time_ms\": %lld, \"span_ms\": %" PRIu64
        ", \"generation\": %llu, \"connections\": %lld, \"tunnels\": %lld",
        (long long)loop_wall_ms(), first ? 0 : (now_us - e->last_us) / 1000,
        (unsigned long long)e->service->gen->number, (long long)metrics_total(METRIC_CONNECTIONS_OPEN),
        (long long)metrics_total(METRIC_TUNNELS_OPEN));
    put(&t,
        ", \"accepted\": %lld, \"bytes_in\": %lld, \"bytes_out\": %lld, \"retries\": %lld, \"errors\": %lld, "
        "\"cache_hits\": %lld, \"cache_forwards\": %lld",
        (long long)(now.accepted - then->accepted), (long long)(now.bytes_in - then->bytes_in),
        (long long)(now.bytes_out - then->bytes_out), (long long)(now.retries - then->retries),
        (long long)(now.errors - then->errors), (long long)(now.hits - then->hits),
        (long long)(now.forwards - then->forwards));
    put_differences(&t, "requests", now.requests, then->requests, N_STATUS);
    put_differences(&t, "upstream", now.upstream, then->upstream, N_STATUS);
    put_differences(&t, "latency", now.latency, then->latency, n_bounds + 1);
    put_bounds(&t, n_bounds, bounds);
    put(&t, "}\n\n");
    e->last = now;
    e->last_us = now_us;
    chunkq_clear(&e->text);
    if (chunkq_append_copy(&e->text, t.bytes, t.n))
        chunkq_clear(&e->text); // this second is left out
}

static void tell(struct events *e)
{
    LIST_FOREACH (it, &e->listeners) {
        struct listener_of_events *l = container_of(it, struct listener_of_events, node);
        l->news = true;
        waiter_wake(&l->waiter);
    }
}

static void on_timer(struct timer *t)
{
    struct events *e = container_of(t, struct events, timer);
    if (!e->n_listeners)
        return;
    make(e);
    timer_set(t, loop_now_ms() + EVERY_MS);
    tell(e);
}

// ---- Listening

static struct events *events_of(struct service *s)
{
    if (s->events)
        return s->events;
    struct events *e = (struct events *)mem_calloc(1, sizeof *e);
    if (!e)
        return NULL;
    e->service = s;
    list_init(&e->listeners);
    chunkq_init(&e->text);
    timer_init(&e->timer, on_timer);
    s->events = e;
    return e;
}

static enum err send_head(struct exchange *x)
{
    struct fields *f = &x->resp.fields;
    struct span date;
    struct chunkq none;
    chunkq_init(&none);
    x->resp.status = 200;
    x->resp.version = HTTP_1_1;
    x->resp.framing = (struct framing){FRAMING_CHUNKED, 0};
    enum err e = fields_set(f, FIELD_CONTENT_TYPE, SPAN("text/event-stream"));
    if (!e)
        e = fields_set(f, FIELD_CACHE_CONTROL, SPAN("no-store"));
    if (!e)
        e = fields_add_named(f, SPAN("X-Content-Type-Options"), SPAN("nosniff"));
    if (!e)
        e = arena_dup(x->arena, service_date(x->service), &date) ? fields_set(f, FIELD_DATE, date)
                                                                 : ERR_NO_MEMORY;
    if (!e)
        e = x->client->ops->send_head(x->client, &x->resp, &none, x->req->method == METHOD_HEAD);
    chunkq_fini(&none);
    return e;
}

static enum err send_newest(struct exchange *x, struct events *e)
{
    struct chunkq q;
    chunkq_init(&q);
    enum err err = chunkq_share(&q, &e->text, e->text.bytes);
    if (!err && q.bytes)
        err = x->client->ops->send(x->client, &q, false, NULL);
    chunkq_fini(&q);
    return err;
}

static enum err listen_to(struct exchange *x, struct events *e, struct listener_of_events *l)
{
    enum err err = e->text.bytes ? send_newest(x, e) : ERR_OK;
    while (!err && !e->ending && x->gen == x->service->gen) {
        l->news = false;
        x->client->ops->watch(x->client, fiber_self());
        while (!err && !l->news)
            err = waiter_park(&l->waiter, DEADLINE_NONE);
        x->client->ops->watch(x->client, NULL);
        if (!err && !e->ending)
            err = send_newest(x, e);
    }
    if (err)
        return err;
    struct chunkq none;
    chunkq_init(&none);
    err = x->client->ops->send(x->client, &none, true, NULL);
    chunkq_fini(&none);
    return err;
}

enum err events_send(struct exchange *x)
{
    struct events *e = events_of(x->service);
    struct listener_of_events l = {.news = false};
    if (!e)
        return ERR_NO_MEMORY;
    if (e->n_listeners >= EVENTS_LISTENERS_MAX || x->service->draining) {
        x->message = SPAN("Too many listen already, or weir is ending.");
        return ERR_API_BUSY;
    }
    enum err err = send_head(x);
    if (!err && x->req->method != METHOD_HEAD) {
        list_push_back(&e->listeners, &l.node);
        if (!e->n_listeners++) {
            make(e);
            timer_set(&e->timer, loop_now_ms() + EVERY_MS);
        }
        err = listen_to(x, e, &l);
        list_remove(&l.node);
        if (!--e->n_listeners) {
            timer_cancel(&e->timer);
            e->last_us = 0;
        }
    }
    x->answer = ANSWER_DONE;
    return err;
}

void events_end(struct events *e)
{
    e->ending = true;
    tell(e);
}

void events_free(struct events *e)
{
    if (!e)
        return;
    timer_cancel(&e->timer);
    chunkq_fini(&e->text);
    mem_free(e);
}
