// SPDX-License-Identifier: Apache-2.0
// HTTP/2 on the client's side: the connection's life.
#include "base/check.h"
#include "base/mem.h"
#include "session/client_h2.h"
#include "session/h2_memory.h"
#include "session/h2_pressure.h"
#include "session/h2_window.h"

enum {
    TICK_MS = 1000,            // how often deadlines of a connection with streams are looked at
    DRAIN_MS = 1000,           // between the two steps of a GOAWAY: requests that are on their way arrive meanwhile
    LINGER_MS = 1000,          // after a failure: what still comes is read, or a reset would overtake the GOAWAY
    LINGER_BYTES = 1 << 20,
    BLOCK_FACTOR = 8,          // a header block this many times larger than what is let in ends the connection
    BLOCK_GLITCHES = 10,       // of one that is larger at all
};

static struct client_h2 *h2_of(struct h2_link *l)
{
    return container_of(l, struct client_h2, link);
}

// ---- Streams

static struct h2_request *stream_of(nghttp2_session *ng, int32_t id)
{
    return (struct h2_request *)nghttp2_session_get_stream_user_data(ng, id);
}

static struct h2_request *request_new(struct client_h2 *h, int32_t id)
{
    struct h2_request *r = (struct h2_request *)h2_memory()->calloc(1, sizeof *r, NULL);
    if (!r)
        return NULL;
    h2_flow_init(&r->flow, &h->link, id);
    r->conn = h;
    r->reset_code = NGHTTP2_INTERNAL_ERROR;
    list_init(&r->begun);
    list_push_back(&h->streams, &r->node);
    arena_init(&r->arena, ARENA_NO_LIMIT);
    fields_init(&r->req.fields, &r->arena);
    h->n_streams++;
    h->conn->busy = true;
    return r;
}

static void request_free(struct h2_request *r)
{
    struct client_h2 *h = r->conn;
    h2_flow_fini(&r->flow);
    arena_fini(&r->arena);
    list_remove(&r->begun);
    list_remove(&r->node);
    if (h->decoding == r)
        h->decoding = NULL;
    h2_memory()->free(r, NULL);
    if (--h->n_streams == 0) {
        h->conn->busy = false;
        h->idle_ms = loop_now_ms();
        h2_link_wake(&h->link);
    }
}

// The client has given it up, or the connection has ended.
static void cancel(struct h2_request *r)
{
    h2_flow_fail(&r->flow, ERR_CANCELED);
    if (r->watcher)
        fiber_cancel(r->watcher, ERR_CANCELED);
}

static void work_ended(struct h2_request *r)
{
    struct h2_flow *f = &r->flow;
    r->working = false;
    r->watcher = NULL;
    h2_link_wake(f->link);
    h2_flow_drop_input(f);
    if (f->closed || f->link->state == H2_DEAD) {
        request_free(r);
        return;
    }
    if (f->error || r->stream.broken || !f->out_end) {
        bool none = !r->stream.head_sent && f->error == ERR_CANCELED;
        h2_flow_reset(f, none ? NGHTTP2_CANCEL : r->tunnel ? NGHTTP2_CONNECT_ERROR : r->reset_code);
    } else if (f->end_out && !f->in_end) {
        h2_flow_reset(f, NGHTTP2_NO_ERROR); // what the client still has to say is of no use (RFC 9113 8.1)
    }
}

static void request_fiber(void *arg)
{
    struct h2_request *r = (struct h2_request *)arg;
    struct client_conn *c = r->conn->conn;
    if (r->refused)
        c->hooks->refuse(c, &r->stream, &r->req, &r->arena, r->refused);
    else
        c->hooks->serve(c, &r->stream, &r->req, &r->arena);
    work_ended(r);
}

static void request_start(struct h2_request *r)
{
    struct client_conn *c = r->conn->conn;
    r->stream.ops = &h2_client_ops;
    r->stream.req = &r->req;
    r->stream.shared = true;
    r->stream.stall_ms = c->settings->between_ms;
    r->stream.head_bytes_in = r->block.bytes;
    r->stream.request_complete = r->req.framing.kind == FRAMING_NONE || (r->flow.in_end && r->flow.in.bytes == 0);
    r->stream.broken = r->malformed;
    r->working = true;
    c->n_requests++;
    if (fiber_start(request_fiber, r, NULL)) {
        r->stream.broken = true;
        work_ended(r);
    }
}

static void queue(struct h2_request *r)
{
    list_push_back(&r->conn->begun, &r->begun);
}

// The stream alone is at fault.
static int malformed(struct h2_request *r, enum err e)
{
    struct h2_link *l = r->flow.link;
    r->malformed = true;
    r->reset_code = NGHTTP2_PROTOCOL_ERROR;
    h2_flow_reset(&r->flow, NGHTTP2_PROTOCOL_ERROR);
    if (r->working) {
        h2_flow_fail(&r->flow, e);
        if (r->watcher)
            fiber_cancel(r->watcher, e);
    }
    return h2_glitch(l, 1) ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

// ---- Pressure

static _Thread_local struct list all; // every connection of the thread, to find who has taken nothing for the longest time

static void relieve(void)
{
    while (h2_pressure_is_high()) {
        struct client_h2 *worst = NULL;
        LIST_FOREACH (it, &all) {
            struct client_h2 *h = container_of(it, struct client_h2, all);
            if (h->link.state == H2_OPEN && h->link.standing && (!worst || h->link.moved_ms < worst->link.moved_ms))
                worst = h;
        }
        if (!worst)
            return;
        h2_link_fail(&worst->link, NGHTTP2_ENHANCE_YOUR_CALM);
    }
}

// ---- What nghttp2 says

static int on_begin_frame(nghttp2_session *ng, const nghttp2_frame_hd *hd, void *arg)
{
    struct client_h2 *h = (struct client_h2 *)arg;
    (void)ng;
    return h2_abuse_frame(&h->link, &h->abuse, hd) ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static int on_begin_headers(nghttp2_session *ng, const nghttp2_frame *frame, void *arg)
{
    struct client_h2 *h = (struct client_h2 *)arg;
    int32_t id = frame->hd.stream_id;
    h->block_ms = loop_now_ms();
    if (frame->headers.cat != NGHTTP2_HCAT_REQUEST) {
        struct h2_request *r = h->decoding = stream_of(ng, id);
        if (r) {
            fields_init(&r->stream.trailers, &r->arena);
            h2_block_begin(&r->block, H2_BLOCK_TRAILERS, &r->stream.trailers, &h->conn->settings->limits);
        }
        return 0;
    }
    h2_abuse_stream(&h->abuse);
    struct h2_request *r = h->decoding = h->n_streams < H2_STREAMS_MAX ? request_new(h, id) : NULL;
    if (!r) {
        if (nghttp2_submit_rst_stream(ng, NGHTTP2_FLAG_NONE, id, NGHTTP2_REFUSED_STREAM) || h2_glitch(&h->link, 1))
            return NGHTTP2_ERR_CALLBACK_FAILURE;
        return 0;
    }
    h2_block_begin(&r->block, H2_BLOCK_REQUEST, &r->req.fields, &h->conn->settings->limits);
    return nghttp2_session_set_stream_user_data(ng, id, r) ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

static struct span span_of_rcbuf(nghttp2_rcbuf *b)
{
    nghttp2_vec v = nghttp2_rcbuf_get_buf(b);
    return span_of((const char *)v.base, v.len);
}

static int on_header(nghttp2_session *ng, const nghttp2_frame *frame, nghttp2_rcbuf *name, nghttp2_rcbuf *value, uint8_t flags, void *arg)
{
    struct client_h2 *h = (struct client_h2 *)arg;
    struct h2_request *r = h->decoding;
    (void)ng, (void)frame, (void)flags;
    if (!r)
        return 0;
    const struct h1_limits *limits = &r->block.limits;
    h2_block_line(&r->block, span_of_rcbuf(name), span_of_rcbuf(value));
    // Decoding costs us whatever the block is small in bytes: a bomb.
    if (r->block.bytes > BLOCK_FACTOR * ((uint64_t)limits->fields_bytes + limits->line_bytes) && h2_glitch(&h->link, H2_GLITCHES_MAX + 1))
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    return 0;
}

static int on_request(struct client_h2 *h, struct h2_request *r, bool end)
{
    r->flow.in_end = end;
    r->refused = h2_request_read(r, end);
    r->flow.declared = r->req.framing;
    struct span priority = fields_value(&r->req.fields, FIELD_PRIORITY);
    if (priority.ptr)
        h2_priority_set(h->link.ng, r->flow.id, priority, false);
    if (r->refused == ERR_FIELDS_TOO_LARGE && h2_glitch(&h->link, BLOCK_GLITCHES))
        return NGHTTP2_ERR_CALLBACK_FAILURE;
    // A content of no octets is believed once it has ended: what comes behind it would be the next request of HTTP/1.
    r->held = !end && !r->refused && r->req.framing.kind == FRAMING_LENGTH && r->req.framing.length == 0;
    if (!r->held)
        queue(r);
    return r->malformed ? malformed(r, r->refused) : 0;
}

static int on_trailers(struct h2_request *r, bool end)
{
    enum err e = h2_block_end(&r->block);
    if (!e && !end)
        e = ERR_BAD_FIELD; // a second head
    if (!e && r->flow.declared.kind == FRAMING_LENGTH && r->flow.in_seen != r->flow.declared.length)
        e = ERR_BAD_LENGTH;
    return e ? malformed(r, e) : 0;
}

static int on_end(struct h2_request *r)
{
    struct h2_flow *f = &r->flow;
    if (f->declared.kind == FRAMING_LENGTH && f->in_seen != f->declared.length)
        return malformed(r, ERR_BAD_LENGTH);
    f->in_end = true;
    h2_flow_wake_reader(f);
    if (r->held) {
        r->held = false;
        queue(r);
    }
    return 0;
}

static int on_stream_frame(struct client_h2 *h, struct h2_request *r, const nghttp2_frame *frame)
{
    bool end = frame->hd.flags & NGHTTP2_FLAG_END_STREAM;
    if (frame->hd.type == NGHTTP2_HEADERS) {
        h->block_ms = 0;
        if (r && frame->headers.cat == NGHTTP2_HCAT_REQUEST)
            return on_request(h, r, end);
        if (r && !r->malformed) {
            int e = on_trailers(r, end);
            if (e || r->malformed)
                return e;
        }
    }
    return end && r && !r->malformed ? on_end(r) : 0;
}

static int on_frame_recv(nghttp2_session *ng, const nghttp2_frame *frame, void *arg)
{
    struct client_h2 *h = (struct client_h2 *)arg;
    switch (frame->hd.type) {
    case NGHTTP2_HEADERS:
    case NGHTTP2_DATA:
        return on_stream_frame(h, stream_of(ng, frame->hd.stream_id), frame);
    case NGHTTP2_SETTINGS:
        h->greeted = true;
        return 0;
    case NGHTTP2_PING:
        if (frame->hd.flags & NGHTTP2_FLAG_ACK)
            (void)h2_window_pong(&h->link, frame->ping.opaque_data);
        return 0;
    default:
        return 0;
    }
}

static int on_data(nghttp2_session *ng, uint8_t flags, int32_t id, const uint8_t *data, size_t len, void *arg)
{
    struct client_h2 *h = (struct client_h2 *)arg;
    struct h2_request *r = stream_of(ng, id);
    (void)flags;
    if (!r || r->flow.error || r->malformed || (!r->working && list_empty(&r->begun) && !r->held))
        return nghttp2_session_consume(ng, id, len) == NGHTTP2_ERR_NOMEM ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
    h2_window_came(&h->link, id, len);
    if (h2_flow_is_beyond(&r->flow, len)) {
        h2_window_took(&h->link, id, len);
        return malformed(r, ERR_BAD_LENGTH);
    }
    return h2_flow_took(&r->flow, data, len) ? 0 : NGHTTP2_ERR_CALLBACK_FAILURE;
}

static int on_frame_send(nghttp2_session *ng, const nghttp2_frame *frame, void *arg)
{
    struct client_h2 *h = (struct client_h2 *)arg;
    if (frame->hd.type != NGHTTP2_HEADERS && frame->hd.type != NGHTTP2_DATA)
        return 0;
    struct h2_request *r = stream_of(ng, frame->hd.stream_id);
    h2_abuse_sent(&h->abuse);
    if (!r)
        return 0;
    if (frame->hd.type == NGHTTP2_HEADERS) {
        r->flow.head_out = true;
        r->stream.bytes_out += frame->hd.length;
    }
    if (frame->hd.flags & NGHTTP2_FLAG_END_STREAM) {
        r->flow.end_out = true;
        if (!r->working && !r->flow.in_end)
            h2_flow_reset(&r->flow, NGHTTP2_NO_ERROR);
    }
    return 0;
}

static int on_stream_close(nghttp2_session *ng, int32_t id, uint32_t code, void *arg)
{
    struct h2_request *r = stream_of(ng, id);
    (void)code, (void)arg;
    if (!r)
        return 0;
    r->flow.closed = true;
    if (!r->flow.end_out || !r->flow.in_end)
        cancel(r);
    // One that is malformed is still to be accounted for.
    if (!r->working && (list_empty(&r->begun) || !r->malformed))
        request_free(r);
    return 0;
}

static int on_invalid_frame(nghttp2_session *ng, const nghttp2_frame *frame, int code, void *arg)
{
    struct client_h2 *h = (struct client_h2 *)arg;
    (void)ng, (void)frame, (void)code;
    return h2_glitch(&h->link, 1) ? NGHTTP2_ERR_CALLBACK_FAILURE : 0;
}

// ---- The link

static void on_received(struct h2_link *l)
{
    struct client_h2 *h = h2_of(l);
    if (h2_pressure_is_high())
        relieve();
    while (!list_empty(&h->begun)) {
        struct h2_request *r = container_of(h->begun.next, struct h2_request, begun);
        list_remove(&r->begun);
        request_start(r);
    }
}

static void on_failed(struct h2_link *l)
{
    struct client_h2 *h = h2_of(l);
    LIST_FOREACH (it, &h->streams)
        cancel(container_of(it, struct h2_request, node));
}

static void free_all(struct client_h2 *h)
{
    struct client_conn *c = h->conn;
    LIST_FOREACH (it, &h->streams)
        request_free(container_of(it, struct h2_request, node));
    list_remove(&h->all);
    h2_link_fini(&h->link);
    c->h2 = NULL;
    mem_free(h);
    client_conn_close(c);
}

// Throws away what comes. True: that was all.
static bool drained(struct client_h2 *h)
{
    static _Thread_local char sink[16 * 1024];
    for (unsigned i = 0; i < 16; i++) {
        size_t n;
        enum err e = transport_recv_now(&h->conn->t, sink, sizeof sink, &n);
        if (e)
            return e != ERR_AGAIN;
        if ((h->lingered += n) > LINGER_BYTES)
            return true;
    }
    h2_link_wake(&h->link);
    return false;
}

static void step_drain(struct client_h2 *h)
{
    nghttp2_session *ng = h->link.ng;
    if (h->drain == H2_DRAIN_WANTED && h->n_streams) {
        h->drain = H2_DRAIN_ANNOUNCED;
        h->drain_ms = loop_now_ms();
        if (nghttp2_submit_shutdown_notice(ng))
            h2_link_kill(&h->link);
        h2_link_wake(&h->link);
    } else if (h->drain == H2_DRAIN_WANTED || (h->drain == H2_DRAIN_ANNOUNCED && (!h->n_streams || loop_now_ms() >= h->drain_ms + DRAIN_MS))) {
        h->drain = H2_DRAIN_FINAL;
        if (nghttp2_submit_goaway(ng, NGHTTP2_FLAG_NONE, nghttp2_session_get_last_proc_stream_id(ng), NGHTTP2_NO_ERROR, NULL, 0))
            h2_link_kill(&h->link);
        h2_link_wake(&h->link);
    }
}

static bool working(const struct client_h2 *h)
{
    LIST_FOREACH (it, &h->streams)
        if (container_of(it, struct h2_request, node)->working)
            return true;
    return false;
}

// What the client has not said by now it never will.
static void end_input(struct client_h2 *h)
{
    h->input_seen = true;
    LIST_FOREACH (it, &h->streams) {
        struct h2_request *r = container_of(it, struct h2_request, node);
        if (r->flow.in_end || r->flow.error)
            continue;
        h2_flow_fail(&r->flow, ERR_REQUEST_INCOMPLETE);
        if (!r->working && list_empty(&r->begun))
            h2_flow_reset(&r->flow, NGHTTP2_CANCEL);
    }
}

static void on_settled(struct h2_link *l)
{
    struct client_h2 *h = h2_of(l);
    if (l->input_ended && !h->input_seen && l->state == H2_OPEN)
        end_input(h);
    if (l->state == H2_OPEN && h->drain && h->drain != H2_DRAIN_FINAL)
        step_drain(h);
    if (loop_task_is_set(&l->task) && l->state == H2_OPEN)
        return;
    // nghttp2 has said goodbye, or the client has and nothing is left to do.
    if (l->state == H2_OPEN && h2_link_is_quiet(l) && (h2_link_is_done(l) || (l->input_ended && !h->n_streams))) {
        l->state = H2_CLOSING;
        on_failed(l);
    }
    bool sent = l->state == H2_DEAD || (l->state == H2_CLOSING && h2_link_is_quiet(l));
    if (sent && !h->lingering) {
        h->lingering = true;
        h->linger_ms = loop_now_ms();
        if (l->state == H2_CLOSING)
            transport_end_write(l->t);
    }
    bool over = sent && (l->state == H2_DEAD || drained(h) || loop_now_ms() >= h->linger_ms + LINGER_MS);
    if (over && !working(h)) {
        free_all(h);
        return;
    }
    uint64_t due = h->n_streams || sent || h->drain || !h->greeted ? loop_now_ms() + TICK_MS : h->idle_ms + client_idle_ms(h->conn);
    if (!timer_is_set(&h->conn->timer) || h->conn->timer.due_ms > due || !h->n_streams)
        timer_set(&h->conn->timer, due);
}

// ---- Deadlines

static void look_at_streams(struct client_h2 *h, uint64_t now)
{
    const struct client_settings *s = h->conn->settings;
    LIST_FOREACH (it, &h->streams) {
        struct h2_request *r = container_of(it, struct h2_request, node);
        if (r->working || r->flow.closed)
            continue;
        // Nothing that it waits for can come any more.
        bool stuck = h->link.input_ended && (r->held || nghttp2_session_get_stream_remote_window_size(h->link.ng, r->flow.id) <= 0 ||
                                             nghttp2_session_get_remote_window_size(h->link.ng) <= 0);
        // Its fiber has ended, and the client does not take the rest; or it does not end what has no content.
        if (stuck || now >= r->flow.moved_ms + (r->held ? s->header_ms : s->between_ms))
            h2_flow_reset(&r->flow, NGHTTP2_CANCEL);
    }
}

static void on_timer(struct timer *t)
{
    struct client_conn *c = container_of(t, struct client_conn, timer);
    struct client_h2 *h = (struct client_h2 *)c->h2;
    const struct client_settings *s = c->settings;
    uint64_t now = loop_now_ms();
    if (h->link.state == H2_OPEN) {
        if (!h->greeted && now >= h->begun_ms + s->handshake_ms) {
            c->late = CLIENT_LATE_HANDSHAKE;
            h2_link_fail(&h->link, NGHTTP2_SETTINGS_TIMEOUT);
        } else if (h->block_ms && now >= h->block_ms + s->header_ms)
            h2_link_fail(&h->link, NGHTTP2_ENHANCE_YOUR_CALM);
        else if (h->greeted && !h->n_streams && !h->drain && now >= h->idle_ms + client_idle_ms(h->conn)) {
            c->late = CLIENT_LATE_IDLE;
            h->drain = H2_DRAIN_WANTED;
        }
        look_at_streams(h, now);
    }
    if (h->link.blocked && now >= h->link.sent_ms + s->between_ms)
        h2_link_kill(&h->link);
    h2_link_wake(&h->link);
}

// ---- Life

static void on_io(struct io *io)
{
    struct client_conn *c = container_of(io, struct client_conn, t.io);
    h2_link_event(&((struct client_h2 *)c->h2)->link);
}

static nghttp2_session_callbacks *callbacks;
static nghttp2_option *options;

// Once for the process. What is missing is noticed at the first connection.
__attribute__((constructor)) static void make_callbacks(void)
{
    nghttp2_session_callbacks *cb;
    if (nghttp2_session_callbacks_new(&cb))
        return;
    nghttp2_session_callbacks_set_on_begin_frame_callback(cb, on_begin_frame);
    nghttp2_session_callbacks_set_on_begin_headers_callback(cb, on_begin_headers);
    nghttp2_session_callbacks_set_on_header_callback2(cb, on_header);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame_recv);
    nghttp2_session_callbacks_set_on_data_chunk_recv_callback(cb, on_data);
    nghttp2_session_callbacks_set_on_frame_send_callback(cb, on_frame_send);
    nghttp2_session_callbacks_set_on_stream_close_callback(cb, on_stream_close);
    nghttp2_session_callbacks_set_on_invalid_frame_recv_callback(cb, on_invalid_frame);
    nghttp2_session_callbacks_set_send_data_callback(cb, h2_flow_on_send_data);
    callbacks = cb;
}

__attribute__((constructor)) static void make_options(void)
{
    options = h2_link_options();
    if (options)
        nghttp2_option_set_builtin_recv_extension_type(options, NGHTTP2_PRIORITY_UPDATE);
}

static nghttp2_session *session_new(struct client_h2 *h)
{
    nghttp2_session *ng;
    return callbacks && options && !nghttp2_session_server_new3(&ng, callbacks, h, options, h2_memory()) ? ng : NULL;
}

static bool say_settings(struct client_h2 *h)
{
    const struct h1_limits *limits = &h->conn->settings->limits;
    enum { LINE_OVERHEAD = 32 }; // RFC 9113 6.5.2
    nghttp2_settings_entry v[] = {
        {NGHTTP2_SETTINGS_MAX_CONCURRENT_STREAMS, H2_STREAMS_MAX},
        {NGHTTP2_SETTINGS_INITIAL_WINDOW_SIZE, H2_WINDOW_STREAM_BYTES},
        {NGHTTP2_SETTINGS_MAX_HEADER_LIST_SIZE, (uint32_t)MIN((uint64_t)limits->fields_bytes + limits->line_bytes + LINE_OVERHEAD * (uint64_t)limits->fields, (uint64_t)INT32_MAX)},
        {NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL, 1},
        {NGHTTP2_SETTINGS_NO_RFC7540_PRIORITIES, 1},
    };
    if (nghttp2_submit_settings(h->link.ng, NGHTTP2_FLAG_NONE, v, ARRAY_LEN(v)))
        return false;
    h2_window_begin(&h->link, false);
    return true;
}

enum err client_h2_start(struct client_conn *c, struct span read)
{
    static const struct h2_link_ops ops = {.received = on_received, .failed = on_failed, .settled = on_settled};
    struct client_h2 *h = (struct client_h2 *)mem_calloc(1, sizeof *h);
    nghttp2_session *ng = h ? session_new(h) : NULL;
    if (!ng) {
        mem_free(h);
        return ERR_NO_MEMORY;
    }
    h->conn = c;
    h->begun_ms = h->idle_ms = loop_now_ms();
    list_init(&h->streams);
    list_init(&h->begun);
    h2_abuse_init(&h->abuse);
    h2_link_init(&h->link, &c->t, &ops, ng);
    if (!say_settings(h)) {
        h2_link_fini(&h->link);
        mem_free(h);
        return ERR_NO_MEMORY;
    }
    h->link.counted = true;
    if (!all.next)
        list_init(&all);
    list_push_back(&all, &h->all);
    c->h2 = h;
    c->busy = false;
    c->t.io.on_event = on_io;
    timer_init(&c->timer, on_timer);
    if (c->draining)
        h->drain = H2_DRAIN_WANTED;
    h2_link_feed(&h->link, read.ptr, read.len);
    h2_link_wake(&h->link); // on the loop: what was fed is begun there, and more may have come
    return ERR_OK;
}

void client_h2_drain(struct client_conn *c)
{
    struct client_h2 *h = (struct client_h2 *)c->h2;
    if (!h->drain)
        h->drain = H2_DRAIN_WANTED;
    h->link.more_input = true; // a request may have arrived that nobody has looked at yet
    h2_link_wake(&h->link);
}

void client_h2_drop(struct client_conn *c)
{
    struct client_h2 *h = (struct client_h2 *)c->h2;
    CHECK(!working(h)); // their fibers' stacks would be lost
    h->link.state = H2_DEAD;
    free_all(h);
}
