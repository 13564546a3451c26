// SPDX-License-Identifier: Apache-2.0
// HTTP/1 on the upstream's side.
#include "base/check.h"
#include "session/upstream_h2.h"

enum {
    JOIN_BYTES = 4096
}; // content up to this is copied behind its head: one run is cheaper to send than two

struct upstream_conn *upstream_of(struct upstream_stream *s)
{
    return container_of(s, struct upstream_conn, stream);
}

static enum err fail(struct upstream_conn *u, enum err e)
{
    u->dirty = true;
    return e;
}

static enum err send_queue(struct upstream_conn *u, struct chunkq *q)
{
    size_t n = q->bytes;
    enum err e = transport_send_queue(&u->t, q, u->stream.stall_ms);
    u->stream.bytes_out += n - q->bytes;
    if (!e)
        return ERR_OK;
    if (e == ERR_TIMEOUT)
        e = ERR_UPSTREAM_WRITE_TIMEOUT;
    else if (e == ERR_RESET || e == ERR_EOF)
        e = u->stream.reused ? ERR_UPSTREAM_STALE : ERR_UPSTREAM_CLOSED;
    return fail(u, e);
}

static void put_head(struct upstream_conn *u, struct h1_out *o, const struct request *r)
{
    h1_put_request_line(o, r->method_text, r->target);
    h1_put_fields(o, &r->fields);
    if (u->out == H1_OUT_CHUNKED) {
        h1_put(o, SPAN("Transfer-Encoding: chunked\r\n"));
    } else if (u->out == H1_OUT_LENGTH) {
        h1_put(o, SPAN("Content-Length: "));
        h1_put_dec(o, r->framing.length);
        h1_put(o, SPAN("\r\n"));
    }
    if (r->upgrade) {
        h1_put(o, SPAN("Connection: Upgrade\r\n"));
        h1_put_field(o, SPAN("Upgrade"), r->upgrade_token);
    } else if (r->te_trailers) {
        h1_put(o, SPAN("Connection: TE\r\nTE: trailers\r\n"));
    }
    h1_put(o, SPAN("\r\n"));
}

static enum err h1_send_head(struct upstream_stream *s, const struct request *r, struct chunkq *content,
                             bool end)
{
    struct upstream_conn *u = upstream_of(s);
    u->method = r->method;
    u->out = r->framing.kind == FRAMING_CHUNKED  ? H1_OUT_CHUNKED
             : r->framing.kind == FRAMING_LENGTH ? H1_OUT_LENGTH
                                                 : H1_OUT_NONE;
    u->out_left = r->framing.length - (u->out == H1_OUT_LENGTH ? content->bytes : 0);
    size_t join = u->out != H1_OUT_CHUNKED && content->bytes <= JOIN_BYTES ? content->bytes : 0;
    size_t cap =
        160 + r->method_text.len + r->target.len + r->upgrade_token.len + h1_fields_size(&r->fields) + join;
    char *p = arena_bytes(u->arena, cap);
    if (!p)
        return fail(u, ERR_NO_MEMORY);
    struct h1_out o = {p, p + cap, false};
    put_head(u, &o, r);
    CHECK(!o.full);
    enum err e = h1_body_out_wrap(u->out, content, end, NULL, u->arena);
    if (!e && join) {
        o.next += chunkq_peek(content, o.next, join);
        chunkq_clear(content);
    }
    if (!e)
        e = chunkq_prepend(content, NULL, p, (size_t)(o.next - p));
    if (e)
        return fail(u, e);
    e = send_queue(u, content);
    if (!e && end)
        s->request_complete = true;
    return e;
}

static enum err h1_send(struct upstream_stream *s, struct chunkq *content, bool end,
                        const struct fields *trailers)
{
    struct upstream_conn *u = upstream_of(s);
    if (u->out == H1_OUT_LENGTH && !u->tunnel) {
        CHECK(content->bytes <= u->out_left);
        u->out_left -= content->bytes;
    }
    enum err e = h1_body_out_wrap(u->tunnel ? H1_OUT_NONE : u->out, content, end, trailers, u->arena);
    if (e)
        return fail(u, e);
    if (content->bytes)
        e = send_queue(u, content);
    if (!e && end)
        s->request_complete = true;
    return e;
}

static enum err head_failed(struct upstream_conn *u, enum err e)
{
    bool nothing = !u->stream.any_byte;
    switch (e) {
    case ERR_EOF:
    case ERR_RESET:
        return nothing ? (u->stream.reused ? ERR_UPSTREAM_STALE : ERR_UPSTREAM_CLOSED)
                       : ERR_RESPONSE_INCOMPLETE;
    case ERR_TIMEOUT:
        return ERR_UPSTREAM_TIMEOUT;
    case ERR_TOO_MANY_FIELDS:
        return ERR_RESPONSE_TOO_MANY_FIELDS;
    case ERR_FIELDS_TOO_LARGE:
    case ERR_TARGET_TOO_LONG:
        return ERR_RESPONSE_FIELDS_TOO_LARGE;
    case ERR_NO_MEMORY:
    case ERR_CANCELED:
    case ERR_SHUTDOWN:
        return e;
    case ERR_TRANSFER_CODING_UNKNOWN:
    case ERR_RESPONSE_BAD_CODING:
        return ERR_RESPONSE_BAD_CODING;
    default:
        return err_info(e)->fault == ERR_FAULT_UPSTREAM ? e : ERR_BAD_RESPONSE;
    }
}

// Whoever begins otherwise need not be waited for.
static bool begins_like_http(struct span b)
{
    static const char start[] = "HTTP/1.";
    return memcmp(b.ptr, start, MIN(b.len, sizeof start - 1)) == 0;
}

static enum err h1_read_head(struct upstream_stream *s, struct arena *a, uint64_t deadline,
                             struct response *ret)
{
    struct upstream_conn *u = upstream_of(s);
    struct h1_head head;
    size_t max = (size_t)u->limits.line_bytes + u->limits.fields_bytes + 4096;
    h1_head_init(&head);
    for (;;) {
        struct span b = h1_input_span(&u->input);
        enum err e = !b.len ? ERR_AGAIN : !begins_like_http(b) ? ERR_BAD_RESPONSE : h1_head_scan(&head, b.ptr, b.len, false, &u->limits);
        if (!e)
            break;
        if (e == ERR_AGAIN)
            e = h1_input_more(&u->input, &u->t, max, deadline);
        if (e)
            return fail(u, head_failed(u, e));
        s->any_byte = true;
    }
    struct span b = h1_input_span(&u->input);
    enum err e = h1_parse_response(b.ptr, &head, u->method, a, ret);
    if (e)
        return fail(u, head_failed(u, e));
    // The parsed spans borrow from the chunk, which later reads may let go.
    chunk_unref(u->head_chunk);
    u->head_chunk = chunk_ref(u->input.in);
    s->head_end = u->input.pos += head.end;
    s->bytes_in += head.end;
    if (ret->status / 100 == 1 && ret->status != 101)
        return ERR_OK;
    u->tunnel = ret->status == 101 || (u->method == METHOD_CONNECT && ret->status / 100 == 2);
    s->reset = u->tunnel; // until it has come to its end in order
    // A 408 on a kept connection was said before our request came: the server was closing it (RFC 9110 15.5.9).
    if (ret->status == 408 && s->reused)
        return fail(u, ERR_UPSTREAM_STALE);
    u->head_read = true;
    u->status = ret->status;
    u->keep_alive = ret->keep_alive && !u->tunnel && (ret->no_content || ret->framing.kind != FRAMING_CLOSE);
    struct framing framing = ret->no_content ? (struct framing){FRAMING_NONE, 0} : ret->framing;
    h1_body_in_init(&u->body, &framing, &u->limits);
    s->response_complete = u->body.complete && !u->tunnel;
    return ERR_OK;
}

static enum err read_failed(enum err e)
{
    switch (e) {
    case ERR_TIMEOUT:
        return ERR_UPSTREAM_STALLED;
    case ERR_BAD_CHUNK:
    case ERR_TOO_MANY_FIELDS:
    case ERR_FIELDS_TOO_LARGE:
    case ERR_BAD_FIELD:
        return ERR_BAD_RESPONSE;
    default:
        return e;
    }
}

static enum err read_tunnel(struct upstream_conn *u, struct chunkq *q, uint64_t deadline)
{
    enum err e = ERR_OK;
    if (h1_input_len(&u->input) == 0) {
        h1_input_clear(&u->input);
        e = h1_input_more(&u->input, &u->t, CHUNK_MEDIUM_BYTES, deadline);
    }
    return e ? e : u->stream.ops->take_buffered(&u->stream, q);
}

static enum err parse_trailers(struct upstream_conn *u)
{
    size_t n = u->body.trailer_lines.bytes;
    char *p = arena_bytes(u->arena, n);
    if (!p)
        return ERR_NO_MEMORY;
    chunkq_peek(&u->body.trailer_lines, p, n);
    return h1_parse_trailers(span_of(p, n), u->arena, &u->stream.trailers);
}

static enum err h1_read(struct upstream_stream *s, struct chunkq *q, size_t want, uint64_t deadline)
{
    struct upstream_conn *u = upstream_of(s);
    if (u->tunnel)
        return read_tunnel(u, q, deadline);
    if (u->body.complete) {
        s->response_complete = true;
        return ERR_EOF;
    }
    size_t before = q->bytes;
    enum err e = h1_body_in_read(&u->body, &u->input, &u->t, q, want, deadline);
    s->bytes_in += q->bytes - before;
    if (u->body.complete && !s->response_complete) {
        s->response_complete = true;
        if (u->body.trailer_lines.bytes) {
            enum err e2 = parse_trailers(u);
            if (e2)
                return fail(u, read_failed(e2));
        }
    }
    if (e && e != ERR_EOF)
        return fail(u, read_failed(e));
    return e;
}

static struct io *h1_raw(struct upstream_stream *s)
{
    struct upstream_conn *u = upstream_of(s);
    bool fits = u->tunnel || (u->head_read && u->body.framing.kind == FRAMING_LENGTH);
    return fits && !u->t.ops && h1_input_len(&u->input) == 0 ? &u->t.io : NULL;
}

static void h1_note_raw(struct upstream_stream *s, uint64_t n)
{
    struct upstream_conn *u = upstream_of(s);
    s->bytes_in += n;
    if (u->tunnel)
        return;
    CHECK(n <= u->body.left);
    u->body.left -= n;
    u->body.seen += n;
    if (u->body.left == 0)
        u->body.complete = s->response_complete = true;
}

static enum err h1_take_buffered(struct upstream_stream *s, struct chunkq *q)
{
    struct upstream_conn *u = upstream_of(s);
    struct span b = h1_input_span(&u->input);
    enum err e = chunkq_append(q, u->input.in, b.ptr, b.len);
    if (!e && u->input.in) {
        s->bytes_in += b.len;
        u->input.pos = u->input.in->used;
    }
    return e;
}

static bool h1_ready(const struct upstream_stream *s)
{
    const struct upstream_conn *u = container_of(s, const struct upstream_conn, stream);
    return (u->head_read && u->body.complete) || h1_input_len(&u->input) > 0;
}

static enum err h1_wait(struct upstream_stream *s, uint64_t deadline)
{
    struct upstream_conn *u = upstream_of(s);
    if (h1_input_len(&u->input) > 0)
        return ERR_OK;
    return transport_wait_readable(&u->t, deadline);
}

static void h1_end_write(struct upstream_stream *s)
{
    transport_end_write(&upstream_of(s)->t);
}

// A server that refuses or redirects a request with content may have done so without reading the content, and
// take it for the next request: whose answer that would be must not be found out on a kept connection.
static bool content_surely_read(const struct upstream_conn *u)
{
    return u->out == H1_OUT_NONE || u->status < 300;
}

static void h1_finish(struct upstream_stream *s)
{
    struct upstream_conn *u = upstream_of(s);
    bool clean = content_surely_read(u) && !u->dirty && u->head_read && u->keep_alive &&
                 s->response_complete && s->request_complete && h1_input_len(&u->input) == 0 && !transport_pending(&u->t) &&
                 !(u->t.io.state & (IO_PEER_ENDED | IO_BROKEN));
    h1_input_clear(&u->input);
    chunk_unref(u->head_chunk);
    u->head_chunk = NULL;
    u->input.expect = u->head_read ? (uint32_t)MIN(u->body.seen, (uint64_t)UINT32_MAX) : 0;
    if (u->head_read)
        h1_body_in_fini(&u->body);
    u->head_read = false;
    u->arena = NULL;
    u->on_finish(u, clean);
}

static struct chunk *h1_head_chunk(const struct upstream_stream *s)
{
    return container_of(s, const struct upstream_conn, stream)->head_chunk;
}

static void h1_drop_buffer(struct upstream_stream *s)
{
    struct upstream_conn *u = upstream_of(s);
    if (h1_input_len(&u->input) == 0)
        h1_input_clear(&u->input);
}

static const struct upstream_ops h1_ops = {
    .send_head = h1_send_head,
    .send = h1_send,
    .read_head = h1_read_head,
    .read = h1_read,
    .raw = h1_raw,
    .note_raw = h1_note_raw,
    .take_buffered = h1_take_buffered,
    .ready = h1_ready,
    .wait = h1_wait,
    .end_write = h1_end_write,
    .head_chunk = h1_head_chunk,
    .drop_buffer = h1_drop_buffer,
    .finish = h1_finish,
};

void upstream_init(struct upstream_conn *u)
{
    list_init(&u->node);
    u->h2 = NULL;
    u->input = (struct h1_input){0};
    u->head_chunk = NULL;
    u->n_exchanges = 0;
    u->member = NULL;
    u->expires_ms = UINT64_MAX;
    u->exchanges_max = 0;
    u->stream.reset = false;
    u->head_read = false;
}

struct upstream_stream *upstream_begin(struct upstream_conn *u, struct arena *a,
                                       const struct h1_limits *limits, uint64_t stall_ms)
{
    if (u->h2)
        return upstream_h2_begin(u, a, limits, stall_ms);
    u->stream = (struct upstream_stream){.ops = &h1_ops, .stall_ms = stall_ms, .reused = u->n_exchanges > 0};
    u->n_exchanges++;
    u->dirty = u->keep_alive = u->tunnel = u->head_read = false;
    u->out = H1_OUT_NONE;
    u->out_left = 0;
    u->limits = *limits;
    u->arena = a;
    return &u->stream;
}

struct upstream_stream *upstream_begin_tunnel(struct upstream_conn *u, struct arena *a, uint64_t stall_ms)
{
    static const struct h1_limits none;
    struct upstream_stream *s = upstream_begin(u, a, &none, stall_ms);
    u->tunnel = u->dirty = s->reset = true;
    return s;
}

bool upstream_is_alive(struct upstream_conn *u)
{
    char byte;
    size_t n;
    u->t.io.state |= IO_READABLE;
    return transport_recv_now(&u->t, &byte, 1, &n) == ERR_AGAIN;
}

void upstream_close(struct upstream_conn *u)
{
    if (u->h2)
        upstream_h2_end(u);
    h1_input_clear(&u->input);
    if (u->stream.reset)
        io_close_reset(&u->t.io);
    transport_close(&u->t);
}
