// SPDX-License-Identifier: Apache-2.0
// gzip by zlib, where there is no ISA-L.
#include <zlib.h>

#include "base/macros.h"
#include "base/mem.h"
#include "filter/codec.h"

enum { LEVEL_DEFAULT = 2, WINDOW_GZIP = 15 + 16 };

struct gzip_encoder {
    struct filter f;
    struct codec_out o;
    bool started, ended;
    z_stream z;
};

static enum err run(struct filter *f, struct chunkq *in, struct chunkq *out, enum filter_more more, bool *ret_done)
{
    struct gzip_encoder *g = container_of(f, struct gzip_encoder, f);
    size_t made = 0;
    if (g->ended)
        return in->bytes ? ERR_INTERNAL : (*ret_done = true, ERR_OK);
    if (!in->bytes && (more == FILTER_MORE || (more == FILTER_FLUSH && !g->started)))
        return *ret_done = true, ERR_OK;
    for (;;) {
        struct span s = chunkq_first(in);
        unsigned give = (unsigned)MIN(s.len, (size_t)1 << 30);
        bool last = give == in->bytes;
        char *room;
        size_t cap;
        enum err e = codec_room(&g->o, &room, &cap);
        if (e)
            return e;
        g->started = true;
        g->z.next_in = (Bytef *)(uintptr_t)s.ptr;
        g->z.avail_in = give;
        g->z.next_out = (Bytef *)room;
        g->z.avail_out = (unsigned)cap;
        int how = !last ? Z_NO_FLUSH : more == FILTER_END ? Z_FINISH : more == FILTER_FLUSH ? Z_SYNC_FLUSH : Z_NO_FLUSH;
        int r = deflate(&g->z, how);
        if (r != Z_OK && r != Z_STREAM_END && r != Z_BUF_ERROR)
            return ERR_INTERNAL;
        chunkq_skip(in, give - g->z.avail_in);
        made += cap - g->z.avail_out;
        e = codec_grew(&g->o, out, cap - g->z.avail_out);
        if (e)
            return e;
        g->ended = r == Z_STREAM_END;
        if (!in->bytes && g->z.avail_out && (more != FILTER_END || g->ended))
            return *ret_done = true, ERR_OK;
        if (made >= FILTER_STEP_BYTES)
            return *ret_done = false, ERR_OK;
    }
}

static void gzip_encoder_free(struct filter *f)
{
    struct gzip_encoder *g = container_of(f, struct gzip_encoder, f);
    codec_out_fini(&g->o);
    deflateEnd(&g->z);
    mem_free(g);
}

static const struct filter_ops ops = {"gzip", run, gzip_encoder_free};

struct filter *gzip_encoder_new(unsigned level)
{
    struct gzip_encoder *g = (struct gzip_encoder *)mem_calloc(1, sizeof *g);
    if (!g)
        return NULL;
    g->f.ops = &ops;
    if (deflateInit2(&g->z, level ? (int)MIN(level, 9u) : LEVEL_DEFAULT, Z_DEFLATED, WINDOW_GZIP, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
        mem_free(g);
        return NULL;
    }
    return &g->f;
}

void codec_thread_fini(void)
{
}
