// SPDX-License-Identifier: Apache-2.0
#include "proxy/passthrough.h"

#include "proxy/account.h"
#include "proxy/affinity.h"
#include "proxy/connection.h"
#include "proxy/decide.h"
#include "proxy/handshake.h"
#include "proxy/request_id.h"
#include "proxy/thread.h"
#include "proxy/throttles.h"
#include "proxy/tunnel.h"
#include "session/upstream.h"
#include "tls/hello.h"

// ---- The client's side of a tunnel: its bare socket, whose first bytes were read already

struct bare {
    struct client_stream stream;
    struct client_conn *conn;
    struct chunk *early; // NULL: they have gone on
    struct chunk *buf;
};

static struct bare *bare_of(struct client_stream *s)
{
    return container_of(s, struct bare, stream);
}

static enum err bare_read(struct client_stream *s, struct chunkq *q, size_t want, uint64_t deadline)
{
    struct bare *b = bare_of(s);
    size_t n;
    if (b->early) {
        enum err e = chunkq_append(q, b->early, b->early->data, b->early->used);
        s->bytes_in += e ? 0 : b->early->used;
        chunk_unref(b->early);
        b->early = NULL;
        return e;
    }
    if (!b->buf || chunk_is_shared(b->buf)) {
        chunk_unref(b->buf);
        b->buf = chunk_new(want);
    }
    if (!b->buf)
        return ERR_NO_MEMORY;
    enum err e = io_recv(&b->conn->t.io, b->buf->data, MIN(want, (size_t)b->buf->cap), deadline, &n);
    if (e)
        return e;
    b->buf->used = (uint32_t)n;
    s->bytes_in += n;
    return chunkq_append(q, b->buf, b->buf->data, n);
}

static enum err bare_send(struct client_stream *s, struct chunkq *content, bool end, const struct fields *trailers)
{
    size_t n = content->bytes;
    (void)end;
    (void)trailers;
    enum err e = io_send_queue(&bare_of(s)->conn->t.io, content, s->stall_ms);
    s->bytes_out += n - content->bytes;
    return e;
}

static struct io *bare_raw(struct client_stream *s)
{
    return &bare_of(s)->conn->t.io;
}

static void bare_note_raw(struct client_stream *s, uint64_t n, bool end)
{
    (void)end;
    s->bytes_out += n;
}

static void bare_end_write(struct client_stream *s)
{
    io_shutdown_write(&bare_of(s)->conn->t.io);
}

// All that tunnel_run asks of a client.
static const struct client_ops bare_ops = {.read = bare_read, .send = bare_send, .raw = bare_raw, .note_raw = bare_note_raw, .end_write = bare_end_write};

// ---- The tunnel

static enum err connect_somewhere(struct exchange *x, struct upstream_conn **ret)
{
    struct pick pick = {0};
    x->pool = x->route->pool;
    affinity_find(x, x->pool, &pick);
    for (;;) {
        struct target t;
        enum err e = pool_acquire(x->pool, &pick, &t);
        if (e)
            return e;
        x->target = t;
        x->server = t.server;
        x->upstream_metrics = t.server->metrics;
        e = connection_get(x, true, ret);
        pool_report(x->pool, &t, e == ERR_QUEUE_TIMEOUT ? OUTCOME_UNKNOWN : e ? OUTCOME_UNREACHABLE : OUTCOME_OK, x->connect_us);
        if (!e)
            return ERR_OK;
        pool_release(x->pool, &t);
        x->target.member = NULL;
        if (err_info(e)->retry != ERR_RETRY_ANY || pick.n_tried == PICK_TRIED_MAX)
            return e;
        pick.tried[pick.n_tried++] = t.member;
        x->tries++;
    }
}

static enum err allowed(struct exchange *x)
{
    struct condition_input in;
    enum err e = decide_input(x, &in);
    if (!e)
        e = throttles_admit(x, THROTTLE_UNKNOWN_USER);
    if (e)
        return e;
    struct verdict v = decide_site(x->site, x->route, &in);
    x->rule = v.where;
    return v.err ? v.err : throttles_admit(x, THROTTLE_KNOWN_USER);
}

static enum err run(struct exchange *x)
{
    struct upstream_conn *u;
    x->phase = PHASE_AUTHORIZE;
    enum err e = allowed(x);
    if (e)
        return e;
    x->phase = PHASE_FETCH;
    e = connect_somewhere(x, &u);
    if (e)
        return e;
    x->phase = PHASE_DELIVER;
    x->answer = ANSWER_TUNNEL;
    x->upstream = upstream_begin_tunnel(u, x->arena, x->timeouts->between_bytes);
    return tunnel_run(x, x->timeouts->tunnel_idle);
}

static void begin(struct exchange *x, struct bare *b, struct request *r, struct span name, struct arena *a)
{
    struct client_conn *c = b->conn;
    struct service_client *sc = container_of(c, struct service_client, conn);
    memset(x, 0, sizeof *x);
    memset(r, 0, sizeof *r);
    fields_init(&r->fields, a);
    r->method = METHOD_CONNECT;
    r->method_text = SPAN("CONNECT");
    r->form = TARGET_AUTHORITY;
    r->version = HTTP_1_1;
    r->target = r->authority.text = r->authority.host = name;
    x->service = (struct service *)c->owner;
    x->gen = generation_ref(sc->gen);
    x->listener = (const struct listener *)c->listener;
    x->conn = c;
    x->client = &b->stream;
    x->req = r;
    x->arena = a;
    x->fiber = fiber_self();
    x->started_us = loop_clock_us();
    x->client_addr = c->peer;
    x->scheme = SPAN("https");
    x->host = name;
    x->file_fd = -1;
    x->tunnel_wanted = true;
    chunkq_init(&x->content);
    chunkq_init(&x->kept);
    chunkq_init(&x->ahead);
    fields_init(&x->resp.fields, a);
    x->id = request_id_make(a);
}

static void pass_on(struct client_conn *c, const struct site *site, struct chunk *early, struct span name)
{
    struct arena a;
    struct exchange x;
    struct request r;
    struct bare b = {.stream = {.ops = &bare_ops, .req = &r, .stall_ms = c->settings->between_ms}, .conn = c, .early = early};
    arena_init(&a, 0);
    begin(&x, &b, &r, name, &a);
    x.site = site;
    x.route = site->passthrough;
    x.timeouts = &x.route->timeouts;
    io_watch(&c->t.io, x.fiber);
    x.reason = run(&x);
    fiber_uncancel();
    exchange_end_upstream(&x);
    exchange_leave_server(&x, x.reason);
    if (x.holds)
        throttles_release(&x);
    io_watch(&c->t.io, NULL);
    account(&x);
    chunkq_fini(&x.kept);
    chunkq_fini(&x.ahead);
    chunk_unref(b.early);
    chunk_unref(b.buf);
    generation_unref(x.gen);
    arena_fini(&a);
}

// ---- Which connections

// Reads until the ClientHello is there. What is none is OpenSSL's to answer.
static enum err read_hello(struct transport *t, struct chunk *buf, uint64_t deadline, char name[TLS_NAME_MAX + 1])
{
    for (;;) {
        size_t n;
        enum err e = io_recv(&t->io, buf->data + buf->used, buf->cap - buf->used, deadline, &n);
        if (e)
            return e;
        buf->used += (uint32_t)n;
        switch (tls_hello_parse(span_of(buf->data, buf->used), name)) {
        case TLS_HELLO_WHOLE:
            return ERR_OK;
        case TLS_HELLO_BAD:
            return ERR_BAD_REQUEST;
        case TLS_HELLO_PARTIAL:
            if (buf->used == buf->cap)
                return ERR_BAD_REQUEST;
        }
    }
}

enum err passthrough_accept(struct transport *t, const struct client_settings *s, uint64_t deadline)
{
    struct client_conn *c = container_of(t, struct client_conn, t);
    const struct listener *l = (const struct listener *)c->listener;
    char name[TLS_NAME_MAX + 1];
    // Nobody costs us more than a descriptor before the first byte is there (see tls_accept).
    if (!s->introduce)
        t->io.state &= (uint8_t)~IO_READABLE;
    enum err e = io_wait_readable(&t->io, deadline);
    struct chunk *early = e ? NULL : chunk_new(TLS_HELLO_MAX);
    if (!early)
        return e ? e : ERR_NO_MEMORY;
    e = read_hello(t, early, deadline, name);
    const struct site *site = e ? NULL : name[0] ? site_table_find(&l->sites, span_str(name)) : l->sites.any;
    if (site && site->passthrough) {
        pass_on(c, site, early, span_str(name));
        return ERR_EOF;
    }
    if (!e || e == ERR_BAD_REQUEST) {
        e = tls_accept_early(t, s, early, deadline);
        handshake_note(t, e);
    }
    chunk_unref(early);
    return e;
}
