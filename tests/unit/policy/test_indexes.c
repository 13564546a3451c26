// SPDX-License-Identifier: Apache-2.0
// The indexes of lists: names by suffix, URLs by the longest prefix, what regular expressions cannot do without; and credentials.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "base/mem.h"
#include "policy/credentials.h"
#include "policy/domain_index.h"
#include "policy/easylist.h"
#include "policy/url_index.h"

// ---- Names

static uint32_t line_of(const struct domain_index *d, const char *host)
{
    struct list_place at;
    return domain_index_find(d, span_str(host), true, &at) ? at.line : 0;
}

static void names(void **state)
{
    (void)state;
    struct domain_index d = {0};
    assert_true(domain_index_add(&d, SPAN("Exact.Test"), false, (struct list_place){1, 0}));
    assert_true(domain_index_add(&d, SPAN("below.test"), true, (struct list_place){2, 0}));
    assert_true(domain_index_add(&d, SPAN("exact.test"), false, (struct list_place){3, 0})); // again: the first one counts
    assert_true(domain_index_add(&d, SPAN("a.exact.test"), true, (struct list_place){4, 0}));
    assert_true(domain_index_finish(&d));
    assert_int_equal(line_of(&d, "exact.test"), 1);
    assert_int_equal(line_of(&d, "x.exact.test"), 0);
    assert_int_equal(line_of(&d, "a.exact.test"), 4);
    assert_int_equal(line_of(&d, "b.a.exact.test"), 4);
    assert_int_equal(line_of(&d, "below.test"), 2);
    assert_int_equal(line_of(&d, "a.b.c.below.test"), 2);
    assert_int_equal(line_of(&d, "notbelow.test"), 0);
    assert_int_equal(line_of(&d, "test"), 0);
    assert_int_equal(line_of(&d, ""), 0);
    struct list_place at;
    assert_false(domain_index_find(&d, SPAN("a.below.test"), false, &at)); // an address has nothing above it
    domain_index_fini(&d);
}

static void many_names(void **state)
{
    (void)state;
    enum { N = 20000 };
    static char text[N][16];
    struct domain_index d = {0};
    for (uint32_t i = 0; i < N; i++) {
        snprintf(text[i], sizeof text[i], "n%u.test", i);
        assert_true(domain_index_add(&d, span_str(text[i]), i % 2, (struct list_place){i + 1, 7}));
    }
    assert_true(domain_index_finish(&d));
    for (uint32_t i = 0; i < N; i++) {
        char below[24];
        snprintf(below, sizeof below, "x.n%u.test", i);
        assert_int_equal(line_of(&d, text[i]), i + 1);
        assert_int_equal(line_of(&d, below), i % 2 ? i + 1 : 0);
    }
    domain_index_fini(&d);
}

// ---- URLs

static uint32_t url_line(const struct url_index *u, const char *url)
{
    struct list_place at;
    return url_index_find(u, span_str(url), &at) ? at.line : 0;
}

static void urls(void **state)
{
    (void)state;
    static const char *const list[] = {"a.test/", "a.test/x/", "a.test/x/y", "b.test/q?a", "a.test/x/z", "c.test:8080/"};
    struct url_index u = {0};
    for (uint32_t i = 0; i < ARRAY_LEN(list); i++)
        assert_true(url_index_add(&u, span_str(list[i]), (struct list_place){i + 1, 0}));
    url_index_finish(&u);
    assert_int_equal(url_line(&u, "a.test/"), 1);
    assert_int_equal(url_line(&u, "a.test/w"), 1);
    assert_int_equal(url_line(&u, "a.test/x/yes"), 3);
    assert_int_equal(url_line(&u, "a.test/x/x"), 2);   // between two that are longer
    assert_int_equal(url_line(&u, "a.test/x/zz"), 5);
    assert_int_equal(url_line(&u, "a.test/zzz"), 1);   // behind all of its host
    assert_int_equal(url_line(&u, "b.test/q?abc"), 4);
    assert_int_equal(url_line(&u, "b.test/q"), 0);
    assert_int_equal(url_line(&u, "c.test/"), 0);
    assert_int_equal(url_line(&u, "a.tes"), 0);
    assert_int_equal(url_line(&u, ""), 0);
    url_index_fini(&u);
}

// ---- Regular expressions

static bool has_gram(struct span re, const char *gram)
{
    struct easylist_key keys[EASYLIST_KEYS_MAX];
    unsigned n = easylist_regex_grams(re, keys);
    for (unsigned i = 0; i < n; i++)
        if (keys[i].key == easylist_gram(gram))
            return true;
    return false;
}

static void grams(void **state)
{
    (void)state;
    struct easylist_key keys[EASYLIST_KEYS_MAX];
    assert_true(has_gram(SPAN("^https:\\/\\/CDN\\.x"), "cdn."));
    assert_true(has_gram(SPAN("abcd+e"), "abcd"));
    assert_false(has_gram(SPAN("abcd?e"), "abcd")); // the d may be missing
    assert_false(has_gram(SPAN("abcd*"), "abcd"));
    assert_false(has_gram(SPAN("abcd{0,3}"), "abcd"));
    assert_false(has_gram(SPAN("ab.cd"), "abcd"));
    assert_false(has_gram(SPAN("(abcd)?efgh"), "abcd"));
    assert_true(has_gram(SPAN("(abcd)?efgh"), "efgh"));
    assert_true(has_gram(SPAN("[ab)]efgh(?=(x|y))ijkl"), "ijkl"));
    assert_false(has_gram(SPAN("[abcd]"), "abcd"));
    assert_true(has_gram(SPAN("[]abc]defg"), "defg"));
    static const struct span nothing[] = {SPAN_INIT("abcd|efgh"), SPAN_INIT("\\x41bcdefg"), SPAN_INIT("abc"), SPAN_INIT(""), SPAN_INIT("abcd\\"), SPAN_INIT("\\Qabcd\\E")};
    for (size_t i = 0; i < ARRAY_LEN(nothing); i++)
        assert_int_equal(easylist_regex_grams(nothing[i], keys), 0);
    static const struct span broken[] = {SPAN_INIT("(abc"), SPAN_INIT("[abc"), SPAN_INIT("a{"), SPAN_INIT("(\\"), SPAN_INIT("["), SPAN_INIT("[^"), SPAN_INIT("?")};
    for (size_t i = 0; i < ARRAY_LEN(broken); i++)
        (void)easylist_regex_grams(broken[i], keys);
}

// ---- Credentials

static void credentials(void **state)
{
    (void)state;
    struct basic_credentials b;
    assert_true(span_eq(credentials_of(SPAN("Basic YTpi"), SPAN("Basic")), SPAN("YTpi")));
    assert_true(span_eq(credentials_of(SPAN("bASIC   YTpi"), SPAN("Basic")), SPAN("YTpi")));
    assert_null(credentials_of(SPAN("Basics YTpi"), SPAN("Basic")).ptr);
    assert_null(credentials_of(SPAN("Basic"), SPAN("Basic")).ptr);
    assert_true(basic_parse(SPAN("YTpi"), &b) && span_eq(b.user, SPAN("a")) && span_eq(b.password, SPAN("b")));
    assert_true(basic_parse(SPAN("YTpiOmM="), &b) && span_eq(b.password, SPAN("b:c")));
    assert_true(basic_parse(SPAN("YTpiOmM"), &b)); // without its padding
    assert_true(basic_parse(SPAN("YTo="), &b) && b.password.len == 0);
    static const struct span bad[] = {SPAN_INIT(""), SPAN_INIT("Y"), SPAN_INIT("YWI="), SPAN_INIT("OmI="), SPAN_INIT("YTpi="), SPAN_INIT("YTpi YTpi"), SPAN_INIT("YTpi\n"), SPAN_INIT("YQA6Yg=="), SPAN_INIT("YTp\x80")};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        if (basic_parse(bad[i], &b))
            fail_msg("case %zu is taken", i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(names), cmocka_unit_test(many_names), cmocka_unit_test(urls), cmocka_unit_test(grams), cmocka_unit_test(credentials)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
