// SPDX-License-Identifier: Apache-2.0
// Authorities, paths and URIs.
#include "http_test.h"

static void authorities(void **state)
{
    (void)state;
    static const struct {
        const char *text, *host; // host NULL: refused
        enum uri_host_kind kind;
        uint16_t port;
    } rows[] = {
        {"a.test", "a.test", HOST_NAME, 0},
        {"A.TEST.", "a.test", HOST_NAME, 0},
        {"a.test:80", "a.test", HOST_NAME, 80},
        {"a_b-c~d.test:65535", "a_b-c~d.test", HOST_NAME, 65535},
        {"127.0.0.1:1", "127.0.0.1", HOST_IPV4, 1},
        {"127.0.0.1.", "127.0.0.1", HOST_IPV4, 0},
        {"0177.0.0.1", "0177.0.0.1", HOST_NAME, 0},
        {"127.1", "127.1", HOST_NAME, 0},
        {"2130706433", "2130706433", HOST_NAME, 0},
        {"256.0.0.1", "256.0.0.1", HOST_NAME, 0},
        {"1.2.3.4.5", "1.2.3.4.5", HOST_NAME, 0},
        {"[::1]", "::1", HOST_IPV6, 0},
        {"[0:0:0:0:0:0:0:1]:8080", "::1", HOST_IPV6, 8080},
        {"[2001:DB8::A]:443", "2001:db8::a", HOST_IPV6, 443},
        {"[::ffff:127.0.0.1]", "::ffff:127.0.0.1", HOST_IPV6, 0},
        {"", NULL, 0, 0},
        {".", NULL, 0, 0},
        {":80", NULL, 0, 0},
        {"a:", NULL, 0, 0},
        {"a:0", NULL, 0, 0},
        {"a:65536", NULL, 0, 0},
        {"a:000080", NULL, 0, 0},
        {"a:+80", NULL, 0, 0},
        {"a:80x", NULL, 0, 0},
        {"a:80:80", NULL, 0, 0},
        {"a..b", NULL, 0, 0},
        {".a", NULL, 0, 0},
        {"a..", NULL, 0, 0},
        {"u@a", NULL, 0, 0},
        {"a/b", NULL, 0, 0},
        {"a?b", NULL, 0, 0},
        {"a#b", NULL, 0, 0},
        {"a b", NULL, 0, 0},
        {"a%41", NULL, 0, 0},
        {"a,b", NULL, 0, 0},
        {"\xc3\xa4", NULL, 0, 0},
        {"::1", NULL, 0, 0},
        {"[::1", NULL, 0, 0},
        {"[]", NULL, 0, 0},
        {"[::1]x", NULL, 0, 0},
        {"[::1]:", NULL, 0, 0},
        {"[fe80::1%eth0]", NULL, 0, 0},
        {"[127.0.0.1]", NULL, 0, 0},
        {"[g::1]", NULL, 0, 0},
        {"[0000:0000:0000:0000:0000:0000:0000:0000:0000:0001]", NULL, 0, 0},
        {"0123456789012345678901234567890123456789012345678901234567890123.test", NULL, 0, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct arena a;
        struct authority r;
        arena_init(&a, ARENA_NO_LIMIT);
        char *text = exactly(span_str(rows[i].text));
        enum err e = authority_parse(span_of(text, strlen(rows[i].text)), &a, &r);
        if (e != (rows[i].host ? ERR_OK : ERR_BAD_HOST))
            fail_msg("%s: %s", rows[i].text, err_name(e));
        if (rows[i].host) {
            assert_span(r.host, rows[i].host);
            assert_int_equal(r.kind, rows[i].kind);
            assert_int_equal(r.port, rows[i].port);
        }
        arena_fini(&a);
        free(text);
    }
    char name[260];
    memset(name, 'a', sizeof name);
    for (size_t i = 50; i < sizeof name; i += 50)
        name[i] = '.';
    struct arena a;
    struct authority r;
    arena_init(&a, ARENA_NO_LIMIT);
    assert_int_equal(authority_parse(span_of(name, 253), &a, &r), ERR_OK);
    assert_int_equal(authority_parse(span_of(name, 254), &a, &r), ERR_BAD_HOST);
    assert_int_equal(authority_parse(SPAN("[::1\0]"), &a, &r), ERR_BAD_HOST);
    arena_fini(&a);
}

static void paths(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out; // out NULL: refused
    } rows[] = {
        {"/", "/"},
        {"/a/b", "/a/b"},
        {"/a//b/", "/a//b/"},
        {"/a/./b", "/a/b"},
        {"/a/../b", "/b"},
        {"/a/b/..", "/a/"},
        {"/a/.", "/a/"},
        {"/.", "/"},
        {"/a/..", "/"},
        {"/a/b/../../c", "/c"},
        {"/a/%2e%2E/b", "/b"},
        {"/%2e/a", "/a"},
        {"/.a/..b/...", "/.a/..b/..."},
        {"/%41%7e%2d", "/A~-"},
        {"/%2f%3f%20", "/%2F%3F%20"},
        {"/%c3%a4", "/%C3%A4"},
        {"/\"<>^`{|}[]", "/%22%3C%3E%5E%60%7B%7C%7D%5B%5D"},
        {"/a;b=c,d/(e)*!$&'+:@", "/a;b=c,d/(e)*!$&'+:@"},
        {"/a//../b", "/a/b"},
        {"", NULL},
        {"a", NULL},
        {"/..", NULL},
        {"/../a", NULL},
        {"/a/../../b", NULL},
        {"/%2e%2e/a", NULL},
        {"/%", NULL},
        {"/%4", NULL},
        {"/%zz", NULL},
        {"/%4g", NULL},
        {"/%00", NULL},
        {"/a b", NULL},
        {"/a#b", NULL},
        {"/a?b", NULL},
        {"/a\\b", NULL},
        {"/a%5cb", NULL},
        {"/\x01", NULL},
        {"/\x7f", NULL},
        {"/\xc3\xa4", NULL},
        {"/%c0%ae", NULL},
        {"/%c0%af", NULL},
        {"/%e0%80%af", NULL},
        {"/%f0%80%80%af", NULL},
        {"/a/..;x/b", NULL},
        {"/a/.;/b", NULL},
        {"/a/..%2fb", NULL},
        {"/a/b%2f..", NULL},
        {"/a/b%2f.%2fc", NULL},
        {"/a/b%2f..;x%2fc", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct arena a;
        struct span r = SPAN("untouched"), again;
        arena_init(&a, ARENA_NO_LIMIT);
        char *text = exactly(span_str(rows[i].in));
        struct span in = span_of(text, strlen(rows[i].in));
        enum err e = path_normalise(in, &a, &r);
        if (e != (rows[i].out ? ERR_OK : ERR_BAD_TARGET))
            fail_msg("%s: %s %.*s", rows[i].in, err_name(e), SPAN_ARG(r));
        if (rows[i].out) {
            assert_span(r, rows[i].out);
            assert_int_equal(path_normalise(r, &a, &again), ERR_OK);
            assert_span(again, rows[i].out);
            // What needs no change is not copied.
            if (span_eq(r, in) && span_find(in, '%') == in.len && span_find_span(in, SPAN("/.")) > in.len)
                assert_ptr_equal(r.ptr, in.ptr);
        } else {
            assert_span(r, "untouched");
        }
        arena_fini(&a);
        free(text);
    }
}

static void loosely(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } rows[] = {
        {"/a/b", "/a/b"},      {"/a;x=y/b;z", "/a/b"}, {"//a///b", "/a/b"},  {"/a%2Fb", "/a/b"},
        {"/a%2F%2Fb", "/a/b"}, {"/a;x%2Fb/c", "/a/c"}, {"/a%20b", "/a%20b"}, {"/;x", "/"},
    };
    struct arena a;
    arena_init(&a, ARENA_NO_LIMIT);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct span r;
        assert_int_equal(path_loose(span_str(rows[i].in), &a, &r), ERR_OK);
        assert_span(r, rows[i].out);
    }
    arena_fini(&a);
}

static void queries_and_decoding(void **state)
{
    (void)state;
    assert_int_equal(query_check(SPAN("a=b&c=%20+\"<>'?/")), ERR_OK);
    assert_int_equal(query_check(SPAN("")), ERR_OK);
    static const char *const bad[] = {"a b", "a#b", "a\tb", "a\x7f", "a\xc3"};
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(query_check(span_str(bad[i])), ERR_BAD_TARGET);
    struct arena a;
    struct span r;
    arena_init(&a, ARENA_NO_LIMIT);
    assert_int_equal(percent_decode(SPAN("/a%20b%2f%41"), &a, &r), ERR_OK);
    assert_span(r, "/a b/A");
    assert_int_equal(percent_decode(SPAN("/plain"), &a, &r), ERR_OK);
    assert_span(r, "/plain");
    assert_int_equal(percent_decode(SPAN("/%0"), &a, &r), ERR_BAD_TARGET);
    assert_int_equal(percent_decode(SPAN("/%00"), &a, &r), ERR_BAD_TARGET);
    arena_fini(&a);
}

static void absolute(void **state)
{
    (void)state;
    static const struct {
        const char *text, *scheme, *host, *path, *query; // scheme NULL: refused
        uint16_t port;
    } rows[] = {
        {"http://a", "http", "a", "/", NULL, 0},
        {"HTTP://A.test:80/b?c", "http", "a.test", "/b", "c", 80},
        {"https://[::1]:1/%41", "https", "::1", "/A", NULL, 1},
        {"http://a?", "http", "a", "/", "", 0},
        {"http://a?x=/y", "http", "a", "/", "x=/y", 0},
        {"ftp+x://a/", "ftp+x", "a", "/", NULL, 0},
        {"http:/a", NULL, NULL, NULL, NULL, 0},
        {"http:a", NULL, NULL, NULL, NULL, 0},
        {"://a", NULL, NULL, NULL, NULL, 0},
        {"h_p://a", NULL, NULL, NULL, NULL, 0},
        {"1http://a", NULL, NULL, NULL, NULL, 0},
        {"http://", NULL, NULL, NULL, NULL, 0},
        {"http:///x", NULL, NULL, NULL, NULL, 0},
        {"http://u@a/", NULL, NULL, NULL, NULL, 0},
        {"http://u:p@a/", NULL, NULL, NULL, NULL, 0},
        {"http://a/#f", NULL, NULL, NULL, NULL, 0},
        {"http://a#f", NULL, NULL, NULL, NULL, 0},
        {"http://a?b#f", NULL, NULL, NULL, NULL, 0},
        {"http://a/../b", NULL, NULL, NULL, NULL, 0},
        {"averyveryveryveryveryverylongscheme://a", NULL, NULL, NULL, NULL, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct arena a;
        struct uri u;
        arena_init(&a, ARENA_NO_LIMIT);
        enum err e = uri_parse_absolute(span_str(rows[i].text), &a, &u);
        if (e != (rows[i].scheme ? ERR_OK : ERR_BAD_TARGET))
            fail_msg("%s: %s", rows[i].text, err_name(e));
        if (rows[i].scheme) {
            assert_span(u.scheme, rows[i].scheme);
            assert_span(u.authority.host, rows[i].host);
            assert_int_equal(u.authority.port, rows[i].port);
            assert_span(u.path, rows[i].path);
            assert_int_equal(u.query.ptr == NULL, rows[i].query == NULL);
            if (rows[i].query)
                assert_span(u.query, rows[i].query);
        }
        arena_fini(&a);
    }
}

static void out_of_memory(void **state)
{
    (void)state;
    struct arena a;
    struct authority authority;
    struct uri u;
    struct span r;
    arena_init(&a, 1); // no block fits
    assert_int_equal(authority_parse(SPAN("A"), &a, &authority), ERR_NO_MEMORY);
    assert_int_equal(authority_parse(SPAN("[::1]"), &a, &authority), ERR_NO_MEMORY);
    assert_int_equal(path_normalise(SPAN("/%41"), &a, &r), ERR_NO_MEMORY);
    assert_int_equal(path_loose(SPAN("//"), &a, &r), ERR_NO_MEMORY);
    assert_int_equal(percent_decode(SPAN("%41"), &a, &r), ERR_NO_MEMORY);
    assert_int_equal(uri_parse_absolute(SPAN("http://a"), &a, &u), ERR_NO_MEMORY);
    arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(authorities),          cmocka_unit_test(paths),    cmocka_unit_test(loosely),
        cmocka_unit_test(queries_and_decoding), cmocka_unit_test(absolute), cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
