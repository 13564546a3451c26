// SPDX-License-Identifier: Apache-2.0
// gzip by ISA-L. An encoder has some hundred KiB of state: a thread keeps a few for reuse.
#include <isa-l/igzip_lib.h>

#include "base/macros.h"
#include "base/mem.h"
#include "filter/codec.h"

enum { KEEP_MAX = 8, LEVEL_DEFAULT = 2, LEVEL_BUF_BYTES = ISAL_DEF_LVL3_DEFAULT };

struct gzip_encoder {
    struct filter f;
    struct gzip_encoder *next;
    struct codec_out o;
    bool started, ended;
    struct isal_zstream z;
    uint8_t level_buf[LEVEL_BUF_BYTES];
};

static _Thread_local struct gzip_encoder *kept;
static _Thread_local unsigned n_kept;

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
        uint32_t give = (uint32_t)MIN(s.len, (size_t)1 << 30);
        bool last = give == in->bytes;
        char *room;
        size_t cap;
        enum err e = codec_room(&g->o, &room, &cap);
        if (e)
            return e;
        g->started = true;
        g->z.next_in = (uint8_t *)(uintptr_t)s.ptr;
        g->z.avail_in = give;
        g->z.next_out = (uint8_t *)room;
        g->z.avail_out = (uint32_t)cap;
        g->z.end_of_stream = last && more == FILTER_END;
        g->z.flush = last && more == FILTER_FLUSH ? SYNC_FLUSH : NO_FLUSH;
        if (isal_deflate(&g->z) != COMP_OK)
            return ERR_INTERNAL;
        chunkq_skip(in, give - g->z.avail_in);
        made += cap - g->z.avail_out;
        e = codec_grew(&g->o, out, cap - g->z.avail_out);
        if (e)
            return e;
        g->ended = g->z.internal_state.state == ZSTATE_END;
        // Room that is left says that nothing more is waiting to come out.
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
    if (n_kept == KEEP_MAX) {
        mem_free(g);
        return;
    }
    g->next = kept;
    kept = g;
    n_kept++;
}

static const struct filter_ops ops = {"gzip", run, gzip_encoder_free};

struct filter *gzip_encoder_new(unsigned level)
{
    static const uint32_t levels[10] = {LEVEL_DEFAULT, 1, 1, 2, 2, 2, 3, 3, 3, 3};
    struct gzip_encoder *g = kept;
    if (g) {
        kept = g->next;
        n_kept--;
    } else if (!(g = (struct gzip_encoder *)mem_alloc(sizeof *g))) {
        return NULL;
    }
    g->f.ops = &ops;
    g->o = (struct codec_out){NULL, 0};
    g->started = g->ended = false;
    isal_deflate_init(&g->z);
    g->z.gzip_flag = IGZIP_GZIP;
    g->z.level = levels[MIN(level, 9u)];
    g->z.level_buf = g->level_buf;
    g->z.level_buf_size = sizeof g->level_buf;
    return &g->f;
}

void codec_thread_fini(void)
{
    while (kept) {
        struct gzip_encoder *g = kept;
        kept = g->next;
        mem_free(g);
    }
    n_kept = 0;
}
