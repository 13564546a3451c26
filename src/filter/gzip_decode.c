// SPDX-License-Identifier: Apache-2.0
// gzip and deflate (which is zlib's form, RFC 9110 8.4.1.2; the raw form that some servers mean is told by its first bytes).
#include <zlib.h>

#include "base/macros.h"
#include "base/mem.h"
#include "filter/codec.h"

enum { WINDOW_ANY = 15 + 32, WINDOW_RAW = -15 };

struct gzip_decoder {
    struct filter f;
    struct codec_out o;
    struct codec_guard guard;
    unsigned char head[2];
    unsigned n_head; // of the first two bytes, which tell the form
    bool open, member_ended;
    z_stream z;
};

// gzip begins with 1f 8b; zlib's two bytes are a multiple of 31 with method 8. All else can only be raw.
static enum err begin(struct gzip_decoder *g)
{
    bool gzip = g->head[0] == 0x1f && g->head[1] == 0x8b;
    bool zlib = (g->head[0] & 15) == 8 && (g->head[0] << 8 | g->head[1]) % 31 == 0;
    if (inflateInit2(&g->z, gzip || zlib ? WINDOW_ANY : WINDOW_RAW) != Z_OK)
        return ERR_NO_MEMORY;
    g->open = true;
    return ERR_OK;
}

// One call of inflate over the bytes given; *ret_taken of them were used.
static enum err inflate_some(struct gzip_decoder *g, const void *bytes, size_t len, struct chunkq *out, size_t *ret_taken, size_t *ret_made)
{
    char *room;
    size_t cap;
    if (g->member_ended) { // several members are one content (RFC 1952 2.2)
        if (inflateReset(&g->z) != Z_OK)
            return ERR_BAD_CONTENT_CODING;
        g->member_ended = false;
    }
    enum err e = codec_room(&g->o, &room, &cap);
    if (e)
        return e;
    g->z.next_in = (Bytef *)(uintptr_t)bytes;
    g->z.avail_in = (unsigned)MIN(len, (size_t)1 << 30);
    unsigned given = g->z.avail_in;
    g->z.next_out = (Bytef *)room;
    g->z.avail_out = (unsigned)cap;
    int r = inflate(&g->z, Z_NO_FLUSH);
    *ret_taken = given - g->z.avail_in;
    *ret_made = cap - g->z.avail_out;
    if (r == Z_MEM_ERROR)
        return ERR_NO_MEMORY;
    if (r != Z_OK && r != Z_STREAM_END && r != Z_BUF_ERROR)
        return ERR_BAD_CONTENT_CODING;
    g->member_ended = r == Z_STREAM_END;
    g->guard.in += *ret_taken;
    g->guard.out += *ret_made;
    if (!codec_guard_allows(&g->guard))
        return ERR_DECODED_TOO_LARGE;
    return codec_grew(&g->o, out, *ret_made);
}

static enum err run(struct filter *f, struct chunkq *in, struct chunkq *out, enum filter_more more, bool *ret_done)
{
    struct gzip_decoder *g = container_of(f, struct gzip_decoder, f);
    size_t made = 0, n = 0, k;
    enum err e = ERR_OK;
    if (!g->open) {
        while (g->n_head < 2 && in->bytes) {
            g->head[g->n_head++] = (unsigned char)*chunkq_first(in).ptr;
            chunkq_skip(in, 1);
        }
        if (g->n_head < 2) // an empty content is none; a single byte is a broken one
            return *ret_done = true, more == FILTER_END && g->n_head ? ERR_BAD_CONTENT_CODING : ERR_OK;
        e = begin(g);
        if (!e)
            e = inflate_some(g, g->head, 2, out, &n, &k);
        if (!e && n != 2)
            e = ERR_BAD_CONTENT_CODING;
    }
    while (!e) {
        struct span s = chunkq_first(in);
        bool idle = !s.len && (g->member_ended || !g->z.next_out || g->z.avail_out);
        if (idle) {
            *ret_done = true;
            return more == FILTER_END && !g->member_ended ? ERR_BAD_CONTENT_CODING : ERR_OK;
        }
        if (made >= FILTER_STEP_BYTES)
            return *ret_done = false, ERR_OK;
        e = inflate_some(g, s.ptr, s.len, out, &n, &k);
        chunkq_skip(in, n);
        made += k;
        if (!e && !n && !k && s.len)
            e = ERR_BAD_CONTENT_CODING; // no progress
    }
    return e;
}

static void gzip_decoder_free(struct filter *f)
{
    struct gzip_decoder *g = container_of(f, struct gzip_decoder, f);
    codec_out_fini(&g->o);
    if (g->open)
        inflateEnd(&g->z);
    mem_free(g);
}

static const struct filter_ops ops = {"gunzip", run, gzip_decoder_free};

struct filter *gzip_decoder_new(uint64_t limit_bytes, unsigned ratio)
{
    struct gzip_decoder *g = (struct gzip_decoder *)mem_calloc(1, sizeof *g);
    if (!g)
        return NULL;
    g->f.ops = &ops;
    g->guard.limit = limit_bytes;
    g->guard.ratio = ratio;
    return &g->f;
}
