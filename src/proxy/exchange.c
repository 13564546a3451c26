// SPDX-License-Identifier: Apache-2.0
#include "proxy/exchange.h"

#include "admin/metrics.h"
#include "proxy/account.h"
#include "proxy/authenticate.h"
#include "proxy/cached.h"
#include "proxy/content.h"
#include "proxy/inspect.h"
#include "proxy/choice.h"
#include "proxy/error_pages.h"
#include "proxy/quotas.h"
#include "proxy/request_id.h"
#include "proxy/scan.h"
#include "proxy/thread.h"
#include "proxy/throttles.h"

static const struct {
    const char *name;
    enum err (*run)(struct exchange *x);
    bool once_answered;
} phases[N_PHASES] = {
#define PHASE(id, name, once_answered, text) [PHASE_##id] = {#name, phase_##name, once_answered},
#include "proxy/phases.tbl"
#undef PHASE
};

const char *phase_name(enum phase p)
{
    return p < N_PHASES ? phases[p].name : "done";
}

static enum err run_phases(struct exchange *x)
{
    const bool timed = x->gen->keeps_history;
    for (unsigned p = 0; p < N_PHASES; p++) {
        if (x->answer != ANSWER_NONE && !phases[p].once_answered)
            continue;
        x->phase = (enum phase)p;
        uint64_t begun = timed ? loop_clock_us() : 0;
        enum err e = phases[p].run(x);
        if (timed)
            x->phase_us[p] = (uint32_t)MIN(loop_clock_us() - begun + 1, (uint64_t)UINT32_MAX);
        if (e)
            return e;
    }
    return ERR_OK;
}

// Whether the connection can go on after an error page: not where the request's framing is in doubt.
static bool framing_is_sound(const struct exchange *x, enum err e)
{
    const struct err_info *i = err_info(e);
    return i->status != 400 && i->status != 408 && i->status != 413 && i->status != 414 && i->status != 431 && i->status != 505 &&
           x->req->method != METHOD_CONNECT;
}

enum err exchange_answer_error(struct exchange *x, enum err e)
{
    chunkq_clear(&x->content);
    content_drop_filters(x);
    memset(&x->resp, 0, sizeof x->resp);
    fields_init(&x->resp.fields, x->arena);
    if (!framing_is_sound(x, e))
        x->client->close = true;
    struct span date;
    enum err e2 = error_page_answer(x, e);
    if (!e2 && !arena_dup(x->arena, service_date(x->service), &date))
        e2 = ERR_NO_MEMORY;
    if (!e2)
        e2 = fields_set(&x->resp.fields, FIELD_DATE, date);
    if (!e2 && (e == ERR_AUTH_REQUIRED || e == ERR_PROXY_AUTH_REQUIRED))
        e2 = authenticate_challenge(x, &x->resp.fields);
    if (!e2 && e == ERR_API_TOKEN)
        e2 = fields_add(&x->resp.fields, FIELD_WWW_AUTHENTICATE, SPAN("Bearer realm=\"weir\""));
    if (!e2 && (x->cached || (x->site && x->site->cached)))
        e2 = cache_status_add(x);
    if (!e2 && x->route)
        e2 = exchange_tell_browsers(x);
    x->answer = ANSWER_LOCAL;
    return e2;
}

// Something went wrong: an answer of our own where none has begun.
static void fail(struct exchange *x, enum err e)
{
    x->reason = e;
    exchange_end_upstream(x);
    fiber_uncancel();
    if (x->client->head_sent || e == ERR_CANCELED || x->client->broken) {
        x->client->close = x->client->broken = true;
        return;
    }
    enum err e2 = choice_last_word(x, e) ? ERR_OK : exchange_answer_error(x, e);
    if (e2 || phase_deliver(x))
        x->client->close = x->client->broken = true;
}

static void begin(struct exchange *x, struct client_conn *c, struct client_stream *s, struct request *req, struct arena *a)
{
    memset(x, 0, sizeof *x);
    struct service_client *sc = container_of(c, struct service_client, conn);
    x->service = (struct service *)c->owner;
    x->gen = sc->gen;
    x->listener = (const struct listener *)c->listener;
    x->conn = c;
    x->inside = sc->inside;
    if (unlikely(x->inside != NULL))
        x->user = inspection_user(x->inside);
    x->client = s;
    x->req = req;
    x->arena = a;
    x->fiber = fiber_self();
    x->started_us = loop_clock_us();
    x->client_addr = c->peer;
    x->scheme = c->settings->scheme;
    x->host = req->authority.text;
    x->timeouts = &x->gen->timeouts;
    x->file_fd = -1;
    chunkq_init(&x->content);
    chunkq_init(&x->kept);
    chunkq_init(&x->ahead);
    fields_init(&x->resp.fields, a);
    x->id = request_id_make(a);
    sc->exchange = x;
    x->service->n_exchanges++;
    laggards_watch(x->service);
    x->no_room = !overload_enter(x->service, &x->second);
    s->ops->watch(s, x->fiber);
}

static void end(struct exchange *x)
{
    exchange_end_upstream(x);
    exchange_leave_server(x, x->reason);
    if (x->holds)
        throttles_release(x);
    if (unlikely(x->quotas))
        quotas_settle(x);
    if (unlikely(x->scanned))
        scan_upload_end(x);
    x->client->ops->watch(x->client, NULL);
    if (!x->reason && !x->inspect && !x->client->ops->confirm(x->client)) // a goodbye inside of a tunnel need not arrive
        x->reason = ERR_CANCELED;
    account(x);
    x->service->n_exchanges--;
    overload_leave(x->service, x->second, !x->no_room);
    struct service_client *sc = container_of(x->conn, struct service_client, conn);
    if (sc->exchange == x)
        sc->exchange = NULL;
    if (x->cached)
        cached_end(x);
    content_drop_filters(x);
    chunk_unref(x->head_chunk);
    chunkq_fini(&x->content);
    chunkq_fini(&x->kept);
    chunkq_fini(&x->ahead);
}

static enum err refuse_overload(void)
{
    metrics_limit(LIMIT_LAG);
    return ERR_OVERLOADED;
}

void exchange_serve(struct client_conn *c, struct client_stream *s, struct request *req, struct arena *a)
{
    struct exchange x;
    begin(&x, c, s, req, a);
    enum err e = unlikely(x.no_room) && x.listener->kind != LISTENER_ADMIN ? refuse_overload() : run_phases(&x);
    if (e)
        fail(&x, e);
    end(&x);
}

void exchange_refuse(struct client_conn *c, struct client_stream *s, struct request *req, struct arena *a, enum err e)
{
    struct exchange x;
    begin(&x, c, s, req, a);
    x.phase = PHASE_ADMIT;
    fail(&x, e);
    end(&x);
}
