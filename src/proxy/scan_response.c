// SPDX-License-Identifier: Apache-2.0
// Answers on their way through a service. What follows (the cache, filters, the client) sees a stream like
// any other.
//
// The trickle: where there is no verdict after a while, the head goes out, and an octet of content with each
// further while, so that clients do not give up. What has gone out can never be more than a small part of the
// content, and should the verdict be that it is bad, or another content, the answer breaks off.
#include "proxy/attempt.h"
#include "proxy/scan_transaction.h"

struct scan_stream {
    struct upstream_stream stream;
    struct scan scan;
    size_t trickled;      // octets that went out before the verdict
    size_t to_compare;    // of them, with what the service answers
    uint64_t next_ms;     // when the next one may go
    struct request shown; // whose answer it is, as the service sees it
    // What the server's own head promised
    struct framing framing;
    struct span coding;
};

static struct scan_stream *stream_of(struct upstream_stream *u)
{
    return container_of(u, struct scan_stream, stream);
}

// ---- From the server

static enum err source_read(struct scan *s, struct chunkq *q, size_t want)
{
    return s->inner->ops->read(s->inner, q, want, deadline_in(s->x->timeouts->between_bytes));
}

static bool source_ended(const struct scan *s)
{
    return s->inner->response_complete;
}

static const struct scan_source from_server = {source_read, source_ended};

// ---- The trickle

static uint64_t may_trickle(const struct scan_stream *w)
{
    return MIN((uint64_t)w->scan.begin.bytes, w->scan.n_read / SCAN_TRICKLE_SHARE);
}

static enum err trickle(struct scan_stream *w, struct chunkq *q)
{
    struct chunkq out;
    chunkq_init(&out);
    enum err e = chunkq_share(&out, &w->scan.begin, w->trickled + 1);
    chunkq_skip(&out, w->trickled);
    if (!e)
        e = chunkq_move(q, &out, 1);
    chunkq_fini(&out);
    w->trickled++;
    w->next_ms = loop_now_ms() + w->scan.rule->trickle_ms;
    return e;
}

// After some of it went out: the verdict must be about what the client has been promised.
static enum err hold_to_promise(struct scan_stream *w)
{
    struct scan *s = &w->scan;
    const struct response *is = &s->resp;
    if (s->state == SCAN_PASSING) {
        chunkq_skip(&s->kept, w->trickled);
        return ERR_OK;
    }
    bool same = is->status == s->status &&
                span_eq(fields_value(&is->fields, FIELD_CONTENT_ENCODING), w->coding) &&
                (w->framing.kind != FRAMING_LENGTH ||
                 (is->framing.kind == FRAMING_LENGTH && is->framing.length == w->framing.length));
    w->to_compare = w->trickled;
    return s->blocked ? ERR_SCAN_BLOCKED : same ? ERR_OK : ERR_SCAN_FAILED;
}

// Cuts what has gone out already off the beginning of q.
static enum err compare(struct scan_stream *w, struct chunkq *q)
{
    char sent[SCAN_TRICKLE_BYTES], now[SCAN_TRICKLE_BYTES];
    size_t from = w->trickled - w->to_compare, n = MIN(w->to_compare, q->bytes);
    (void)chunkq_peek(&w->scan.begin, sent, w->trickled);
    (void)chunkq_peek(q, now, n);
    if (memcmp(sent + from, now, n) != 0)
        return ERR_SCAN_FAILED;
    chunkq_skip(q, n);
    w->to_compare -= n;
    return ERR_OK;
}

// ---- The stream

static enum err wait_or_trickle(struct scan_stream *w, uint64_t deadline)
{
    struct scan *s = &w->scan;
    for (;;) {
        bool may = w->trickled < may_trickle(w);
        if (may && loop_now_ms() >= w->next_ms)
            return ERR_AGAIN;
        // What may go out grows with what was sent: looked at again.
        uint64_t step = may                                ? w->next_ms
                        : w->trickled < SCAN_TRICKLE_BYTES ? loop_now_ms() + s->rule->trickle_ms
                                                           : DEADLINE_NONE;
        enum err e = scan_wait(s, MIN(step, deadline));
        if (e != ERR_TIMEOUT || loop_now_ms() >= deadline)
            return e;
    }
}

static void note_end(struct scan_stream *w)
{
    w->stream.response_complete = scan_is_complete(&w->scan) && !w->to_compare;
}

static enum err scanned_read(struct upstream_stream *u, struct chunkq *q, size_t want, uint64_t deadline)
{
    struct scan_stream *w = stream_of(u);
    struct scan *s = &w->scan;
    (void)deadline; // the service has its own, and so has the source
    if (s->state == SCAN_WAITING) {
        enum err e = wait_or_trickle(w, DEADLINE_NONE);
        if (e == ERR_AGAIN)
            return trickle(w, q);
        if (!e)
            e = hold_to_promise(w);
        if (e)
            return e;
    }
    size_t before = q->bytes;
    enum err e = ERR_OK;
    while (!e && q->bytes == before) {
        struct chunkq got;
        chunkq_init(&got);
        e = scan_read(s, &got, want);
        if (e == ERR_EOF && w->to_compare)
            e = ERR_SCAN_FAILED;
        if (!e && unlikely(w->to_compare))
            e = compare(w, &got);
        if (!e)
            e = chunkq_move(q, &got, got.bytes);
        chunkq_fini(&got);
    }
    u->bytes_in += q->bytes - before;
    note_end(w);
    return e;
}

static bool scanned_ready(const struct upstream_stream *u)
{
    const struct scan_stream *w = container_of(u, const struct scan_stream, stream);
    const struct scan *s = &w->scan;
    if (s->state == SCAN_WAITING)
        return false;
    return scan_is_ready(s) || (s->state == SCAN_PASSING && s->inner->ops->ready(s->inner));
}

static enum err scanned_wait(struct upstream_stream *u, uint64_t deadline)
{
    struct scan_stream *w = stream_of(u);
    struct scan *s = &w->scan;
    if (s->state == SCAN_WAITING) {
        enum err e = wait_or_trickle(w, deadline);
        if (e == ERR_AGAIN)
            return ERR_OK;
        return e ? e : hold_to_promise(w);
    }
    if (scanned_ready(u))
        return ERR_OK;
    return s->state == SCAN_PASSING ? s->inner->ops->wait(s->inner, deadline) : icap_wait(&s->icap, deadline);
}

static enum err scanned_send_head(struct upstream_stream *u, const struct request *r, struct chunkq *content,
                                  bool end)
{
    (void)u, (void)r, (void)content, (void)end;
    return ERR_INTERNAL; // it was sent before
}

// The request's content may still be on its way when its answer comes.
static enum err scanned_send(struct upstream_stream *u, struct chunkq *content, bool end,
                             const struct fields *trailers)
{
    struct upstream_stream *inner = stream_of(u)->scan.inner;
    return inner->ops->send(inner, content, end, trailers);
}

static enum err scanned_read_head(struct upstream_stream *u, struct arena *a, uint64_t deadline,
                                  struct response *ret)
{
    (void)u, (void)a, (void)deadline, (void)ret;
    return ERR_INTERNAL;
}

static struct io *scanned_raw(struct upstream_stream *u)
{
    (void)u;
    return NULL;
}

static void scanned_note_raw(struct upstream_stream *u, uint64_t n)
{
    (void)u, (void)n;
}

static enum err scanned_take_buffered(struct upstream_stream *u, struct chunkq *q)
{
    (void)u, (void)q;
    return ERR_OK;
}

static void scanned_end_write(struct upstream_stream *u)
{
    (void)u;
}

static struct chunk *scanned_head_chunk(const struct upstream_stream *u)
{
    const struct upstream_stream *inner = container_of(u, const struct scan_stream, stream)->scan.inner;
    return inner->ops->head_chunk(inner);
}

static void scanned_finish(struct upstream_stream *u)
{
    struct scan_stream *w = stream_of(u);
    struct upstream_stream *inner = w->scan.inner;
    scan_end(&w->scan);
    inner->ops->finish(inner);
}

static const struct upstream_ops scanned_ops = {
    .send_head = scanned_send_head,
    .send = scanned_send,
    .read_head = scanned_read_head,
    .read = scanned_read,
    .raw = scanned_raw,
    .note_raw = scanned_note_raw,
    .take_buffered = scanned_take_buffered,
    .ready = scanned_ready,
    .wait = scanned_wait,
    .end_write = scanned_end_write,
    .head_chunk = scanned_head_chunk,
    .finish = scanned_finish,
};

// ---- Beginning

static bool has_content(const struct exchange *x)
{
    const struct response *r = &x->resp;
    return x->req->method != METHOD_HEAD && !r->no_content && r->framing.kind != FRAMING_NONE &&
           !(r->framing.kind == FRAMING_LENGTH && r->framing.length == 0);
}

static enum err begin(struct scan_stream *w, struct exchange *x)
{
    struct scan *s = &w->scan;
    w->shown = x->out;
    w->shown.framing = (struct framing){FRAMING_NONE, 0};
    s->request = (struct icap_request){
        .method = ICAP_RESPMOD, .url = &s->rule->url, .req = &w->shown, .resp = &x->resp};
    enum err e = scan_url(x, &s->request.target);
    if (!e)
        e = scan_take(s, &x->ahead);
    if (!e)
        e = scan_begin(s, x->resp.framing.kind == FRAMING_LENGTH ? x->resp.framing.length : UINT64_MAX);
    if (!e)
        e = scan_wait(s, deadline_in(s->rule->trickle_ms));
    if (e == ERR_TIMEOUT && s->state == SCAN_WAITING) {
        w->next_ms = loop_now_ms();
        e = ERR_OK;
    }
    return e;
}

enum err scan_response(struct exchange *x)
{
    const struct scanning *all = scanning_of(x);
    const struct scan_rule *r = all ? all->responses : NULL;
    if (!r || !has_content(x))
        return ERR_OK;
    if (x->resp.framing.kind == FRAMING_LENGTH && x->resp.framing.length > r->max_bytes) {
        x->scan_said = SPAN("too-large");
        x->rule = r->refuses_larger ? r->where : x->rule;
        return r->refuses_larger ? ERR_SCAN_TOO_LARGE : ERR_OK;
    }
    struct scan_stream *w = (struct scan_stream *)arena_zalloc(x->arena, sizeof *w);
    if (!w)
        return ERR_NO_MEMORY;
    scan_init(&w->scan, x, r, &from_server);
    w->scan.inner = x->upstream;
    w->scan.status = x->resp.status;
    w->framing = x->resp.framing;
    w->coding = fields_value(&x->resp.fields, FIELD_CONTENT_ENCODING);
    w->stream =
        (struct upstream_stream){.ops = &scanned_ops, .stall_ms = x->upstream->stall_ms, .any_byte = true};
    enum err e = begin(w, x);
    if (e) {
        scan_end(&w->scan);
        return e;
    }
    if (w->scan.state == SCAN_ADAPTED)
        x->resp = w->scan.resp;
    x->upstream = &w->stream;
    note_end(w);
    return ERR_OK;
}
