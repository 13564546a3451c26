// SPDX-License-Identifier: Apache-2.0
// deliver: the answer goes to the client, pulled from where it is.
#include <unistd.h>

#include "proxy/cached.h"
#include "proxy/content.h"
#include "proxy/exchange.h"
#include "proxy/guard.h"
#include "proxy/inspect.h"
#include "proxy/pace.h"
#include "proxy/patience.h"
#include "proxy/thread.h"
#include "proxy/tunnel.h"
#include "proxy/upload.h"
#include "session/upstream.h"

enum {
    PULL_BYTES = 64 * 1024, // a client that stops reading has no more of our memory
    CROWD = 256,            // exchanges on a thread: from so many on, a client has no more of it than PULL_LITTLE_BYTES
    PULL_LITTLE_BYTES = CHUNK_SMALL_BYTES,
    SPLICE_MIN_BYTES = 64 * 1024, // of known remaining length; below that copying is cheaper
    SPLICE_BYTES = 1 << 20,
    FILE_CHUNK_BYTES = CHUNK_MEDIUM_BYTES,
};

// ---- From the upstream

static size_t pull_bytes(const struct exchange *x)
{
    return pace_piece(x, likely(x->service->n_exchanges < CROWD) ? PULL_BYTES : PULL_LITTLE_BYTES);
}

// Content that came with the head goes out with it.
static enum err first_content(struct exchange *x, struct chunkq *q)
{
    struct upstream_stream *u = x->upstream;
    while (!u->response_complete && q->bytes < pace_piece(x, SPLICE_MIN_BYTES) && u->ops->ready(u)) {
        // What is there may be less than an octet of content (half a chunk's size): then it waits.
        enum err e = u->ops->read(u, q, pull_bytes(x), deadline_in(x->timeouts->between_bytes));
        if (e)
            return e == ERR_EOF ? ERR_OK : e;
    }
    return ERR_OK;
}

static uint64_t remaining(const struct exchange *x, uint64_t sent)
{
    return x->resp.framing.kind == FRAMING_LENGTH ? x->resp.framing.length - sent : 0;
}

// Between two sockets, without the bytes passing through us. *ret_sent is counted up.
static enum err splice_content(struct exchange *x, struct io *from, struct io *to, struct io_pipe *p, uint64_t left)
{
    while (left) {
        size_t n;
        enum err e = io_splice_in(from, p, (size_t)MIN(left, (uint64_t)SPLICE_BYTES),
                                  deadline_in(x->timeouts->between_bytes), &n);
        if (e)
            return e == ERR_TIMEOUT ? ERR_UPSTREAM_STALLED : e == ERR_EOF || e == ERR_RESET ? ERR_RESPONSE_INCOMPLETE : e;
        left -= n;
        x->upstream->ops->note_raw(x->upstream, n);
        e = io_splice_out(p, to, left > 0, x->client->stall_ms);
        if (e) {
            x->client->broken = true;
            x->client->stalled = e == ERR_TIMEOUT || e == ERR_CLIENT_STALLED;
            return x->client->stalled ? ERR_CLIENT_STALLED : ERR_CANCELED;
        }
        x->client->ops->note_raw(x->client, n, left == 0);
    }
    return ERR_OK;
}

static bool try_splice(struct exchange *x, uint64_t left, enum err *ret)
{
    struct io *from, *to;
    struct io_pipe *p;
    if (x->filters || left < SPLICE_MIN_BYTES || pace_is_set(x) || !(from = x->upstream->ops->raw(x->upstream)) || !(to = x->client->ops->raw(x->client)) ||
        !(p = io_pipe_get()))
        return false;
    *ret = splice_content(x, from, to, p, left);
    io_pipe_put(p);
    return true;
}

// The whole answer is here: its server's connection, and the place there, are for others, however long the client takes to read.
static void let_upstream_go(struct exchange *x)
{
    if (x->uploading || x->upstream->trailers.n)
        return;
    struct chunk *head = x->upstream->ops->head_chunk(x->upstream);
    x->head_chunk = head ? chunk_ref(head) : NULL;
    x->head_end = x->upstream->head_end;
    exchange_end_upstream(x);
    exchange_leave_server(x, ERR_OK);
}

static enum err relay_content(struct exchange *x, struct chunkq *q, uint64_t sent)
{
    struct upstream_stream *u = x->upstream;
    while (!u->response_complete) {
        enum err e;
        if (try_splice(x, remaining(x, sent), &e))
            return e;
        e = u->ops->read(u, q, pull_bytes(x), deadline_in(x->timeouts->between_bytes));
        if (e && e != ERR_EOF)
            return e;
        sent += q->bytes;
        if (policing_is_too_large(x, sent))
            return ERR_DENIED;
        bool end = u->response_complete, idle = !end && !u->ops->ready(u);
        if (end)
            let_upstream_go(x);
        e = content_send(x, q, end, x->upstream ? guard_trailers(x, true, &u->trailers) : NULL, idle);
        if (e || end)
            return e;
    }
    return ERR_OK;
}

static enum err deliver_upstream(struct exchange *x)
{
    struct chunkq q;
    chunkq_init(&q);
    struct upstream_stream *u = x->upstream;
    enum err e = x->ahead.bytes ? chunkq_move(&q, &x->ahead, x->ahead.bytes) : ERR_OK;
    if (!e)
        e = first_content(x, &q);
    uint64_t sent = q.bytes;
    struct patience patience = {x, &q};
    bool large = !u->response_complete || sent > CHUNK_SMALL_BYTES;
    if (large)
        patience_begin(&patience);
    if (!e && u->response_complete)
        let_upstream_go(x);
    if (!e) {
        e = content_send_head(x, &q, !x->upstream);
        if (!e && x->upstream && u->response_complete)
            e = content_send(x, &q, true, guard_trailers(x, true, &u->trailers), false);
    }
    if (!e && x->upstream)
        e = relay_content(x, &q, sent);
    if (large)
        patience_end();
    chunkq_fini(&q);
    if (x->upload_err && x->uploading == false && e == x->upload_err)
        x->client->broken = true;
    if (e && x->client->head_sent)
        x->client->broken = x->client->close = true; // broken off: never as if whole
    return e;
}

// ---- Our own

static enum err send_file_by_reading(struct exchange *x, uint64_t left)
{
    struct chunkq q;
    chunkq_init(&q);
    enum err e = ERR_OK;
    while (left && !e) {
        struct chunk *c = chunk_new(FILE_CHUNK_BYTES);
        size_t n = 0;
        if (!c) {
            e = ERR_NO_MEMORY;
            break;
        }
        e = io_file_pread(x->file_fd, c->data, (size_t)MIN(left, (uint64_t)c->cap), x->file_offset, &n);
        if (!e && n == 0)
            e = ERR_EOF; // the file has shrunk meanwhile
        if (!e) {
            c->used = (uint32_t)n;
            e = chunkq_append(&q, c, c->data, n);
        }
        chunk_unref(c);
        if (!e) {
            x->file_offset += n;
            left -= n;
            e = content_send(x, &q, left == 0, NULL, false);
        }
    }
    chunkq_fini(&q);
    return e;
}

static enum err deliver_file(struct exchange *x)
{
    struct chunkq none;
    chunkq_init(&none);
    uint64_t left = x->file_left;
    bool no_content = x->req->method == METHOD_HEAD;
    enum err e = content_send_head(x, &none, left == 0 || no_content);
    if (!e && left && !no_content) {
        struct io *raw = x->filters || pace_is_set(x) ? NULL : x->client->ops->raw(x->client);
        if (raw) {
            e = io_sendfile(raw, x->file_fd, x->file_offset, left, x->client->stall_ms);
            x->client->ops->note_raw(x->client, e ? 0 : left, true);
            if (e)
                e = e == ERR_TIMEOUT || e == ERR_CLIENT_STALLED ? ERR_CLIENT_STALLED : e == ERR_RESET ? ERR_CANCELED : ERR_IO;
            x->client->stalled = e == ERR_CLIENT_STALLED;
        } else {
            e = send_file_by_reading(x, left);
        }
        if (e)
            x->client->broken = x->client->close = true;
    }
    close(x->file_fd);
    x->file_fd = -1;
    return e;
}

static enum err deliver_local(struct exchange *x)
{
    if (x->req->method == METHOD_HEAD)
        chunkq_clear(&x->content);
    return content_send_head(x, &x->content, true);
}

static enum err deliver_tunnel(struct exchange *x)
{
    struct chunkq none;
    chunkq_init(&none);
    x->client->close = true;
    enum err e = x->client->ops->send_head(x->client, &x->resp, &none, false);
    chunkq_fini(&none);
    if (!e)
        e = unlikely(x->inspect != NULL) ? inspect_run(x) : tunnel_run(x, x->timeouts->tunnel_idle);
    // A tunnel has no other way to say that this was not all. One in which nothing moved ends in order.
    if (x->upstream)
        x->client->reset = x->upstream->reset = e && e != ERR_TUNNEL_IDLE;
    return e;
}

enum err phase_deliver(struct exchange *x)
{
    switch (x->answer) {
    case ANSWER_UPSTREAM:
        return deliver_upstream(x);
    case ANSWER_FILE:
        return deliver_file(x);
    case ANSWER_TUNNEL:
        return deliver_tunnel(x);
    case ANSWER_LOCAL:
        return deliver_local(x);
    case ANSWER_STORED:
        return cache_deliver(x);
    case ANSWER_DONE:
        return ERR_OK;
    case ANSWER_NONE:
        break;
    }
    return ERR_INTERNAL;
}
