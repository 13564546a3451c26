// SPDX-License-Identifier: Apache-2.0
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/span.h"

#define assert_span(s, lit) assert_true(span_eq((s), SPAN(lit)))

static void equality(void **state)
{
    (void)state;
    assert_true(span_eq(SPAN("abc"), span_str("abc")));
    assert_false(span_eq(SPAN("abc"), SPAN("abd")));
    assert_false(span_eq(SPAN("abc"), SPAN("ab")));
    assert_true(span_eq(SPAN_NONE, SPAN("")));
    assert_int_equal(span_str(NULL).len, 0);

    assert_true(span_eq_ci(SPAN("Content-TYPE"), SPAN("content-type")));
    assert_false(span_eq_ci(SPAN("a-b"), SPAN("a_b")));
    // Only letters fold: '@' and '`', '[' and '{' differ by the same bit as 'A' and 'a' do.
    assert_false(span_eq_ci(SPAN("@["), SPAN("`{")));
    assert_false(span_eq_ci(SPAN("\xc9"), SPAN("\xe9")));
}

// Every pair of octets, alone and at each place of strings of up to three words: only letters of the two
// cases are the same.
static void case_folding_of_every_octet(void **state)
{
    (void)state;
    static const size_t lengths[] = {1, 7, 8, 9, 16, 21};
    for (size_t l = 0; l < ARRAY_LEN(lengths); l++) {
        char x[24], y[24];
        memset(x, 'k', sizeof x);
        memset(y, 'K', sizeof y);
        for (size_t at = 0; at < lengths[l]; at++) {
            for (unsigned a = 0; a < 256; a++) {
                for (unsigned b = 0; b < 256; b++) {
                    bool letters = (a | 0x20) >= 'a' && (a | 0x20) <= 'z';
                    x[at] = (char)a;
                    y[at] = (char)b;
                    bool same = a == b || (letters && (a ^ b) == 0x20);
                    assert_int_equal(span_eq_ci(span_of(x, lengths[l]), span_of(y, lengths[l])), same);
                }
            }
            x[at] = 'k';
            y[at] = 'K';
        }
    }
}

static void order(void **state)
{
    (void)state;
    assert_int_equal(span_cmp(SPAN("a"), SPAN("a")), 0);
    assert_true(span_cmp(SPAN("a"), SPAN("b")) < 0);
    assert_true(span_cmp(SPAN("b"), SPAN("a")) > 0);
    assert_true(span_cmp(SPAN("a"), SPAN("ab")) < 0);
    assert_true(span_cmp(SPAN("ab"), SPAN("a")) > 0);
    assert_true(span_cmp(SPAN("\x7f"), SPAN("\x80")) < 0);
    assert_true(span_cmp(SPAN_NONE, SPAN("a")) < 0);
    assert_int_equal(span_cmp(SPAN_NONE, SPAN("")), 0);
}

static void prefixes(void **state)
{
    (void)state;
    assert_true(span_starts(SPAN("/api/x"), SPAN("/api/")));
    assert_false(span_starts(SPAN("/api"), SPAN("/api/")));
    assert_true(span_starts(SPAN_NONE, SPAN_NONE));
    assert_true(span_ends(SPAN("a.example"), SPAN(".example")));
    assert_false(span_ends(SPAN("example"), SPAN(".example")));
    assert_true(span_ends(SPAN("x"), SPAN_NONE));
    assert_true(span_starts_ci(SPAN("HTTPS://x"), SPAN("https://")));
    assert_false(span_starts_ci(SPAN("http"), SPAN("https")));
    assert_true(span_ends_ci(SPAN("A.EXAMPLE"), SPAN(".example")));
    assert_false(span_ends_ci(SPAN("LE"), SPAN("example")));
}

static void cutting(void **state)
{
    (void)state;
    assert_span(span_skip(SPAN("abc"), 1), "bc");
    assert_span(span_skip(SPAN("abc"), 9), "");
    assert_null(span_skip(SPAN_NONE, 3).ptr);
    assert_span(span_first(SPAN("abc"), 2), "ab");
    assert_span(span_first(SPAN("abc"), 9), "abc");

    struct span rest = SPAN("a,,b");
    assert_span(span_cut(&rest, ','), "a");
    assert_span(span_cut(&rest, ','), "");
    assert_span(span_cut(&rest, ','), "b");
    assert_null(rest.ptr);
    assert_int_equal(rest.len, 0);

    // A separator at the very end leaves an empty rest that is still there.
    rest = SPAN("a,");
    assert_span(span_cut(&rest, ','), "a");
    assert_non_null(rest.ptr);
    assert_int_equal(rest.len, 0);
}

static void finding(void **state)
{
    (void)state;
    assert_int_equal(span_find(SPAN("a:b:c"), ':'), 1);
    assert_int_equal(span_find(SPAN("abc"), ':'), 3);
    assert_int_equal(span_find(SPAN_NONE, ':'), 0);
    assert_int_equal(span_rfind(SPAN("a:b:c"), ':'), 3);
    assert_int_equal(span_rfind(SPAN("abc"), ':'), 3);
    assert_int_equal(span_rfind(SPAN_NONE, ':'), 0);
    assert_int_equal(span_find_span(SPAN("hello"), SPAN("llo")), 2);
    assert_int_equal(span_find_span(SPAN("hello"), SPAN("lol")), 6);
    assert_int_equal(span_find_span(SPAN("hello"), SPAN("")), 0);
    assert_int_equal(span_find_span(SPAN_NONE, SPAN("x")), 1);
    assert_int_equal(span_find_span(SPAN("a\0b"), SPAN("\0b")), 1);
}

static void trimming(void **state)
{
    (void)state;
    assert_span(span_trim(SPAN(" \t a b \t")), "a b");
    assert_span(span_trim(SPAN(" \t ")), "");
    assert_span(span_trim(SPAN("a")), "a");
    assert_int_equal(span_trim(SPAN_NONE).len, 0);
    // Optional whitespace is SP and HTAB, nothing else.
    assert_span(span_trim(SPAN("\va\r\n")), "\va\r\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equality), cmocka_unit_test(case_folding_of_every_octet),
        cmocka_unit_test(order),    cmocka_unit_test(prefixes),
        cmocka_unit_test(cutting),  cmocka_unit_test(finding),
        cmocka_unit_test(trimming),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
