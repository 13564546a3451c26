// SPDX-License-Identifier: Apache-2.0
// The wide search for the end of a field value finds what the one by words finds, and that is what RFC
// 9110 5.5 says.
#include "http/h1_scan.h"
#include "http_test.h"

static size_t by_the_book(const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)p[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return i;
    }
    return n;
}

static void compare(const char *begin, const char *p, size_t n)
{
    size_t wanted = by_the_book(p, n);
    assert_int_equal((size_t)(scan_value_scalar(p, p + n) - p), wanted);
    assert_int_equal((size_t)(scan_value(p, p, p + n) - p), wanted);
    assert_int_equal((size_t)(scan_value(begin, p, p + n) - p), wanted);
}

// Every octet at every place of every length, at every alignment, with nothing readable behind it.
static void every_octet_at_every_place(void **state)
{
    enum { LENGTHS = 50, OFFSETS = 16 };
    (void)state;
    for (size_t n = 0; n < LENGTHS; n++) {
        for (size_t offset = 0; offset < OFFSETS; offset++) {
            char *buf = malloc(offset + n + !(offset + n));
            assert_non_null(buf);
            memset(buf, 'a', offset + n);
            compare(buf, buf + offset, n);
            for (size_t at = 0; at < n; at++) {
                for (unsigned c = 0; c < 256; c += offset ? 1 + c / 0x21 * 7 : 1) { // all of them once
                    buf[offset + at] = (char)c;
                    compare(buf, buf + offset, n);
                }
                buf[offset + at] = 'a';
            }
            free(buf);
        }
    }
}

static void what_borders_on_a_control(void **state)
{
    (void)state;
    // Borrowing between the octets of a word must not be taken for a control.
    static const char text[] = "\t\t \t~\x80\xff\x20\x1f\t\x7e\x7f\x80\x21\x20\x00\t\xff\r\n\t\x01\x80\x80";
    for (size_t from = 0; from < sizeof text; from++)
        for (size_t to = from; to < sizeof text; to++)
            compare(text, text + from, to - from);
}

// Lines of every length from one to some blocks, so that their ends stand at all places of a block, and the
// last ones in what is left of one.
static void all_line_ends(void **state)
{
    enum { LENGTHS = 80 };
    (void)state;
    for (size_t step = 1; step < 40; step++) {
        for (size_t n = 0; n < LENGTHS; n++) {
            char *buf = malloc(n + !n);
            assert_non_null(buf);
            for (size_t i = 0; i < n; i++)
                buf[i] = i % step == step - 1 ? '\n' : 'a';
            struct scan_lines lines = scan_lines_of(buf, buf + n);
            for (size_t i = step - 1; i < n; i += step)
                assert_ptr_equal(scan_lines_next(&lines), buf + i);
            assert_null(scan_lines_next(&lines));
            assert_null(scan_lines_next(&lines));
            free(buf);
        }
    }
}

static void the_nearest_of_an_octet(void **state)
{
    enum { LENGTHS = 50 };
    (void)state;
    for (size_t n = 0; n < LENGTHS; n++) {
        char *buf = malloc(n + !n);
        assert_non_null(buf);
        memset(buf, 'a', n);
        assert_null(scan_near(buf, buf + n, ':'));
        for (size_t at = n; at-- > 0;) {
            buf[at] = ':'; // and all behind it
            assert_ptr_equal(scan_near(buf, buf + n, ':'), buf + at);
        }
        free(buf);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_line_ends), cmocka_unit_test(the_nearest_of_an_octet),
        cmocka_unit_test(every_octet_at_every_place), cmocka_unit_test(what_borders_on_a_control)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
