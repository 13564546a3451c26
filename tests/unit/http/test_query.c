// SPDX-License-Identifier: Apache-2.0
// Parameters that are taken off a query.
#include "http/query.h"
#include "http_test.h"

static bool begins_with_x(void *arg, struct span param)
{
    ++*(unsigned *)arg;
    return span_starts(param, SPAN("x"));
}

static void parameters_go_and_the_others_stay_as_they_are(void **state)
{
    (void)state;
    static const struct {
        const char *query, *rest; // rest NULL: nothing is left
    } rows[] = {
        {"a=1&b=2", "a=1&b=2"},
        {"x=1", NULL},
        {"x", NULL},
        {"x=1&x=2", NULL},
        {"x=1&a=1", "a=1"},
        {"a=1&x=1", "a=1"},
        {"a=1&x&b=2", "a=1&b=2"},
        {"a&xx&&x&b=%26", "a&&b=%26"},
        {"a=x&ax=1", "a=x&ax=1"},
        {"", ""},
        {"x1&a=1&x2&b&x3", "a=1&b"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct arena a;
        struct span out, query = span_str(rows[i].query);
        unsigned asked = 0;
        arena_init(&a, 0);
        assert_int_equal(query_without(query, begins_with_x, &asked, &a, &out), ERR_OK);
        assert_true(asked > 0);
        if (rows[i].rest)
            assert_true(span_eq(out, span_str(rows[i].rest)));
        else
            assert_null(out.ptr);
        if (rows[i].rest && strcmp(rows[i].rest, rows[i].query) == 0)
            assert_ptr_equal(out.ptr, query.ptr); // it is itself
        arena_fini(&a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(parameters_go_and_the_others_stay_as_they_are)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
