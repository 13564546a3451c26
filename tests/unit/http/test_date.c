// SPDX-License-Identifier: Apache-2.0
// HTTP dates in and out, against the C library's calendar.
#include <time.h>

#include "http/date.h"
#include "http_test.h"

static const int64_t now = 1767225600; // 2026-01-01

static void the_three_forms(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        int64_t value;
    } rows[] = {
        {"Sun, 06 Nov 1994 08:49:37 GMT", 784111777}, // RFC 9110 5.6.7
        {"Sunday, 06-Nov-94 08:49:37 GMT", 784111777},
        {"Sun Nov  6 08:49:37 1994", 784111777},
        {"Thu, 01 Jan 1970 00:00:00 GMT", 0},
        {"Thu, 29 Feb 2024 23:59:60 GMT", 1709251200}, // a leap second is the next one's first
        {"Fri, 31 Dec 9999 23:59:59 GMT", 253402300799},
        {"Wed Nov 16 08:49:37 1994", 784975777},
        {"Saturday, 01-Jan-50 00:00:00 GMT", 2524608000}, // within 50 years ahead
        {"Saturday, 01-Jan-77 00:00:00 GMT", 220924800},  // more is the past
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int64_t v = -1;
        assert_true(http_date_parse(span_str(rows[i].text), now, &v));
        if (v != rows[i].value)
            fail_msg("%s: %lld", rows[i].text, (long long)v);
    }
}

static void malformed(void **state)
{
    (void)state;
    static const char *const rows[] = {
        "",
        "0",
        "Sun",
        "now",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 gmt",
        "Sun, 06 Nov 1994 08:49:37 UTC",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
        " Sun, 06 Nov 1994 08:49:37 GMT",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 06 nov 1994 08:49:37 GMT",
        "Sun, 32 Nov 1994 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 31 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:00:00 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 06 Nov 94 08:49:37 GMT",
        "Son, 06 Nov 1994 08:49:37 GMT",
        "Sun 06 Nov 1994 08:49:37 GMT",
        "Sunday, 06-Nov-1994 08:49:37 GMT",
        "Sunday, 06 Nov 94 08:49:37 GMT",
        "Sun, 06-Nov-94 08:49:37 GMT",
        "Sun Nov 6 08:49:37 1994",
        "Sun Nov 06 08:49:37 94",
        "Xxx Nov  6 08:49:37 1994",
        "Sun, 06 Nov -994 08:49:37 GMT",
        "Sun, +6 Nov 1994 08:49:37 GMT",
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int64_t v = 4711;
        char *text = exactly(span_str(rows[i]));
        if (http_date_parse(span_of(text, strlen(rows[i])), now, &v))
            fail_msg("taken: %s", rows[i]);
        assert_int_equal(v, 4711);
        free(text);
    }
}

static void out_and_in_again(void **state)
{
    (void)state;
    uint64_t rnd = 1;
    for (unsigned i = 0; i < 20000; i++) {
        rnd = rnd * 6364136223846793005ULL + 1442695040888963407ULL;
        int64_t t = (int64_t)(rnd >> 16) % INT64_C(253402300800), back = -1;
        char got[HTTP_DATE_BYTES], want[64];
        struct tm tm;
        time_t tt = (time_t)t;
        assert_non_null(gmtime_r(&tt, &tm));
        assert_int_equal(strftime(want, sizeof want, "%a, %d %b %Y %H:%M:%S GMT", &tm), HTTP_DATE_BYTES);
        http_date_format(t, got);
        assert_memory_equal(got, want, HTTP_DATE_BYTES);
        assert_true(http_date_parse(span_of(got, HTTP_DATE_BYTES), now, &back));
        assert_true(back == t);
    }
    char got[HTTP_DATE_BYTES];
    http_date_format(-5, got);
    assert_memory_equal(got, "Thu, 01 Jan 1970 00:00:00 GMT", HTTP_DATE_BYTES);
    http_date_format(INT64_MAX, got);
    assert_memory_equal(got, "Fri, 31 Dec 9999 23:59:59 GMT", HTTP_DATE_BYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_three_forms),
        cmocka_unit_test(malformed),
        cmocka_unit_test(out_and_in_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
