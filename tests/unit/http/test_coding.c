// SPDX-License-Identifier: Apache-2.0
// Which content coding a client gets (RFC 9110 12.5.3).
#include "http/coding.h"
#include "http_test.h"

static const enum coding offers[] = {CODING_ZSTD, CODING_BR, CODING_GZIP};

static void chosen(void **state)
{
    (void)state;
    static const struct {
        const char *accept;
        enum coding wanted;
    } rows[] = {
        {NULL, CODING_IDENTITY},
        {"", CODING_IDENTITY},
        {"gzip", CODING_GZIP},
        {"GZip", CODING_GZIP},
        {"x-gzip", CODING_GZIP},
        {"gzip, br, zstd", CODING_ZSTD},
        {"gzip;q=1.0, br;q=0.9", CODING_GZIP},
        {"gzip;q=0.1, br;q=0.101", CODING_BR},
        {"gzip ; q=0.5 , br;q=0.4", CODING_GZIP},
        {"gzip;q=0", CODING_IDENTITY},
        {"*", CODING_ZSTD},
        {"*;q=0.5, gzip;q=0.6", CODING_GZIP},
        {"zstd;q=0, *", CODING_BR},
        {"identity, gzip;q=0.5", CODING_IDENTITY},
        {"identity;q=0.5, gzip;q=0.5", CODING_GZIP},
        {"identity;q=0, gzip", CODING_GZIP},
        {"gzip;q=2", CODING_IDENTITY},   // no weight: 0
        {"gzip;q=0.1234", CODING_IDENTITY}, // at most three digits
        {"gzip;q=-1, br;q=abc", CODING_IDENTITY},
        {"gzip;q=1.001", CODING_IDENTITY},
        {"compress, deflate", CODING_IDENTITY},
        {",,gzip,,", CODING_GZIP},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (coding_choose(span_str(rows[i].accept), offers, 3) != rows[i].wanted)
            fail_msg("%s: %u", rows[i].accept ? rows[i].accept : "(none)", coding_choose(span_str(rows[i].accept), offers, 3));
}

static void listed(void **state)
{
    (void)state;
    enum coding v[2];
    assert_int_equal(coding_list(SPAN("identity"), v, 2), 0);
    assert_int_equal(coding_list(SPAN("gzip, br"), v, 2), 2);
    assert_int_equal(v[0], CODING_GZIP);
    assert_int_equal(v[1], CODING_BR);
    assert_int_equal(coding_list(SPAN("gzip, br, gzip"), v, 2), 3);
    assert_int_equal(coding_list(SPAN("pack200-gzip"), v, 2), 1);
    assert_int_equal(v[0], CODING_UNKNOWN);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(chosen), cmocka_unit_test(listed)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
