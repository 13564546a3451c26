// SPDX-License-Identifier: Apache-2.0
#include "proxy/attempt.h"

#include "proxy/thread.h"
#include "proxy/upload.h"

enum {
    AT_HAND_BYTES = 64 * 1024,     // content that goes with the head
    CONTINUE_AFTER_MS = 1000,      // a server that ignores Expect: we say 100 ourselves then
    LOOK_MS = 100,                 // how often a wait looks whether its server is still thought to be well
    WHOLE_MAX_BYTES = 64 * 1024,   // content that is waited for before the head goes on
};

// ---- The request

void attempt_keep(struct exchange *x, const struct chunkq *q, size_t from)
{
    if (!x->kept_all || q->bytes == from)
        return;
    struct chunkq fresh;
    chunkq_init(&fresh);
    bool fits = x->kept.bytes + (q->bytes - from) <= x->keep_bytes && !chunkq_share(&fresh, q, q->bytes);
    if (fits) {
        chunkq_skip(&fresh, from);
        fits = !chunkq_move(&x->kept, &fresh, fresh.bytes);
    }
    chunkq_fini(&fresh);
    if (fits)
        return;
    chunkq_clear(&x->kept);
    x->kept_all = false;
}

// Content that has arrived already goes out with the head.
static enum err content_at_hand(struct exchange *x, struct chunkq *q)
{
    enum err e = x->kept.bytes ? chunkq_share(q, &x->kept, x->kept.bytes) : ERR_OK;
    size_t before = q->bytes;
    while (!e && !upload_is_complete(x) && q->bytes < AT_HAND_BYTES && upload_is_ready(x)) {
        // What is there may be less than an octet of content (half a chunk's size): then it waits.
        e = upload_read(x, q, AT_HAND_BYTES);
        if (e == ERR_EOF)
            break;
        if (!e && x->body_limit && q->bytes > x->body_limit)
            e = ERR_CONTENT_TOO_LARGE;
    }
    if (e && e != ERR_EOF)
        return e;
    attempt_keep(x, q, before);
    x->uploaded = q->bytes;
    return ERR_OK;
}

static enum err send_request(struct exchange *x)
{
    struct chunkq q;
    chunkq_init(&q);
    enum err e = x->req->framing.kind == FRAMING_NONE ? ERR_OK : content_at_hand(x, &q);
    bool whole = upload_is_complete(x) && x->client->trailers.n == 0;
    if (!e)
        e = x->upstream->ops->send_head(x->upstream, &x->out, &q, whole);
    chunkq_fini(&q);
    if (e || whole)
        return e;
    return upload_start(x);
}

// ---- The answer

// Waits for the first byte of an answer, but not on a server that turns out to be down while somebody else could answer.
static enum err wait_for_byte(struct exchange *x, const struct attempt *a, uint64_t deadline)
{
    for (;;) {
        uint64_t until = a->movable ? MIN(deadline, deadline_in(LOOK_MS)) : deadline;
        enum err e = x->upstream->ops->wait(x->upstream, until);
        if (e != ERR_TIMEOUT || until == deadline || loop_now_ms() >= deadline)
            return e;
        if (member_flags(x->target.member) & MEMBER_DOWN)
            return ERR_UPSTREAM_TIMEOUT;
    }
}

static enum err say_continue(struct exchange *x)
{
    struct response r = {.status = 100, .version = HTTP_1_1};
    fields_init(&r.fields, x->arena);
    x->said_continue = true;
    return x->client->ops->send_interim(x->client, &r);
}

// While content still goes up the server is not late.
static enum err wait_for_head(struct exchange *x, const struct attempt *a)
{
    for (;;) {
        uint64_t before = x->uploaded;
        bool uploading = x->uploading, expected = x->req->expect_continue && !x->said_continue;
        uint64_t wait_ms = expected ? MIN(a->first_byte_ms, (uint64_t)CONTINUE_AFTER_MS) : a->first_byte_ms;
        enum err e = wait_for_byte(x, a, deadline_in(wait_ms));
        if (e != ERR_TIMEOUT)
            return e;
        if (!expected) {
            if (!uploading || x->uploaded == before)
                return ERR_UPSTREAM_TIMEOUT;
        } else if ((e = say_continue(x))) {
            return e;
        }
    }
}

static bool token_was_offered(const struct exchange *x, struct span token)
{
    return x->out.upgrade && span_eq_ci(x->out.upgrade_token, token);
}

static enum err read_response(struct exchange *x, const struct attempt *a)
{
    uint64_t t0 = loop_clock_us();
    for (unsigned interim = 0;; interim++) {
        enum err e = wait_for_head(x, a);
        if (!e)
            e = x->upstream->ops->read_head(x->upstream, x->arena, deadline_in(x->timeouts->first_byte), &x->resp);
        if (interim == 0)
            x->first_byte_us = loop_clock_us() - t0;
        if (e)
            return e;
        if (x->resp.status == 101)
            return x->resp.upgrade && token_was_offered(x, x->resp.upgrade_token) ? ERR_OK : ERR_UPGRADE_FAILED;
        if (x->resp.status >= 200)
            return ERR_OK;
        if (interim >= x->gen->limits.interim)
            return ERR_RESPONSE_TOO_MANY_1XX;
        h1_strip_hop_fields(&x->resp.fields);
        x->said_continue |= x->resp.status == 100;
        e = x->client->ops->send_interim(x->client, &x->resp);
        if (e)
            return e;
    }
}

// A short content of known length is waited for: should it break off, no client has seen a byte of it yet.
static enum err read_short_content(struct exchange *x)
{
    struct upstream_stream *u = x->upstream;
    const struct framing *f = &x->resp.framing;
    if (x->resp.no_content || f->kind != FRAMING_LENGTH || f->length > WHOLE_MAX_BYTES)
        return ERR_OK;
    while (!u->response_complete) {
        enum err e = u->ops->read(u, &x->ahead, WHOLE_MAX_BYTES, deadline_in(x->timeouts->between_bytes));
        if (e)
            return e == ERR_EOF ? ERR_OK : e;
    }
    return ERR_OK;
}

// A server may answer and close before it has read the request: the failed send is then no reason not to look.
static bool perhaps_answered(enum err e)
{
    return e == ERR_UPSTREAM_CLOSED || e == ERR_UPSTREAM_STALE || e == ERR_UPSTREAM_WRITE_TIMEOUT;
}

enum err attempt_run(struct exchange *x, struct upstream_conn *u, const struct attempt *a)
{
    x->upstream = upstream_begin(u, x->arena, &x->gen->limits.response, x->timeouts->between_bytes);
    if (!x->upstream)
        return ERR_UPSTREAM_REFUSED; // the connection has filled up or ended meanwhile
    enum err sent = send_request(x);
    if (sent && !perhaps_answered(sent))
        return sent;
    enum err e = read_response(x, a);
    if (!e && a->whole)
        e = read_short_content(x);
    if (x->upload_err)
        return x->upload_err;
    return e && sent ? sent : e;
}
