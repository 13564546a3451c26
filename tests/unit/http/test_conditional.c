// SPDX-License-Identifier: Apache-2.0
// Conditions and ranges of a request, by RFC 9110 sections 13 and 14.
#include "http/conditional.h"
#include "http/date.h"
#include "http/ranges.h"
#include "http_test.h"

static const char *const EARLIER = "Sun, 06 Nov 1994 08:49:36 GMT",
                         *const DATE = "Sun, 06 Nov 1994 08:49:37 GMT",
                         *const LATER = "Sun, 06 Nov 1994 08:49:38 GMT";
enum { MODIFIED_S = 784111777, NOW_S = 800000000 }; // of DATE (RFC 9110 5.6.7), and afterwards

struct given {
    enum field_id id;
    const char *value;
};

static struct arena arena;

static struct request asked(enum http_method method, const struct given *v, size_t n)
{
    struct request r;
    memset(&r, 0, sizeof r);
    r.method = method;
    fields_init(&r.fields, &arena);
    for (size_t i = 0; i < n && v[i].value; i++)
        assert_int_equal(fields_add(&r.fields, v[i].id, span_str(v[i].value)), ERR_OK);
    return r;
}

static void conditions(void **state)
{
    (void)state;
    static const struct {
        enum http_method method;
        const char *etag;
        bool dated;
        struct given given[2];
        enum conditional wanted;
    } rows[] = {
        {METHOD_GET, "\"a\"", true, {{0}}, CONDITIONAL_PASS},
        // 13.1.1: strong comparison
        {METHOD_PUT, "\"a\"", true, {{FIELD_IF_MATCH, "\"a\""}}, CONDITIONAL_PASS},
        {METHOD_PUT, "\"a\"", true, {{FIELD_IF_MATCH, "\"b\", \"a\""}}, CONDITIONAL_PASS},
        {METHOD_PUT, "\"a\"", true, {{FIELD_IF_MATCH, "\"b\""}}, CONDITIONAL_FAILED},
        {METHOD_PUT, "W/\"a\"", true, {{FIELD_IF_MATCH, "W/\"a\""}}, CONDITIONAL_FAILED},
        {METHOD_PUT, "\"a\"", true, {{FIELD_IF_MATCH, "*"}}, CONDITIONAL_PASS},
        {METHOD_PUT, "", true, {{FIELD_IF_MATCH, "\"a\""}}, CONDITIONAL_FAILED},
        {METHOD_PUT, "\"a\"", true, {{FIELD_IF_MATCH, "\"b\""}, {FIELD_IF_MATCH, "\"a\""}}, CONDITIONAL_PASS},
        // 13.1.4, and 13.2.2: not where there is If-Match
        {METHOD_PUT, "", true, {{FIELD_IF_UNMODIFIED_SINCE, "E"}}, CONDITIONAL_FAILED},
        {METHOD_PUT, "", true, {{FIELD_IF_UNMODIFIED_SINCE, "D"}}, CONDITIONAL_PASS},
        {METHOD_PUT, "", false, {{FIELD_IF_UNMODIFIED_SINCE, "E"}}, CONDITIONAL_PASS},
        {METHOD_PUT, "", true, {{FIELD_IF_UNMODIFIED_SINCE, "yesterday"}}, CONDITIONAL_PASS},
        {METHOD_PUT,
         "\"a\"",
         true,
         {{FIELD_IF_MATCH, "\"a\""}, {FIELD_IF_UNMODIFIED_SINCE, "E"}},
         CONDITIONAL_PASS},
        // 13.1.2: weak comparison
        {METHOD_GET, "\"a\"", true, {{FIELD_IF_NONE_MATCH, "W/\"a\""}}, CONDITIONAL_NOT_MODIFIED},
        {METHOD_HEAD, "W/\"a\"", true, {{FIELD_IF_NONE_MATCH, "\"x\",\"a\""}}, CONDITIONAL_NOT_MODIFIED},
        {METHOD_GET, "\"a\"", true, {{FIELD_IF_NONE_MATCH, "\"b\""}}, CONDITIONAL_PASS},
        {METHOD_GET, "\"a,b\"", true, {{FIELD_IF_NONE_MATCH, "\"c\", \"a,b\""}}, CONDITIONAL_NOT_MODIFIED},
        {METHOD_PUT, "\"a\"", true, {{FIELD_IF_NONE_MATCH, "*"}}, CONDITIONAL_FAILED},
        {METHOD_POST, "\"a\"", true, {{FIELD_IF_NONE_MATCH, "\"a\""}}, CONDITIONAL_FAILED},
        // 13.1.3, and not where there is If-None-Match
        {METHOD_GET, "", true, {{FIELD_IF_MODIFIED_SINCE, "D"}}, CONDITIONAL_NOT_MODIFIED},
        {METHOD_GET, "", true, {{FIELD_IF_MODIFIED_SINCE, "L"}}, CONDITIONAL_NOT_MODIFIED},
        {METHOD_GET, "", true, {{FIELD_IF_MODIFIED_SINCE, "E"}}, CONDITIONAL_PASS},
        {METHOD_POST, "", true, {{FIELD_IF_MODIFIED_SINCE, "D"}}, CONDITIONAL_PASS},
        {METHOD_GET,
         "\"a\"",
         true,
         {{FIELD_IF_NONE_MATCH, "\"b\""}, {FIELD_IF_MODIFIED_SINCE, "D"}},
         CONDITIONAL_PASS},
        {METHOD_GET,
         "",
         true,
         {{FIELD_IF_MODIFIED_SINCE, "D"}, {FIELD_IF_MODIFIED_SINCE, "D"}},
         CONDITIONAL_PASS},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct given given[2];
        for (unsigned k = 0; k < 2; k++) {
            const char *v = rows[i].given[k].value;
            given[k] = rows[i].given[k];
            given[k].value = !v || v[1]    ? v
                             : v[0] == 'E' ? EARLIER
                             : v[0] == 'D' ? DATE
                             : v[0] == 'L' ? LATER
                                           : v;
        }
        struct request r = asked(rows[i].method, given, 2);
        struct validators v = {span_str(rows[i].etag), rows[i].dated ? MODIFIED_S : 0};
        if (conditional_check(&r, &v, NOW_S) != rows[i].wanted)
            fail_msg("row %zu", i);
        arena_reset(&arena);
    }
}

static void single_ranges(void **state)
{
    (void)state;
    static const struct {
        const char *range, *if_range;
        uint64_t size;
        enum range_kind wanted;
        uint64_t first, length;
    } rows[] = {
        {NULL, NULL, 100, RANGE_NONE, 0, 0},
        {"bytes=0-0", NULL, 100, RANGE_ONE, 0, 1},
        {"bytes=0-", NULL, 100, RANGE_ONE, 0, 100},
        {"Bytes=10-19", NULL, 100, RANGE_ONE, 10, 10},
        {"bytes=90-1000", NULL, 100, RANGE_ONE, 90, 10},
        {"bytes=-10", NULL, 100, RANGE_ONE, 90, 10},
        {"bytes=-1000", NULL, 100, RANGE_ONE, 0, 100},
        {"bytes=99-99999999999999999999999999", NULL, 100, RANGE_ONE, 99, 1},
        {"bytes=100-", NULL, 100, RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=99999999999999999999999999-", NULL, 100, RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=-0", NULL, 100, RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=-5", NULL, 0, RANGE_UNSATISFIABLE, 0, 0},
        {"bytes=5-4", NULL, 100, RANGE_NONE, 0, 0},
        {"bytes=5", NULL, 100, RANGE_NONE, 0, 0},
        {"bytes=-", NULL, 100, RANGE_NONE, 0, 0},
        {"bytes=a-b", NULL, 100, RANGE_NONE, 0, 0},
        {"bytes=1-b", NULL, 100, RANGE_NONE, 0, 0},
        {"bytes=0-1,3-4", NULL, 100, RANGE_NONE, 0, 0},
        {"lines=0-1", NULL, 100, RANGE_NONE, 0, 0},
        {"bytes=0-1", "\"a\"", 100, RANGE_ONE, 0, 2},
        {"bytes=0-1", "\"b\"", 100, RANGE_NONE, 0, 0},
        {"bytes=0-1", "W/\"a\"", 100, RANGE_NONE, 0, 0},
        {"bytes=0-1", "Sun, 06 Nov 1994 08:49:37 GMT", 100, RANGE_ONE, 0, 2},
        {"bytes=0-1", "Sun, 06 Nov 1994 08:49:38 GMT", 100, RANGE_NONE, 0, 0},
        {"bytes=0-1", "whenever", 100, RANGE_NONE, 0, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct given given[] = {{FIELD_RANGE, rows[i].range}, {FIELD_IF_RANGE, rows[i].if_range}};
        struct request r = asked(METHOD_GET, given, 2), head = asked(METHOD_HEAD, given, 2);
        struct validators v = {SPAN("\"a\""), MODIFIED_S};
        uint64_t first = 0, length = 0;
        if (range_check(&r, &v, rows[i].size, NOW_S, &first, &length) != rows[i].wanted ||
            first != rows[i].first || length != rows[i].length)
            fail_msg("%s: %llu, %llu", rows[i].range, (unsigned long long)first, (unsigned long long)length);
        assert_int_equal(range_check(&head, &v, rows[i].size, NOW_S, &first, &length),
                         RANGE_NONE); // 14.2: GET only
        arena_reset(&arena);
    }
}

static void several_ranges(void **state)
{
    (void)state;
    static const struct {
        const char *range;
        enum range_kind wanted;
        unsigned n;
        uint64_t last_first, last_length;
    } rows[] = {
        {"bytes=0-1,3-4", RANGE_ONE, 2, 3, 2},
        {"bytes=10-19, -10", RANGE_ONE, 2, 90, 10},
        {"bytes=200-300, 5-", RANGE_ONE, 1, 5, 95}, // what is outside is left out
        {"bytes=200-300, -0", RANGE_UNSATISFIABLE, 0, 0, 0},
        {"bytes=0-1,1-2", RANGE_NONE, 0, 0, 0}, // overlapping: the whole
        {"bytes=0-1,x-2", RANGE_NONE, 0, 0, 0},
        {"bytes=0-1,2", RANGE_NONE, 0, 0, 0},
        {"bytes=0-1,-", RANGE_NONE, 0, 0, 0},
        {"bytes=0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14,16-16,18-18,20-20,22-22,24-24,26-26,28-28,30-30,32-32",
         RANGE_NONE, 0, 0, 0},
        {"bytes=3-9", RANGE_ONE, 1, 3, 7},
        {"pages=1-2,3-4", RANGE_NONE, 0, 0, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct given given[] = {{FIELD_RANGE, rows[i].range}};
        struct request r = asked(METHOD_GET, given, 1);
        struct validators v = {SPAN("\"a\""), MODIFIED_S};
        struct ranges got;
        ranges_check(&r, &v, 100, NOW_S, &got);
        if (got.kind != rows[i].wanted || got.n != rows[i].n)
            fail_msg("%s: kind %u, %u", rows[i].range, got.kind, got.n);
        if (got.n)
            assert_true(got.v[got.n - 1].first == rows[i].last_first &&
                        got.v[got.n - 1].length == rows[i].last_length);
        arena_reset(&arena);
    }
}

static void parts(void **state)
{
    (void)state;
    struct ranges r = {.kind = RANGE_ONE, .n = 2, .v = {{0, 2}, {90, 10}}};
    assert_span(
        ranges_part_head(&r, 1, 100, SPAN("text/plain"), SPAN("0123456789abcdef"), &arena),
        "\r\n--0123456789abcdef\r\nContent-Type: text/plain\r\nContent-Range: bytes 90-99/100\r\n\r\n");
    assert_span(ranges_part_head(&r, 0, 100, SPAN_NONE, SPAN("0123456789abcdef"), &arena),
                "\r\n--0123456789abcdef\r\nContent-Range: bytes 0-1/100\r\n\r\n");
    assert_span(ranges_end(SPAN("0123456789abcdef"), &arena), "\r\n--0123456789abcdef--\r\n");
    arena_reset(&arena);
}

static void content_ranges(void **state)
{
    (void)state;
    static const char *const bad[] = {"",
                                      "bytes",
                                      "bytes 0-1",
                                      "bytes 0-1/*",
                                      "bytes */10",
                                      "bytes 5-4/10",
                                      "bytes 0-10/10",
                                      "lines 0-1/10",
                                      "bytes -1/10",
                                      "bytes 0-1/x",
                                      "bytes 0-18446744073709551615/18446744073709551616"};
    struct byte_range x = {7, 7};
    uint64_t size = 7;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(content_range_parse(span_str(bad[i]), &x, &size));
    assert_true(x.first == 7 && x.length == 7 && size == 7);
    assert_true(content_range_parse(SPAN("Bytes 2-9/10"), &x, &size));
    assert_true(x.first == 2 && x.length == 8 && size == 10);
}

int main(void)
{
    arena_init(&arena, 0);
    const struct CMUnitTest tests[] = {cmocka_unit_test(conditions), cmocka_unit_test(single_ranges),
                                       cmocka_unit_test(several_ranges), cmocka_unit_test(parts),
                                       cmocka_unit_test(content_ranges)};
    int r = cmocka_run_group_tests(tests, NULL, NULL);
    arena_fini(&arena);
    return r;
}
