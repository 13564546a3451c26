// SPDX-License-Identifier: Apache-2.0
#include "proxy/cache_send.h"

#include "proxy/content.h"

struct cache_send {
    struct disk_object object;
    struct disk_piece piece; // len 0: none at hand
    uint64_t at, left;       // of the run, what is behind the piece
    bool head_sent;
};

static enum err next_piece(struct cache_send *s, bool want_fd)
{
    enum err e = disk_piece(&s->object, s->at, s->left, want_fd, &s->piece);
    if (e)
        return e;
    s->at += s->piece.len;
    s->left -= s->piece.len;
    return ERR_OK;
}

// As if the piece had not been taken.
static void put_back(struct cache_send *s)
{
    s->at -= s->piece.len;
    s->left += s->piece.len;
    disk_piece_release(&s->piece);
    s->piece.len = 0;
}

enum err cache_send_prepare(struct exchange *x)
{
    struct cached *c = x->cached;
    struct cache_send *s = (struct cache_send *)arena_zalloc(x->arena, sizeof *s);
    if (!s)
        return ERR_NO_MEMORY;
    c->send = s;
    disk_object_dup(cache_body_disk(c->object->body), &s->object);
    s->at = c->ranges ? c->ranges->v[0].first : 0;
    s->left = c->content_length;
    enum err e = next_piece(s, true);
    return e == ERR_NOT_FOUND ? ERR_AGAIN : e;
}

void cache_send_end(struct cached *c)
{
    if (!c->send)
        return;
    disk_piece_release(&c->send->piece);
    disk_object_close(&c->send->object);
    c->send = NULL;
}

static enum err send_head(struct exchange *x, struct cache_send *s, struct chunkq *q, bool end)
{
    s->head_sent = true;
    return content_send_head(x, q, end);
}

// ERR_AGAIN: not to this client.
static enum err send_part_of_file(struct exchange *x, struct cache_send *s)
{
    struct chunkq none;
    chunkq_init(&none);
    enum err e = s->head_sent ? ERR_OK : send_head(x, s, &none, false);
    struct io *raw = e || x->filters ? NULL : x->client->ops->raw(x->client);
    if (e || !raw)
        return e ? e : ERR_AGAIN;
    e = io_sendfile(raw, s->piece.fd, s->piece.fd_offset, s->piece.len, x->client->stall_ms);
    x->client->ops->note_raw(x->client, e ? 0 : s->piece.len, !e && s->left == 0);
    return e == ERR_TIMEOUT ? ERR_CLIENT_STALLED : e == ERR_RESET ? ERR_CANCELED : e == ERR_EOF ? ERR_IO : e;
}

static enum err send_bytes(struct exchange *x, struct cache_send *s)
{
    struct chunkq q;
    chunkq_init(&q);
    enum err e = chunkq_append(&q, s->piece.chunk, s->piece.ptr, s->piece.len);
    if (!e)
        e = s->head_sent ? content_send(x, &q, s->left == 0, NULL, false) : send_head(x, s, &q, s->left == 0);
    chunkq_fini(&q);
    return e;
}

enum err cache_send(struct exchange *x)
{
    struct cache_send *s = x->cached->send;
    bool want_fd = true;
    for (;;) {
        enum err e = s->piece.fd >= 0 ? send_part_of_file(x, s) : send_bytes(x, s);
        if (e == ERR_AGAIN) {
            want_fd = false;
            put_back(s);
        } else if (e) {
            return e;
        }
        disk_piece_release(&s->piece);
        s->piece.len = 0;
        if (!s->left)
            return ERR_OK;
        e = next_piece(s, want_fd);
        if (e)
            return e == ERR_NOT_FOUND ? ERR_IO : e;
    }
}
