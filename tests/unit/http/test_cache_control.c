// SPDX-License-Identifier: Apache-2.0
// Cache directives (RFC 9111 5.2) and targeted ones (RFC 9213).
#include "http_test.h"

#include "http/cache_control.h"

static struct arena a;

static struct cache_control parse(const char *one, const char *two)
{
    struct fields f;
    struct cache_control c;
    fields_init(&f, &a);
    assert_int_equal(fields_add(&f, FIELD_CACHE_CONTROL, span_str(one)), ERR_OK);
    if (two)
        assert_int_equal(fields_add(&f, FIELD_CACHE_CONTROL, span_str(two)), ERR_OK);
    cache_control_parse(&f, &c);
    return c;
}

static void lifetimes(void **state)
{
    (void)state;
    static const struct {
        const char *one, *two;
        int64_t max_age;
    } t[] = {
        {"max-age=3600", NULL, 3600},
        {"MaX-AgE=3600", NULL, 3600},
        {"max-age=003600", NULL, 3600},
        {"max-age=\"3600\"", NULL, 3600},
        {"foo, max-age=5;x", NULL, 0},
        {"max-age=2147483648", NULL, 2147483647},
        {"max-age=99999999999999999999999", NULL, 2147483647},
        {"max-age=1800, max-age=1", NULL, 1}, // the stricter of two
        {"max-age=1", "max-age=1800", 1},
        {"max-age=-1", NULL, 0},
        {"max-age=3600.5", NULL, 0},
        {"max-age='3600'", NULL, 0},
        {"max-age=a", NULL, 0},
        {"max-age", NULL, 0},
        {"max-age =3600", NULL, 0},
        {"max-age= 3600", NULL, 0},
        {"extension=\"max-age=3600\", max-age=1", NULL, 1},
        {"max-age=1, extension=\"max-age=3600\"", NULL, 1},
        {"public", NULL, CACHE_SECONDS_NONE},
        {"min-age=5, max-ages=6", NULL, CACHE_SECONDS_NONE},
    };
    for (size_t i = 0; i < ARRAY_LEN(t); i++)
        if (parse(t[i].one, t[i].two).max_age != t[i].max_age)
            fail_msg("%s: %lld", t[i].one, (long long)parse(t[i].one, t[i].two).max_age);
    assert_int_equal(parse("max-stale", NULL).max_stale, CACHE_SECONDS_MAX);
    assert_int_equal(parse("max-stale=x", NULL).max_stale, CACHE_SECONDS_NONE);
    assert_int_equal(parse("min-fresh=x", NULL).min_fresh, CACHE_SECONDS_MAX);
}

static void flags(void **state)
{
    (void)state;
    assert_true(parse("nO-StOrE", NULL).no_store);
    assert_true(parse("max-age=5,no-store=\"x\"", NULL).no_store);
    assert_false(parse("x=\"no-store\"", NULL).no_store);
    assert_true(parse("x=\"open, no-store", NULL).no_store); // the quote may not hide it
    assert_true(parse("x=\"open, max-age=5", NULL).no_cache);
    struct cache_control c = parse("private=\"Set-Cookie, X-A\", no-cache=\"b\"", NULL);
    assert_true(!c.private_ && !c.no_cache && c.n_private == 1 && c.n_no_cache == 1);
    assert_span(c.private_fields[0], "Set-Cookie, X-A");
    assert_true(parse("private=\"bad name\"", NULL).private_);
    assert_true(parse("private=", NULL).private_);
    assert_true(parse("private=\"a\", private=\"b\", private=\"c\", private=\"d\", private=\"e\"", NULL).private_);
    assert_false(parse("", NULL).present);
}

static bool targeted(const char *value, struct cache_control *ret)
{
    struct fields f;
    fields_init(&f, &a);
    assert_int_equal(fields_add_named(&f, SPAN("CDN-Cache-Control"), span_str(value)), ERR_OK);
    return cache_control_parse_targeted(&f, SPAN("CDN-Cache-Control"), &a, ret);
}

static void targeted_fields(void **state)
{
    (void)state;
    struct cache_control c;
    assert_true(targeted("max-age=60;why=\"x\", no-cache", &c));
    assert_true(c.max_age == 60 && c.no_cache);
    assert_true(targeted("max-age=\"60\", foo", &c)); // the wrong type: as if that directive were not there
    assert_int_equal(c.max_age, CACHE_SECONDS_NONE);
    assert_true(targeted("max-age=1, max-age=99999999999", &c)); // the last one counts in a dictionary
    assert_int_equal(c.max_age, CACHE_SECONDS_MAX);
    assert_true(targeted("no-store=?0, private=(\"Set-Cookie\")", &c));
    assert_true(!c.no_store && !c.private_ && c.n_private == 1);
    assert_false(targeted("max-age=10000, &&&&&", &c));
    assert_false(targeted("MaX-aGe=3600", &c));
    assert_false(targeted("max-age = 3600", &c));
    assert_false(targeted("", &c));
    assert_false(targeted("  ", &c));
    struct fields none;
    fields_init(&none, &a);
    assert_false(cache_control_parse_targeted(&none, SPAN("CDN-Cache-Control"), &a, &c));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(lifetimes), cmocka_unit_test(flags), cmocka_unit_test(targeted_fields)};
    arena_init(&a, 0);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_fini(&a);
    arena_thread_fini();
    return failed;
}
