// SPDX-License-Identifier: Apache-2.0
// zstd (RFC 8878) each way. The window is held to what a decoder of RFC 9659 must have: 8 MiB; ours stays far below.
#include <zstd.h>

#include "base/macros.h"
#include "base/mem.h"
#include "filter/codec.h"

enum { LEVEL_DEFAULT = 3, WINDOW_LOG = 18, WINDOW_LOG_MAX = 23 };

struct zstd_encoder {
    struct filter f;
    struct codec_out o;
    bool started, ended;
    ZSTD_CCtx *c;
};

static enum err encode(struct filter *f, struct chunkq *in, struct chunkq *out, enum filter_more more, bool *ret_done)
{
    struct zstd_encoder *z = container_of(f, struct zstd_encoder, f);
    size_t made = 0;
    if (z->ended)
        return in->bytes ? ERR_INTERNAL : (*ret_done = true, ERR_OK);
    if (!in->bytes && (more == FILTER_MORE || (more == FILTER_FLUSH && !z->started)))
        return *ret_done = true, ERR_OK;
    for (;;) {
        struct span s = chunkq_first(in);
        bool last = s.len == in->bytes;
        ZSTD_EndDirective how = !last ? ZSTD_e_continue : more == FILTER_END ? ZSTD_e_end : more == FILTER_FLUSH ? ZSTD_e_flush : ZSTD_e_continue;
        char *room;
        size_t cap;
        enum err e = codec_room(&z->o, &room, &cap);
        if (e)
            return e;
        z->started = true;
        ZSTD_inBuffer ib = {s.ptr, s.len, 0};
        ZSTD_outBuffer ob = {room, cap, 0};
        size_t left = ZSTD_compressStream2(z->c, &ob, &ib, how);
        if (ZSTD_isError(left))
            return ERR_NO_MEMORY; // nothing else can go wrong
        chunkq_skip(in, ib.pos);
        made += ob.pos;
        e = codec_grew(&z->o, out, ob.pos);
        if (e)
            return e;
        if (!in->bytes && (how == ZSTD_e_continue || left == 0)) {
            z->ended = how == ZSTD_e_end;
            return *ret_done = true, ERR_OK;
        }
        if (made >= FILTER_STEP_BYTES)
            return *ret_done = false, ERR_OK;
    }
}

static void encoder_free(struct filter *f)
{
    struct zstd_encoder *z = container_of(f, struct zstd_encoder, f);
    codec_out_fini(&z->o);
    ZSTD_freeCCtx(z->c);
    mem_free(z);
}

static const struct filter_ops encoder_ops = {"zstd", encode, encoder_free};

struct filter *zstd_encoder_new(unsigned level)
{
    static const int levels[10] = {LEVEL_DEFAULT, 1, 2, 3, 4, 5, 6, 8, 11, 15};
    struct zstd_encoder *z = (struct zstd_encoder *)mem_calloc(1, sizeof *z);
    if (!z)
        return NULL;
    z->f.ops = &encoder_ops;
    z->c = ZSTD_createCCtx();
    if (!z->c || ZSTD_isError(ZSTD_CCtx_setParameter(z->c, ZSTD_c_compressionLevel, levels[MIN(level, 9u)])) ||
        ZSTD_isError(ZSTD_CCtx_setParameter(z->c, ZSTD_c_windowLog, WINDOW_LOG))) {
        encoder_free(&z->f);
        return NULL;
    }
    return &z->f;
}

struct zstd_decoder {
    struct filter f;
    struct codec_out o;
    struct codec_guard guard;
    bool begun, frame_ended;
    ZSTD_DCtx *d;
};

static enum err decode(struct filter *f, struct chunkq *in, struct chunkq *out, enum filter_more more, bool *ret_done)
{
    struct zstd_decoder *z = container_of(f, struct zstd_decoder, f);
    size_t made = 0;
    for (bool full = false;;) {
        struct span s = chunkq_first(in);
        if (!s.len && !full) {
            *ret_done = true;
            return more == FILTER_END && z->begun && !z->frame_ended ? ERR_BAD_CONTENT_CODING : ERR_OK;
        }
        if (made >= FILTER_STEP_BYTES)
            return *ret_done = false, ERR_OK;
        char *room;
        size_t cap;
        enum err e = codec_room(&z->o, &room, &cap);
        if (e)
            return e;
        z->begun = true;
        ZSTD_inBuffer ib = {s.ptr, s.len, 0};
        ZSTD_outBuffer ob = {room, cap, 0};
        size_t left = ZSTD_decompressStream(z->d, &ob, &ib);
        if (ZSTD_isError(left) || (ib.pos == 0 && ob.pos == 0 && s.len))
            return ERR_BAD_CONTENT_CODING;
        z->frame_ended = left == 0;
        full = ob.pos == cap && left != 0;
        chunkq_skip(in, ib.pos);
        z->guard.in += ib.pos;
        z->guard.out += ob.pos;
        made += ob.pos;
        if (!codec_guard_allows(&z->guard))
            return ERR_DECODED_TOO_LARGE;
        e = codec_grew(&z->o, out, ob.pos);
        if (e)
            return e;
    }
}

static void decoder_free(struct filter *f)
{
    struct zstd_decoder *z = container_of(f, struct zstd_decoder, f);
    codec_out_fini(&z->o);
    ZSTD_freeDCtx(z->d);
    mem_free(z);
}

static const struct filter_ops decoder_ops = {"unzstd", decode, decoder_free};

struct filter *zstd_decoder_new(uint64_t limit_bytes, unsigned ratio)
{
    struct zstd_decoder *z = (struct zstd_decoder *)mem_calloc(1, sizeof *z);
    if (!z)
        return NULL;
    z->f.ops = &decoder_ops;
    z->guard.limit = limit_bytes;
    z->guard.ratio = ratio;
    z->d = ZSTD_createDCtx();
    if (!z->d || ZSTD_isError(ZSTD_DCtx_setParameter(z->d, ZSTD_d_windowLogMax, WINDOW_LOG_MAX))) {
        decoder_free(&z->f);
        return NULL;
    }
    return &z->f;
}
