// SPDX-License-Identifier: Apache-2.0
// Secondary keys (RFC 9111 4.1) and several ranges (RFC 9110 14).
#include "http_test.h"

#include "http/ranges.h"
#include "http/vary.h"

static struct arena a;

static void add(struct fields *f, const char *line)
{
    struct span value = span_str(line), name = span_cut(&value, ':');
    assert_int_equal(fields_add_named(f, name, span_trim(value)), ERR_OK);
}

// Whether two requests are one for a response with this Vary.
static bool same(const char *vary, const char *one, const char *two)
{
    struct fields resp, r1, r2;
    struct span key, again;
    fields_init(&resp, &a);
    fields_init(&r1, &a);
    fields_init(&r2, &a);
    add(&resp, arena_cstr(&a, arena_printf(&a, "Vary: %s", vary)));
    if (one)
        add(&r1, one);
    if (two)
        add(&r2, two);
    assert_int_equal(vary_key(&resp, &r1, &a, &key), ERR_OK);
    assert_true(vary_matches(key, &r1, &a));
    assert_int_equal(vary_rekey(key, &r2, &a, &again), ERR_OK);
    bool matches = vary_matches(key, &r2, &a);
    assert_true(matches == span_eq(key, again));
    return matches;
}

static void values(void **state)
{
    (void)state;
    assert_true(same("Foo", "foo: 1", "FOO: 1"));
    assert_false(same("Foo", "foo: 1", "foo: 2"));
    assert_false(same("Foo", "foo: 1", NULL));
    assert_false(same("Foo", NULL, "foo: 1"));
    assert_false(same("Foo", NULL, "foo:"));
    assert_true(same("Foo", NULL, "bar: 1"));
    assert_true(same("Foo", "foo: 1,  2", "foo: 1,2"));
    assert_false(same("Foo", "foo: 1, 2", "foo: 2, 1"));
    assert_true(same("Accept-Encoding", "accept-encoding: gzip, br", "accept-encoding: BR;q=1.0,gzip"));
    assert_false(same("Accept-Encoding", "accept-encoding: gzip, br", "accept-encoding: br;q=0.5,gzip"));
    assert_true(same("Accept-Language", "accept-language: en, de ; q=0.5", "accept-language: DE;q=0.5, EN"));
    assert_false(same("A, Foo", "foo: 1", "foo: 2"));
}

static void never(void **state)
{
    (void)state;
    struct fields resp, req;
    struct span key;
    static const char *const all[] = {"Vary: *", "Vary: foo, *", "Vary: , *", "Vary: a b", "Vary: Forwarded", "Vary: X-Forwarded-For"};
    fields_init(&req, &a);
    for (size_t i = 0; i < ARRAY_LEN(all); i++) {
        fields_init(&resp, &a);
        add(&resp, all[i]);
        assert_int_equal(vary_key(&resp, &req, &a, &key), ERR_AGAIN);
    }
    fields_init(&resp, &a);
    assert_int_equal(vary_key(&resp, &req, &a, &key), ERR_OK);
    assert_int_equal(key.len, 0);
    assert_true(vary_matches(key, &req, &a));
}

static struct ranges ranges_of(const char *value, uint64_t size)
{
    struct request req;
    struct ranges r;
    memset(&req, 0, sizeof req);
    fields_init(&req.fields, &a);
    req.method = METHOD_GET;
    assert_int_equal(fields_add(&req.fields, FIELD_RANGE, span_str(value)), ERR_OK);
    ranges_check(&req, &(struct validators){SPAN_NONE, 0}, size, 0, &r);
    return r;
}

static void several_ranges(void **state)
{
    (void)state;
    struct ranges r = ranges_of("bytes=0-1, 4-, 2-3", 10);
    assert_true(r.kind == RANGE_ONE && r.n == 3 && r.v[1].first == 4 && r.v[1].length == 6);
    r = ranges_of("bytes=0-1,20-30,-2", 10);
    assert_true(r.kind == RANGE_ONE && r.n == 2 && r.v[1].first == 8 && r.v[1].length == 2);
    assert_int_equal(ranges_of("bytes=20-,30-", 10).kind, RANGE_UNSATISFIABLE);
    assert_int_equal(ranges_of("bytes=0-5,5-6", 10).kind, RANGE_NONE); // they overlap
    assert_int_equal(ranges_of("bytes=0-1,x-3", 10).kind, RANGE_NONE);
    assert_int_equal(ranges_of("bytes=3-1,4-5", 10).kind, RANGE_NONE);
    assert_int_equal(ranges_of("bytes=0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14,16-16,18-18,20-20,22-22,24-24,26-26,28-28,30-30,32-32", 100).kind, RANGE_NONE);
    r = ranges_of("bytes=2-3", 10);
    assert_true(r.kind == RANGE_ONE && r.n == 1 && r.v[0].first == 2 && r.v[0].length == 2);
    struct byte_range x;
    uint64_t size;
    assert_true(content_range_parse(SPAN("bytes 2-3/10"), &x, &size) && x.first == 2 && x.length == 2 && size == 10);
    static const char *const bad[] = {"bytes 3-2/10", "bytes 2-10/10", "bytes 2-3/*", "bytes */10", "bytes 2-/10", "items 1-2/3", ""};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(content_range_parse(span_str(bad[i]), &x, &size));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(values), cmocka_unit_test(never), cmocka_unit_test(several_ranges)};
    arena_init(&a, 0);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_fini(&a);
    arena_thread_fini();
    return failed;
}
