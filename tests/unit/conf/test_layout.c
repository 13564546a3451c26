// SPDX-License-Identifier: Apache-2.0
// The canonical layout.
#include "conf_test.h"

static void layout(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } rows[] = {
        {"log   access\toff", "log access off\n"},
        {"a;b;;c", "a\nb\nc\n"},
        {"# top\n\n\n\na # behind\n# alone\nb", "# top\n\na # behind\n# alone\nb\n"},
        {"site * {\nroute *   -> respond 200 }", "site * {\n    route * -> respond 200\n}\n"},
        {"pool p{server a:1;server b:2}", "pool p { server a:1; server b:2 }\n"},
        {"a {\n\n# c\nb {\nc\n}\n\n\n\nd\n\n}\n", "a {\n    # c\n    b {\n        c\n    }\n\n    d\n}\n"},
        {"a \"x  y\" ${V:-z}  {rest}\n", "a \"x  y\" ${V:-z} {rest}\n"},
        {"a \\\n   b\r\nc\r\n", "a b\nc\n"},
        {"a { b { c }; d }", "a { b { c }; d }\n"},
        {"a { \"x\" }", "a {\n    \"x\"\n}\n"},
        {"", ""},
        {"\n\n", ""},
        {"# only", "# only\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct arena a;
        struct span once, twice;
        struct conf_diags *d = conf_diags_new();
        arena_init(&a, ARENA_NO_LIMIT);
        assert_true(conf_fmt(span_str(rows[i].in), "t.conf", d, &a, &once));
        assert_span(once, rows[i].out);
        assert_true(conf_fmt(once, "t.conf", d, &a, &twice));
        assert_span(twice, rows[i].out);
        arena_fini(&a);
        conf_diags_free(d);
    }
}

static void what_does_not_parse_is_left_alone(void **state)
{
    (void)state;
    struct arena a;
    struct span out;
    struct conf_diags *d = conf_diags_new();
    arena_init(&a, ARENA_NO_LIMIT);
    assert_false(conf_fmt(SPAN("log access \"open\n"), "t.conf", d, &a, &out));
    assert_true(span_starts(conf_diags_text(d), SPAN("t.conf:1:12: error: ")));
    arena_fini(&a);
    conf_diags_free(d);
}

static void the_reference_has_every_statement(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, ARENA_NO_LIMIT);
    struct span text = conf_reference(&a);
    unsigned n;
    const struct conf_row *rows = conf_rows(&n);
    for (unsigned i = 0; i < n; i++) {
        struct span word = arena_printf(&a, "\n| `%s`", rows[i].word);
        if (span_find_span(text, word) > text.len)
            fail_msg("%s is not in the reference", rows[i].word);
    }
    arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(layout),
        cmocka_unit_test(what_does_not_parse_is_left_alone),
        cmocka_unit_test(the_reference_has_every_statement),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
