// SPDX-License-Identifier: Apache-2.0
#include "base/base64.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

// RFC 4648 10.
static void vectors(void **state)
{
    static const struct {
        struct span plain, text;
    } v[] = {
        {SPAN_INIT(""), SPAN_INIT("")},          {SPAN_INIT("f"), SPAN_INIT("Zg==")},        {SPAN_INIT("fo"), SPAN_INIT("Zm8=")},
        {SPAN_INIT("foo"), SPAN_INIT("Zm9v")},   {SPAN_INIT("foob"), SPAN_INIT("Zm9vYg==")}, {SPAN_INIT("fooba"), SPAN_INIT("Zm9vYmE=")},
        {SPAN_INIT("foobar"), SPAN_INIT("Zm9vYmFy")},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(v); i++) {
        char out[16];
        assert_int_equal(base64_encode(v[i].plain, out), base64_size(v[i].plain.len));
        assert_true(span_eq(span_of(out, base64_size(v[i].plain.len)), v[i].text));
        assert_int_equal(base64_decode(v[i].text, out, sizeof out), v[i].plain.len);
        assert_true(span_eq(span_of(out, v[i].plain.len), v[i].plain));
    }
}

static void what_is_none(void **state)
{
    static const struct span bad[] = {SPAN_INIT("Z"), SPAN_INIT("Zg="), SPAN_INIT("Zg==="), SPAN_INIT("Zm9v===="), SPAN_INIT("Zm-v"), SPAN_INIT("Zm9v\n"), SPAN_INIT(" Zm9v"), SPAN_INIT("Zm=v"), SPAN_INIT("=")};
    char out[8];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_true(base64_decode(bad[i], out, sizeof out) == SIZE_MAX);
    assert_int_equal(base64_decode(SPAN("Zg"), out, sizeof out), 1); // the padding may be missing
    assert_true(base64_decode(SPAN("Zm9vYmFyZm9vYmFy"), out, sizeof out) == SIZE_MAX);
    assert_int_equal(base64_decode(SPAN("Zm9v"), out, 3), 3);
    assert_true(base64_decode(SPAN("Zm9v"), out, 2) == SIZE_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(vectors), cmocka_unit_test(what_is_none)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
