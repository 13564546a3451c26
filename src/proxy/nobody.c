// SPDX-License-Identifier: Apache-2.0
#include "proxy/nobody.h"

static enum err nobody_read(struct client_stream *s, struct chunkq *q, size_t want, uint64_t deadline)
{
    (void)s, (void)q, (void)want, (void)deadline;
    return ERR_EOF;
}

static enum err nobody_send_interim(struct client_stream *s, const struct response *r)
{
    struct nobody *n = container_of(s, struct nobody, stream);
    return n->interim(n, r);
}

static enum err nobody_send_head(struct client_stream *s, struct response *r, struct chunkq *content, bool end)
{
    (void)s, (void)r, (void)content, (void)end;
    return ERR_CANCELED;
}

static enum err nobody_send(struct client_stream *s, struct chunkq *content, bool end, const struct fields *trailers)
{
    (void)s, (void)content, (void)end, (void)trailers;
    return ERR_CANCELED;
}

static struct io *nobody_raw(struct client_stream *s)
{
    (void)s;
    return NULL;
}

static void nobody_note_raw(struct client_stream *s, uint64_t n, bool end)
{
    (void)s, (void)n, (void)end;
}

static enum err nobody_take_buffered(struct client_stream *s, struct chunkq *q)
{
    (void)s, (void)q;
    return ERR_OK;
}

static bool nobody_ready(const struct client_stream *s)
{
    (void)s;
    return true;
}

static void nobody_end_write(struct client_stream *s)
{
    (void)s;
}

static void nobody_watch(struct client_stream *s, struct fiber *f)
{
    (void)s, (void)f;
}

static bool nobody_confirm(struct client_stream *s)
{
    (void)s;
    return false;
}

static const struct client_ops nobody_ops = {
    .read = nobody_read,
    .send_interim = nobody_send_interim,
    .send_head = nobody_send_head,
    .send = nobody_send,
    .raw = nobody_raw,
    .note_raw = nobody_note_raw,
    .take_buffered = nobody_take_buffered,
    .ready = nobody_ready,
    .end_write = nobody_end_write,
    .watch = nobody_watch,
    .confirm = nobody_confirm,
};

void nobody_init(struct nobody *n, const struct request *req, uint64_t stall_ms, enum err (*interim)(struct nobody *n, const struct response *r))
{
    n->stream = (struct client_stream){.ops = &nobody_ops, .req = req, .stall_ms = stall_ms, .request_complete = true};
    n->interim = interim;
}
