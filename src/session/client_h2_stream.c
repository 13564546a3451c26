// SPDX-License-Identifier: Apache-2.0
// HTTP/2 on the client's side: one request and its answer, as the exchange's fiber sees them.
#include "base/ascii.h"
#include "base/num.h"
#include "http/websocket.h"
#include "session/client_h2.h"

static struct h2_request *request_of(struct client_stream *s)
{
    return container_of(s, struct h2_request, stream);
}

static enum err broken(struct h2_request *r, enum err e)
{
    r->stream.broken = true;
    return e == ERR_TIMEOUT ? ERR_CLIENT_STALLED : e;
}

// ---- From the client

static enum err h2_read(struct client_stream *s, struct chunkq *q, size_t want, uint64_t deadline)
{
    struct h2_request *r = request_of(s);
    size_t before = q->bytes;
    enum err e = h2_flow_read(&r->flow, q, want, deadline);
    s->bytes_in += q->bytes - before;
    if (e == ERR_EOF || (r->flow.in_end && r->flow.in.bytes == 0))
        s->request_complete = true;
    return e == ERR_TIMEOUT ? ERR_CLIENT_UPLOAD_STALLED : e;
}

static bool h2_ready(const struct client_stream *s)
{
    return h2_flow_ready(&container_of(s, const struct h2_request, stream)->flow);
}

// ---- To the client

static struct span decimal(struct arena *a, uint64_t v)
{
    char *p = arena_bytes(a, 20);
    return p ? span_of(p, num_put_dec(p, v)) : SPAN_NONE;
}

static enum err submit_head(struct h2_request *r, nghttp2_nv *nv, size_t n, bool final, bool no_content)
{
    nghttp2_session *ng = r->flow.link->ng;
    nghttp2_data_provider content = h2_flow_provider(&r->flow);
    if (r->flow.error)
        return broken(r, r->flow.error);
    r->flow.head_out = false;
    int e = final ? nghttp2_submit_response(ng, r->flow.id, nv, n, no_content ? NULL : &content)
                  : nghttp2_submit_headers(ng, NGHTTP2_FLAG_NONE, r->flow.id, NULL, nv, n, NULL);
    if (e)
        return broken(r, e == NGHTTP2_ERR_NOMEM ? ERR_NO_MEMORY : ERR_CANCELED);
    h2_link_push(r->flow.link, &r->flow.head_out); // the fields' memory may be gone by the end of the turn
    return ERR_OK;
}

static enum err h2_send_interim(struct client_stream *s, const struct response *response)
{
    struct h2_request *r = request_of(s);
    size_t n;
    nghttp2_nv *nv = h2_nv(&response->fields, &r->arena, 1, &n);
    struct span status = decimal(&r->arena, response->status);
    if (!nv || !status.ptr)
        return ERR_NO_MEMORY;
    nv[0] = h2_nv_one(SPAN(":status"), status);
    return submit_head(r, nv, n, false, true);
}

// The server's answer to the key that we made up (RFC 6455 4.1) is for us, and HTTP/2 has none.
static enum err accept_websocket(struct h2_request *r, struct response *response)
{
    char accept[WEBSOCKET_ACCEPT_BYTES];
    const struct field *f = fields_find(&response->fields, SPAN("Sec-WebSocket-Accept"));
    if (!f || !span_eq(f->value, websocket_accept(r->websocket_key, accept)))
        return ERR_UPGRADE_FAILED;
    fields_remove_named(&response->fields, SPAN("Sec-WebSocket-Accept"));
    return ERR_OK;
}

static void choose_framing(struct h2_request *r, const struct response *response)
{
    bool to_connect = r->req.method == METHOD_CONNECT && response->status / 100 == 2;
    r->tunnel = response->status == 101 || to_connect;
    r->head_only = !r->tunnel && (r->req.method == METHOD_HEAD || response->status == 204 || response->status == 304);
    r->length_known = !r->head_only && !r->tunnel && (response->framing.kind == FRAMING_LENGTH || response->framing.kind == FRAMING_NONE);
    r->out_left = r->length_known ? response->framing.length : 0;
}

static enum err put_head(struct h2_request *r, struct response *response, nghttp2_nv **ret_nv, size_t *ret_n)
{
    bool length = r->length_known || (r->head_only && response->framing.kind == FRAMING_LENGTH && response->status != 204);
    nghttp2_nv *nv = h2_nv(&response->fields, &r->arena, length ? 2 : 1, ret_n);
    struct span status = decimal(&r->arena, response->status == 101 ? 200 : response->status);
    if (!nv || !status.ptr)
        return ERR_NO_MEMORY;
    nv[0] = h2_nv_one(SPAN(":status"), status);
    if (length) {
        struct span v = decimal(&r->arena, response->framing.kind == FRAMING_LENGTH ? response->framing.length : 0);
        if (!v.ptr)
            return ERR_NO_MEMORY;
        nv[1] = h2_nv_one(SPAN("content-length"), v);
    }
    *ret_nv = nv;
    return ERR_OK;
}

static bool count_out(struct h2_request *r, size_t n, bool end)
{
    if (!r->length_known)
        return true;
    if (n > r->out_left || (end && n < r->out_left))
        return false;
    r->out_left -= n;
    return true;
}

static enum err send_content(struct h2_request *r, struct chunkq *content, bool end, const struct fields *trailers)
{
    size_t n = content->bytes;
    if (!count_out(r, n, end))
        return broken(r, ERR_INTERNAL);
    r->stream.bytes_out += n;
    enum err e = h2_flow_send(&r->flow, content, end, trailers, r->stream.stall_ms);
    return e ? broken(r, e) : ERR_OK;
}

static enum err h2_send_head(struct client_stream *s, struct response *response, struct chunkq *content, bool end)
{
    struct h2_request *r = request_of(s);
    nghttp2_nv *nv;
    size_t n;
    if (response->status == 101 && r->websocket_key.len) {
        enum err e = accept_websocket(r, response);
        if (e)
            return e;
    }
    if (r->extended && response->status / 100 == 2)
        return ERR_UPGRADE_FAILED; // it would be taken for a tunnel
    choose_framing(r, response);
    if (r->head_only) {
        chunkq_clear(content);
        end = true;
    }
    enum err e = put_head(r, response, &nv, &n);
    if (e)
        return e;
    struct span priority = fields_value(&response->fields, FIELD_PRIORITY);
    if (priority.ptr)
        h2_priority_set(r->flow.link->ng, r->flow.id, priority, true);
    bool no_content = end && content->bytes == 0;
    if (no_content)
        r->flow.out_end = true;
    e = submit_head(r, nv, n, true, no_content);
    if (e)
        return e;
    s->head_sent = true;
    if (no_content || (content->bytes == 0 && !end))
        return count_out(r, 0, end && !r->head_only) ? ERR_OK : broken(r, ERR_INTERNAL);
    return send_content(r, content, end, NULL);
}

static enum err h2_send(struct client_stream *s, struct chunkq *content, bool end, const struct fields *trailers)
{
    struct h2_request *r = request_of(s);
    if (r->head_only) {
        chunkq_clear(content);
        return ERR_OK;
    }
    return send_content(r, content, end, trailers);
}

static void h2_end_write(struct client_stream *s)
{
    struct h2_request *r = request_of(s);
    struct chunkq none;
    chunkq_init(&none);
    (void)!h2_flow_send(&r->flow, &none, true, NULL, s->stall_ms);
    chunkq_fini(&none);
}

// ---- What only a connection of its own has

static struct io *h2_raw(struct client_stream *s)
{
    (void)s;
    return NULL;
}

static void h2_note_raw(struct client_stream *s, uint64_t n, bool end)
{
    (void)s, (void)n, (void)end;
}

static enum err h2_take_buffered(struct client_stream *s, struct chunkq *q)
{
    (void)s, (void)q;
    return ERR_OK;
}

static void h2_watch(struct client_stream *s, struct fiber *f)
{
    struct h2_request *r = request_of(s);
    r->watcher = f;
    if (f && r->flow.error == ERR_CANCELED)
        fiber_cancel(f, ERR_CANCELED);
}

static bool h2_confirm(struct client_stream *s)
{
    return !s->broken && request_of(s)->flow.error != ERR_CANCELED;
}

const struct client_ops h2_client_ops = {
    .read = h2_read,
    .send_interim = h2_send_interim,
    .send_head = h2_send_head,
    .send = h2_send,
    .raw = h2_raw,
    .note_raw = h2_note_raw,
    .take_buffered = h2_take_buffered,
    .ready = h2_ready,
    .end_write = h2_end_write,
    .watch = h2_watch,
    .confirm = h2_confirm,
};
