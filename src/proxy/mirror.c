// SPDX-License-Identifier: Apache-2.0
#include "proxy/mirror.h"

#include "base/mem.h"
#include "proxy/connection.h"
#include "proxy/thread.h"
#include "proxy/upload.h"

enum {
    MIRRORS_MAX = 64,            // on their way, a thread: a slow pool costs copies, not memory
    ANSWER_MAX_BYTES = 4 << 20,  // that is read so that the connection may be kept
    INTERIM_MAX = 16,
};

// One copy on its way.
struct copy {
    struct list node; // of the service
    struct service *service;
    struct generation *gen;
    const struct route *route;
    struct arena arena;
    struct request req;
    struct chunkq content;
    struct addr client_addr;
    struct fiber *fiber;
};

void mirror_choose(struct exchange *x)
{
    x->mirrored = pick_random(10000) < x->route->mirror->share && !x->out.upgrade;
    if (x->mirrored)
        x->keep_bytes = MAX(x->keep_bytes, (size_t)MIRROR_CONTENT_MAX);
}

// ---- On its way

static enum err send_and_forget(struct copy *c, struct exchange *x, struct upstream_conn *u)
{
    x->upstream = upstream_begin(u, &c->arena, &c->gen->limits.h1, x->timeouts->between_bytes);
    struct upstream_stream *s = x->upstream;
    struct chunkq q;
    chunkq_init(&q);
    uint64_t read = 0;
    enum err e = s->ops->send_head(s, &c->req, &c->content, true);
    x->resp.status = 100;
    for (unsigned i = 0; !e && x->resp.status < 200; i++)
        e = i < INTERIM_MAX ? s->ops->read_head(s, &c->arena, deadline_in(x->timeouts->first_byte), &x->resp) : ERR_RESPONSE_TOO_MANY_1XX;
    while (!e && !s->response_complete && read < ANSWER_MAX_BYTES) {
        e = s->ops->read(s, &q, CHUNK_MEDIUM_BYTES, deadline_in(x->timeouts->between_bytes));
        read += q.bytes;
        chunkq_clear(&q);
    }
    chunkq_fini(&q);
    s->ops->finish(s);
    return e == ERR_EOF ? ERR_OK : e;
}

static void run(struct copy *c)
{
    struct exchange x;
    struct pick pick = {.no_wait = true};
    struct upstream_conn *u;
    memset(&x, 0, sizeof x); // as much of an exchange as a connection asks for
    x.service = c->service;
    x.gen = c->gen;
    x.req = &c->req;
    x.arena = &c->arena;
    x.client_addr = c->client_addr;
    x.timeouts = &c->route->timeouts;
    x.pool = c->route->mirror->pool;
    if (pool_acquire(x.pool, &pick, &x.target))
        return;
    x.server = x.target.server;
    x.upstream_metrics = x.server->metrics;
    enum err e = connection_get(&x, false, &u);
    bool reached = !e;
    if (!e) {
        e = send_and_forget(c, &x, u);
        metric_add_status(x.upstream_metrics, METRIC_UPSTREAM_REQUESTS, e ? 0 : x.resp.status);
    }
    bool its_fault = e && err_info(e)->fault == ERR_FAULT_UPSTREAM && e != ERR_UPSTREAM_STALE;
    pool_report(x.pool, &x.target, !e ? OUTCOME_OK : !its_fault ? OUTCOME_UNKNOWN : reached ? OUTCOME_FAILED : OUTCOME_UNREACHABLE, 0);
    pool_release(x.pool, &x.target);
}

static void copy_free(struct copy *c)
{
    list_remove(&c->node);
    c->service->n_mirrors--;
    chunkq_fini(&c->content);
    generation_unref(c->gen);
    arena_fini(&c->arena);
    mem_free(c);
}

static void copy_main(void *arg)
{
    struct copy *c = (struct copy *)arg;
    c->fiber = fiber_self();
    run(c);
    copy_free(c);
}

// ---- Setting out

// The request outlives the exchange that it came with.
static bool copy_request(struct copy *c, const struct request *r)
{
    c->req = *r;
    c->req.expect_continue = c->req.upgrade = c->req.te_trailers = false;
    c->req.framing = (struct framing){r->framing.kind == FRAMING_NONE ? FRAMING_NONE : FRAMING_LENGTH, c->content.bytes};
    fields_init(&c->req.fields, &c->arena);
    bool ok = arena_dup(&c->arena, r->method_text, &c->req.method_text) && arena_dup(&c->arena, r->target, &c->req.target);
    for (uint32_t i = 0; ok && i < r->fields.n; i++) {
        const struct field *f = &r->fields.v[i];
        struct span name = f->name, value;
        if (f->removed)
            continue;
        ok = arena_dup(&c->arena, f->value, &value) && (f->id != FIELD_OTHER || arena_dup(&c->arena, f->name, &name));
        ok = ok && !(f->id == FIELD_OTHER ? fields_add_named(&c->req.fields, name, value) : fields_add(&c->req.fields, (enum field_id)f->id, value));
    }
    return ok;
}

void mirror_send(struct exchange *x)
{
    struct service *s = x->service;
    bool whole = x->kept_all && upload_is_complete(x);
    if (!whole || s->draining || s->n_mirrors >= MIRRORS_MAX)
        return;
    struct copy *c = (struct copy *)mem_calloc(1, sizeof *c);
    if (!c)
        return;
    c->service = s;
    c->gen = generation_ref(x->gen);
    c->route = x->route;
    c->client_addr = x->client_addr;
    arena_init(&c->arena, 0);
    chunkq_init(&c->content);
    list_push_back(&s->mirrors, &c->node);
    s->n_mirrors++;
    if (chunkq_move(&c->content, &x->kept, x->kept.bytes) || !copy_request(c, &x->out) || fiber_start(copy_main, c, NULL))
        copy_free(c);
}

void mirrors_stop(struct service *s)
{
    LIST_FOREACH (it, &s->mirrors) {
        struct copy *c = container_of(it, struct copy, node);
        if (c->fiber)
            fiber_cancel(c->fiber, ERR_SHUTDOWN);
    }
}

static bool none_left(void *arg)
{
    return ((const struct service *)arg)->n_mirrors == 0;
}

void mirrors_wait(struct service *s)
{
    mirrors_stop(s);
    (void)loop_run_until(loop_self(), none_left, s);
}
