// SPDX-License-Identifier: Apache-2.0
// Codings there and back, in any pieces, against the libraries' own one-call functions; and what is broken.
#include "filter_test.h"

#include <brotli/decode.h>
#include <zlib.h>
#include <zstd.h>

#include "base/mem.h"
#include "filter/codec.h"

static const enum coding codings[] = {CODING_GZIP, CODING_ZSTD, CODING_BR};

static struct text sample(size_t len, uint32_t seed)
{
    static const char *const words[] = {"forward", "reverse", "proxy", "cache ", "<a href=\"", "\">", "\n", "0123456789"};
    struct text t = {NULL, 0, 0};
    text_add(&t, "", 0);
    while (t.len < len) {
        uint32_t r = test_random(&seed);
        if (r % 8 == 0)
            text_add(&t, &r, sizeof r);
        else
            text_add(&t, words[r % 8], strlen(words[r % 8]));
    }
    t.len = len;
    return t;
}

// Decodes with the library alone.
static size_t reference_decode(enum coding c, const struct text *in, char *out, size_t cap)
{
    if (c == CODING_ZSTD) {
        ZSTD_inBuffer ib = {in->ptr, in->len, 0};
        ZSTD_outBuffer ob = {out, cap, 0};
        ZSTD_DCtx *d = ZSTD_createDCtx();
        size_t left = ZSTD_decompressStream(d, &ob, &ib);
        ZSTD_freeDCtx(d);
        assert_int_equal(left, 0);
        assert_int_equal(ib.pos, in->len);
        return ob.pos;
    }
    if (c == CODING_BR) {
        size_t n = cap;
        assert_int_equal(BrotliDecoderDecompress(in->len, (const uint8_t *)in->ptr, &n, (uint8_t *)out), BROTLI_DECODER_RESULT_SUCCESS);
        return n;
    }
    z_stream z = {.next_in = (Bytef *)in->ptr, .avail_in = (unsigned)in->len, .next_out = (Bytef *)out, .avail_out = (unsigned)cap};
    assert_int_equal(inflateInit2(&z, 15 + 16), Z_OK);
    assert_int_equal(inflate(&z, Z_FINISH), Z_STREAM_END);
    assert_int_equal(z.avail_in, 0);
    size_t n = z.total_out;
    inflateEnd(&z);
    return n;
}

static void there_and_back(void **state)
{
    (void)state;
    static const size_t sizes[] = {0, 1, 2, 700, 20000, 300000};
    for (size_t c = 0; c < ARRAY_LEN(codings); c++) {
        for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
            for (uint32_t seed = 0; seed < 6; seed++) {
                struct text in = sample(sizes[i], seed), mid = {NULL, 0, 0}, out = {NULL, 0, 0};
                char *ref = (char *)malloc(sizes[i] + 1000);
                size_t piece = seed == 0 ? SIZE_MAX / 2 : seed == 1 && sizes[i] < 1000 ? 1 : 0;
                assert_int_equal(run_pieces(encoder_new(codings[c], seed), in.ptr, in.len, piece, seed, &mid), ERR_OK);
                assert_int_equal(reference_decode(codings[c], &mid, ref, sizes[i] + 1000), in.len);
                assert_memory_equal(ref, in.ptr, in.len);
                assert_int_equal(run_pieces(decoder_new(codings[c], UINT64_MAX, 0), mid.ptr, mid.len, piece, seed, &out), ERR_OK);
                assert_int_equal(out.len, in.len);
                assert_memory_equal(out.ptr, in.ptr, in.len);
                free(in.ptr);
                free(mid.ptr);
                free(out.ptr);
                free(ref);
            }
        }
    }
}

// After a flush a decoder can have everything that went in.
static void flush_brings_all(void **state)
{
    (void)state;
    for (size_t c = 0; c < ARRAY_LEN(codings); c++) {
        struct filter *enc = encoder_new(codings[c], 0), *dec = decoder_new(codings[c], UINT64_MAX, 0);
        struct chunkq in, mid, out;
        chunkq_init(&in);
        chunkq_init(&mid);
        chunkq_init(&out);
        for (unsigned i = 0; i < 20; i++) {
            bool done;
            struct text got = {NULL, 0, 0};
            assert_int_equal(chunkq_append(&in, NULL, "data: event\n\n", 13), ERR_OK);
            assert_int_equal(enc->ops->run(enc, &in, &mid, FILTER_FLUSH, &done), ERR_OK);
            assert_true(done);
            assert_int_equal(dec->ops->run(dec, &mid, &out, FILTER_MORE, &done), ERR_OK);
            text_take(&got, &out);
            assert_int_equal(got.len, 13);
            assert_memory_equal(got.ptr, "data: event\n\n", 13);
            free(got.ptr);
        }
        chunkq_fini(&in);
        chunkq_fini(&mid);
        chunkq_fini(&out);
        filter_free(enc);
        filter_free(dec);
    }
}

static void broken_is_never_whole(void **state)
{
    (void)state;
    struct text in = sample(5000, 7);
    for (size_t c = 0; c < ARRAY_LEN(codings); c++) {
        struct text mid = {NULL, 0, 0};
        assert_int_equal(run_pieces(encoder_new(codings[c], 0), in.ptr, in.len, SIZE_MAX / 2, 0, &mid), ERR_OK);
        for (size_t cut = 1; cut < mid.len; cut++) {
            struct text out = {NULL, 0, 0};
            assert_int_equal(run_pieces(decoder_new(codings[c], UINT64_MAX, 0), mid.ptr, cut, 0, (uint32_t)cut, &out), ERR_BAD_CONTENT_CODING);
            free(out.ptr);
        }
        struct text out = {NULL, 0, 0};
        text_add(&mid, "surplus", 7);
        assert_int_equal(run_pieces(decoder_new(codings[c], UINT64_MAX, 0), mid.ptr, mid.len, 0, 3, &out), ERR_BAD_CONTENT_CODING);
        free(out.ptr);
        free(mid.ptr);
    }
    free(in.ptr);
}

static void bombs_are_cut(void **state)
{
    (void)state;
    char *zeros = (char *)calloc(1, 8 << 20);
    for (size_t c = 0; c < ARRAY_LEN(codings); c++) {
        struct text mid = {NULL, 0, 0}, out = {NULL, 0, 0};
        assert_int_equal(run_pieces(encoder_new(codings[c], 9), zeros, 8 << 20, SIZE_MAX / 2, 0, &mid), ERR_OK);
        assert_int_equal(run_pieces(decoder_new(codings[c], 1 << 20, 0), mid.ptr, mid.len, SIZE_MAX / 2, 0, &out), ERR_DECODED_TOO_LARGE);
        assert_true(out.len <= (1 << 20) + 2 * FILTER_STEP_BYTES);
        free(out.ptr);
        out = (struct text){NULL, 0, 0};
        assert_int_equal(run_pieces(decoder_new(codings[c], 8 << 20, 0), mid.ptr, mid.len, 0, 5, &out), ERR_OK);
        assert_int_equal(out.len, 8 << 20);
        free(out.ptr);
        free(mid.ptr);
    }
    free(zeros);
}

static void deflate_in_both_forms(void **state)
{
    (void)state;
    for (int window = -15; window <= 15; window += 30) {
        char mid[200];
        z_stream z = {.next_in = (Bytef *)(uintptr_t) "hello, hello, hello", .avail_in = 19, .next_out = (Bytef *)mid, .avail_out = sizeof mid};
        assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, window, 8, Z_DEFAULT_STRATEGY), Z_OK);
        assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
        for (size_t piece = 1; piece < 8; piece++) {
            struct text out = {NULL, 0, 0};
            assert_int_equal(run_pieces(decoder_new(CODING_DEFLATE, 1000, 0), mid, z.total_out, piece, 0, &out), ERR_OK);
            assert_int_equal(out.len, 19);
            assert_memory_equal(out.ptr, "hello, hello, hello", 19);
            free(out.ptr);
        }
        deflateEnd(&z);
    }
}

// A chain: decode, then encode in another coding.
static void chained(void **state)
{
    (void)state;
    struct text in = sample(100000, 11), gz = {NULL, 0, 0}, zst = {NULL, 0, 0}, out = {NULL, 0, 0};
    assert_int_equal(run_pieces(encoder_new(CODING_GZIP, 0), in.ptr, in.len, 0, 1, &gz), ERR_OK);
    struct filter_chain c;
    filter_chain_init(&c);
    assert_true(filter_chain_add(&c, decoder_new(CODING_GZIP, UINT64_MAX, 0)));
    assert_true(filter_chain_add(&c, encoder_new(CODING_ZSTD, 0)));
    struct chunkq q, to;
    chunkq_init(&q);
    chunkq_init(&to);
    for (size_t at = 0; at < gz.len;) {
        size_t n = gz.len - at < 1000 ? gz.len - at : 1000;
        assert_int_equal(chunkq_append(&q, NULL, gz.ptr + at, n), ERR_OK);
        at += n;
        for (bool done = false; !done;)
            assert_int_equal(filter_chain_run(&c, &q, &to, at == gz.len ? FILTER_END : FILTER_MORE, &done), ERR_OK);
        text_take(&zst, &to);
    }
    filter_chain_fini(&c);
    chunkq_fini(&q);
    chunkq_fini(&to);
    assert_int_equal(run_pieces(decoder_new(CODING_ZSTD, UINT64_MAX, 0), zst.ptr, zst.len, 0, 2, &out), ERR_OK);
    assert_int_equal(out.len, in.len);
    assert_memory_equal(out.ptr, in.ptr, in.len);
    free(in.ptr);
    free(gz.ptr);
    free(zst.ptr);
    free(out.ptr);
}

static int nothing_is_left(void **state)
{
    (void)state;
    codec_thread_fini();
    chunk_thread_fini();
    return chunk_live_count() == 0 && mem_live_count() == 0 ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back),        cmocka_unit_test(flush_brings_all),
        cmocka_unit_test(broken_is_never_whole), cmocka_unit_test(bombs_are_cut),
        cmocka_unit_test(deflate_in_both_forms), cmocka_unit_test(chained),
    };
    return cmocka_run_group_tests(tests, NULL, nothing_is_left);
}
