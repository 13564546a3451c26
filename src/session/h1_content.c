// SPDX-License-Identifier: Apache-2.0
#include "session/h1_content.h"

#include "base/check.h"
#include "base/num.h"

void h1_input_clear(struct h1_input *b)
{
    chunk_unref(b->in);
    b->in = NULL;
    b->pos = 0;
}

// Makes room behind what is buffered. What is before pos may be borrowed by others (spans into a head, shared
// content), so bytes never move within a chunk; they are copied to a new one where the run must go on.
static enum err make_room(struct h1_input *b, size_t max_bytes)
{
    size_t have = h1_input_len(b);
    if (have >= max_bytes)
        return ERR_FIELDS_TOO_LARGE;
    if (b->in && b->in->used < b->in->cap && (have || b->in->cap - b->in->used >= 2048))
        return ERR_OK;
    struct chunk *c = chunk_new(have ? MIN(have * 2, max_bytes) : b->expect > CHUNK_SMALL_BYTES ? CHUNK_MEDIUM_BYTES : CHUNK_SMALL_BYTES);
    if (!c)
        return ERR_NO_MEMORY;
    if (have)
        memcpy(c->data, b->in->data + b->pos, have);
    c->used = (uint32_t)have;
    chunk_unref(b->in);
    b->in = c;
    b->pos = 0;
    return ERR_OK;
}

// Whoever surely has to wait holds no buffer meanwhile that nobody else holds: peers that take their time are many.
static enum err wait_without_buffer(struct h1_input *b, struct transport *t, uint64_t deadline)
{
    if (likely(t->io.state & IO_READABLE) || h1_input_len(b) || transport_pending(t))
        return ERR_OK;
    if (b->in && !chunk_is_shared(b->in))
        h1_input_clear(b);
    return transport_wait_readable(t, deadline);
}

enum err h1_input_more(struct h1_input *b, struct transport *t, size_t max_bytes, uint64_t deadline)
{
    enum err e = wait_without_buffer(b, t, deadline);
    size_t n;
    if (!e)
        e = make_room(b, max_bytes);
    if (!e)
        e = transport_recv(t, b->in->data + b->in->used, b->in->cap - b->in->used, deadline, &n);
    if (!e)
        b->in->used += (uint32_t)n;
    return e;
}

enum err h1_input_more_now(struct h1_input *b, struct transport *t, size_t max_bytes)
{
    enum err e = make_room(b, max_bytes);
    size_t n;
    if (!e)
        e = transport_recv_now(t, b->in->data + b->in->used, b->in->cap - b->in->used, &n);
    if (!e)
        b->in->used += (uint32_t)n;
    return e;
}

void h1_body_in_init(struct h1_body_in *c, const struct framing *framing, const struct h1_limits *limits)
{
    c->framing = *framing;
    c->left = framing->kind == FRAMING_LENGTH ? framing->length : 0;
    c->seen = 0;
    c->complete = framing->kind == FRAMING_NONE || (framing->kind == FRAMING_LENGTH && framing->length == 0);
    chunkq_init(&c->trailer_lines);
    if (framing->kind == FRAMING_CHUNKED)
        h1_chunked_init(&c->chunked, limits);
}

void h1_body_in_fini(struct h1_body_in *c)
{
    chunkq_fini(&c->trailer_lines);
}

// How much to read at once: large transfers in large chunks, small ones without waste.
static size_t chunk_bytes_for(const struct h1_body_in *c, size_t want)
{
    uint64_t expect = c->framing.kind == FRAMING_LENGTH ? c->left : c->seen;
    if (expect <= CHUNK_SMALL_BYTES || want <= CHUNK_SMALL_BYTES)
        return CHUNK_SMALL_BYTES;
    return want <= CHUNK_MEDIUM_BYTES || expect <= 4 * CHUNK_MEDIUM_BYTES ? CHUNK_MEDIUM_BYTES : CHUNK_LARGE_BYTES;
}

static enum err fill(struct h1_body_in *c, struct h1_input *b, struct transport *t, size_t want, uint64_t deadline)
{
    enum err e = wait_without_buffer(b, t, deadline);
    if (e)
        return e;
    if (!b->in || b->in->cap - b->in->used < 4096 || (MIN(c->left, want) > CHUNK_SMALL_BYTES && b->in->class_ == 0)) {
        h1_input_clear(b);
        b->in = chunk_new(chunk_bytes_for(c, want));
        if (!b->in)
            return ERR_NO_MEMORY;
    } else {
        b->pos = b->in->used;
    }
    size_t n, cap = b->in->cap - b->in->used;
    e = transport_recv(t, b->in->data + b->in->used, cap, deadline, &n);
    if (!e)
        b->in->used += (uint32_t)n;
    return e;
}

static enum err take_chunked(struct h1_body_in *c, struct h1_input *b, struct chunkq *q, size_t *ret_got)
{
    size_t got = 0;
    while (h1_input_len(b) && !c->complete) {
        size_t used;
        struct span data;
        enum err e = h1_chunked_decode(&c->chunked, b->in->data + b->pos, h1_input_len(b), &c->trailer_lines,
                                       &used, &data);
        if (e && e != ERR_EOF)
            return e;
        if (e == ERR_EOF)
            c->complete = true;
        if (data.len) {
            enum err e2 = chunkq_append(q, b->in, data.ptr, data.len);
            if (e2)
                return e2;
            got += data.len;
        }
        b->pos += (uint32_t)used;
    }
    *ret_got = got;
    return ERR_OK;
}

static enum err take_plain(struct h1_body_in *c, struct h1_input *b, struct chunkq *q, size_t *ret_got)
{
    size_t n = h1_input_len(b);
    if (c->framing.kind == FRAMING_LENGTH)
        n = (size_t)MIN((uint64_t)n, c->left);
    enum err e = chunkq_append(q, b->in, b->in->data + b->pos, n);
    if (e)
        return e;
    b->pos += (uint32_t)n;
    if (c->framing.kind == FRAMING_LENGTH) {
        c->left -= n;
        c->complete = c->left == 0;
    }
    *ret_got = n;
    return ERR_OK;
}

enum err h1_body_in_read(struct h1_body_in *c, struct h1_input *b, struct transport *t, struct chunkq *q,
                         size_t want, uint64_t deadline)
{
    for (;;) {
        if (c->complete)
            return ERR_EOF;
        if (h1_input_len(b) == 0) {
            enum err e = fill(c, b, t, want, deadline);
            if (e == ERR_EOF && c->framing.kind == FRAMING_CLOSE) {
                c->complete = true;
                return ERR_EOF;
            }
            if (e == ERR_EOF || e == ERR_RESET)
                return ERR_RESPONSE_INCOMPLETE;
            if (e)
                return e;
        }
        size_t got = 0;
        enum err e = c->framing.kind == FRAMING_CHUNKED ? take_chunked(c, b, q, &got)
                                                        : take_plain(c, b, q, &got);
        if (e)
            return e;
        c->seen += got;
        if (got)
            return ERR_OK;
    }
}

enum err h1_body_out_wrap(enum h1_body_out kind, struct chunkq *q, bool end, const struct fields *trailers,
                          struct arena *a)
{
    if (kind != H1_OUT_CHUNKED)
        return ERR_OK;
    enum err e = ERR_OK;
    if (q->bytes) {
        char *p = arena_bytes(a, 20);
        if (!p)
            return ERR_NO_MEMORY;
        size_t n = num_put_hex(p, q->bytes);
        p[n++] = '\r', p[n++] = '\n';
        e = chunkq_prepend(q, NULL, p, n);
        if (!e)
            e = chunkq_append(q, NULL, end && (!trailers || !trailers->n) ? "\r\n0\r\n\r\n" : "\r\n",
                              end && (!trailers || !trailers->n) ? 7 : 2);
        if (e || !end || !trailers || !trailers->n)
            return e;
    } else if (!end) {
        return ERR_OK;
    }
    if (!trailers || !trailers->n)
        return chunkq_append(q, NULL, "0\r\n\r\n", 5);
    size_t cap = h1_fields_size(trailers) + 5;
    char *p = arena_bytes(a, cap);
    if (!p)
        return ERR_NO_MEMORY;
    struct h1_out o = {p, p + cap, false};
    h1_put(&o, SPAN("0\r\n"));
    h1_put_fields(&o, trailers);
    h1_put(&o, SPAN("\r\n"));
    CHECK(!o.full);
    return chunkq_append(q, NULL, p, (size_t)(o.next - p));
}
