// SPDX-License-Identifier: Apache-2.0
// HTTP/2 toward a server: one exchange, as its fiber sees it.
#include "base/num.h"
#include "http/websocket.h"
#include "session/upstream_h2.h"
#include "session/h2_window.h"

static struct h2_exchange *exchange_of(struct upstream_stream *s)
{
    return container_of(s, struct h2_exchange, stream);
}

void h2_exchange_wake(struct h2_exchange *s)
{
    struct fiber *f = s->waiter;
    s->waiter = NULL;
    if (f)
        fiber_wake(f);
}

void h2_exchange_fail(struct h2_exchange *s, enum err e)
{
    h2_flow_fail(&s->flow, e);
    h2_exchange_wake(s);
}

// ---- The answer's head, as it comes

static bool read_status(struct span s, uint16_t *ret)
{
    uint64_t v;
    if (s.len != 3 || !num_parse_dec(s, 999, &v) || v < 100)
        return false;
    *ret = (uint16_t)v;
    return true;
}

static enum err read_framing(struct h2_exchange *s, struct response *r, bool end)
{
    const struct field *x = fields_get(&r->fields, FIELD_CONTENT_LENGTH);
    uint64_t n = 0;
    if (x && (fields_next(&r->fields, x) || !num_parse_dec(x->value, INT64_MAX, &n)))
        return ERR_BAD_RESPONSE;
    r->no_content = r->status < 200 || r->status == 204 || r->status == 304 || s->method == METHOD_HEAD;
    if (r->no_content)
        r->framing = x ? (struct framing){FRAMING_LENGTH, n} : (struct framing){FRAMING_NONE, 0};
    else if (end && n)
        return ERR_BAD_RESPONSE;
    else if (x || end)
        r->framing = (struct framing){FRAMING_LENGTH, n};
    else
        r->framing = (struct framing){FRAMING_CHUNKED, 0};
    return ERR_OK;
}

// A 2xx to an extended CONNECT is what HTTP/1 says by 101.
static enum err read_upgrade(struct h2_exchange *s, struct response *r)
{
    if (!s->token.len || r->status / 100 != 2)
        return ERR_OK;
    s->tunnel = true;
    r->status = 101;
    r->upgrade = r->no_content = true;
    r->upgrade_token = s->token;
    r->framing = (struct framing){FRAMING_NONE, 0};
    if (!s->websocket_key.len)
        return ERR_OK;
    char *accept = arena_bytes(s->arena, WEBSOCKET_ACCEPT_BYTES);
    return accept ? fields_set_named(&r->fields, SPAN("Sec-WebSocket-Accept"), websocket_accept(s->websocket_key, accept)) : ERR_NO_MEMORY;
}

static enum err read_response(struct h2_exchange *s, struct response *r, bool end)
{
    r->version = HTTP_2;
    r->keep_alive = true;
    r->fields = s->fields;
    if (!read_status(s->block.status, &r->status) || r->status == 101)
        return ERR_BAD_RESPONSE;
    bool interim = r->status < 200;
    if (interim && (end || ++s->n_interim > UINT8_MAX))
        return ERR_BAD_RESPONSE;
    enum err e = interim ? ERR_OK : read_framing(s, r, end);
    if (!e)
        e = read_upgrade(s, r);
    if (e || interim)
        return e;
    s->final_came = true;
    s->no_content = r->no_content && !s->tunnel;
    s->flow.declared = r->no_content ? (struct framing){FRAMING_NONE, 0} : r->framing;
    return ERR_OK;
}

static enum err error_of_block(enum err e)
{
    return e == ERR_NO_MEMORY ? e : e == ERR_FIELDS_TOO_LARGE || e == ERR_TARGET_TOO_LONG ? ERR_RESPONSE_FIELDS_TOO_LARGE : ERR_BAD_RESPONSE;
}

enum err h2_exchange_head(struct h2_exchange *s, bool end)
{
    enum err e = h2_block_end(&s->block);
    if (e)
        return error_of_block(e);
    s->stream.any_byte = true;
    s->stream.bytes_in += s->block.bytes;
    if (s->final_came) {
        s->stream.trailers = s->fields;
        return end ? ERR_OK : ERR_BAD_RESPONSE;
    }
    struct h2_head *head = (struct h2_head *)arena_zalloc(s->arena, sizeof *head);
    if (!head)
        return ERR_NO_MEMORY;
    e = read_response(s, &head->response, end);
    if (e)
        return e;
    *s->last_head = head;
    s->last_head = &head->next;
    h2_exchange_wake(s);
    return ERR_OK;
}

// ---- The request

static const struct span websocket_key_name = SPAN_INIT("Sec-WebSocket-Key");

static nghttp2_nv *put_head(struct h2_exchange *s, const struct request *r, size_t *ret_n)
{
    enum { PSEUDO_MAX = 5, OWN_MAX = 2 };
    struct span host = fields_value(&r->fields, FIELD_HOST);
    size_t n;
    nghttp2_nv *all = h2_nv(&r->fields, s->arena, PSEUDO_MAX + OWN_MAX, &n), front[PSEUDO_MAX + OWN_MAX];
    size_t k = 0;
    if (!all)
        return NULL;
    bool extended = s->token.len > 0;
    front[k++] = h2_nv_one(SPAN(":method"), extended ? SPAN("CONNECT") : r->method_text);
    front[k++] = h2_nv_one(SPAN(":scheme"), s->flow.link->t->info ? SPAN("https") : SPAN("http"));
    if (host.len)
        front[k++] = h2_nv_one(SPAN(":authority"), host);
    front[k++] = h2_nv_one(SPAN(":path"), r->target);
    if (extended)
        front[k++] = h2_nv_one(SPAN(":protocol"), s->token);
    if (r->framing.kind == FRAMING_LENGTH) {
        char *p = arena_bytes(s->arena, 20);
        if (!p)
            return NULL;
        front[k++] = h2_nv_one(SPAN("content-length"), span_of(p, num_put_dec(p, r->framing.length)));
    }
    if (r->te_trailers)
        front[k++] = h2_nv_one(SPAN("te"), SPAN("trailers"));
    nghttp2_nv *nv = all + (PSEUDO_MAX + OWN_MAX - k);
    memcpy(nv, front, k * sizeof *nv);
    // The frame may wait where the server takes no more streams just now. HTTP/2's WebSockets have no key.
    size_t out = 0;
    for (size_t i = 0; i < n - (PSEUDO_MAX + OWN_MAX) + k; i++) {
        nv[i].flags = NGHTTP2_NV_FLAG_NONE;
        if (!extended || !span_eq_ci(span_of((const char *)nv[i].name, nv[i].namelen), websocket_key_name))
            nv[out++] = nv[i];
    }
    *ret_n = out;
    return nv;
}

static enum err write_failed(enum err e)
{
    return e == ERR_TIMEOUT ? ERR_UPSTREAM_WRITE_TIMEOUT : e;
}

static enum err send_content(struct h2_exchange *s, struct chunkq *content, bool end, const struct fields *trailers)
{
    s->stream.bytes_out += content->bytes;
    enum err e = h2_flow_send(&s->flow, content, end, trailers, s->stream.stall_ms);
    if (!e && end)
        s->stream.request_complete = true;
    return write_failed(e);
}

// An upgrade of HTTP/1 becomes an extended CONNECT, where the server knows that (RFC 8441).
static enum err choose_upgrade(struct h2_exchange *s, const struct request *r)
{
    if (!r->upgrade)
        return ERR_OK;
    if (!nghttp2_session_get_remote_settings(s->flow.link->ng, NGHTTP2_SETTINGS_ENABLE_CONNECT_PROTOCOL))
        return r->upgrade_only ? ERR_UPGRADE_FAILED : ERR_OK; // it goes on without
    const struct field *key = fields_find(&r->fields, websocket_key_name);
    s->token = r->upgrade_token;
    s->websocket_key = key ? key->value : SPAN_NONE;
    return ERR_OK;
}

static enum err h2_send_head(struct upstream_stream *stream, const struct request *r, struct chunkq *content, bool end)
{
    struct h2_exchange *s = exchange_of(stream);
    struct h2_flow *f = &s->flow;
    size_t n;
    s->method = r->method;
    enum err e = f->error ? f->error : choose_upgrade(s, r);
    if (e)
        return e;
    nghttp2_nv *nv = put_head(s, r, &n);
    if (!nv)
        return ERR_NO_MEMORY;
    bool tunnel = s->token.len > 0, no_content = end && content->bytes == 0 && !tunnel;
    nghttp2_data_provider provider = h2_flow_provider(f);
    f->out_end = no_content;
    int32_t id = nghttp2_submit_request(f->link->ng, NULL, nv, n, no_content ? NULL : &provider, s);
    if (id < 0)
        return id == NGHTTP2_ERR_NOMEM ? ERR_NO_MEMORY : ERR_UPSTREAM_REFUSED;
    f->id = id;
    h2_link_wake(f->link);
    stream->bytes_out += h1_fields_size(&r->fields);
    if (no_content || tunnel) {
        stream->request_complete = true;
        return ERR_OK;
    }
    return content->bytes || end ? send_content(s, content, end, NULL) : ERR_OK;
}

static enum err h2_send(struct upstream_stream *stream, struct chunkq *content, bool end, const struct fields *trailers)
{
    return send_content(exchange_of(stream), content, end, trailers);
}

static void h2_end_write(struct upstream_stream *stream)
{
    struct chunkq none;
    chunkq_init(&none);
    (void)!send_content(exchange_of(stream), &none, true, NULL);
    chunkq_fini(&none);
}

// ---- The answer

static enum err h2_wait(struct upstream_stream *stream, uint64_t deadline)
{
    struct h2_exchange *s = exchange_of(stream);
    while (!s->heads && !s->flow.error && !(s->final_read && h2_flow_ready(&s->flow))) {
        s->waiter = fiber_self();
        enum err e = fiber_park(deadline);
        s->waiter = NULL;
        if (e)
            return e;
    }
    return ERR_OK; // what went wrong is said by read_head
}

static enum err h2_read_head(struct upstream_stream *stream, struct arena *a, uint64_t deadline, struct response *ret)
{
    struct h2_exchange *s = exchange_of(stream);
    (void)a;
    while (!s->heads) {
        if (s->flow.error)
            return s->flow.error;
        enum err e = h2_wait(stream, deadline);
        if (e)
            return e == ERR_TIMEOUT ? ERR_UPSTREAM_TIMEOUT : e;
    }
    struct h2_head *head = s->heads;
    s->heads = head->next;
    if (!s->heads)
        s->last_head = &s->heads;
    *ret = head->response;
    if (ret->status >= 200 || ret->status == 101) {
        s->final_read = true;
        stream->response_complete = !s->tunnel && (ret->no_content || (s->flow.in_end && s->flow.in.bytes == 0));
    }
    return ERR_OK;
}

static enum err h2_read(struct upstream_stream *stream, struct chunkq *q, size_t want, uint64_t deadline)
{
    struct h2_exchange *s = exchange_of(stream);
    size_t before = q->bytes;
    enum err e = h2_flow_read(&s->flow, q, want, deadline);
    stream->bytes_in += q->bytes - before;
    if (e == ERR_EOF || (!e && s->flow.in_end && s->flow.in.bytes == 0))
        stream->response_complete = true;
    return e == ERR_TIMEOUT ? ERR_UPSTREAM_STALLED : e;
}

static bool h2_ready(const struct upstream_stream *stream)
{
    const struct h2_exchange *s = container_of(stream, const struct h2_exchange, stream);
    return s->final_read && h2_flow_ready(&s->flow);
}

static void h2_finish(struct upstream_stream *stream)
{
    h2_exchange_detach(exchange_of(stream));
}

// ---- What only a connection of its own has

static struct io *h2_raw(struct upstream_stream *stream)
{
    (void)stream;
    return NULL;
}

static void h2_note_raw(struct upstream_stream *stream, uint64_t n)
{
    (void)stream, (void)n;
}

static enum err h2_take_buffered(struct upstream_stream *stream, struct chunkq *q)
{
    (void)stream, (void)q;
    return ERR_OK;
}

static struct chunk *h2_head_chunk(const struct upstream_stream *stream)
{
    (void)stream;
    return NULL;
}

const struct upstream_ops h2_upstream_ops = {
    .send_head = h2_send_head,
    .send = h2_send,
    .read_head = h2_read_head,
    .read = h2_read,
    .raw = h2_raw,
    .note_raw = h2_note_raw,
    .take_buffered = h2_take_buffered,
    .ready = h2_ready,
    .wait = h2_wait,
    .end_write = h2_end_write,
    .head_chunk = h2_head_chunk,
    .finish = h2_finish,
};
