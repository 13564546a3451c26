// SPDX-License-Identifier: Apache-2.0
// Content codings (RFC 9110 8.4.1) as filters: gzip, zstd, br, each way.
#ifndef WEIR_FILTER_CODEC_H
#define WEIR_FILTER_CODEC_H

#include "filter/filter.h"
#include "http/coding.h"

/// Encodes. level 0: the coding's default, otherwise 1 (quick) to 9 (small). NULL when memory is out.
struct filter *encoder_new(enum coding coding, unsigned level);
/// Decodes; CODING_DEFLATE too. What is corrupt, cut off or followed by something else is ERR_BAD_CONTENT_CODING; so is, against
/// bombs, output of more than limit_bytes, or beyond the first MiB of more than `ratio` bytes for a byte of input (ERR_DECODED_TOO_LARGE).
/// ratio 0: that of gzip is DECODER_RATIO_MAX, the others may rightly be far beyond it.
struct filter *decoder_new(enum coding coding, uint64_t limit_bytes, unsigned ratio);

enum { DECODER_RATIO_MAX = 1100 }; // deflate cannot do more than 1032

// What the codings' files have in common.

/// Room for output: *ret_room free bytes at the end of a chunk that the queue will get. See codec_grew.
struct codec_out {
    struct chunk *chunk;
    uint32_t at; // where the room begins
};
MUST_USE enum err codec_room(struct codec_out *o, char **ret_ptr, size_t *ret_room);
/// n bytes of the room are filled now and go to the queue.
MUST_USE enum err codec_grew(struct codec_out *o, struct chunkq *out, size_t n);
void codec_out_fini(struct codec_out *o);

/// Counts what a decoder makes.
struct codec_guard {
    uint64_t in, out, limit;
    unsigned ratio; // 0: any
};
/// False where there is more output than is allowed.
bool codec_guard_allows(const struct codec_guard *g);

struct filter *gzip_encoder_new(unsigned level);
struct filter *zstd_encoder_new(unsigned level);
struct filter *brotli_encoder_new(unsigned level);
struct filter *gzip_decoder_new(uint64_t limit_bytes, unsigned ratio);
struct filter *zstd_decoder_new(uint64_t limit_bytes, unsigned ratio);
struct filter *brotli_decoder_new(uint64_t limit_bytes, unsigned ratio);
/// Frees what this thread keeps of encoders for reuse (at thread end).
void codec_thread_fini(void);

#endif
