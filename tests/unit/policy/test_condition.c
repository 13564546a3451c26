// SPDX-License-Identifier: Apache-2.0
// Each condition: what it matches, what it does not, and what it cannot be talked into.
#include "policy_test.h"

static void client(void **state)
{
    (void)state;
    struct asker in = {.from = "10.1.2.3"}, out = {.from = "11.0.0.1"}, six = {.from = "fd00::5"},
                 mapped = {.from = "::ffff:10.9.9.9"};
    const char *rule = "deny when { client 10.0.0.0/8 fd00::/8 }";
    assert_decides_to(rule, GET("/"), in, "deny");
    assert_decides_to(rule, GET("/"), six, "deny");
    assert_decides_to(rule, GET("/"), mapped, "deny");
    assert_decides_to(rule, GET("/"), out, "none");
    assert_decides_to("deny when { client not in 10.0.0.0/8 }", GET("/"), out, "deny");
    assert_decides_to("deny when { client not in 10.0.0.0/8 }", GET("/"), in, "none");
    assert_decides_to("deny when { not client 10.0.0.0/8 }", GET("/"), out, "deny");
    assert_decides_to("deny client 11.0.0.1", GET("/"), out, "deny");
    assert_refused("deny client 10.0.0.1/8", "10.0.0.1/8");
    assert_refused("deny client 300.0.0.1", "300.0.0.1");
}

#define HOST(h) "GET / HTTP/1.1\r\nHost: " h "\r\n\r\n"

static void domain(void **state)
{
    (void)state;
    assert_decides("deny domain ads.test", HOST("ads.test"), "deny");
    assert_decides("deny domain ads.test", HOST("ADS.Test:8080"), "deny");
    assert_decides("deny domain ads.test", HOST("ads.test."), "deny");
    assert_decides("deny domain ads.test", HOST("x.ads.test"), "none");
    assert_decides("deny domain ads.test", HOST("xads.test"), "none");
    assert_decides("deny domain Ads.test.", HOST("ads.test"), "deny");
    assert_decides("deny domain .blocked.test", HOST("blocked.test"), "deny");
    assert_decides("deny domain .blocked.test", HOST("a.b.BLOCKED.test."), "deny");
    assert_decides("deny domain .Blocked.test.", HOST("a.blocked.test"), "deny");
    assert_decides("deny domain .blocked.test", HOST("notblocked.test"), "none");
    assert_decides("deny domain .blocked.test", HOST("blocked.test.evil"), "none");
    assert_decides("deny domain a.test .b.test", HOST("x.b.test"), "deny");
    assert_decides("deny domain .test", "CONNECT a.test:443 HTTP/1.1\r\nHost: b.example\r\n\r\n", "deny");
    assert_refused("deny domain *.test", "written `.test`");
    assert_refused("deny domain .", "no domain");
    assert_refused("deny domain ..test", "no domain");
    assert_refused("deny domain a..test", "no domain");
    assert_refused("deny domain a.test/x", "no domain");
}

// What gates are for: rules about other hosts and paths are not even asked. (That they never keep out what a rule takes is checked with
// every decision of these tests.)
static void gates_keep_others_out(void **state)
{
    static const char *const shut[] = {"deny domain .ads.test", "deny host *.x.ads.test", "deny host ads.test b.ads.test", "deny path /admin/*"};
    static const char *const open[] = {"deny domain .test", "deny host ads.*", "deny host *ads.test", "deny host ~ads", "deny path *.exe", "deny path /*",
                                       "deny not domain .ads.test", "deny domain .ads.test .test"};
    struct request req = {.authority = {.host = SPAN("shop.example"), .kind = HOST_NAME}};
    struct condition_input in = {.req = &req, .path = SPAN("/basket"), .path_loose = SPAN("/basket")};
    struct gate_input has;
    (void)state;
    gate_input_of(&in, &has);
    for (size_t i = 0; i < ARRAY_LEN(shut) + ARRAY_LEN(open); i++) {
        struct policy p;
        policy_load(&p, i < ARRAY_LEN(shut) ? shut[i] : open[i - ARRAY_LEN(shut)]);
        assert_true(p.ok);
        struct gate g = gate_of(conf_child(conf_child(conf_root(p.conf), CONF_PROXY), CONF_POLICY)->first_child->when->first_child);
        assert_int_equal(gate_is_shut(&g, &has), i < ARRAY_LEN(shut));
        policy_free(&p);
    }
}

static void host(void **state)
{
    (void)state;
    assert_decides("deny host a.test", HOST("A.test:81"), "deny");
    assert_decides("deny host A.TEST.", HOST("a.test"), "deny");
    assert_decides("deny host *.a.test", HOST("x.a.test"), "deny");
    assert_decides("deny host *.a.test", HOST("a.test"), "none");
    assert_decides("deny host a*.test b*.test", HOST("bee.test"), "deny");
    assert_decides("deny host ~^w+\\.a\\.test$", HOST("WWW.a.test"), "deny");
    assert_decides("deny host ~^w+\\.a\\.test$", HOST("www.a.testing"), "none");
    assert_decides("deny host [::1]", HOST("[0:0::1]:80"), "deny");
    // The target says which host, not the field.
    assert_decides("deny host a.test", "GET http://a.test/ HTTP/1.1\r\nHost: b.test\r\n\r\n", "deny");
    assert_decides("deny host b.test", "GET http://a.test/ HTTP/1.1\r\nHost: b.test\r\n\r\n", "none");
}

static void path(void **state)
{
    (void)state;
    assert_decides("deny path /admin/*", GET("/admin/x"), "deny");
    assert_decides("deny path /admin/*", GET("/admin/"), "deny");
    assert_decides("deny path /admin/*", GET("/admin"), "none");
    assert_decides("deny path /admin/*", GET("/Admin/x"), "none");
    assert_decides("deny path /admin /admin/*", GET("/admin"), "deny");
    assert_decides("deny path /admin/*", GET("/admin?x=/admin/"), "none");
    assert_decides("deny path ~^/a[0-9]+$", GET("/a17"), "deny");
    assert_decides("deny path ~^/a[0-9]+$", GET("/a17/"), "none");
    // One spelling for all (INTERFACE 18).
    assert_decides("deny path /admin/*", GET("/x/../admin/y"), "deny");
    assert_decides("deny path /admin/*", GET("/%61dmin/y"), "deny");
    assert_decides("deny path /admin/*", GET("/x/%2e%2e/admin/y"), "deny");
    assert_decides("deny path /admin/*", GET("/./admin/./y"), "deny");
    assert_decides("deny path /a%2Fb", GET("/a%2fb"), "deny");
}

// Some servers read these paths as /admin/..., others do not: nobody gets past a rule with them.
static void two_readings(void **state)
{
    (void)state;
    static const char *const doubtful[] = {GET("//admin/y"), GET("/admin;x=1/y"), GET("/admin%2Fy"),
                                           GET("/x//admin/y")};
    for (unsigned i = 0; i < 3; i++) {
        assert_decides("deny path /admin/*", doubtful[i], "deny");
        assert_decides("deny when { not path /public/* }\nallow", doubtful[i], "deny");
        assert_decides("allow path /admin/*\ndeny", doubtful[i], "deny");
        assert_decides("allow when { not path /admin/* }\ndeny", doubtful[i], "deny");
    }
    assert_decides("allow path /public/*\ndeny", GET("/public%2Fy"), "deny");
    assert_decides("deny when { not path /public/* }\nallow", GET("/public//y"), "allow");
    assert_decides("allow path /public/*\ndeny", GET("/public//y"), "allow");
    assert_decides("deny path /admin/*", doubtful[3], "none");
}

static void routes_have_one_reading(void **state)
{
    (void)state;
    struct policy p;
    policy_load(&p, "deny path /a//b");
    assert_true(p.ok);
    struct request req = {.method_text = SPAN("GET"), .path = SPAN("/a//b")};
    struct condition_input in = {
        .req = &req, .path = req.path, .path_loose = SPAN("/a/b"), .arena = &p.arena};
    assert_int_equal(condition_set_judge(p.rules.v[0].when, &in), MATCH_UNSURE);
    assert_true(condition_set_match(p.rules.v[0].when, &in));
    policy_free(&p);
}

static void query(void **state)
{
    (void)state;
    assert_decides("deny query debug", GET("/?debug"), "deny");
    assert_decides("deny query debug", GET("/?x=1&debug=0"), "deny");
    assert_decides("deny query debug", GET("/?xdebug=1"), "none");
    assert_decides("deny query debug", GET("/debug"), "none");
    assert_decides("deny query debug", GET("/?"), "none");
    assert_decides("deny query mode a b", GET("/?mode=b"), "deny");
    assert_decides("deny query mode a b", GET("/?mode=c&mode=a"), "deny");
    assert_decides("deny query mode a b", GET("/?mode=ab"), "none");
    assert_decides("deny query mode x*", GET("/?mode=xyz"), "deny");
    assert_decides("deny query mode ~^[0-9]+$", GET("/?mode=12"), "deny");
    // Encoded as anybody may encode it.
    assert_decides("deny query debug on", GET("/?d%65bug=%6fn"), "deny");
    assert_decides("deny query q \"a b\"", GET("/?q=a+b"), "deny");
    assert_decides("deny query q \"a b\"", GET("/?q=a%20b"), "deny");
    assert_decides("deny query q ~^a.b$", GET("/?q=a%0Ab"), "deny");
    assert_decides("deny query q 100%", GET("/?q=100%25"), "deny");
    assert_decides("deny query a=b c", GET("/?a%3Db=c"), "deny");
}

static void method_scheme_port(void **state)
{
    (void)state;
    assert_decides("deny method TRACE DELETE", "DELETE / HTTP/1.1\r\nHost: a\r\n\r\n", "deny");
    assert_decides("deny method TRACE DELETE", GET("/"), "none");
    assert_decides("deny method TRACE", "trace / HTTP/1.1\r\nHost: a\r\n\r\n", "none");
    assert_decides("deny method PROP*", "PROPFIND / HTTP/1.1\r\nHost: a\r\n\r\n", "deny");
    assert_decides("deny scheme http", GET("/"), "deny");
    assert_decides("deny scheme https", GET("/"), "none");
    assert_decides("deny scheme https", "GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n", "deny");
    assert_decides("deny port 80", GET("/"), "deny");
    assert_decides("deny port 443", "GET https://a/ HTTP/1.1\r\nHost: a\r\n\r\n", "deny");
    assert_decides("deny port 8000-8999", HOST("a:8080"), "deny");
    assert_decides("deny port 8000-8999", HOST("a:9000"), "none");
    assert_decides("deny port 22 8000-8999", "CONNECT a:22 HTTP/1.1\r\nHost: a\r\n\r\n", "deny");
    assert_refused("deny port 0", "no port");
    assert_refused("deny port 90-80", "no port");
    assert_refused("deny port 65536", "no port");
    assert_refused("deny port http", "no port");
    assert_refused("deny port 80-", "no port");
}

static void a_method_in_small_letters_is_warned_of(void **state)
{
    (void)state;
    struct policy p;
    policy_load(&p, "deny method trace");
    assert_true(p.ok);
    assert_int_equal(conf_diags_warnings(p.diags), 1);
    policy_free(&p);
}

#define WITH(fields) "GET / HTTP/1.1\r\nHost: a\r\n" fields "\r\n"

static void header(void **state)
{
    (void)state;
    assert_decides("deny header X-Version", WITH("x-version: 1\r\n"), "deny");
    assert_decides("deny header X-Version", WITH("x-versions: 1\r\n"), "none");
    assert_decides("deny header X-Version 2 3", WITH("X-Version: 3\r\n"), "deny");
    assert_decides("deny header X-Version 2 3", WITH("X-Version: 33\r\n"), "none");
    assert_decides("deny header X-Version 2", WITH("X-Version: 1\r\nX-Version: 2\r\n"), "deny");
    assert_decides("deny header Accept *json*", WITH("Accept: text/html, application/json\r\n"), "deny");
    assert_decides("deny when { header not X-Key secret }", WITH("X-Key: secret\r\n"), "none");
    assert_decides("deny when { not header X-Key secret }", WITH("X-Key: guess\r\n"), "deny");
    assert_decides("deny when { not header X-Key secret }", WITH(""), "deny");
    assert_decides("deny user-agent *bot*", WITH("User-Agent: a bot\r\n"), "deny");
    assert_decides("deny user-agent *bot*", WITH("User-Agent: a\r\nUser-Agent: robot\r\n"), "deny");
    assert_decides("deny user-agent ~^$", WITH(""), "deny");
    assert_decides("deny user-agent ~^$", WITH("User-Agent: x\r\n"), "none");
}

static void cookie(void **state)
{
    (void)state;
    assert_decides("deny cookie beta", WITH("Cookie: a=1; beta=2\r\n"), "deny");
    assert_decides("deny cookie beta", WITH("Cookie: a=1; abeta=2\r\n"), "none");
    assert_decides("deny cookie beta", WITH("Cookie: Beta=2\r\n"), "none");
    assert_decides("deny cookie beta 1", WITH("Cookie: beta=2;beta=1\r\n"), "deny");
    assert_decides("deny cookie beta 1", WITH("Cookie: beta=2\r\nCookie: beta = 1\r\n"), "deny");
    assert_decides("deny cookie beta x=y", WITH("Cookie: beta=x=y\r\n"), "deny");
    assert_decides("deny cookie beta", WITH("Cookie: beta\r\n"), "deny");
    // Quotes are a part of the value for some servers.
    assert_decides("deny cookie beta 1", WITH("Cookie: beta=\"1\"\r\n"), "deny");
    assert_decides("allow cookie beta 1\ndeny", WITH("Cookie: beta=\"1\"\r\n"), "deny");
    assert_decides("allow cookie beta 1\ndeny", WITH("Cookie: beta=1\r\n"), "allow");
}

static void several(void **state)
{
    (void)state;
    const char *rule = "deny when { method POST PUT; path /a/*\n not header X-Ok }";
    assert_decides(rule, "POST /a/b HTTP/1.1\r\nHost: a\r\n\r\n", "deny");
    assert_decides(rule, "PUT /a/b HTTP/1.1\r\nHost: a\r\n\r\n", "deny");
    assert_decides(rule, "POST /b HTTP/1.1\r\nHost: a\r\n\r\n", "none");
    assert_decides(rule, "GET /a/b HTTP/1.1\r\nHost: a\r\n\r\n", "none");
    assert_decides(rule, "POST /a/b HTTP/1.1\r\nHost: a\r\nX-Ok: 1\r\n\r\n", "none");
    assert_decides("deny", GET("/"), "deny");
}

static void the_first_that_matches_wins(void **state)
{
    (void)state;
    struct policy p;
    struct arena a;
    arena_init(&a, 0);
    policy_load(&p, "allow path /a/b\ndeny path /a/*\nallow\ndeny");
    assert_true(p.ok);
    assert_int_equal(p.rules.n, 4);
    const struct rule *r = policy_decide(&p, GET("/a/b"), (struct asker){0}, &a);
    assert_int_equal(r->action, RULE_ALLOW);
    assert_span(r->where, "t.conf:3");
    r = policy_decide(&p, GET("/a/c"), (struct asker){0}, &a);
    assert_int_equal(r->action, RULE_DENY);
    assert_span(r->where, "t.conf:4");
    r = policy_decide(&p, GET("/b"), (struct asker){0}, &a);
    assert_span(r->where, "t.conf:5");
    arena_fini(&a);
    policy_free(&p);
    policy_load(&p, "");
    assert_true(p.ok);
    assert_int_equal(p.rules.n, 0);
    policy_free(&p);
}

// A client that drives a regular expression into its limits passes no `deny` and meets no `allow`.
static void an_exhausted_pattern_is_no_way_past(void **state)
{
    (void)state;
    static char head[40000];
    size_t n = (size_t)snprintf(head, sizeof head, "GET /");
    memset(head + n, 'a', 6000);
    snprintf(head + n + 6000, sizeof head - n - 6000, "! HTTP/1.1\r\nHost: a\r\n\r\n");
    assert_decides("deny path ~^/(a|a)*[bc]$\nallow", head, "deny");
    assert_decides("deny when { not path ~^/(a|a)*[bc]$ }\nallow", head, "deny");
    assert_decides("allow path ~^/(a|a)*[bc]$", head, "none");
    assert_decides("allow when { not path ~^/(a|a)*[bc]$ }", head, "none");
    // Neither does one that makes a value longer than what is looked at.
    n = (size_t)snprintf(head, sizeof head, "GET / HTTP/1.1\r\nHost: a\r\nX-A: ");
    memset(head + n, 'a', PATTERN_REGEX_SUBJECT_MAX_BYTES + 1);
    snprintf(head + n + PATTERN_REGEX_SUBJECT_MAX_BYTES + 1, 100, "\r\n\r\n");
    assert_decides("deny header X-A ~evil\nallow", head, "deny");
    assert_decides("allow header X-A ~a", head, "none");
    // What is certain anyway is not made uncertain.
    assert_decides("deny when { header X-A ~evil; method POST }\nallow", head, "allow");
    assert_decides("allow header X-A ~evil aaa*", head, "allow");
}

static void mistakes(void **state)
{
    (void)state;
    assert_refused("deny path ~(", "regular expression is wrong at character");
    // All in one go.
    struct policy p;
    policy_load(&p, "deny path ~(\ndeny port x\ndeny when { client x; domain * }");
    assert_false(p.ok);
    assert_int_equal(p.rules.n, 0);
    assert_int_equal(conf_diags_errors(p.diags), 4);
    policy_free(&p);
}

static unsigned fail_after;
static bool failing(void *arg)
{
    (void)arg;
    return fail_after && --fail_after == 0;
}

// Every allocation fails once: an error is told, and no rule is left out or made to hold always.
static void memory_runs_out(void **state)
{
    (void)state;
    unsigned failed = 0;
    for (unsigned n = 1; n < 400; n++) {
        arena_thread_fini();
        int64_t before = mem_live_count();
        struct policy p;
        policy_load(&p, "");
        if (p.conf)
            conf_unref(p.conf);
        struct span text = SPAN(
            "proxy 127.0.0.1:3128 {\npolicy {\ndeny when { client 10.0.0.0/8; host a* ~x; domain .y; query a "
            "~b }\n"
            "deny when { port 1 2; method GET; cookie a ~(b); time mon 10:00-11:00 Europe/Paris }\n}\n}\n");
        p.conf = conf_load_text(text, "t.conf", p.diags);
        assert_non_null(p.conf);
        p.context = (struct condition_context){.conf = p.conf, .diags = p.diags, .arena = &p.arena};
        arena_fini(&p.arena);
        arena_thread_fini();
        arena_init(&p.arena, 0);
        fail_after = n;
        mem_fail_set(failing, NULL);
        p.ok = rules_new(&p.context, conf_child(conf_child(conf_root(p.conf), CONF_PROXY), CONF_POLICY),
                         &p.rules);
        bool was_hit = fail_after == 0;
        mem_fail_set(NULL, NULL);
        if (!p.ok) {
            assert_true(was_hit);
            assert_true(conf_diags_errors(p.diags) > 0);
            assert_int_equal(p.rules.n, 0);
            failed++;
        } else {
            assert_int_equal(p.rules.n, 2);
        }
        policy_free(&p);
        arena_thread_fini();
        assert_int_equal(mem_live_count(), before);
        if (!was_hit)
            break;
    }
    assert_true(failed > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(client),
        cmocka_unit_test(domain),
        cmocka_unit_test(gates_keep_others_out),
        cmocka_unit_test(host),
        cmocka_unit_test(path),
        cmocka_unit_test(two_readings),
        cmocka_unit_test(routes_have_one_reading),
        cmocka_unit_test(query),
        cmocka_unit_test(method_scheme_port),
        cmocka_unit_test(a_method_in_small_letters_is_warned_of),
        cmocka_unit_test(header),
        cmocka_unit_test(cookie),
        cmocka_unit_test(several),
        cmocka_unit_test(the_first_that_matches_wins),
        cmocka_unit_test(an_exhausted_pattern_is_no_way_past),
        cmocka_unit_test(mistakes),
        cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
