// SPDX-License-Identifier: Apache-2.0
// From text to the tree: words, blocks, conditions, targets, defaults, and the tree as JSON.
#include <stdio.h>

#include "conf_test.h"

#define SITE "site * { route * -> respond 200 }\n"

static void words(void **state)
{
    (void)state;
    struct conf *c = load_good("log access combined \\\n  \"a \\\"b\\\\c\\n.log\" # comment\r\n"
                               "site a.test {\n\tlisten :80; listen [::1]:80\n\troute /x -> redirect 301 "
                               "http://b/{rest}?{query}\n}");
    const struct conf_stmt *root = conf_root(c), *log = conf_child(root, CONF_LOG);
    assert_int_equal(log->n_args, 3);
    assert_span(log->args[2].text, "a \"b\\c\n.log");
    assert_true(log->args[2].quoted);
    assert_false(log->args[1].quoted);
    assert_int_equal(log->pos.line, 1);
    assert_int_equal(log->args[2].pos.line, 2);
    assert_int_equal(log->args[2].pos.col, 3);
    const struct conf_stmt *site = conf_child(root, CONF_SITE);
    assert_int_equal(site->pos.line, 3);
    const struct conf_stmt *listen = conf_child(site, CONF_LISTEN);
    assert_span(listen->args[0].text, ":80");
    assert_int_equal(listen->pos.col, 2);
    assert_span(conf_next(listen)->args[0].text, "[::1]:80");
    assert_null(conf_next(conf_next(listen)));
    const struct conf_stmt *route = conf_child(site, CONF_ROUTE);
    assert_int_equal(route->target->n_args, 3);
    assert_span(route->target->args[0].text, "redirect");
    assert_span(route->target->args[2].text, "http://b/{rest}?{query}");
    assert_ptr_equal(route->parent, site);
    assert_span(conf_where(c, route), "t.conf:5");
    assert_string_equal(conf_folder(c), ".");
    conf_unref(conf_ref(c));
    conf_unref(c);
}

static void conditions(void **state)
{
    (void)state;
    struct conf *c =
        load_good("site * {\n"
                  "    deny when { client not in 10.0.0.0/8 ::1; not path /x/* /y; header X-A b }\n"
                  "    deny not method GET HEAD\n"
                  "    route * when { query a } -> respond 404 \"when -> {\" { set response-header X y }\n"
                  "}\n");
    const struct conf_stmt *site = conf_child(conf_root(c), CONF_SITE), *deny = conf_child(site, CONF_DENY);
    const struct conf_stmt *client = conf_child(deny->when, CONF_C_CLIENT);
    assert_true(client->negated);
    assert_int_equal(client->n_args, 2);
    assert_span(client->args[0].text, "10.0.0.0/8");
    assert_true(conf_child(deny->when, CONF_C_PATH)->negated);
    assert_false(conf_child(deny->when, CONF_C_HEADER)->negated);
    deny = conf_next(deny);
    assert_int_equal(deny->n_args, 0);
    const struct conf_stmt *method = conf_child(deny->when, CONF_C_METHOD);
    assert_true(method->negated);
    assert_int_equal(method->n_args, 2);
    const struct conf_stmt *route = conf_child(site, CONF_ROUTE);
    assert_non_null(conf_child(route->when, CONF_C_QUERY));
    assert_span(route->target->args[2].text, "when -> {");
    assert_true(route->has_block);
    assert_non_null(conf_child(route, CONF_SET));
    conf_unref(c);
}

static void options(void **state)
{
    (void)state;
    struct conf *c =
        load_good("pool p { server a:1 weight 3; server b:2 }\nsite * { route * -> pool p }\n"
                  "proxy 127.0.0.1:1 { egress { allow 10.0.0.0/8 ports 80 443-445; connect-ports any } }\n");
    const struct conf_stmt *pool = conf_definition(c, CONF_POOL, SPAN("p"));
    assert_null(conf_definition(c, CONF_POOL, SPAN("q")));
    const struct conf_stmt *server = conf_child(pool, CONF_SERVER);
    assert_int_equal(conf_plain_args(server), 1);
    assert_int_equal(conf_option(server, "weight")->num, 3);
    assert_null(conf_option(conf_next(server), "weight"));
    const struct conf_stmt *egress = conf_child(conf_child(conf_root(c), CONF_PROXY), CONF_EGRESS);
    const struct conf_stmt *allow = conf_child(egress, CONF_E_ALLOW);
    assert_span(conf_option(allow, "ports")->text, "80");
    assert_int_equal(conf_plain_args(allow), 1);
    conf_unref(c);
}

static void defaults(void **state)
{
    (void)state;
    struct conf *c = load_good("timeouts { header 7s }\n" SITE);
    const struct conf_stmt *timeouts = conf_child(conf_root(c), CONF_TIMEOUTS);
    assert_int_equal(conf_number(timeouts, CONF_T_HEADER), 7000);
    // The documented defaults.
    static const struct {
        enum conf_id id;
        uint64_t value;
    } rows[] = {
        {CONF_T_HEADER, 10000},       {CONF_T_HANDSHAKE, 5000},    {CONF_T_IDLE, 60000},
        {CONF_T_CONNECT, 3000},       {CONF_T_FIRST_BYTE, 60000},  {CONF_T_BETWEEN_BYTES, 60000},
        {CONF_T_TUNNEL_IDLE, 600000}, {CONF_L_CONNECTIONS, 20000}, {CONF_L_PER_CLIENT, 512},
        {CONF_L_REQUEST_LINE, 8192},  {CONF_L_FIELDS, 128},        {CONF_L_FIELD_BYTES, 32768},
        {CONF_L_BODY, 1ULL << 30},    {CONF_MAX_IDLE, 512},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(conf_number(NULL, rows[i].id), rows[i].value);
    assert_int_equal(conf_number_or(timeouts, CONF_T_IDLE, 42), 42);
    assert_int_equal(conf_number_or(timeouts, CONF_T_HEADER, 42), 7000);
    assert_span(conf_word(NULL, CONF_PRIVACY), "standard");
    assert_span(conf_word(NULL, CONF_BALANCE), "p2c");
    conf_unref(c);
}

static void variables(void **state)
{
    (void)state;
    setenv("WEIR_TEST_VALUE", "from the environment", 1);
    unsetenv("WEIR_TEST_UNSET");
    struct conf *c =
        load_good("site * { route * -> respond 200 \"a ${WEIR_TEST_VALUE}, ${WEIR_TEST_UNSET:-default}!\" }\n"
                  "site b.test { route * -> respond ${WEIR_TEST_UNSET:-204} }\n");
    const struct conf_stmt *site = conf_child(conf_root(c), CONF_SITE);
    assert_span(conf_child(site, CONF_ROUTE)->target->args[2].text, "a from the environment, default!");
    assert_span(conf_child(conf_next(site), CONF_ROUTE)->target->args[1].text, "204");
    conf_unref(c);
}

// Every row of the table can be written: its word is known where it says, and its documentation is there.
static void the_table(void **state)
{
    (void)state;
    unsigned n;
    const struct conf_row *rows = conf_rows(&n);
    assert_true(n > 40);
    for (unsigned i = 0; i < n; i++) {
        assert_true(rows[i].where != IN_NOWHERE);
        size_t doc = strlen(rows[i].doc);
        assert_true(doc > 5 && rows[i].doc[doc - 1] == '.');
        assert_true(strlen(rows[i].word) > 0);
        for (unsigned j = i + 1; j < n; j++)
            if (rows[i].where & rows[j].where)
                assert_string_not_equal(rows[i].word, rows[j].word);
    }
}

// What a choice holds, what is not so, and what is nobody's business.
static void json_of_everything(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 0);
    struct conf *c = load_good("pool a { server x:1; sticky cookie n secret hush }\npool b { server x:2; sticky cookie n secret file:s }\n"
                               "site * { deny when { not client 10.0.0.0/8 }\nroute /s -> split by path { pool a 30%; pool b }\n"
                               "route * -> failover { pool a; pool b; respond 503 \"a \\n line\" } }");
    struct span all = conf_json(c, &a), shown = conf_json_public(c, &a);
    static const char *const parts[] = {"\"condition\": \"client\", \"not\": true", "\"choice\": [", "\"a \\u000a line\"", "\"30%\"", "file:s"};
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        assert_true(span_find_span(all, span_str(parts[i])) < all.len);
        assert_true(span_find_span(shown, span_str(parts[i])) < shown.len);
    }
    assert_true(span_find_span(all, SPAN("hush")) < all.len);
    assert_true(span_find_span(shown, SPAN("hush")) > shown.len);
    conf_unref(c);
    arena_fini(&a);
}

static void json(void **state)
{
    (void)state;
    struct conf *c = load_good("pool p { server a:1 }\nsite \"a\\\"b\" {\n    deny when { not path /x }\n    "
                               "route * -> pool p\n}\n");
    struct arena a;
    arena_init(&a, ARENA_NO_LIMIT);
    assert_span(conf_json(c, &a),
                "{\"statement\": \"configuration\", \"arguments\": [], \"block\": [\n"
                "{\"statement\": \"pool\", \"arguments\": [\"p\"], \"block\": [\n"
                "{\"statement\": \"server\", \"arguments\": [\"a:1\"]}\n]},\n"
                "{\"statement\": \"site\", \"arguments\": [\"a\\\"b\"], \"block\": [\n"
                "{\"statement\": \"deny\", \"arguments\": [], \"when\": [{\"condition\": \"path\", \"not\": "
                "true, \"arguments\": [\"/x\"]}]},\n"
                "{\"statement\": \"route\", \"arguments\": [\"*\"], \"target\": [\"pool\", \"p\"]}\n]}\n]}\n");
    arena_fini(&a);
    conf_unref(c);
}

// Many entries of one kind are no quadratic matter.
static void a_large_file(void **state)
{
    (void)state;
    enum { N = 60000 };
    size_t cap = (size_t)N * 40 + 200, n = 0;
    char *text = malloc(cap);
    assert_non_null(text);
    n += (size_t)snprintf(text + n, cap - n, SITE "hosts {\n");
    for (unsigned i = 0; i < N; i++)
        n += (size_t)snprintf(text + n, cap - n, "    h%u.test 10.%u.%u.%u\n", i, i >> 16, i >> 8 & 255,
                              i & 255);
    n += (size_t)snprintf(text + n, cap - n, "}\n");
    struct conf *c = load_good(text);
    unsigned entries = 0;
    for (const struct conf_stmt *s = conf_child(conf_child(conf_root(c), CONF_HOSTS), CONF_HOSTS_ENTRY); s;
         s = conf_next(s))
        entries++;
    assert_int_equal(entries, N);
    conf_unref(c);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words),    cmocka_unit_test(conditions),   cmocka_unit_test(options),
        cmocka_unit_test(defaults), cmocka_unit_test(variables),    cmocka_unit_test(the_table),
        cmocka_unit_test(json), cmocka_unit_test(json_of_everything),     cmocka_unit_test(a_large_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
