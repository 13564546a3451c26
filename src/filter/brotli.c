// SPDX-License-Identifier: Apache-2.0
// br (RFC 7932) each way.
#include <brotli/decode.h>
#include <brotli/encode.h>

#include "base/macros.h"
#include "base/mem.h"
#include "filter/codec.h"

enum { LEVEL_DEFAULT = 4, WINDOW_LOG = 18 };

static void *brotli_alloc(void *opaque, size_t size)
{
    (void)opaque;
    return mem_alloc(size);
}
static void brotli_free(void *opaque, void *p)
{
    (void)opaque;
    mem_free(p);
}

struct brotli_encoder {
    struct filter f;
    struct codec_out o;
    bool started;
    BrotliEncoderState *s;
};

static enum err encode(struct filter *f, struct chunkq *in, struct chunkq *out, enum filter_more more, bool *ret_done)
{
    struct brotli_encoder *b = container_of(f, struct brotli_encoder, f);
    size_t made = 0;
    if (BrotliEncoderIsFinished(b->s))
        return in->bytes ? ERR_INTERNAL : (*ret_done = true, ERR_OK);
    if (!in->bytes && (more == FILTER_MORE || (more == FILTER_FLUSH && !b->started)))
        return *ret_done = true, ERR_OK;
    for (;;) {
        struct span s = chunkq_first(in);
        bool last = s.len == in->bytes;
        BrotliEncoderOperation how = !last                  ? BROTLI_OPERATION_PROCESS
                                     : more == FILTER_END   ? BROTLI_OPERATION_FINISH
                                     : more == FILTER_FLUSH ? BROTLI_OPERATION_FLUSH
                                                            : BROTLI_OPERATION_PROCESS;
        char *room;
        size_t cap;
        enum err e = codec_room(&b->o, &room, &cap);
        if (e)
            return e;
        b->started = true;
        size_t left = s.len, space = cap;
        const uint8_t *next = (const uint8_t *)s.ptr;
        uint8_t *to = (uint8_t *)room;
        if (!BrotliEncoderCompressStream(b->s, how, &left, &next, &space, &to, NULL))
            return ERR_NO_MEMORY;
        chunkq_skip(in, s.len - left);
        made += cap - space;
        e = codec_grew(&b->o, out, cap - space);
        if (e)
            return e;
        if (!in->bytes && !BrotliEncoderHasMoreOutput(b->s) && (how != BROTLI_OPERATION_FINISH || BrotliEncoderIsFinished(b->s)))
            return *ret_done = true, ERR_OK;
        if (made >= FILTER_STEP_BYTES)
            return *ret_done = false, ERR_OK;
    }
}

static void encoder_free(struct filter *f)
{
    struct brotli_encoder *b = container_of(f, struct brotli_encoder, f);
    codec_out_fini(&b->o);
    BrotliEncoderDestroyInstance(b->s);
    mem_free(b);
}

static const struct filter_ops encoder_ops = {"br", encode, encoder_free};

struct filter *brotli_encoder_new(unsigned level)
{
    struct brotli_encoder *b = (struct brotli_encoder *)mem_calloc(1, sizeof *b);
    if (!b)
        return NULL;
    b->f.ops = &encoder_ops;
    b->s = BrotliEncoderCreateInstance(brotli_alloc, brotli_free, NULL);
    if (!b->s) {
        mem_free(b);
        return NULL;
    }
    BrotliEncoderSetParameter(b->s, BROTLI_PARAM_QUALITY, level ? MIN(level, 9u) : LEVEL_DEFAULT);
    BrotliEncoderSetParameter(b->s, BROTLI_PARAM_LGWIN, WINDOW_LOG);
    return &b->f;
}

struct brotli_decoder {
    struct filter f;
    struct codec_out o;
    struct codec_guard guard;
    BrotliDecoderState *s;
};

static enum err decode(struct filter *f, struct chunkq *in, struct chunkq *out, enum filter_more more, bool *ret_done)
{
    struct brotli_decoder *b = container_of(f, struct brotli_decoder, f);
    size_t made = 0;
    for (;;) {
        struct span s = chunkq_first(in);
        if (!s.len && !BrotliDecoderHasMoreOutput(b->s)) {
            *ret_done = true;
            return more == FILTER_END && BrotliDecoderIsUsed(b->s) && !BrotliDecoderIsFinished(b->s) ? ERR_BAD_CONTENT_CODING : ERR_OK;
        }
        if (made >= FILTER_STEP_BYTES)
            return *ret_done = false, ERR_OK;
        if (BrotliDecoderIsFinished(b->s))
            return ERR_BAD_CONTENT_CODING; // something follows
        char *room;
        size_t cap;
        enum err e = codec_room(&b->o, &room, &cap);
        if (e)
            return e;
        size_t left = s.len, space = cap;
        const uint8_t *next = (const uint8_t *)s.ptr;
        uint8_t *to = (uint8_t *)room;
        if (BrotliDecoderDecompressStream(b->s, &left, &next, &space, &to, NULL) == BROTLI_DECODER_RESULT_ERROR)
            return ERR_BAD_CONTENT_CODING;
        chunkq_skip(in, s.len - left);
        b->guard.in += s.len - left;
        b->guard.out += cap - space;
        made += cap - space;
        if (!codec_guard_allows(&b->guard))
            return ERR_DECODED_TOO_LARGE;
        e = codec_grew(&b->o, out, cap - space);
        if (e)
            return e;
    }
}

static void decoder_free(struct filter *f)
{
    struct brotli_decoder *b = container_of(f, struct brotli_decoder, f);
    codec_out_fini(&b->o);
    BrotliDecoderDestroyInstance(b->s);
    mem_free(b);
}

static const struct filter_ops decoder_ops = {"unbr", decode, decoder_free};

struct filter *brotli_decoder_new(uint64_t limit_bytes, unsigned ratio)
{
    struct brotli_decoder *b = (struct brotli_decoder *)mem_calloc(1, sizeof *b);
    if (!b)
        return NULL;
    b->f.ops = &decoder_ops;
    b->guard.limit = limit_bytes;
    b->guard.ratio = ratio;
    b->s = BrotliDecoderCreateInstance(brotli_alloc, brotli_free, NULL);
    if (!b->s) {
        mem_free(b);
        return NULL;
    }
    return &b->f;
}
