// SPDX-License-Identifier: Apache-2.0
// Codings and replaced texts. The first byte chooses what is done, the second the sizes of the pieces:
//   decoders: the pieces make no difference, neither to what comes out nor to whether it is whole, and nothing comes out beyond the limit;
//   encoders: what is decoded again is what was encoded;
//   replace: as a plain search in the whole.
#include "fuzz.h"

#include "filter/codec.h"
#include "filter/replace.h"

enum { LIMIT = 1 << 20 };

struct text {
    char *ptr;
    size_t len;
    enum err e;
};

static struct text run(struct filter *f, const char *p, size_t len, size_t piece)
{
    struct chunkq in, out;
    struct text t = {NULL, 0, ERR_OK};
    chunkq_init(&in);
    chunkq_init(&out);
    CHECK(f);
    for (size_t at = 0; !t.e;) {
        size_t n = MIN(piece, len - at);
        CHECK(chunkq_append(&in, NULL, p + at, n) == ERR_OK);
        at += n;
        for (bool done = false; !done && !t.e;)
            t.e = f->ops->run(f, &in, &out, at == len ? FILTER_END : FILTER_FLUSH, &done);
        if (at == len)
            break;
    }
    t.ptr = fuzz_exact(NULL, out.bytes);
    while (out.bytes) {
        struct span s = chunkq_first(&out);
        memcpy(t.ptr + t.len, s.ptr, s.len);
        t.len += s.len;
        chunkq_skip(&out, s.len);
    }
    chunkq_fini(&in);
    chunkq_fini(&out);
    filter_free(f);
    return t;
}

static void decode(enum coding c, const char *p, size_t len, size_t piece)
{
    struct text whole = run(decoder_new(c, LIMIT, 0), p, len, SIZE_MAX), pieces = run(decoder_new(c, LIMIT, 0), p, len, piece);
    CHECK(!whole.e == !pieces.e && whole.len <= LIMIT + FILTER_STEP_BYTES);
    if (!whole.e)
        CHECK(whole.len == pieces.len && memcmp(whole.ptr, pieces.ptr, whole.len) == 0);
    free(whole.ptr);
    free(pieces.ptr);
}

static void encode(enum coding c, unsigned level, const char *p, size_t len, size_t piece)
{
    struct text coded = run(encoder_new(c, level), p, len, piece);
    CHECK(!coded.e);
    struct text again = run(decoder_new(c, (uint64_t)len, 0), coded.ptr, coded.len, piece);
    CHECK(!again.e && again.len == len && memcmp(again.ptr, p, len) == 0);
    free(coded.ptr);
    free(again.ptr);
}

// The first of the texts that matches at each place.
static void replace(const char *p, size_t len, size_t piece)
{
    static const struct replacement v[] = {{SPAN_INIT("ab"), SPAN_INIT("")}, {SPAN_INIT("a"), SPAN_INIT("ba")}, {SPAN_INIT("aab"), SPAN_INIT("x")}, {SPAN_INIT("cccccd"), SPAN_INIT("yy")}};
    struct text got = run(replace_new(v, ARRAY_LEN(v)), p, len, piece);
    char *want = fuzz_exact(NULL, len * 2);
    size_t n = 0;
    for (size_t at = 0, k; at < len;) {
        for (k = 0; k < ARRAY_LEN(v) && !span_starts(span_of(p + at, len - at), v[k].from); k++)
            ;
        struct span s = k < ARRAY_LEN(v) ? v[k].to : span_of(p + at, 1);
        memcpy(want + n, s.ptr, s.len);
        n += s.len;
        at += k < ARRAY_LEN(v) ? v[k].from.len : 1;
    }
    CHECK(!got.e && got.len == n && memcmp(got.ptr, want, n) == 0);
    free(got.ptr);
    free(want);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const enum coding codings[] = {CODING_GZIP, CODING_ZSTD, CODING_BR, CODING_DEFLATE};
    if (size < 2)
        return 0;
    char *p = fuzz_exact(data + 2, size - 2);
    size_t piece = 1 + data[1] % 100;
    unsigned what = data[0] % 8;
    if (what < 4)
        decode(codings[what], p, size - 2, piece);
    else if (what < 7)
        encode(codings[what - 4], data[0] / 8 % 10, p, size - 2, piece * 50);
    else
        replace(p, size - 2, piece);
    free(p);
    return 0;
}
