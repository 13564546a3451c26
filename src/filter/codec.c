// SPDX-License-Identifier: Apache-2.0
#include "filter/codec.h"

enum {
    OUT_CHUNK_BYTES = CHUNK_SMALL_BYTES,
    OUT_ROOM_MIN = 512,
    RATIO_FREE_BYTES = 1 << 20,
};

enum err codec_room(struct codec_out *o, char **ret_ptr, size_t *ret_room)
{
    if (o->chunk && o->chunk->cap - o->at < OUT_ROOM_MIN)
        codec_out_fini(o);
    if (!o->chunk) {
        o->chunk = chunk_new(OUT_CHUNK_BYTES);
        o->at = 0;
        if (!o->chunk)
            return ERR_NO_MEMORY;
    }
    *ret_ptr = o->chunk->data + o->at;
    *ret_room = o->chunk->cap - o->at;
    return ERR_OK;
}

enum err codec_grew(struct codec_out *o, struct chunkq *out, size_t n)
{
    enum err e = chunkq_append(out, o->chunk, o->chunk->data + o->at, n);
    if (!e) {
        o->at += (uint32_t)n;
        o->chunk->used = o->at;
    }
    return e;
}

void codec_out_fini(struct codec_out *o)
{
    chunk_unref(o->chunk);
    o->chunk = NULL;
}

bool codec_guard_allows(const struct codec_guard *g)
{
    return g->out <= g->limit && (!g->ratio || g->out <= RATIO_FREE_BYTES || g->out / g->ratio <= g->in);
}

struct filter *encoder_new(enum coding coding, unsigned level)
{
    switch (coding) {
    case CODING_GZIP:
        return gzip_encoder_new(level);
    case CODING_ZSTD:
        return zstd_encoder_new(level);
    case CODING_BR:
        return brotli_encoder_new(level);
    case CODING_DEFLATE:
    case CODING_IDENTITY:
    case CODING_UNKNOWN:
        break;
    }
    return NULL;
}

struct filter *decoder_new(enum coding coding, uint64_t limit_bytes, unsigned ratio)
{
    switch (coding) {
    case CODING_GZIP:
    case CODING_DEFLATE:
        return gzip_decoder_new(limit_bytes, ratio ? ratio : (unsigned)DECODER_RATIO_MAX);
    case CODING_ZSTD:
        return zstd_decoder_new(limit_bytes, ratio);
    case CODING_BR:
        return brotli_decoder_new(limit_bytes, ratio);
    case CODING_IDENTITY:
    case CODING_UNKNOWN:
        break;
    }
    return NULL;
}
