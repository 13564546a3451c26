// SPDX-License-Identifier: Apache-2.0
#include "policy_test.h"

#include <pthread.h>

#include "base/mem.h"

static struct pattern *make(const char *text, bool fold, struct arena *a)
{
    const char *why;
    struct pattern *p = pattern_new(span_str(text), fold, a, &why);
    if (!p)
        fail_msg("%s: %s", text, why);
    return p;
}

/// rest NULL: no match.
#define assert_rest(pattern, s, rest) assert_rest_at((pattern), (s), (rest), __LINE__)
static void assert_rest_at(const char *pattern, const char *s, const char *rest, int line)
{
    struct arena a;
    arena_init(&a, 0);
    struct pattern *p = make(pattern, false, &a);
    struct span got = SPAN("untouched");
    enum match m = pattern_try(p, span_str(s), &got);
    if (m != (rest ? MATCH_YES : MATCH_NO) || (rest && !span_eq(got, span_str(rest))))
        fail_msg("line %d: match %d, rest \"%.*s\"", line, m, SPAN_ARG(got));
    if (!rest)
        assert_span_at(got, SPAN("untouched"), line);
    assert_int_equal(pattern_try(p, span_str(s), NULL), m);
    assert_span_at(pattern_text(p), span_str(pattern), line);
    pattern_free(p);
    arena_fini(&a);
}

static void exact(void **state)
{
    (void)state;
    assert_rest("/a", "/a", "");
    assert_rest("/a", "/a/", NULL);
    assert_rest("/a", "/", NULL);
    assert_rest("/a", "/A", NULL);
    assert_rest("", "", "");
    assert_rest("", "x", NULL);
}

static void glob(void **state)
{
    (void)state;
    assert_rest("*", "", "");
    assert_rest("*", "/a/b", "/a/b");
    assert_rest("/api/*", "/api/", ""); // INTERFACE 32
    assert_rest("/api/*", "/api/x/y", "x/y");
    assert_rest("/api/*", "/api", NULL);
    assert_rest("/api/*", "/apix/", NULL);
    assert_rest("/api*", "/api", "");
    assert_rest("*.jpg", "/a/b.jpg", "/a/b");
    assert_rest("*.jpg", ".jpg", "");
    assert_rest("*.jpg", "/a/b.jpg.exe", NULL);
    assert_rest("*.jpg", "/a.jpg/b.jpg", "/a.jpg/b");
    assert_rest("/a*.jpg", "/abc.jpg", "bc");
    assert_rest("/*/x/*", "/a/x/b/c", "b/c");
    assert_rest("/*/x/*", "/a/x/", "");
    assert_rest("/*/x/*", "/a/x", NULL);
    assert_rest("/*/x/*", "//x/", "");
    assert_rest("**", "ab", "ab");
    assert_rest("a**b", "ab", "");
    assert_rest("a**b", "axxb", "xx");
    assert_rest("*a*b*", "xaxbx", "x");
    assert_rest("*a*b*", "ba", NULL);
    assert_rest("a*a", "a", NULL);
    assert_rest("a*a", "aa", "");
    assert_rest("?", "x", NULL); // no more than `*` means anything
    assert_rest("?", "?", "");
    assert_rest("[a]", "a", NULL);
}

// Not one that takes exponential time.
// Who wants no rest is answered in another way.
static void both_ways_agree(void **state)
{
    uint32_t seed = 1;
    unsigned n_yes = 0;
    (void)state;
    for (unsigned round = 0; round < 50000; round++) {
        char pattern[10], text[12];
        struct span rest;
        struct arena a;
        size_t n = 0, m = 0;
        arena_init(&a, 0);
        for (size_t i = 0; i < 8; i++) {
            seed = seed * 1664525 + 1013904223;
            if (i < 1 + seed % 7)
                pattern[n++] = "ab*"[(seed >> 20) % 3];
            if (seed >> 28 < 12)
                text[m++] = "ab"[seed >> 10 & 1];
        }
        pattern[n] = '\0';
        struct pattern *p = make(pattern, false, &a);
        enum match with = pattern_try(p, span_of(text, m), &rest), without = pattern_try(p, span_of(text, m), NULL);
        if (with != without)
            fail_msg("%s and %.*s: %d, %d", pattern, (int)m, text, with, without);
        n_yes += with == MATCH_YES;
        arena_fini(&a);
    }
    assert_in_range(n_yes, 2000, 40000);
}

static void glob_is_bounded(void **state)
{
    (void)state;
    static char s[20001], pattern[401];
    memset(s, 'a', sizeof s - 1);
    for (unsigned i = 0; i + 1 < sizeof pattern; i += 2)
        memcpy(pattern + i, "*a", 2);
    pattern[sizeof pattern - 2] = 'b';
    assert_rest(pattern, s, NULL);
}

static void case_folds(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 0);
    struct pattern *p = make("Www.*.Test", true, &a);
    assert_true(pattern_match(p, SPAN("wWW.x.tEST"), NULL));
    assert_false(pattern_match(p, SPAN("www.x.tesu"), NULL));
    p = make("A@[`", true, &a);
    assert_true(pattern_match(p, SPAN("a@[`"), NULL));
    assert_false(pattern_match(p, SPAN("a`[`"), NULL)); // only letters have two cases
    p = make("Abc*", true, &a);
    assert_true(pattern_match(p, SPAN("aBCd"), NULL));
    p = make("~^ab+$", true, &a);
    assert_true(pattern_match(p, SPAN("ABB"), NULL));
    pattern_free(p);
    arena_fini(&a);
}

static void regex(void **state)
{
    (void)state;
    assert_rest("~b", "abc", "");
    assert_rest("~^b", "abc", NULL);
    assert_rest("~^/u/([0-9]+)$", "/u/17", "17");
    assert_rest("~^/u/([0-9]+)$", "/u/17\n", NULL);
    assert_rest("~^/u/([0-9]+)?", "/u/x", "");
    assert_rest("~^(a)(b)(c)(d)", "abcd", "a"); // more groups than anybody reads
    assert_rest("~^a.b$", "a\nb", "");
    assert_rest("~^\\x{ff}$", "\xff", "");
    assert_rest("~^.$", "\xc3\xa9", NULL); // octets, not characters
    assert_rest("~", "", "");
    assert_rest("~^$", "", "");
}

static void bad_regex(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } bad[] = {
        {"~a(b", "character 5"}, {"~*", "character 2"},     {"~[z-a]", "range out of order"},
        {"~(?<x", "name"},       {"~\\", "end of pattern"}, {"~(*UTF)x", "UTF"},
    };
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        struct arena a;
        const char *why = "";
        arena_init(&a, 0);
        assert_null(pattern_new(span_str(bad[i].text), false, &a, &why));
        if (!strstr(why, bad[i].why))
            fail_msg("%s: %s", bad[i].text, why);
        arena_fini(&a);
    }
}

// Patterns of which some take exponential time, and subjects that make them do so.
static void a_hard_regex_gives_up(void **state)
{
    (void)state;
    static const char *const hard[] = {"~^(a+)+$",    "~^(a|a)*$",   "~^(a|aa)+$",
                                       "~^(.*)*[bc]$", "~^((a*)*)*$", "~x|^(a+)+$"};
    static char s[8193];
    memset(s, 'a', sizeof s - 2);
    s[sizeof s - 2] = '!';
    for (unsigned i = 0; i < ARRAY_LEN(hard); i++) {
        struct arena a;
        arena_init(&a, 0);
        struct pattern *p = make(hard[i], false, &a);
        struct span rest = SPAN("untouched");
        enum match m = pattern_try(p, span_str(s), &rest);
        if (m != MATCH_UNSURE)
            fail_msg("%s: %d", hard[i], m);
        assert_span(rest, "untouched");
        assert_false(pattern_match(p, span_str(s), NULL));
        // The next one finds everything in order.
        assert_int_equal(pattern_try(p, SPAN("!"), NULL), MATCH_NO);
        pattern_free(p);
        arena_fini(&a);
    }
}

// What people write is not hard, however long the subject is that may be asked about.
static void usual_regexes_do_not_give_up(void **state)
{
    (void)state;
    static const char *const usual[] = {"~^/.*x$",           "~/[a-z]+/x$",      "~^/(?:[^/]+/)*x$",
                                        "~^(?:/[a-z]+)+/x$", "~\\.(jpg|png|x)$", "~(?i)/AAAA/x$",
                                        "~^/([a-z]|/)*x$"};
    static char s[PATTERN_REGEX_SUBJECT_MAX_BYTES + 1];
    for (size_t i = 0; i < sizeof s - 1; i++)
        s[i] = i % 5 ? 'a' : '/';
    s[sizeof s - 3] = '/';
    s[sizeof s - 2] = 'x';
    for (unsigned i = 0; i < ARRAY_LEN(usual); i++) {
        struct arena a;
        arena_init(&a, 0);
        struct pattern *p = make(usual[i], false, &a);
        assert_true(pattern_try(p, span_of(s, sizeof s - 1), NULL) != MATCH_UNSURE);
        assert_int_equal(pattern_try(p, SPAN("/y"), NULL), MATCH_NO);
        pattern_free(p);
        arena_fini(&a);
    }
}

static void a_long_subject_is_unsure(void **state)
{
    (void)state;
    static char s[PATTERN_REGEX_SUBJECT_MAX_BYTES + 1];
    memset(s, 'a', sizeof s);
    struct arena a;
    arena_init(&a, 0);
    struct pattern *p = make("~^a", false, &a);
    assert_int_equal(pattern_try(p, span_of(s, sizeof s - 1), NULL), MATCH_YES);
    assert_int_equal(pattern_try(p, span_of(s, sizeof s), NULL), MATCH_UNSURE);
    pattern_free(p);
    arena_fini(&a);
}

static void logic(void **state)
{
    (void)state;
    assert_int_equal(match_not(MATCH_YES), MATCH_NO);
    assert_int_equal(match_not(MATCH_NO), MATCH_YES);
    assert_int_equal(match_not(MATCH_UNSURE), MATCH_UNSURE);
    assert_int_equal(match_or(MATCH_UNSURE, MATCH_YES), MATCH_YES);
    assert_int_equal(match_or(MATCH_YES, MATCH_NO), MATCH_YES);
    assert_int_equal(match_or(MATCH_NO, MATCH_UNSURE), MATCH_UNSURE);
    assert_int_equal(match_or(MATCH_UNSURE, MATCH_NO), MATCH_UNSURE);
    assert_int_equal(match_or(MATCH_NO, MATCH_NO), MATCH_NO);
    assert_int_equal(match_agree(MATCH_YES, MATCH_NO), MATCH_UNSURE);
    assert_int_equal(match_agree(MATCH_YES, MATCH_YES), MATCH_YES);
}

struct shared {
    const struct pattern *p;
    unsigned yes;
};

static void *match_often(void *arg)
{
    struct shared *s = (struct shared *)arg;
    for (unsigned i = 0; i < 500; i++) {
        char text[32];
        int n = snprintf(text, sizeof text, "/u/%u", i);
        struct span rest;
        s->yes += pattern_match(s->p, span_of(text, (size_t)n), &rest) &&
                  span_eq(rest, span_of(text + 3, (size_t)n - 3));
    }
    return NULL;
}

static void threads_share_a_pattern(void **state)
{
    (void)state;
    arena_thread_fini();
    int64_t before = mem_live_count();
    struct arena a;
    arena_init(&a, 0);
    struct pattern *p = make("~^/u/([0-9]+)$", false, &a);
    int64_t with_pattern = mem_live_count();
    pthread_t t[4];
    struct shared s[4];
    for (unsigned i = 0; i < 4; i++) {
        s[i] = (struct shared){p, 0};
        assert_int_equal(pthread_create(&t[i], NULL, match_often, &s[i]), 0);
    }
    for (unsigned i = 0; i < 4; i++) {
        pthread_join(t[i], NULL);
        assert_int_equal(s[i].yes, 500);
    }
    assert_int_equal(mem_live_count(), with_pattern); // what a thread needed went with it
    pattern_free(p);
    arena_fini(&a);
    arena_thread_fini();
    assert_int_equal(mem_live_count(), before);
}

static unsigned fail_after;
static bool failing(void *arg)
{
    (void)arg;
    return fail_after && --fail_after == 0;
}

static void *match_without_memory(void *arg)
{
    struct shared *s = (struct shared *)arg;
    unsigned unsure = 0;
    for (unsigned n = 1;; n++) {
        fail_after = n;
        mem_fail_set(failing, NULL);
        enum match m = pattern_try(s->p, SPAN("/u/1"), NULL);
        bool hit = fail_after == 0;
        mem_fail_set(NULL, NULL);
        unsure += m == MATCH_UNSURE;
        if (!hit) {
            s->yes = m == MATCH_YES && unsure > 3;
            return NULL;
        }
    }
}

static void memory_runs_out(void **state)
{
    (void)state;
    arena_thread_fini();
    int64_t before = mem_live_count();
    unsigned failed = 0;
    struct arena a;
    for (unsigned n = 1;; n++) {
        const char *why = "";
        arena_init(&a, 0);
        fail_after = n;
        mem_fail_set(failing, NULL);
        struct pattern *p = pattern_new(SPAN("~^/u/(a|b|c)+$"), false, &a, &why);
        bool hit = fail_after == 0;
        mem_fail_set(NULL, NULL);
        assert_true(p != NULL || hit);
        failed += p == NULL;
        if (!p)
            assert_string_equal(why, "out of memory");
        pattern_free(p);
        arena_fini(&a);
        arena_thread_fini();
        assert_int_equal(mem_live_count(), before);
        if (!hit)
            break;
    }
    assert_true(failed >= 3);

    arena_init(&a, 0);
    pthread_t t;
    struct shared s = {make("~^/u/[0-9]$", false, &a), 0};
    assert_int_equal(pthread_create(&t, NULL, match_without_memory, &s), 0);
    pthread_join(t, NULL);
    assert_int_equal(s.yes, 1);
    pattern_free((struct pattern *)(uintptr_t)s.p);
    arena_fini(&a);
    arena_thread_fini();
    assert_int_equal(mem_live_count(), before);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exact),
        cmocka_unit_test(glob),
        cmocka_unit_test(both_ways_agree),
        cmocka_unit_test(glob_is_bounded),
        cmocka_unit_test(case_folds),
        cmocka_unit_test(regex),
        cmocka_unit_test(bad_regex),
        cmocka_unit_test(memory_runs_out),
        cmocka_unit_test(threads_share_a_pattern),
        cmocka_unit_test(a_hard_regex_gives_up),
        cmocka_unit_test(usual_regexes_do_not_give_up),
        cmocka_unit_test(a_long_subject_is_unsure),
        cmocka_unit_test(logic),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
