// SPDX-License-Identifier: Apache-2.0
#include "base/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static void depths(void **state)
{
    static const struct {
        struct span text;
        size_t depth;
    } v[] = {
        {SPAN_INIT(""), 0},
        {SPAN_INIT("17"), 0},
        {SPAN_INIT("{}"), 1},
        {SPAN_INIT("{\"a\":[1,{\"b\":2}],\"c\":[]}"), 3},
        {SPAN_INIT("[[],[],[]]"), 2},
        {SPAN_INIT("\"[[[{{{\""), 0},
        {SPAN_INIT("[\"\\\"[[\"]"), 1},
        {SPAN_INIT("[\"\\\\\",[]]"), 2},
        {SPAN_INIT("[[[[["), 5},
        {SPAN_INIT("]]]][["), 2},
        {SPAN_INIT("\"\\"), 0},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(v); i++)
        assert_int_equal(json_depth(v[i].text), v[i].depth);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(depths)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
