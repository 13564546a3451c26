// SPDX-License-Identifier: Apache-2.0
#include "http/media.h"
#include "http_test.h"

static void types(void **state)
{
    (void)state;
    assert_span(media_type_of(SPAN("index.html")), "text/html; charset=utf-8");
    assert_span(media_type_of(SPAN("a.tar.GZ")), "application/gzip");
    assert_span(media_type_of(SPAN("a.unknown")), "application/octet-stream");
    assert_span(media_type_of(SPAN("html")), "application/octet-stream");
    assert_span(media_type_of(SPAN("dot.")), "application/octet-stream");
    assert_span(media_type_of(SPAN("")), "application/octet-stream");
}

// RFC 9110 8.3.1
static void parameters(void **state)
{
    (void)state;
    struct span t = SPAN(" text/html ; Charset=\"utf-8\" ; q=1;flag");
    assert_span(media_essence(t), "text/html");
    assert_span(media_parameter(t, SPAN("charset")), "utf-8");
    assert_span(media_parameter(t, SPAN("q")), "1");
    assert_null(media_parameter(t, SPAN("flag")).ptr);
    assert_null(media_parameter(t, SPAN("boundary")).ptr);
    assert_null(media_parameter(SPAN("text/html"), SPAN("charset")).ptr);
    assert_int_equal(media_essence(SPAN("")).len, 0);
}

static void patterns(void **state)
{
    (void)state;
    assert_true(media_matches(SPAN("text/HTML"), SPAN("text/html")));
    assert_true(media_matches(SPAN("text/css"), SPAN("text/*")));
    assert_true(media_matches(SPAN("image/svg+xml"), SPAN("*+xml")));
    assert_true(media_matches(SPAN("a/b"), SPAN("*")));
    assert_false(media_matches(SPAN("text/html"), SPAN("text/htm")));
    assert_false(media_matches(SPAN("textual/x"), SPAN("text/*")));
    assert_false(media_matches(SPAN("ab"), SPAN("ab*b"))); // what the two ends share counts once
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(types), cmocka_unit_test(parameters),
                                       cmocka_unit_test(patterns)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
