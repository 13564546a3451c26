// SPDX-License-Identifier: Apache-2.0
// What a `test` block asks, and the same from a command line.
#include "conf_test.h"

static void from_the_file(void **state)
{
    (void)state;
    struct conf *c = load_good("pool p { server a:1 }\nsite * { route * -> pool p }\n"
                               "test \"x\" {\n"
                               "    site GET http://a/x from 10.0.0.1 user ann header X-A b header C d at "
                               "\"tue 10:00\" -> pool p path /x\n"
                               "    proxy CONNECT https://b/ -> deny\n"
                               "}\n");
    struct conf_question q;
    const char *why;
    const struct conf_stmt *s = conf_child(conf_root(c), CONF_TEST)->first_child;
    assert_true(conf_question_parse(s, &q, &why));
    assert_false(q.proxy);
    assert_span(q.method, "GET");
    assert_span(q.url, "http://a/x");
    assert_span(q.from, "10.0.0.1");
    assert_span(q.user, "ann");
    assert_span(q.at, "tue 10:00");
    assert_int_equal(q.n_headers, 2);
    assert_span(q.headers[1][0], "C");
    assert_span(q.headers[1][1], "d");
    assert_int_equal(q.n_expect, 4);
    assert_span(q.expect[3], "/x");
    assert_true(conf_question_parse(s->next, &q, &why));
    assert_true(q.proxy);
    assert_span(q.expect[0], "deny");
    assert_int_equal(q.n_headers, 0);
    conf_unref(c);
}

static void from_text(void **state)
{
    (void)state;
    struct arena a;
    struct conf_question q;
    const char *why;
    arena_init(&a, ARENA_NO_LIMIT);
    assert_true(
        conf_question_parse_text(SPAN("proxy GET http://a.test/ user ann at \"tue 10:00\""), &a, &q, &why));
    assert_true(q.proxy);
    assert_span(q.at, "tue 10:00");
    assert_true(conf_question_parse_text(SPAN("site POST http://a/"), &a, &q, &why));
    assert_false(q.proxy);
    static const char *const bad[] = {"",
                                      "site",
                                      "site GET",
                                      "site GET /x",
                                      "GET http://a/",
                                      "site GET http://a/ from",
                                      "site GET http://a/ header X",
                                      "site GET http://a/ nonsense",
                                      "site GET http://a/ { }",
                                      "site GET \"http://a/",
                                      "site GET http://a/; x"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        why = NULL;
        if (conf_question_parse_text(span_str(bad[i]), &a, &q, &why))
            fail_msg("taken: %s", bad[i]);
        assert_non_null(why);
    }
    arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(from_the_file), cmocka_unit_test(from_text)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
