// SPDX-License-Identifier: Apache-2.0
// Every mistake has its place, its text and, where one is near, a suggestion.
#include <stdio.h>

#include "base/mem.h"
#include "conf_test.h"

#define SITE "site * { route * -> respond 200 }\n"

static void places_and_texts(void **state)
{
    (void)state;
    static const struct {
        const char *text, *finding; // finding: what one line of the diagnostics begins with
    } rows[] = {
        {"nonsense\n" SITE, "t.conf:1:1: error: unknown statement `nonsense` in the top level\n"},
        {"site * {\n  lisen :80\n  route * -> respond 200\n}",
         "t.conf:2:3: error: unknown statement `lisen` in a site; did you mean `listen`?\n"},
        {"listen :80\n" SITE, "t.conf:1:1: error: `listen` cannot stand in the top level\n"},
        {"timeouts { idle 60 }\n" SITE, "t.conf:1:17: error: `60`: a duration with its unit"},
        {"timeouts { idle }\n" SITE, "t.conf:1:12: error: `idle` wants a duration"},
        {"limits { body x }\n" SITE, "t.conf:1:15: error: `x`: a size with its unit"},
        {"limits { body }\n" SITE, "t.conf:1:10: error: `body` wants a size"},
        {"limits { fields 0 }\n" SITE, "t.conf:1:17: error: `0` is out of range: 1 to 10000 is possible\n"},
        {"limits { fields 5s }\n" SITE, "t.conf:1:17: error: `5s`: a whole number"},
        {"limits { fields }\n" SITE, "t.conf:1:10: error: `fields` wants a number"},
        {"limits { body 16777216TiB }\n" SITE,
         "t.conf:1:15: error: `16777216TiB`: the number is too large\n"},
        {"timeouts { idle 5s 6s }\n" SITE, "t.conf:1:20: error: `6s` is one word too many for `idle`\n"},
        {"timeouts { idle 5s; idle 6s }\n" SITE,
         "t.conf:1:21: error: `idle` stands here a second time; the first is in line 1\n"},
        {"threads 1 { }\n" SITE, "t.conf:1:11: error: `threads` has no block\n"},
        {"timeouts\n" SITE, "t.conf:1:1: error: `timeouts` wants a block: timeouts ... { ... }\n"},
        {"pool { server a:1 }\n" SITE, "t.conf:1:1: error: `pool` wants a name"},
        {"pool \"\" { server a:1 }\n" SITE, "t.conf:1:6: error: a name may not be empty\n"},
        {"pool p { server a:1 }\npool p { server a:2 }\nsite * { route * -> pool p }",
         "t.conf:2:6: error: there is a pool `p` already, in line 1\n"},
        {"pool p { }\nsite * { route * -> pool p }", "t.conf:1:1: error: the pool `p` has no server\n"},
        {"pool p { server a:1 weight }\nsite * { route * -> pool p }",
         "t.conf:1:21: error: a value is missing behind `weight`\n"},
        {"pool p { server a:1 weight 0 }\nsite * { route * -> pool p }",
         "t.conf:1:28: error: `0` is out of range"},
        {"pool p { server a:1; balance round-robbin }\nsite * { route * -> pool p }",
         "t.conf:1:30: error: `round-robbin` is not possible here; possible: "
         "p2c|round-robin|least-requests|random|hash; did you mean `round-robin`?\n"},
        {"pool shop { server a:1 }\nsite * { route * -> pool shp }",
         "t.conf:2:26: error: there is no pool `shp`; did you mean `shop`?\n"},
        {"site * { route * -> respond 200; route }", "t.conf:1:34: error: `route` wants `-> TARGET`\n"},
        {"pool p { server a:1 }\nsite * { listen :1 tls; route * -> tls-passthrough pol p }",
         "t.conf:2:52: error: the form is `-> tls-passthrough pool NAME`\n"},
        {"site * { listen :1 tls; route * -> tls-passthrough pool p }", "t.conf:1:57: error: there is no pool `p`"},
        {"pool p { server a:1 }\nsite * { listen :1 tls; route /a -> tls-passthrough pool p }",
         "t.conf:2:25: error: `tls-passthrough` is a site's only route, for `*`"},
        {"pool p { server a:1 }\nsite * { listen :1 tls; route * -> tls-passthrough pool p; route /x -> respond 200 }",
         "t.conf:2:25: error: `tls-passthrough` is a site's only route, for `*`"},
        {"pool p { server a:1 }\nsite * { tls cert c key k; route * -> tls-passthrough pool p }",
         "t.conf:2:10: error: a site with `tls-passthrough` has no certificate"},
        {"site * { route * -> }", "t.conf:1:18: error: a target is missing behind `->`\n"},
        {"site * { route * -> pol x }",
         "t.conf:1:21: error: `pol` is no target of a route; did you mean `pool`?\n"},
        {"site * { route * -> respond }", "t.conf:1:21: error: the form is `-> respond STATUS [TEXT] [retry-after DURATION]`\n"},
        {"site * { route * -> respond 199 }",
         "t.conf:1:29: error: `199` is no status for this: 200 to 599 is possible\n"},
        {"site * { route * -> redirect 200 http://x/ }",
         "t.conf:1:30: error: `200` is no status for this: 300 to 399 is possible\n"},
        {"site * { route x -> respond 200 }", "t.conf:1:16: error: a path begins with `/`"},
        // split and failover: pools, shares, and by what
        {"site * { route * -> split { pool a 50%; pool b 50% } }", "t.conf:1:34: error: there is no pool `a`"},
        {"pool a { server x:1 }\nsite * { route * -> split { } }", "t.conf:2:21: error: `split` wants a block with its pools"},
        {"pool a { server x:1 }\nsite * { route * -> split { pool a 60%; pool a 50% } }", "t.conf:2:21: error: the shares of `split` are 100% together"},
        {"pool a { server x:1 }\nsite * { route * -> split { pool a; pool a } }", "t.conf:2:21: error: the shares of `split` are 100% together"},
        {"pool a { server x:1 }\nsite * { route * -> split by moon { pool a 100% } }", "t.conf:2:21: error: the form is `-> split [by client-ip|path"},
        {"pool a { server x:1 }\nsite * { route * -> split by cookie { pool a 100% } }", "t.conf:2:21: error: the form is `-> split [by client-ip|path"},
        {"pool a { server x:1 }\nsite * { route * -> split at path { pool a 100% } }", "t.conf:2:21: error: the form is `-> split [by client-ip|path"},
        {"pool a { server x:1 }\nsite * { route * -> split { pool a 100%; respond 503 } }", "t.conf:2:42: error: `respond` stands in `failover` only"},
        {"pool a { server x:1 }\nsite * { route * -> failover { pool a 50% } }", "t.conf:2:39: error: the pools of `failover` are taken in order"},
        {"site * { route * -> respond 503 down retry-after soon }", "t.conf:1:50: error: `soon`: a duration with its unit"},
        {"site * { route * -> respond 503 down for now }", "t.conf:1:38: error: the form is `-> respond STATUS [TEXT] [retry-after DURATION]`"},
        {"pool a { server x:1 }\nsite * { route * -> pool a { mirror pool b } }", "t.conf:2:42: error: there is no pool `b`"},
        {"site * { listen :80 }", "t.conf:1:1: error: the site has no route"},
        {"site * { route * when -> respond 200 }", "t.conf:1:18: error: `when` wants a block"},
        {"site * { route * when { } -> respond 200 }", "t.conf:1:18: error: `when` has no condition"},
        {"site * { route * when { pth /x } -> respond 200 }",
         "t.conf:1:25: error: unknown statement `pth` in when; did you mean `path`?\n"},
        {"site * { deny metod GET; route * -> respond 200 }",
         "t.conf:1:15: error: `metod` is no condition; did you mean `method`?\n"},
        {"site * {\n  route * -> respond 200\n",
         "t.conf:1:8: error: the block that begins here is not closed"},
        {SITE "}\n", "t.conf:2:1: error: a `}` too many\n"},
        {"{ a }\n" SITE, "t.conf:1:1: error: a block without a statement before it\n"},
        {"site * { route * -> respond 200 } site b { route * -> respond 200 }",
         "t.conf:1:35: error: a newline or `;` is missing before `site`\n"},
        {"log access off \"x\"y\n" SITE, "t.conf:1:19: error: a space is missing behind the closing quote\n"},
        {"log access json \"x\n" SITE, "t.conf:1:17: error: the quotes are not closed on this line\n"},
        {"log access json \"\\x\"\n" SITE, "t.conf:1:17: error: in quotes a backslash stands before"},
        {"log access json ${WEIR_TEST_UNSET}\n" SITE,
         "t.conf:1:17: error: the environment has no variable WEIR_TEST_UNSET"},
        {"log access json ${OPEN\n" SITE, "t.conf:1:17: error: `${` without `}`\n"},
        {"include missing.conf\n" SITE, "t.conf:1:9: error: missing.conf cannot be read"},
        {"proxy 0.0.0.0:3128 { }\n", "t.conf:1:7: error: this would be an open proxy"},
        {"proxy :3128 { policy { allow domain x; default deny } }\n",
         "t.conf:1:7: error: this would be an open proxy"},
        {"test \"x\" { }\n" SITE, "t.conf:1:1: error: the test asks nothing\n"},
        {"test \"x\" { site GET /x -> respond 200 }\n" SITE, "t.conf:1:12: error: the form is `site GET URL"},
        {"threads 1\n", "error: t.conf: there is neither a site nor a proxy"},
        {"\xff\n" SITE, "t.conf:1:1: error: unknown statement"},
        {"\rsite\n" SITE, "t.conf:1:1: error: unknown statement"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct conf_diags *d = conf_diags_new();
        assert_null(conf_load_text(span_str(rows[i].text), "t.conf", d));
        assert_true(conf_diags_errors(d) > 0);
        struct span text = conf_diags_text(d), find = span_str(rows[i].finding);
        size_t at = span_find_span(text, find);
        if (at > text.len || (at > 0 && text.ptr[at - 1] != '\n'))
            fail_msg("%s\ngives\n%.*s", rows[i].text, SPAN_ARG(text));
        conf_diags_free(d);
    }
}

static void the_line_and_the_caret(void **state)
{
    (void)state;
    struct conf_diags *d = conf_diags_new();
    assert_null(conf_load_text(SPAN("site * {\r\n\troute * -> pool\tnobody # no\r\n}\r\n"), "t.conf", d));
    assert_span(conf_diags_text(d), "t.conf:2:18: error: there is no pool `nobody`\n"
                                    "    \troute * -> pool\tnobody # no\n"
                                    "    \t               \t^\n");
    assert_span(conf_diags_json(d),
                "[\n  {\"level\": \"error\", \"file\": \"t.conf\", \"line\": 2, \"column\": 18, "
                "\"text\": \"there is no pool `nobody`\", \"suggestion\": null}\n]\n");
    conf_diags_free(d);
}

static void warnings_do_not_refuse(void **state)
{
    (void)state;
    static const struct {
        const char *text, *finding;
    } rows[] = {
        {"pool unused { server a:1 }\n" SITE, "t.conf:1:6: warning: nothing uses the pool `unused`\n"},
        {"site * {\n route /a/* -> respond 200\n route /a/b -> respond 404\n}",
         "t.conf:3:8: warning: the route in line 2 takes all that this one would\n"},
        {"site * {\n route * -> respond 200\n route ~x -> respond 404\n}",
         "t.conf:3:8: warning: the route in line 2"},
        {"site * { route /ab* -> respond 200 }",
         "t.conf:1:16: warning: the prefix stops in the middle of a path segment"},
        {"pool p { server a:1 backup; server b:1 backup }\nsite * { route * -> pool p }",
         "t.conf:1:6: warning: every server of the pool `p` is a backup"},
        {"pool p { server 127.0.0.1:80 }\nsite * { listen :80; route * -> pool p }",
         "t.conf:1:6: warning: no server of the pool `p` can answer: a site that uses it listens there itself\n"},
        {"pool p { server 10.0.0.1:80 }\nsite * { listen 10.0.0.1:80; route * -> pool p }",
         "t.conf:1:6: warning: no server of the pool `p` can answer"},
        {"group g { user u }\n" SITE, "t.conf:1:7: warning: nothing uses the group `g`\n"},
        {"list l { domain a.test }\n" SITE, "t.conf:1:6: warning: nothing uses the list `l`\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct conf_diags *d = conf_diags_new();
        struct conf *c = conf_load_text(span_str(rows[i].text), "t.conf", d);
        assert_non_null(c);
        assert_int_equal(conf_diags_warnings(d), 1);
        assert_int_equal(conf_diags_errors(d), 0);
        struct span text = conf_diags_text(d);
        if (!span_starts(text, span_str(rows[i].finding)))
            fail_msg("%s\ngives\n%.*s", rows[i].text, SPAN_ARG(text));
        conf_unref(c);
        conf_diags_free(d);
    }
}

static void nothing_to_say(void **state)
{
    (void)state;
    static const char *const rows[] = {
        SITE,
        "site * {\n route /a/* when { method GET } -> respond 200\n route /a/b -> respond 404\n}",
        "site * {\n route /a -> respond 200\n route /a/* -> respond 404\n route ~^/b -> respond 404\n}",
        "proxy 127.0.0.1:1 [::1]:1 { }",
        "pool p { server a:1; server b:1 backup }\nsite * { route * -> pool p }",
        "pool p { server 10.0.0.1:80; server 127.0.0.1:8080 }\nsite * { listen :80; listen :8080; route * -> pool p }",
        "pool p { server 10.0.0.1:80 }\nsite * { listen 10.0.0.2:80; route * -> pool p }",
        "pool p { server 127.0.0.1:81 }\nsite a { listen :80; route * -> pool p }\nsite b { listen :81; route * -> respond 200 }",
        "proxy :1 { policy { deny when { client not in 10.0.0.0/8 }; default allow } }",
        "proxy :1 { policy { allow when { client 10.0.0.0/8 }; default deny } }",
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct conf_diags *d = conf_diags_new();
        struct conf *c = conf_load_text(span_str(rows[i]), "t.conf", d);
        struct span text = conf_diags_text(d);
        if (!c || text.len)
            fail_msg("%s\ngives\n%.*s", rows[i], SPAN_ARG(text));
        assert_span(conf_diags_json(d), "[]\n");
        conf_unref(c);
        conf_diags_free(d);
    }
}

static void a_flood_of_mistakes_is_cut(void **state)
{
    (void)state;
    static char text[20000];
    size_t n = 0;
    for (unsigned i = 0; i < 500; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "nonsense%u\n", i);
    struct conf_diags *d = conf_diags_new();
    assert_null(conf_load_text(span_of(text, n), "t.conf", d));
    assert_int_equal(conf_diags_errors(d), 500);
    assert_true(span_ends(conf_diags_text(d), SPAN("and 400 more\n")));
    conf_diags_free(d);
}

static void nesting_ends(void **state)
{
    (void)state;
    static char text[100000];
    size_t n = 0;
    for (unsigned i = 0; i < 5000; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "threads 1 {\n");
    struct conf_diags *d = conf_diags_new();
    assert_null(conf_load_text(span_of(text, n), "t.conf", d));
    assert_true(span_find_span(conf_diags_text(d), SPAN("nested too deep")) < n);
    conf_diags_free(d);
}

static bool nth(void *arg)
{
    unsigned *left = arg;
    return *left && --*left == 0;
}

static void every_allocation_fails_once(void **state)
{
    (void)state;
    static char text[40000];
    size_t n = (size_t)snprintf(
        text, sizeof text,
        "pool p { server a:1 }\nsite * { deny method GET; route * when { path /x } -> pool p }\nhosts {\n");
    for (unsigned i = 0; i < 800; i++)
        n += (size_t)snprintf(text + n, sizeof text - n, "host%u 10.0.0.1\n", i);
    n += (size_t)snprintf(text + n, sizeof text - n, "}\n");
    struct conf *c = NULL;
    unsigned failed = 0;
    for (unsigned at = 1; !c; at++) {
        assert_true(at < 1000);
        struct conf_diags *d = conf_diags_new();
        arena_thread_fini();
        unsigned left = at;
        mem_fail_set(nth, &left);
        c = conf_load_text(span_of(text, n), "t.conf", d);
        mem_fail_set(NULL, NULL);
        if (!c) {
            assert_true(conf_diags_errors(d) > 0);
            struct span why = conf_diags_text(d);
            assert_true(span_find_span(why, SPAN("out of memory")) < why.len);
            failed++;
        }
        conf_diags_free(d);
    }
    assert_true(failed > 3);
    unsigned entries = 0;
    for (const struct conf_stmt *s = conf_child(conf_child(conf_root(c), CONF_HOSTS), CONF_HOSTS_ENTRY); s;
         s = conf_next(s))
        entries++;
    assert_int_equal(entries, 800); // what is loaded after all is whole
    conf_unref(c);
}

static bool always(void *arg)
{
    (void)arg;
    return true;
}

// Not even what is wrong can be written down: then that is what is said.
static void without_memory_for_a_word(void **state)
{
    (void)state;
    arena_thread_fini();
    struct conf_diags *d = conf_diags_new();
    assert_non_null(d);
    mem_fail_set(always, NULL);
    assert_null(conf_load_text(SPAN(SITE), "t.conf", d));
    mem_fail_set(NULL, NULL);
    assert_true(conf_diags_errors(d) > 0);
    struct span why = conf_diags_text(d);
    assert_true(span_starts(why, SPAN("out of memory")));
    conf_diags_free(d);
}

static int nothing_is_left(void **state)
{
    (void)state;
    arena_thread_fini();
    return mem_live_count() == 0 ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(places_and_texts),
        cmocka_unit_test(the_line_and_the_caret),
        cmocka_unit_test(warnings_do_not_refuse),
        cmocka_unit_test(nothing_to_say),
        cmocka_unit_test(a_flood_of_mistakes_is_cut),
        cmocka_unit_test(nesting_ends),
        cmocka_unit_test(every_allocation_fails_once),
        cmocka_unit_test(without_memory_for_a_word),
    };
    return cmocka_run_group_tests(tests, NULL, nothing_is_left);
}
