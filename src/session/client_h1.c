// SPDX-License-Identifier: Apache-2.0
// HTTP/1 on the client's side.
#include "base/check.h"
#include "session/client_h2.h"
#include "session/client_socks5.h"
#include "session/h1_content.h"

enum {
    LINGER_BYTES =
        256 * 1024, // read and thrown away before a close, so that the answer is not lost to a reset
    LINGER_MS = 2000,
    CONFIRM_MS = 1000, // waiting for a half-closed client to acknowledge its answer
    JOIN_BYTES = 4096, // content up to this is copied behind its head: one run is cheaper to send than two
};

struct client_h1 {
    struct client_stream stream;
    struct client_conn *conn;
    struct arena *arena;
    struct h1_input input;
    struct h1_body_in body;
    struct h1_limits limits;
    enum h1_body_out out;
    uint64_t out_left; // H1_OUT_LENGTH
    bool tunnel;       // after a 101 or a 2xx to CONNECT
    bool head_only;    // the answer has no content by its nature
    bool interim_100;  // a 100 went out
};

static struct client_h1 *h1_of(struct client_stream *s)
{
    return container_of(s, struct client_h1, stream);
}

// What a failed receive of a request's content means.
static enum err map_read(enum err e)
{
    switch (e) {
    case ERR_RESPONSE_INCOMPLETE:
        return ERR_REQUEST_INCOMPLETE;
    case ERR_TIMEOUT:
        return ERR_CLIENT_UPLOAD_STALLED;
    default:
        return e;
    }
}

static enum err h1_read(struct client_stream *s, struct chunkq *q, size_t want, uint64_t deadline)
{
    struct client_h1 *h = h1_of(s);
    if (h->tunnel) {
        enum err e = ERR_OK;
        if (h1_input_len(&h->input) == 0) {
            h1_input_clear(&h->input);
            e = h1_input_more(&h->input, &h->conn->t, CHUNK_MEDIUM_BYTES, deadline);
        }
        if (!e)
            e = s->ops->take_buffered(s, q);
        return e;
    }
    if (h->body.complete) {
        s->request_complete = true;
        return ERR_EOF;
    }
    size_t before = q->bytes;
    enum err e = map_read(h1_body_in_read(&h->body, &h->input, &h->conn->t, q, want, deadline));
    s->bytes_in += q->bytes - before;
    if (h->body.complete && !s->request_complete) {
        s->request_complete = true;
        if (h->body.trailer_lines.bytes) {
            char *p = arena_bytes(h->arena, h->body.trailer_lines.bytes);
            if (!p)
                return ERR_NO_MEMORY;
            size_t n = chunkq_peek(&h->body.trailer_lines, p, h->body.trailer_lines.bytes);
            enum err e2 = h1_parse_trailers(span_of(p, n), h->arena, &s->trailers);
            if (e2)
                return e2;
        }
    }
    return e;
}

static enum err send_queue(struct client_h1 *h, struct chunkq *q)
{
    size_t n = q->bytes;
    enum err e = transport_send_queue(&h->conn->t, q, h->stream.stall_ms);
    h->stream.bytes_out += n - q->bytes;
    if (e) {
        h->stream.broken = h->stream.close = true;
        h->stream.stalled = e == ERR_TIMEOUT || e == ERR_CLIENT_STALLED;
        e = e == ERR_TIMEOUT ? ERR_CLIENT_STALLED : e == ERR_RESET || e == ERR_EOF ? ERR_CANCELED : e;
    }
    return e;
}

static enum err h1_send_interim(struct client_stream *s, const struct response *r)
{
    struct client_h1 *h = h1_of(s);
    if (s->req->version < HTTP_1_1)
        return ERR_OK; // a client of HTTP/1.0 does not know of these (RFC 9110 15.2)
    size_t cap = 64 + r->reason.len + h1_fields_size(&r->fields);
    char *p = arena_bytes(h->arena, cap);
    if (!p)
        return ERR_NO_MEMORY;
    struct h1_out o = {p, p + cap, false};
    h1_put_status_line(&o, r->status, r->reason);
    h1_put_fields(&o, &r->fields);
    h1_put(&o, SPAN("\r\n"));
    CHECK(!o.full);
    struct chunkq q;
    chunkq_init(&q);
    enum err e = chunkq_append(&q, NULL, p, (size_t)(o.next - p));
    if (!e)
        e = send_queue(h, &q);
    chunkq_fini(&q);
    if (r->status == 100)
        h->interim_100 = true;
    return e;
}

static void choose_framing(struct client_h1 *h, const struct response *r)
{
    struct client_stream *s = &h->stream;
    bool to_connect = s->req->method == METHOD_CONNECT && r->status / 100 == 2;
    h->tunnel = r->status == 101 || to_connect;
    h->head_only = h->tunnel || s->req->method == METHOD_HEAD || r->status / 100 == 1 || r->status == 204 ||
                   r->status == 304;
    if (h->head_only)
        h->out = H1_OUT_NONE;
    else if (r->framing.kind == FRAMING_LENGTH || r->framing.kind == FRAMING_NONE)
        h->out = H1_OUT_LENGTH;
    else
        h->out = s->req->version >= HTTP_1_1 ? H1_OUT_CHUNKED : H1_OUT_CLOSE;
    h->out_left = h->out == H1_OUT_LENGTH && r->framing.kind == FRAMING_LENGTH ? r->framing.length : 0;
}

static void put_framing(struct client_h1 *h, struct h1_out *o, const struct response *r)
{
    if (h->out == H1_OUT_CHUNKED) {
        h1_put(o, SPAN("Transfer-Encoding: chunked\r\n"));
    } else if (h->out == H1_OUT_LENGTH ||
               (h->head_only && !h->tunnel && r->framing.kind == FRAMING_LENGTH && r->status != 204)) {
        h1_put(o, SPAN("Content-Length: "));
        h1_put_dec(o, r->framing.kind == FRAMING_LENGTH ? r->framing.length : 0);
        h1_put(o, SPAN("\r\n"));
    }
}

static void put_connection(struct client_h1 *h, struct h1_out *o, const struct response *r)
{
    if (r->status == 101) {
        h1_put(o, SPAN("Connection: Upgrade\r\n"));
        h1_put_field(o, SPAN("Upgrade"), r->upgrade_token);
    } else if (h->tunnel) {
        return;
    } else if (h->stream.close) {
        h1_put(o, SPAN("Connection: close\r\n"));
    } else if (h->stream.req->version < HTTP_1_1) {
        h1_put(o, SPAN("Connection: keep-alive\r\n"));
    }
}

// Whether the connection can carry another request after this answer.
static void decide_close(struct client_h1 *h)
{
    struct client_stream *s = &h->stream;
    if (!s->req->keep_alive || h->out == H1_OUT_CLOSE || h->conn->draining || h->tunnel)
        s->close = true;
    // Content that still waits for a 100 will not come, or come as a next request: either way framing is in
    // doubt.
    if (!s->request_complete && !h->body.complete && s->req->expect_continue && !h->interim_100)
        s->close = true;
}

static enum err h1_send_head(struct client_stream *s, struct response *r, struct chunkq *content, bool end)
{
    struct client_h1 *h = h1_of(s);
    choose_framing(h, r);
    decide_close(h);
    if (h->head_only)
        chunkq_clear(content);
    size_t join =
        !h->head_only && h->out != H1_OUT_CHUNKED && content->bytes <= JOIN_BYTES ? content->bytes : 0;
    size_t cap = 192 + r->reason.len + r->upgrade_token.len + h1_response_fields_size(r) + join;
    char *p = arena_bytes(h->arena, cap);
    if (!p)
        return ERR_NO_MEMORY;
    struct h1_out o = {p, p + cap, false};
    h1_put_status_line(&o, r->status, r->reason);
    h1_put_response_fields(&o, r);
    put_framing(h, &o, r);
    put_connection(h, &o, r);
    h1_put(&o, SPAN("\r\n"));
    CHECK(!o.full);
    if (h->out == H1_OUT_LENGTH) {
        CHECK(content->bytes <= h->out_left);
        h->out_left -= content->bytes;
        CHECK(!end || h->out_left == 0);
    }
    enum err e = h1_body_out_wrap(h->out, content, end && !h->head_only, NULL, h->arena);
    if (!e && join) {
        o.next += chunkq_peek(content, o.next, join);
        chunkq_clear(content);
    }
    if (!e)
        e = chunkq_prepend(content, NULL, p, (size_t)(o.next - p));
    if (e)
        return e;
    s->head_sent = true;
    if (end && s->close && !h->tunnel)
        transport_last(&h->conn->t);
    return send_queue(h, content);
}

static enum err h1_send(struct client_stream *s, struct chunkq *content, bool end,
                        const struct fields *trailers)
{
    struct client_h1 *h = h1_of(s);
    if (h->head_only && !h->tunnel) {
        chunkq_clear(content);
        return ERR_OK;
    }
    if (h->out == H1_OUT_LENGTH) {
        if (content->bytes > h->out_left || (end && content->bytes < h->out_left)) {
            s->close = s->broken = true;
            return ERR_INTERNAL;
        }
        h->out_left -= content->bytes;
    }
    enum err e = h1_body_out_wrap(h->out, content, end, s->req->te_trailers ? trailers : NULL, h->arena);
    if (e || content->bytes == 0)
        return e;
    if (end && s->close && !h->tunnel)
        transport_last(&h->conn->t);
    return send_queue(h, content);
}

static struct io *h1_raw(struct client_stream *s)
{
    struct client_h1 *h = h1_of(s);
    bool fits = h->tunnel || h->out == H1_OUT_LENGTH || h->out == H1_OUT_CLOSE;
    return fits && !h->conn->t.ops ? &h->conn->t.io : NULL;
}

static void h1_note_raw(struct client_stream *s, uint64_t n, bool end)
{
    struct client_h1 *h = h1_of(s);
    s->bytes_out += n;
    if (h->out == H1_OUT_LENGTH && !h->tunnel) {
        CHECK(n <= h->out_left);
        h->out_left -= n;
    }
    if (end && h->out == H1_OUT_LENGTH && h->out_left)
        s->close = s->broken = true;
}

static enum err h1_take_buffered(struct client_stream *s, struct chunkq *q)
{
    struct client_h1 *h = h1_of(s);
    struct span b = h1_input_span(&h->input);
    enum err e = chunkq_append(q, h->input.in, b.ptr, b.len);
    if (!e) {
        s->bytes_in += b.len;
        if (h->input.in)
            h->input.pos = h->input.in->used;
    }
    return e;
}

static bool h1_ready(const struct client_stream *s)
{
    const struct client_h1 *h = container_of(s, const struct client_h1, stream);
    return h->body.complete || h1_input_len(&h->input) > 0;
}

static void h1_end_write(struct client_stream *s)
{
    transport_end_write(&h1_of(s)->conn->t);
}

static void h1_watch(struct client_stream *s, struct fiber *f)
{
    io_watch(&h1_of(s)->conn->t.io, f);
}

static size_t head_bytes_max(const struct client_h1 *h)
{
    return (size_t)h->limits.line_bytes + h->limits.fields_bytes + 4096;
}

// A client that had ended its direction may have left for good: only its acknowledgement of the answer tells.
static void wait_for_acknowledgement(struct client_h1 *h)
{
    struct transport *t = &h->conn->t;
    transport_end_write(t);
    for (uint64_t end = loop_now_ms() + CONFIRM_MS; loop_now_ms() < end;) {
        char sink;
        size_t n;
        (void)!transport_recv_now(t, &sink, 1, &n); // it notes a reset
        if (t->io.state & IO_BROKEN) {
            h->stream.broken = true;
            return;
        }
        if (io_unacked(&t->io) == 0 || fiber_sleep(5))
            return;
    }
}

static bool h1_confirm(struct client_stream *s)
{
    struct client_h1 *h = h1_of(s);
    // Of what a tunnel carried, its two ends agree among themselves what has arrived.
    if (h->tunnel || s->broken || !(h->conn->t.io.state & IO_PEER_ENDED) || h1_input_len(&h->input) > 0)
        return !s->broken;
    // Further requests may have come before the end.
    enum err e = h1_input_more_now(&h->input, &h->conn->t, head_bytes_max(h));
    if (!e || e == ERR_AGAIN)
        return true;
    s->close = true;
    wait_for_acknowledgement(h);
    return !s->broken;
}

static const struct client_ops h1_ops = {
    .read = h1_read,
    .send_interim = h1_send_interim,
    .send_head = h1_send_head,
    .send = h1_send,
    .raw = h1_raw,
    .note_raw = h1_note_raw,
    .take_buffered = h1_take_buffered,
    .ready = h1_ready,
    .end_write = h1_end_write,
    .watch = h1_watch,
    .confirm = h1_confirm,
};

// Reads until a head is complete. ERR_AGAIN: nothing came at all, so the connection may go idle. ERR_EOF: it
// ended between requests.
static enum err read_head(struct client_h1 *h, struct h1_head *head)
{
    struct client_conn *c = h->conn;
    size_t max = head_bytes_max(h);
    uint64_t deadline = deadline_in(c->settings->header_ms);
    h1_head_init(head);
    if (h1_input_len(&h->input) == 0) {
        enum err e = h1_input_more_now(&h->input, &c->t, max);
        if (e)
            return e == ERR_RESET ? ERR_EOF : e;
    }
    for (;;) {
        struct span b = h1_input_span(&h->input);
        enum err e = h1_head_scan(head, b.ptr, b.len, true, &h->limits);
        if (e != ERR_AGAIN)
            return e;
        e = h1_input_more(&h->input, &c->t, max, deadline);
        if (e == ERR_TIMEOUT)
            return ERR_REQUEST_TIMEOUT;
        if (e == ERR_EOF || e == ERR_RESET)
            return ERR_REQUEST_INCOMPLETE;
        if (e)
            return e;
    }
}

static void stream_begin(struct client_h1 *h, struct request *req)
{
    h->stream = (struct client_stream){.ops = &h1_ops, .req = req, .stall_ms = h->conn->settings->between_ms};
    h->tunnel = h->head_only = h->interim_100 = false;
    h->out = H1_OUT_NONE;
}

// Reads what is left of the request's content, so that the next request can be found behind it. Small rests
// only.
static bool drain_request(struct client_h1 *h)
{
    struct client_stream *s = &h->stream;
    if (h->body.complete)
        return true;
    struct chunkq q;
    chunkq_init(&q);
    size_t total = 0;
    enum err e = ERR_OK;
    while (!e && total <= LINGER_BYTES) {
        e = s->ops->read(s, &q, CHUNK_MEDIUM_BYTES, deadline_in(h->conn->settings->between_ms));
        total += q.bytes;
        chunkq_clear(&q);
    }
    chunkq_fini(&q);
    return e == ERR_EOF;
}

// Before a close with bytes unread: our end first, then a while of reading, or the kernel would send a reset
// that overtakes the answer.
static NOINLINE void linger(struct client_h1 *h)
{
    struct client_conn *c = h->conn;
    char *sink;
    size_t n, total = 0;
    if (h->stream.broken || !(sink = (char *)arena_alloc(h->arena, 4096)))
        return;
    uint64_t deadline = deadline_in(LINGER_MS);
    enum err e = transport_recv_now(&c->t, sink, 4096, &n);
    if (e == ERR_AGAIN && h->body.complete && h1_input_len(&h->input) == 0)
        return; // nothing unread
    transport_end_write(&c->t);
    while ((!e || e == ERR_AGAIN) && total < LINGER_BYTES) {
        e = transport_recv(&c->t, sink, 4096, deadline, &n);
        if (!e)
            total += n;
    }
}

void client_conn_close(struct client_conn *c)
{
    timer_cancel(&c->timer);
    if (c->reset)
        io_close_reset(&c->t.io);
    transport_close(&c->t);
    c->hooks->closed(c);
}

// One request. True: the connection goes on.
static bool serve_one(struct client_h1 *h, struct h1_head *head, struct arena *a)
{
    struct request req; // parsing sets all of it, however that ends
    stream_begin(h, &req);
    struct span b = h1_input_span(&h->input);
    h->stream.head_bytes_in = head->end;
    enum err e = h1_parse_request(b.ptr, head, h->conn->settings->scheme, a, &req);
    struct chunk *head_chunk = chunk_ref(h->input.in);
    h->input.pos += head->end;
    if (e)
        req.framing = (struct framing){FRAMING_CLOSE, 0}; // what follows is not ours to read
    h1_body_in_init(&h->body, &req.framing, &h->limits);
    h->stream.request_complete = h->body.complete;
    h->conn->n_requests++;
    if (e) {
        h->stream.close = true;
        req.keep_alive = false;
        h->conn->hooks->refuse(h->conn, &h->stream, &req, a, e);
    } else {
        h->conn->hooks->serve(h->conn, &h->stream, &req, a);
    }
    bool go_on = !h->stream.close && !h->stream.broken && !fiber_canceled(fiber_self()) && drain_request(h);
    // What broke off and only the connection's end delimits must not look whole. For a client that does not read, the kernel would go
    // on to hold what waits to be sent.
    h->conn->reset = h->stream.reset || (h->stream.broken && h->stream.head_sent && (h->out == H1_OUT_CLOSE || h->stream.stalled));
    if (!go_on && !h->tunnel) {
        fiber_uncancel();
        linger(h);
    }
    h1_body_in_fini(&h->body);
    chunk_unref(head_chunk);
    return go_on && !h->conn->draining;
}

static NOINLINE void refuse_head(struct client_h1 *h, const struct h1_head *head, struct arena *a, enum err e)
{
    struct request req;
    memset(&req, 0, sizeof req);
    fields_init(&req.fields, a);
    req.version = HTTP_1_1;
    stream_begin(h, &req);
    h->stream.head_bytes_in = h1_input_len(&h->input);
    (void)head;
    h->stream.close = true;
    h1_body_in_init(&h->body, &(struct framing){FRAMING_CLOSE, 0}, &h->limits);
    h->conn->hooks->refuse(h->conn, &h->stream, &req, a, e);
    linger(h);
    h1_body_in_fini(&h->body);
}

static void on_idle_event(struct io *io);

// Once a connection: its layer, if it is to have one.
static bool begin(struct client_conn *c)
{
    const struct client_settings *s = c->settings;
    c->begun = true;
    if (unlikely(s->introduce) && s->introduce(c, deadline_in(s->handshake_ms)))
        return false;
    enum err e = unlikely(s->secure != NULL) ? s->secure(&c->t, s, deadline_in(s->handshake_ms)) : ERR_OK;
    if (e == ERR_TIMEOUT)
        c->late = CLIENT_LATE_HANDSHAKE;
    return !e;
}

static bool agreed_on_h2(const struct client_conn *c)
{
    return c->t.info && span_eq(c->t.info->alpn, SPAN("h2"));
}

// The first line of HTTP/2's preface reads as a request of HTTP/1 (RFC 9113 3.4).
static bool begins_h2c(const struct client_h1 *h)
{
    const struct client_conn *c = h->conn;
    return c->n_requests == 0 && !c->t.info && span_starts(h1_input_span(&h->input), SPAN("PRI * HTTP/2.0\r\n\r\n"));
}

// The connection is no longer this fiber's business; what it was asked for by HTTP/2 is looked at on the loop.
static void become_h2(struct client_h1 *h)
{
    struct client_conn *c = h->conn;
    enum err e = client_h2_start(c, h1_input_span(&h->input));
    h1_input_clear(&h->input);
    arena_fini(h->arena);
    if (e)
        client_conn_close(c);
}

static void client_fiber(void *arg)
{
    struct client_conn *c = (struct client_conn *)arg;
    struct client_h1 h;
    struct arena a;
    struct h1_head head;
    bool go_on = true, idle = false;
    memset(&h, 0, offsetof(struct client_h1, body));
    h.conn = c;
    h.arena = &a;
    arena_init(&a, 0);
    if (unlikely(!c->begun)) {
        go_on = begin(c);
        if (go_on && agreed_on_h2(c))
            return become_h2(&h);
    }
    while (go_on) {
        h.limits = c->settings->limits;
        enum err e = read_head(&h, &head);
        if (e == ERR_AGAIN) {
            idle = true;
            break;
        }
        if (e == ERR_EOF || e == ERR_CANCELED || fiber_canceled(fiber_self()))
            break;
        if (e && c->settings->socks5 && c->n_requests == 0 && client_speaks_socks5(h1_input_span(&h.input))) {
            client_socks5_serve(c, &h.input, &a);
            break;
        }
        if (e) {
            refuse_head(&h, &head, &a, e);
            break;
        }
        if (unlikely(c->settings->h2c) && begins_h2c(&h))
            return become_h2(&h);
        go_on = serve_one(&h, &head, &a);
        arena_reset(&a);
    }
    h1_input_clear(&h.input);
    arena_fini(&a);
    io_watch(&c->t.io, NULL);
    c->busy = false;
    if (idle && !c->draining) {
        c->t.io.on_event = on_idle_event;
        timer_set(&c->timer, deadline_in(client_idle_ms(c)));
        return;
    }
    client_conn_close(c);
}

static void wake(struct client_conn *c)
{
    timer_cancel(&c->timer);
    c->t.io.on_event = NULL;
    c->busy = true;
    if (fiber_start(client_fiber, c, NULL)) {
        c->busy = false;
        client_conn_close(c);
    }
}

static void on_idle_event(struct io *io)
{
    struct client_conn *c = container_of(io, struct client_conn, t.io);
    if (io->state & IO_BROKEN)
        client_conn_close(c);
    else if (io->state & (IO_READABLE | IO_PEER_ENDED))
        wake(c);
}

static void on_idle_timer(struct timer *t)
{
    struct client_conn *c = container_of(t, struct client_conn, timer);
    c->late = CLIENT_LATE_IDLE;
    client_conn_close(c);
}

enum err client_start(struct client_conn *c, int fd)
{
    timer_init(&c->timer, on_idle_timer);
    c->t.ops = NULL;
    c->t.layer = NULL;
    c->t.info = NULL;
    c->h2 = NULL;
    c->n_requests = 0;
    c->late = CLIENT_IN_TIME;
    c->busy = c->draining = c->reset = c->begun = false;
    enum err e = io_open_accepted(&c->t.io, fd);
    if (e)
        return e;
    wake(c);
    return ERR_OK;
}

void client_drain(struct client_conn *c)
{
    c->draining = true;
    if (c->h2) {
        client_h2_drain(c);
    } else if (!c->busy) {
        // A request may have arrived that nobody has looked at yet, not even the loop: closing over it would reset the connection.
        c->t.io.state |= IO_READABLE;
        wake(c);
    }
}

void client_drop(struct client_conn *c)
{
    if (c->h2) {
        client_h2_drop(c);
        return;
    }
    CHECK(!c->busy); // its fiber's stack would be lost
    client_conn_close(c);
}
