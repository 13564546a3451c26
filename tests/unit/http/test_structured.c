// SPDX-License-Identifier: Apache-2.0
// Structured fields by the examples and rules of RFC 9651.
#include "http_test.h"

#include "http/structured.h"

static void items(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool ok;
        enum sf_type type;
        int64_t num;
        const char *value;
    } t[] = {
        {"42", true, SF_INTEGER, 42, NULL},
        {"-0", true, SF_INTEGER, 0, NULL},
        {"999999999999999", true, SF_INTEGER, 999999999999999, NULL},
        {"1000000000000000", false, 0, 0, NULL},
        {"--1", false, 0, 0, NULL},
        {"-", false, 0, 0, NULL},
        {"1.5", true, SF_DECIMAL, 1500, NULL},
        {"-1.123", true, SF_DECIMAL, -1123, NULL},
        {"1.", false, 0, 0, NULL},
        {"1.1234", false, 0, 0, NULL},
        {"1234567890123.1", false, 0, 0, NULL},
        {"\"a\\\"b\\\\\"", true, SF_STRING, 0, "a\\\"b\\\\"},
        {"\"a\\x\"", false, 0, 0, NULL},
        {"\"open", false, 0, 0, NULL},
        {"\"\xc3\xa9\"", false, 0, 0, NULL},
        {"foo123/456", true, SF_TOKEN, 0, "foo123/456"},
        {"*a", true, SF_TOKEN, 0, "*a"},
        {":cHJldGVuZA==:", true, SF_BYTES, 0, "cHJldGVuZA=="},
        {":_-:", false, 0, 0, NULL},
        {"?1", true, SF_BOOLEAN, 1, NULL},
        {"?0", true, SF_BOOLEAN, 0, NULL},
        {"?2", false, 0, 0, NULL},
        {"@1659578233", true, SF_DATE, 1659578233, NULL},
        {"@1.5", false, 0, 0, NULL},
        {"%\"f%c3%bc\"", true, SF_DISPLAY, 0, "f%c3%bc"},
        {"%\"f%C3\"", false, 0, 0, NULL},
        {"%x", false, 0, 0, NULL},
        {"  5  ", true, SF_INTEGER, 5, NULL},
        {"5 6", false, 0, 0, NULL},
        {"", false, 0, 0, NULL},
        {"'a'", false, 0, 0, NULL},
        {"5;a=1;b", true, SF_INTEGER, 5, NULL},
        {"5;A", false, 0, 0, NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        char *heap = exactly(span_str(t[i].text));
        struct sf_item item;
        bool ok = sf_item_parse(span_of(heap, strlen(t[i].text)), &item);
        if (ok != t[i].ok || (ok && (item.type != t[i].type || item.num != t[i].num || (t[i].value && !span_eq(item.text, span_str(t[i].value))))))
            fail_msg("%s", t[i].text);
        free(heap);
    }
}

static void dictionaries(void **state)
{
    (void)state;
    struct span d = SPAN("max-age=60;x=1, foo ,b=?0,l=(\"a\" b;q=1), c=\"d,e\"");
    struct sf_member m;
    assert_int_equal(sf_dict_next(&d, &m), SF_NEXT);
    assert_span(m.key, "max-age");
    assert_int_equal(m.item.num, 60);
    assert_span(m.item.params, ";x=1");
    assert_int_equal(sf_dict_next(&d, &m), SF_NEXT);
    assert_span(m.key, "foo");
    assert_true(m.item.type == SF_BOOLEAN && m.item.num == 1);
    assert_int_equal(sf_dict_next(&d, &m), SF_NEXT);
    assert_true(m.item.type == SF_BOOLEAN && m.item.num == 0);
    assert_int_equal(sf_dict_next(&d, &m), SF_NEXT);
    assert_int_equal(m.item.type, SF_INNER_LIST);
    struct span inner = m.item.text;
    struct sf_item item;
    assert_int_equal(sf_inner_next(&inner, &item), SF_NEXT);
    assert_span(item.text, "a");
    assert_int_equal(sf_inner_next(&inner, &item), SF_NEXT);
    assert_span(item.text, "b");
    assert_int_equal(sf_inner_next(&inner, &item), SF_END);
    assert_int_equal(sf_dict_next(&d, &m), SF_NEXT);
    assert_span(m.item.text, "d,e");
    assert_int_equal(sf_dict_next(&d, &m), SF_END);
    static const char *const bad[] = {"a=1,", "a=1,,b", "a==1", "=1", "A=1", "a=1 b", "a=(1 2", "a=(1\t2)", "a=(1,2)", "max-age=10, &&&&&", "a= 1", "a =1"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (sf_dict_is_valid(span_str(bad[i])))
            fail_msg("%s", bad[i]);
    assert_true(sf_dict_is_valid(SPAN("")));
    assert_true(sf_list_is_valid(SPAN("a, (b c);d, \"e\"")));
    assert_false(sf_list_is_valid(SPAN("a,")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(items), cmocka_unit_test(dictionaries)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
