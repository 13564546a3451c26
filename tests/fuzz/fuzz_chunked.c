// SPDX-License-Identifier: Apache-2.0
// Chunked content: decoded whole and cut in pieces it gives the same bytes, the same end and the same
// verdict.
#include "fuzz.h"

#include "http/h1.h"

static const struct h1_limits limits = {.line_bytes = 8192, .fields = 16, .fields_bytes = 2048};

struct result {
    enum err e;
    size_t used, data;
    uint64_t sum; // of the data's bytes, in order
    size_t trailers;
};

static struct result decode(const uint8_t *in, size_t size, size_t step)
{
    struct result r = {.e = ERR_OK};
    struct h1_chunked c;
    struct chunkq trailers;
    h1_chunked_init(&c, &limits);
    chunkq_init(&trailers);
    while (r.e == ERR_OK && r.used < size) {
        size_t n = MIN(step, size - r.used), used = 0;
        char *piece = fuzz_exact(in + r.used, n); // exactly as much as has arrived
        struct span run = SPAN_NONE;
        r.e = h1_chunked_decode(&c, piece, n, &trailers, &used, &run);
        if (r.e == ERR_OK || r.e == ERR_EOF) {
            CHECK(used <= n && run.len <= used);
            CHECK(used > 0 || r.e == ERR_EOF);
            CHECK(run.len == 0 || (run.ptr >= piece && run.ptr + run.len <= piece + used));
            for (size_t i = 0; i < run.len; i++)
                r.sum = r.sum * 1099511628211ULL + (unsigned char)run.ptr[i] + 1;
            r.used += used;
            r.data += run.len;
        }
        free(piece);
    }
    r.trailers = trailers.bytes;
    if (r.e == ERR_EOF) {
        char lines[4096];
        CHECK(trailers.bytes <= sizeof(lines));
        struct arena a;
        struct fields f;
        arena_init(&a, 1 << 20);
        if (h1_parse_trailers(span_of(lines, chunkq_peek(&trailers, lines, sizeof(lines))), &a, &f) == ERR_OK)
            CHECK(!fields_get(&f, FIELD_CONTENT_LENGTH) && !fields_get(&f, FIELD_TRANSFER_ENCODING));
        arena_fini(&a);
    }
    chunkq_fini(&trailers);
    return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct result whole = decode(data + 1, size - 1, size);
    struct result parts = decode(data + 1, size - 1, data[0] % 16 + 1);
    CHECK(whole.e == parts.e);
    if (whole.e == ERR_EOF)
        CHECK(whole.used == parts.used && whole.trailers == parts.trailers);
    if (whole.e == ERR_EOF || whole.e == ERR_OK)
        CHECK(whole.data == parts.data && whole.sum == parts.sum);
    return 0;
}
