// SPDX-License-Identifier: Apache-2.0
// Fields by id and by name, and lists.
#include "base/mem.h"
#include "http_test.h"

static void ids(void **state)
{
    (void)state;
    for (unsigned id = 1; id < N_FIELDS; id++) {
        struct span name = field_name((enum field_id)id);
        assert_int_equal(field_id_of(name), id);
        char other[64];
        assert_true(name.len < sizeof other);
        for (size_t i = 0; i < name.len; i++)
            other[i] = (char)(name.ptr[i] >= 'a' && name.ptr[i] <= 'z' ? name.ptr[i] - 32 : name.ptr[i]);
        assert_int_equal(field_id_of(span_of(other, name.len)), id);
        other[name.len] = 'x';
        assert_int_equal(field_id_of(span_of(other, name.len + 1)), FIELD_OTHER);
        assert_true(http_is_token(name));
    }
    assert_int_equal(field_id_of(SPAN("")), FIELD_OTHER);
    assert_int_equal(field_id_of(SPAN("X-Unheard-Of")), FIELD_OTHER);
    assert_int_equal(field_id_of(SPAN("0123456789012345678901234567890123456789")), FIELD_OTHER);
    assert_int_equal(field_id_of(SPAN("Hos\0")), FIELD_OTHER);
    // What frames a message or belongs to a hop never comes in a trailer section.
    for (unsigned id = 1; id < N_FIELDS; id++)
        if (field_flags((enum field_id)id) & FIELD_FRAMING)
            assert_true(field_flags((enum field_id)id) & FIELD_NO_TRAILER);
}

static void finding_setting_and_removing(void **state)
{
    (void)state;
    struct arena a;
    struct fields f;
    arena_init(&a, ARENA_NO_LIMIT);
    fields_init(&f, &a);
    assert_null(fields_get(&f, FIELD_VIA));
    assert_false(fields_may_have(&f, FIELD_VIA));
    assert_int_equal(fields_add(&f, FIELD_VIA, SPAN("1.1 a")), ERR_OK);
    assert_int_equal(fields_add_named(&f, SPAN("x-own"), SPAN("1")), ERR_OK);
    assert_int_equal(fields_add_named(&f, SPAN("VIA"), SPAN("1.1 b")), ERR_OK);
    assert_int_equal(fields_add_named(&f, SPAN("X-Own"), SPAN("2")), ERR_OK);
    assert_true(fields_may_have(&f, FIELD_VIA));
    assert_int_equal(fields_count(&f, FIELD_VIA), 2);
    assert_span(fields_value(&f, FIELD_VIA), "1.1 a");
    assert_span(fields_next(&f, fields_get(&f, FIELD_VIA))->value, "1.1 b");
    assert_null(fields_next(&f, fields_next(&f, fields_get(&f, FIELD_VIA))));
    assert_span(fields_find(&f, SPAN("X-OWN"))->value, "1");
    assert_span(fields_find_next(&f, fields_find(&f, SPAN("X-OWN")))->value, "2");
    assert_span(fields_joined(&f, FIELD_VIA, &a), "1.1 a, 1.1 b");
    assert_null(fields_joined(&f, FIELD_HOST, &a).ptr);
    assert_null(fields_value(&f, FIELD_HOST).ptr);

    assert_int_equal(fields_set(&f, FIELD_VIA, SPAN("new")), ERR_OK);
    assert_int_equal(fields_count(&f, FIELD_VIA), 1);
    assert_span(fields_joined(&f, FIELD_VIA, &a), "new");
    assert_ptr_equal(fields_get(&f, FIELD_VIA), &f.v[0]); // it keeps its place
    assert_int_equal(fields_set_named(&f, SPAN("X-Own"), SPAN("3")), ERR_OK);
    assert_null(fields_find_next(&f, fields_find(&f, SPAN("x-own"))));
    assert_int_equal(fields_set_named(&f, SPAN("X-More"), SPAN("4")), ERR_OK);
    assert_span(fields_find(&f, SPAN("x-more"))->value, "4");

    fields_remove(&f, FIELD_VIA);
    assert_null(fields_get(&f, FIELD_VIA));
    fields_remove_named(&f, SPAN("x-own"));
    assert_null(fields_find(&f, SPAN("X-Own")));
    fields_remove_named(&f, SPAN("never-there"));
    // An empty value is a value.
    assert_int_equal(fields_add(&f, FIELD_ACCEPT, SPAN_NONE), ERR_OK);
    assert_non_null(fields_joined(&f, FIELD_ACCEPT, &a).ptr);
    assert_int_equal(fields_add(&f, FIELD_ACCEPT, SPAN("x")), ERR_OK);
    assert_span(fields_joined(&f, FIELD_ACCEPT, &a), ", x");
    arena_fini(&a);
}

static void many(void **state)
{
    (void)state;
    struct arena a;
    struct fields f;
    arena_init(&a, ARENA_NO_LIMIT);
    fields_init(&f, &a);
    for (unsigned i = 0; i < 1000; i++) {
        struct span name = arena_printf(&a, "X-%u", i);
        assert_int_equal(fields_add_named(&f, name, span_skip(name, 2)), ERR_OK);
    }
    assert_span(fields_find(&f, SPAN("x-0"))->value, "0");
    assert_span(fields_find(&f, SPAN("x-999"))->value, "999");
    arena_fini(&a);
}

static bool always(void *arg)
{
    (void)arg;
    return true;
}

static void out_of_memory(void **state)
{
    (void)state;
    struct arena a;
    struct fields f;
    arena_thread_fini();
    arena_init(&a, ARENA_NO_LIMIT);
    fields_init(&f, &a);
    mem_fail_set(always, NULL);
    assert_int_equal(fields_add(&f, FIELD_VIA, SPAN("x")), ERR_NO_MEMORY);
    assert_int_equal(fields_set(&f, FIELD_VIA, SPAN("x")), ERR_NO_MEMORY);
    assert_int_equal(f.n, 0);
    mem_fail_set(NULL, NULL);
    assert_int_equal(fields_add(&f, FIELD_VIA, SPAN("x")), ERR_OK);
    assert_int_equal(fields_add(&f, FIELD_VIA, SPAN("y")), ERR_OK);
    struct arena empty;
    arena_init(&empty, 1); // no block fits
    assert_null(fields_joined(&f, FIELD_VIA, &empty).ptr);
    arena_fini(&a);
}

static void lists(void **state)
{
    (void)state;
    static const struct {
        const char *list, *items[5];
    } rows[] = {
        {"a", {"a"}},
        {"a, b ,c", {"a", "b", "c"}},
        {" , ,a,, b,", {"a", "b"}},
        {"a=\"x,y\", b", {"a=\"x,y\"", "b"}},
        {"\"a\\\",b\",c", {"\"a\\\",b\"", "c"}},
        {"\"open, x", {"\"open, x"}},
        {"\"end\\", {"\"end\\"}},
        {"", {NULL}},
        {" \t", {NULL}},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct span rest = span_str(rows[i].list), item;
        size_t n = 0;
        while (list_next(&rest, &item)) {
            assert_non_null(rows[i].items[n]);
            assert_span(item, rows[i].items[n]);
            n++;
        }
        assert_null(rows[i].items[n]);
    }
    assert_true(list_has(SPAN("gzip, Chunked"), SPAN("chunked")));
    assert_false(list_has(SPAN("xchunked, chunked;q=1"), SPAN("chunked")));
    assert_false(list_has(SPAN(""), SPAN("chunked")));
}

static void characters(void **state)
{
    (void)state;
    unsigned n = 0;
    for (unsigned c = 0; c < 256; c++)
        n += http_is_tchar((unsigned char)c);
    assert_int_equal(n, 15 + 10 + 52); // RFC 9110 5.6.2
    assert_false(http_is_token(SPAN("")));
    assert_false(http_is_token(SPAN("a b")));
    assert_true(http_is_token(SPAN("a!b")));
    assert_true(http_is_field_value(SPAN("")));
    assert_true(http_is_field_value(SPAN("a b\tc\xff")));
    assert_false(http_is_field_value(SPAN(" a")));
    assert_false(http_is_field_value(SPAN("a\t")));
    assert_false(http_is_field_value(SPAN("a\rb")));
    assert_false(http_is_field_value(SPAN("a\x7f")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids),   cmocka_unit_test(finding_setting_and_removing),
        cmocka_unit_test(many),  cmocka_unit_test(out_of_memory),
        cmocka_unit_test(lists), cmocka_unit_test(characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
