// SPDX-License-Identifier: Apache-2.0
// HTTP/2 toward a server: the connection's life.
#include "session/upstream_h2.h"

#include "base/check.h"
#include "base/mem.h"
#include "session/h2_memory.h"
#include "session/h2_window.h"

enum {
    TICK_MS = 1000,
    STREAMS_MAX = 100,            // at a time, where the server allows as many
    ANSWER_MS = 10 * 1000,        // for a PING, on a connection that says nothing while something is asked of it
    BLOCK_FACTOR = 8,             // a header block this many times larger than what is let in ends the connection
};

static struct upstream_h2 *h2_of(struct h2_link *l)
{
    return container_of(l, struct upstream_h2, link);
}

// ---- Streams

static struct h2_exchange *stream_of(nghttp2_session *ng, int32_t id)
{
    return (struct h2_exchange *)nghttp2_session_get_stream_user_data(ng, id);
}

static void stream_free(struct h2_exchange *s)
{
    struct upstream_h2 *h = s->conn;
    if (h->decoding == s)
        h->decoding = NULL;
    h2_flow_fini(&s->flow);
    list_remove(&s->node);
    h2_memory()->free(s, NULL);
    if (--h->n_streams == 0)
        h->idle_since_ms = loop_now_ms();
    h2_link_wake(&h->link);
}

struct upstream_stream *upstream_h2_begin(struct upstream_conn *u, struct arena *a, const struct h1_limits *limits, uint64_t stall_ms)
{
    struct upstream_h2 *h = u->h2;
    struct h2_exchange *s = upstream_h2_has_room(u) ? (struct h2_exchange *)h2_memory()->calloc(1, sizeof *s, NULL) : NULL;
    if (!s)
        return NULL;
    h2_flow_init(&s->flow, &h->link, 0);
    s->stream = (struct upstream_stream){.ops = &h2_upstream_ops, .stall_ms = stall_ms, .reused = u->n_exchanges > 0};
    s->conn = h;
    s->arena = a;
    s->limits = *limits;
    s->last_head = &s->heads;
    list_push_back(&h->streams, &s->node);
    h->n_streams++;
    u->n_exchanges++;
    return &s->stream;
}

void h2_exchange_detach(struct h2_exchange *s)
{
    struct h2_flow *f = &s->flow;
    s->arena = NULL;
    h2_link_wake(f->link);
    h2_flow_drop_input(f);
    if (f->closed || f->id == 0 || f->link->state == H2_DEAD)
        stream_free(s);
    else if (!f->in_end || !f->end_out || f->error)
        h2_flow_reset(f, NGHTTP2_CANCEL);
}

// ---- What nghttp2 says

static int on_begin_headers(nghttp2_session *ng, const nghttp2_frame *frame, void *arg)
{
    struct upstream_h2 *h = (struct upstream_h2 *)arg;
    struct h2_exchange *s = h->decoding = stream_of(ng, frame->hd.stream_id);
    if (!s || !s->arena || s->malformed) {
        h->decoding = NULL;
        return 0;
    }
    fields_init(&s->fields, s->arena);
    h2_block_begin(&s->block, s->final_came ? H2_BLOCK_TRAILERS : H2_BLOCK_RESPONSE, &s->fields, &s->limits);
    return 0;
}

static int on_header(nghttp2_session *ng, const nghttp2_frame *frame, nghttp2_rcbuf *name, nghttp2_rcbuf *value, uint8_t flags, void *arg)
{
    struct upstream_h2 *h = (struct upstream_h2 *)arg;
    struct h2_exchange *s = h->decoding;
    (void)ng, (void)frame, (void)flags;
    if (!s)
        return 0;
    nghttp2_vec n = nghttp2_rcbuf_get_buf(name), v = nghttp2_rcbuf_get_buf(value);
    h2_block_line(&s->block, span_of((const char *)n.base, n.len), span_of((const char *)v.base, v.len));
    if (s->block.bytes > BLOCK_FACTOR * ((uint64_t)s->limits.fields_bytes + s->limits.line_bytes)) {
        h->link.end_code = NGHTTP2_ENHANCE_YOUR_CALM;
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    }
    return 0;
}

static void wake_greeter(struct upstream_h2 *h)
{
    struct fiber *f = h->greeter;
    h->greeter = NULL;
    if (f)
        fiber_wake(f);
}

static void malformed(struct h2_exchange *s, enum err e)
{
    s->malformed = true;
    h2_exchange_fail(s, e);
    h2_flow_reset(&s->flow, NGHTTP2_PROTOCOL_ERROR);
}

static void on_end(struct h2_exchange *s)
{
    struct h2_flow *f = &s->flow;
    if (!s->final_came || (f->declared.kind == FRAMING_LENGTH && f->in_seen != f->declared.length)) {
        malformed(s, ERR_BAD_RESPONSE);
        return;
    }
    f->in_end = true;
    h2_flow_wake_reader(f);
    h2_exchange_wake(s);
}

static int on_frame_recv(nghttp2_session *ng, const nghttp2_frame *frame, void *arg)
{
    struct upstream_h2 *h = (struct upstream_h2 *)arg;
    bool end = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    h->ping_ms = 0;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
    case NGHTTP2_DATA: {
        struct h2_exchange *s = stream_of(ng, frame->hd.stream_id);
        if (!s || !s->arena || s->malformed)
            return 0;
        enum err e = frame->hd.type == NGHTTP2_HEADERS ? h2_exchange_head(s, end) : ERR_OK;
        if (e)
            malformed(s, e);
        else if (end)
            on_end(s);
        return 0;
    }
    case NGHTTP2_PING:
        if (frame->hd.flags & NGHTTP2_FLAG_ACK)
            (void)h2_window_pong(&h->link, frame->ping.opaque_data);
        return 0;
    case NGHTTP2_SETTINGS:
        h->greeted = true;
        wake_greeter(h);
        return 0;
    case NGHTTP2_GOAWAY:
        h->leaving = true;
        return 0;
    default:
        return 0;
    }
}

static int on_data(nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *data, size_t len, void *arg)
{
    struct upstream_h2 *h = (struct upstream_h2 *)arg;
    struct h2_exchange *s = stream_of(ng, id);
    (void)flags;
    if (!s || !s->arena || s->malformed || s->flow.error)
        return nghttp2_session_consume(ng, id, len) == NGHTTP2_ERR_NOMEM ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
    h2_window_came(&h->link, id, len);
    struct h2_flow *f = &s->flow;
    if (!s->final_came || (s->no_content && len) || h2_flow_is_beyond(f, len)) {
        h2_window_took(&h->link, id, len);
        malformed(s, ERR_BAD_RESPONSE);
        return 0;
    }
    return h2_flow_took(f, data, len) ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int on_frame_send(nghttp2_session *ng, const nghttp2_frame *frame, void *arg)
{
    (void)arg;
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
        return 0;
    struct h2_exchange *s = stream_of(ng, frame->hd.stream_id);
    if (s && frame->hd.type == NGHTTP2_HEADERS)
        s->flow.head_out = true;
    if (s && frame->hd.flags & NGHTTP2_FLAG_END_STREAM)
        s->flow.end_out = true;
    return 0;
}

// What an end before its time means for the exchange. A refused stream was not looked at, and so was none beyond a GOAWAY.
static enum err closed_by(const struct h2_exchange *s, uint32_t code)
{
    if (code == NGHTTP2_REFUSED_STREAM)
        return ERR_UPSTREAM_REFUSED;
    return s->stream.any_byte ? ERR_RESPONSE_INCOMPLETE : ERR_UPSTREAM_CLOSED;
}

static int on_stream_close(nghttp2_session *ng, int32_t id, uint32_t code, void *arg)
{
    struct h2_exchange *s = stream_of(ng, id);
    (void)arg;
    if (!s)
        return 0;
    s->flow.closed = true;
    if (!s->flow.in_end || !s->flow.end_out)
        h2_exchange_fail(s, closed_by(s, code));
    if (!s->arena)
        stream_free(s);
    return 0;
}

// ---- The link

static void on_received(struct h2_link *l)
{
    (void)l;
}

static void on_failed(struct h2_link *l)
{
    struct upstream_h2 *h = h2_of(l);
    h->leaving = true;
    wake_greeter(h);
    LIST_FOREACH (it, &h->streams) {
        struct h2_exchange *s = container_of(it, struct h2_exchange, node);
        bool whole = s->flow.in_end;
        if (!whole)
            h2_exchange_fail(s, s->stream.any_byte ? ERR_RESPONSE_INCOMPLETE : s->stream.reused ? ERR_UPSTREAM_STALE : ERR_UPSTREAM_CLOSED);
    }
}

static bool in_use(const struct upstream_h2 *h)
{
    if (h->greeting)
        return true;
    LIST_FOREACH (it, &h->streams)
        if (container_of(it, struct h2_exchange, node)->arena)
            return true;
    return false;
}

static bool is_used_up(const struct upstream_conn *u)
{
    return (u->exchanges_max && u->n_exchanges >= u->exchanges_max) || loop_now_ms() >= u->expires_ms;
}

static void arm(struct upstream_h2 *h)
{
    bool soon = h->n_streams || h->leaving || is_used_up(h->conn);
    uint64_t due = soon ? loop_now_ms() + TICK_MS : MIN(h->idle_since_ms + h->idle_ms, h->conn->expires_ms);
    if (!timer_is_set(&h->timer) || h->timer.due_ms > due || !h->n_streams)
        timer_set(&h->timer, due);
}

static void on_settled(struct h2_link *l)
{
    struct upstream_h2 *h = h2_of(l);
    if (l->state == H2_OPEN && l->input_ended)
        h2_link_kill(l); // nothing more can come
    bool quiet = h2_link_is_quiet(l);
    if (l->state == H2_OPEN && quiet && ((h->leaving && !h->n_streams) || h2_link_is_done(l))) {
        l->state = H2_CLOSING;
        on_failed(l);
    }
    if ((l->state == H2_DEAD || (l->state == H2_CLOSING && quiet)) && !in_use(h)) {
        struct upstream_conn *u = h->conn;
        u->on_finish(u, false); // closes it: upstream_h2_end
        return;
    }
    arm(h);
}

// A server that was asked for something and says nothing at all is asked whether it lives: an answer may take its time, a broken path not.
static void ask_for_life(struct upstream_h2 *h, uint64_t now)
{
    static const uint8_t alive[8] = {'w', 'e', 'i', 'r', 'l', 'i', 'v', 'e'};
    if (h->ping_ms && now >= h->ping_ms + ANSWER_MS) {
        h2_link_kill(&h->link);
    } else if (!h->ping_ms) {
        h->ping_ms = now;
        if (nghttp2_submit_ping(h->link.ng, NGHTTP2_FLAG_NONE, alive))
            h2_link_kill(&h->link);
    }
}

static void on_timer(struct timer *t)
{
    struct upstream_h2 *h = container_of(t, struct upstream_h2, timer);
    uint64_t now = loop_now_ms();
    if (h->link.state == H2_OPEN && !h->n_streams && !h->leaving && (now >= h->idle_since_ms + h->idle_ms || is_used_up(h->conn))) {
        h->leaving = true;
        if (nghttp2_submit_goaway(h->link.ng, NGHTTP2_FLAG_NONE, 0, NGHTTP2_NO_ERROR, NULL, 0))
            h2_link_kill(&h->link);
    } else if (h->link.state == H2_OPEN && h->n_streams && now >= h->link.heard_ms + ANSWER_MS) {
        ask_for_life(h, now);
    }
    h2_link_wake(&h->link);
}

// ---- Life

static void on_io(struct io *io)
{
    h2_link_event(&container_of(io, struct upstream_conn, t.io)->h2->link);
}

static nghttp2_session_callbacks *callbacks;
static nghttp2_option *options;

// Once for the process. What is missing is noticed at the first connection.
__attribute__((constructor)) static void make_callbacks(void)
{
    nghttp2_session_callbacks *cb;
    options = h2_link_options();
    if (!options || nghttp2_session_callbacks_new(&cb))
        return;
    nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback2(cb, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame_recv);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
    nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_frame_send);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
    nghttp2_session_callbacks_set_send_data_callback(cb, h2_flow_on_send_data);
    callbacks = cb;
}

enum err upstream_h2_start(struct upstream_conn *u, uint64_t idle_ms)
{
    static const struct h2_link_ops ops = {.received = on_received, .failed = on_failed, .settled = on_settled};
    static const nghttp2_settings_entry settings[] = {
        {NGHTTP2_SETTINGS_ENABLE_PUSH, 0},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, H2_WINDOW_STREAM_BYTES},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
    };
    struct upstream_h2 *h = (struct upstream_h2 *)mem_calloc(1, sizeof *h);
    nghttp2_session *ng;
    if (!h || !callbacks || nghttp2_session_client_new3(&ng, callbacks, h, options, h2_memory())) {
        mem_free(h);
        return ERR_NO_MEMORY;
    }
    h->conn = u;
    h->idle_ms = idle_ms;
    h->idle_since_ms = loop_now_ms();
    list_init(&h->streams);
    timer_init(&h->timer, on_timer);
    h2_link_init(&h->link, &u->t, &ops, ng);
    if (nghttp2_submit_settings(ng, NGHTTP2_FLAG_NONE, settings, ARRAY_LEN(settings))) {
        h2_link_fini(&h->link);
        mem_free(h);
        return ERR_NO_MEMORY;
    }
    h2_window_begin(&h->link, true);
    u->h2 = h;
    u->t.io.on_event = on_io;
    h2_link_wake(&h->link);
    return ERR_OK;
}

enum err upstream_h2_greet(struct upstream_conn *u, uint64_t deadline)
{
    struct upstream_h2 *h = u->h2;
    enum err e = ERR_OK;
    h->greeting = true;
    while (!e && !h->greeted && h->link.state == H2_OPEN && !h->link.input_ended) {
        h->greeter = fiber_self();
        e = fiber_park(deadline);
        h->greeter = NULL;
    }
    h->greeting = false;
    return e ? e : h->greeted ? ERR_OK : ERR_UPSTREAM_CLOSED;
}

bool upstream_h2_has_room(const struct upstream_conn *u)
{
    const struct upstream_h2 *h = u->h2;
    uint32_t most = nghttp2_session_get_remote_settings(h->link.ng, NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS);
    return h->link.state == H2_OPEN && !h->leaving && !is_used_up(u) && !h->link.input_ended && h->n_streams < MIN(most, (uint32_t)STREAMS_MAX) &&
           nghttp2_session_check_request_allowed(h->link.ng);
}

bool upstream_h2_is_idle(const struct upstream_conn *u)
{
    return !in_use(u->h2);
}

void upstream_h2_end(struct upstream_conn *u)
{
    struct upstream_h2 *h = u->h2;
    CHECK(!in_use(h));
    h->link.state = H2_DEAD;
    LIST_FOREACH (it, &h->streams)
        stream_free(container_of(it, struct h2_exchange, node));
    timer_cancel(&h->timer);
    h2_link_fini(&h->link);
    u->t.io.on_event = NULL;
    u->h2 = NULL;
    mem_free(h);
}
