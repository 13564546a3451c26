// SPDX-License-Identifier: Apache-2.0
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <stdio.h>

#include "base/num.h"

static void decimal(void **state)
{
    (void)state;
    static const struct {
        struct span text;
        uint64_t max, value;
        bool ok;
    } rows[] = {
        {SPAN_INIT("0"), 10, 0, true},
        {SPAN_INIT("007"), 10, 7, true},
        {SPAN_INIT("10"), 10, 10, true},
        {SPAN_INIT("11"), 10, 0, false},
        {SPAN_INIT(""), 10, 0, false},
        {SPAN_INIT("+1"), 10, 0, false},
        {SPAN_INIT("-1"), 10, 0, false},
        {SPAN_INIT(" 1"), 10, 0, false},
        {SPAN_INIT("1 "), 10, 0, false},
        {SPAN_INIT("1a"), 100, 0, false},
        {SPAN_INIT("0x1"), 100, 0, false},
        {SPAN_INIT("1\0"), 100, 0, false},
        {SPAN_INIT("18446744073709551615"), UINT64_MAX, UINT64_MAX, true},
        {SPAN_INIT("18446744073709551616"), UINT64_MAX, 0, false},
        {SPAN_INIT("99999999999999999999"), UINT64_MAX, 0, false},
        {SPAN_INIT("184467440737095516150"), UINT64_MAX, 0, false},
        {SPAN_INIT("000000000000000000000000000000000000000001"), 1, 1, true},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint64_t v = 4711;
        assert_int_equal(num_parse_dec(rows[i].text, rows[i].max, &v), rows[i].ok);
        assert_int_equal(v, rows[i].ok ? rows[i].value : 4711);
    }
}

static void hexadecimal(void **state)
{
    (void)state;
    static const struct {
        struct span text;
        uint64_t max, value;
        bool ok;
    } rows[] = {
        {SPAN_INIT("0"), UINT64_MAX, 0, true},
        {SPAN_INIT("fF"), UINT64_MAX, 255, true},
        {SPAN_INIT("fF"), 254, 0, false},
        {SPAN_INIT("ffffffffffffffff"), UINT64_MAX, UINT64_MAX, true},
        {SPAN_INIT("10000000000000000"), UINT64_MAX, 0, false},
        {SPAN_INIT("00000000000000000a"), UINT64_MAX, 10, true},
        {SPAN_INIT(""), UINT64_MAX, 0, false},
        {SPAN_INIT("0x1"), UINT64_MAX, 0, false},
        {SPAN_INIT("-1"), UINT64_MAX, 0, false},
        {SPAN_INIT("g"), UINT64_MAX, 0, false},
        {SPAN_INIT("1 "), UINT64_MAX, 0, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint64_t v = 4711;
        assert_int_equal(num_parse_hex(rows[i].text, rows[i].max, &v), rows[i].ok);
        assert_int_equal(v, rows[i].ok ? rows[i].value : 4711);
    }
}

static void writing(void **state)
{
    (void)state;
    static const uint64_t values[] = {0,         1, 9, 10, 15, 16, 99, 100, 12345, UINT32_MAX, UINT64_MAX - 1,
                                      UINT64_MAX};
    for (size_t i = 0; i < ARRAY_LEN(values); i++) {
        char want[32], got[32];
        int n = snprintf(want, sizeof(want), "%llu", (unsigned long long)values[i]);
        assert_int_equal(num_put_dec(got, values[i]), n);
        assert_memory_equal(got, want, (size_t)n);
        n = snprintf(want, sizeof(want), "%llx", (unsigned long long)values[i]);
        assert_int_equal(num_put_hex(got, values[i]), n);
        assert_memory_equal(got, want, (size_t)n);
    }
}

static void arithmetic(void **state)
{
    (void)state;
    uint64_t r = 4711;
    assert_false(num_add(UINT64_MAX, 1, &r));
    assert_false(num_mul(UINT64_MAX / 2 + 1, 2, &r));
    assert_int_equal(r, 4711);
    assert_true(num_add(UINT64_MAX - 1, 1, &r));
    assert_int_equal(r, UINT64_MAX);
    assert_true(num_mul(1ULL << 32, (1ULL << 32) - 1, &r));
    assert_int_equal(r, 0xffffffff00000000ULL);
    assert_int_equal(num_add_sat(UINT64_MAX, 5), UINT64_MAX);
    assert_int_equal(num_add_sat(2, 3), 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decimal),
        cmocka_unit_test(hexadecimal),
        cmocka_unit_test(writing),
        cmocka_unit_test(arithmetic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
