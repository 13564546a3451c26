// SPDX-License-Identifier: Apache-2.0
// Finding the end of a head, however it arrives.
#include "http_test.h"

static const struct {
    const char *name;
    struct span text;
    enum err request, response; // verdicts
    size_t end;
} heads[] = {
    {"request", SPAN_INIT("GET / HTTP/1.1\r\nHost: a\r\n\r\n"), ERR_OK, ERR_OK, 27},
    {"no fields", SPAN_INIT("GET / HTTP/1.0\r\n\r\n"), ERR_OK, ERR_OK, 18},
    {"more behind it", SPAN_INIT("GET / HTTP/1.0\r\n\r\nGET / HTTP/1.0\r\n\r\n"), ERR_OK, ERR_OK, 18},
    {"an empty line before", SPAN_INIT("\r\nGET / HTTP/1.0\r\n\r\n"), ERR_OK, ERR_BAD_REQUEST_LINE, 20},
    {"two empty lines before", SPAN_INIT("\r\n\r\nGET / HTTP/1.0\r\n\r\n"), ERR_BAD_REQUEST_LINE,
     ERR_BAD_REQUEST_LINE, 0},
    {"LF before", SPAN_INIT("\nGET / HTTP/1.0\r\n\r\n"), ERR_BAD_REQUEST_LINE, ERR_BAD_REQUEST_LINE, 0},
    {"LF behind the first line", SPAN_INIT("GET / HTTP/1.0\nA: b\r\n\r\n"), ERR_BAD_REQUEST_LINE,
     ERR_BAD_REQUEST_LINE, 0},
    {"LF behind a field", SPAN_INIT("GET / HTTP/1.0\r\nA: b\n\r\n"), ERR_BAD_FIELD, ERR_BAD_FIELD, 0},
    {"LF at the end", SPAN_INIT("GET / HTTP/1.0\r\nA: b\r\n\n"), ERR_BAD_FIELD, ERR_BAD_FIELD, 0},
    {"TLS", SPAN_INIT("\x16\x03\x01\x02"), ERR_BAD_REQUEST_LINE, ERR_BAD_REQUEST_LINE, 0},
    {"space in front", SPAN_INIT(" GET / HTTP/1.0\r\n"), ERR_BAD_REQUEST_LINE, ERR_BAD_REQUEST_LINE, 0},
    {"unfinished", SPAN_INIT("GET / HTTP/1.0\r\nA: b\r\n"), ERR_AGAIN, ERR_AGAIN, 0},
    {"nothing", SPAN_INIT(""), ERR_AGAIN, ERR_AGAIN, 0},
};

static void every_cut_gives_the_same_verdict(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        char *buf = exactly(heads[i].text);
        struct span s = span_of(buf, heads[i].text.len);
        for (int request = 0; request < 2; request++) {
            enum err want = request ? heads[i].request : heads[i].response;
            for (size_t cut = 0; cut <= s.len; cut++) {
                struct h1_head h;
                enum err e = scan_cut(s, request, &test_limits, cut, &h);
                if (e != want || (e == ERR_OK && h.end != heads[i].end))
                    fail_msg("%s, cut at %zu: %s, end %u", heads[i].name, cut, err_name(e), h.end);
            }
        }
        free(buf);
    }
}

static void byte_by_byte(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(heads); i++) {
        struct h1_head h;
        h1_head_init(&h);
        enum err e = ERR_AGAIN;
        for (size_t n = 0; n <= heads[i].text.len && e == ERR_AGAIN; n++) {
            char *buf = exactly(span_first(heads[i].text, n));
            e = h1_head_scan(&h, buf, n, true, &test_limits);
            free(buf);
        }
        assert_int_equal(e, heads[i].request);
    }
}

// The longest that a limit allows passes; one octet more does not, and is refused before its line has ended.
static void limits(void **state)
{
    (void)state;
    const struct h1_limits small = {.line_bytes = 20, .fields = 3, .fields_bytes = 30};
    static const struct {
        struct span text;
        enum err e;
    } rows[] = {
        {SPAN_INIT("GET /567890 HTTP/1.1\r\n\r\n"), ERR_OK},
        {SPAN_INIT("GET /5678901 HTTP/1.1\r\n\r\n"), ERR_TARGET_TOO_LONG},
        {SPAN_INIT("GET /56789012345678901"), ERR_TARGET_TOO_LONG},
        {SPAN_INIT("GET / HTTP/1.1\r\nA:\r\nB:\r\nC:\r\n\r\n"), ERR_OK},
        {SPAN_INIT("GET / HTTP/1.1\r\nA:\r\nB:\r\nC:\r\nD:\r\n"), ERR_TOO_MANY_FIELDS},
        {SPAN_INIT("GET / HTTP/1.1\r\nA: 4567890123456\r\nB: 4567890123\r\n\r\n"), ERR_OK},
        {SPAN_INIT("GET / HTTP/1.1\r\nA: 4567890123456\r\nB: 456789012345\r\n\r\n"), ERR_FIELDS_TOO_LARGE},
        {SPAN_INIT("GET / HTTP/1.1\r\nA: 45678901234567890123456789012"), ERR_FIELDS_TOO_LARGE},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        for (size_t cut = 0; cut <= rows[i].text.len; cut++) {
            struct h1_head h;
            enum err e = scan_cut(rows[i].text, true, &small, cut, &h);
            if (e != rows[i].e)
                fail_msg("row %zu, cut at %zu: %s", i, cut, err_name(e));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_cut_gives_the_same_verdict),
        cmocka_unit_test(byte_by_byte),
        cmocka_unit_test(limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
