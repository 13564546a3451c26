// SPDX-License-Identifier: Apache-2.0
// Chunked content: whole, byte by byte and cut at every point.
#include "http_test.h"

static const struct h1_limits small = {.line_bytes = 100, .fields = 3, .fields_bytes = 60};

struct outcome {
    enum err e; // ERR_OK: more is needed
    char data[70000];
    size_t len, used;
    char trailers[256];
    size_t trailers_len;
};

// Feeds it in pieces of at most step octets, the first one of at most first.
static void decode(struct span in, size_t first, size_t step, struct outcome *ret)
{
    struct h1_chunked c;
    struct chunkq trailers;
    memset(ret, 0, sizeof *ret);
    h1_chunked_init(&c, &small);
    chunkq_init(&trailers);
    size_t limit = first;
    while (ret->e == ERR_OK && ret->used < in.len) {
        size_t n = MIN(limit, in.len - ret->used), used = 0;
        char *piece = exactly(span_of(in.ptr + ret->used, n));
        struct span run = SPAN_NONE;
        ret->e = h1_chunked_decode(&c, piece, n, &trailers, &used, &run);
        assert_true(used <= n && used > 0);
        assert_true(ret->len + run.len <= sizeof(ret->data));
        if (run.len)
            memcpy(ret->data + ret->len, run.ptr, run.len);
        ret->len += run.len;
        ret->used += used;
        limit = used < n ? n - used : step;
        free(piece);
    }
    assert_true(trailers.bytes <= sizeof(ret->trailers));
    ret->trailers_len = chunkq_peek(&trailers, ret->trailers, sizeof(ret->trailers));
    chunkq_fini(&trailers);
}

static const struct {
    struct span in;
    enum err e;
    const char *data, *trailers;
    size_t used; // where it ends
} rows[] = {
    {SPAN_INIT("0\r\n\r\n"), ERR_EOF, "", "", 5},
    {SPAN_INIT("5\r\nhello\r\n0\r\n\r\n"), ERR_EOF, "hello", "", 15},
    {SPAN_INIT("5\r\nhello\r\n0\r\n\r\nGET /"), ERR_EOF, "hello", "", 15},
    {SPAN_INIT("1\r\na\r\n0002\r\nbc\r\nA\r\n0123456789\r\n000\r\n\r\n"), ERR_EOF, "abc0123456789", "", 38},
    {SPAN_INIT("a\r\n0123456789\r\n0\r\n\r\n"), ERR_EOF, "0123456789", "", 20},
    {SPAN_INIT("1;a=b;c=\"d;\\\"\r"), ERR_BAD_CHUNK, "", "", 0},
    {SPAN_INIT("1;a=b ; c=\"d;\\\"e\" \t;f\r\nx\r\n0;z\r\n\r\n"), ERR_EOF, "x", "", 33},
    {SPAN_INIT("1 ;a\r\nx\r\n0\r\n\r\n"), ERR_EOF, "x", "", 14},
    {SPAN_INIT("1\r\nx\r\n0\r\nA: b\r\nC: \td\r\n\r\n"), ERR_EOF, "x", "A: b\r\nC: \td\r\n", 24},
    {SPAN_INIT("5\r\nhel"), ERR_OK, "hel", "", 6},
    {SPAN_INIT("5\r\nhello\r\n"), ERR_OK, "hello", "", 10},
    // sizes
    {SPAN_INIT("\r\n"), ERR_BAD_CHUNK, "", "", 0},
    {SPAN_INIT("g\r\n"), ERR_BAD_CHUNK, "", "", 0},
    {SPAN_INIT("0x1\r\n"), ERR_BAD_CHUNK, "", "", 0},
    {SPAN_INIT("+1\r\n"), ERR_BAD_CHUNK, "", "", 0},
    {SPAN_INIT("-1\r\n"), ERR_BAD_CHUNK, "", "", 0},
    {SPAN_INIT(" 1\r\n"), ERR_BAD_CHUNK, "", "", 0},
    {SPAN_INIT("1 \r\n"), ERR_BAD_CHUNK, "", "", 0},
    {SPAN_INIT("1_0\r\n"), ERR_BAD_CHUNK, "", "", 0},
    {SPAN_INIT("1\n"), ERR_BAD_CHUNK, "", "", 0},
    {SPAN_INIT("1\rx"), ERR_BAD_CHUNK, "", "", 0},
    {SPAN_INIT("10000000000000000\r\n"), ERR_BAD_CHUNK, "", "", 0},
    {SPAN_INIT("ffffffffffffffff1\r\n"), ERR_BAD_CHUNK, "", "", 0},
    {SPAN_INIT("00000000000000001\r\n"), ERR_BAD_CHUNK, "", "", 0},
    {SPAN_INIT(";a\r\n"), ERR_BAD_CHUNK, "", "", 0},
    // extensions
    {SPAN_INIT("1;\x01\r\n"), ERR_BAD_CHUNK, "", "", 0},
    {SPAN_INIT("1;a=\x7f\r\n"), ERR_BAD_CHUNK, "", "", 0},
    {SPAN_INIT("1;a\n"), ERR_BAD_CHUNK, "", "", 0},
    {SPAN_INIT("1;\"a\nb\"\r\n"), ERR_BAD_CHUNK, "", "", 0},
    {SPAN_INIT("1;\"a\\\x01\"\r\n"), ERR_BAD_CHUNK, "", "", 0},
    {SPAN_INIT("1;a\rb"), ERR_BAD_CHUNK, "", "", 0},
    {SPAN_INIT("1 x"), ERR_BAD_CHUNK, "", "", 0},
    {SPAN_INIT("1;(\r\n"), ERR_BAD_CHUNK, "", "", 0},
    // behind a chunk
    {SPAN_INIT("1\r\nxy\r\n"), ERR_BAD_CHUNK, "x", "", 0},
    {SPAN_INIT("1\r\nx\n"), ERR_BAD_CHUNK, "x", "", 0},
    {SPAN_INIT("1\r\nx\rz"), ERR_BAD_CHUNK, "x", "", 0},
    // trailers
    {SPAN_INIT("0\r\n\n"), ERR_BAD_CHUNK, "", "", 0},
    {SPAN_INIT("0\r\n\rx"), ERR_BAD_CHUNK, "", "", 0},
    {SPAN_INIT("0\r\n a: b\r\n"), ERR_BAD_CHUNK, "", "", 0},
    {SPAN_INIT("0\r\nA: b\n"), ERR_BAD_CHUNK, "", "A: b", 0},
    {SPAN_INIT("0\r\nA: b\rx"), ERR_BAD_CHUNK, "", "A: b\r", 0},
    {SPAN_INIT("0\r\nA: \0\r\n"), ERR_BAD_CHUNK, "", "A: ", 0},
    {SPAN_INIT("0\r\nA:\r\nB:\r\nC:\r\nD:\r\n"), ERR_TOO_MANY_FIELDS, "", "A:\r\nB:\r\nC:\r\n", 0},
    {SPAN_INIT("0\r\nA: 0123456789012345678901234567890123456789012345678901234567890123456789\r\n"),
     ERR_FIELDS_TOO_LARGE, "", "A: 012345678901234567890123456789012345678901234567890123456", 0},
};

static void every_cut(void **state)
{
    (void)state;
    static struct outcome o;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (size_t first = 1; first <= rows[i].in.len; first++) {
            for (size_t step = 1; step <= 4; step += 3) {
                decode(rows[i].in, first, step, &o);
                if (o.e != rows[i].e || !span_eq(span_of(o.data, o.len), span_str(rows[i].data)) ||
                    !span_eq(span_of(o.trailers, o.trailers_len), span_str(rows[i].trailers)) ||
                    (rows[i].used && o.used != rows[i].used))
                    fail_msg("row %zu, first %zu, step %zu: %s, \"%.*s\", trailers \"%.*s\", used %zu", i,
                             first, step, err_name(o.e), (int)o.len, o.data, (int)o.trailers_len, o.trailers,
                             o.used);
            }
        }
    }
}

static void the_largest_size_is_only_a_number(void **state)
{
    (void)state;
    struct h1_chunked c;
    size_t used;
    struct span run;
    h1_chunked_init(&c, &small);
    assert_int_equal(h1_chunked_decode(&c, "7fffffffffffffff\r\nab", 20, NULL, &used, &run), ERR_OK);
    assert_int_equal(used, 20);
    assert_span(run, "ab");
}

static void after_the_end_nothing_is_taken(void **state)
{
    (void)state;
    struct h1_chunked c;
    size_t used;
    struct span run;
    h1_chunked_init(&c, &small);
    assert_int_equal(h1_chunked_decode(&c, "0\r\n\r\n", 5, NULL, &used, &run), ERR_EOF);
    assert_int_equal(h1_chunked_decode(&c, "5\r\n", 3, NULL, &used, &run), ERR_EOF);
    assert_int_equal(used, 0);
}

// A flood of what is not content ends: extensions of a chunk, and chunks of one octet with long extensions.
static void overhead_is_bounded(void **state)
{
    (void)state;
    struct h1_chunked c;
    size_t used;
    struct span run;
    enum err e = ERR_OK;
    unsigned n = 0;
    h1_chunked_init(&c, &small);
    assert_int_equal(h1_chunked_decode(&c, "1;", 2, NULL, &used, &run), ERR_OK);
    while (e == ERR_OK) {
        e = h1_chunked_decode(&c, "a", 1, NULL, &used, &run);
        assert_true(++n < 1000);
    }
    assert_int_equal(e, ERR_BAD_CHUNK);

    char chunk[64] = "1;";
    memset(chunk + 2, 'x', 40);
    memcpy(chunk + 42, "\r\na\r\n", 5);
    h1_chunked_init(&c, &small);
    for (e = ERR_OK, n = 0; e == ERR_OK; n++) {
        assert_true(n < 100000);
        for (size_t at = 0; at < 47 && e == ERR_OK; at += used)
            e = h1_chunked_decode(&c, chunk + at, 47 - at, NULL, &used, &run);
    }
    assert_int_equal(e, ERR_BAD_CHUNK);
    assert_true(n > 100); // some of it is nobody's harm

    // Chunks of one octet without any extension are allowed for as long as one likes.
    h1_chunked_init(&c, &small);
    for (e = ERR_OK, n = 0; n < 200000 && e == ERR_OK; n++)
        for (size_t at = 0; at < 6 && e == ERR_OK; at += used)
            e = h1_chunked_decode(&c, &"1\r\na\r\n"[at], 6 - at, NULL, &used, &run);
    assert_int_equal(e, ERR_OK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cut),
        cmocka_unit_test(the_largest_size_is_only_a_number),
        cmocka_unit_test(after_the_end_nothing_is_taken),
        cmocka_unit_test(overhead_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
