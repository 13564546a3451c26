// SPDX-License-Identifier: Apache-2.0
// Heads of responses, and trailer sections.
#include "http_test.h"

static enum err parse(struct span text, enum http_method to, struct arena *a, char **ret_buf,
                      struct response *ret)
{
    struct h1_head h;
    *ret_buf = exactly(text);
    h1_head_init(&h);
    enum err e = h1_head_scan(&h, *ret_buf, text.len, false, &test_limits);
    return e ? e : h1_parse_response(*ret_buf, &h, to, a, ret);
}

#define OK "HTTP/1.1 200 OK\r\n"

static void refused(void **state)
{
    (void)state;
    static const struct {
        struct span text;
        enum err e;
    } rows[] = {
        {SPAN_INIT("HTTP/1.1 20 OK\r\n\r\n"), ERR_BAD_RESPONSE},
        {SPAN_INIT("HTTP/1.1 2000 OK\r\n\r\n"), ERR_BAD_RESPONSE},
        {SPAN_INIT("HTTP/1.1 099 OK\r\n\r\n"), ERR_BAD_RESPONSE},
        {SPAN_INIT("HTTP/1.1 600 OK\r\n\r\n"), ERR_BAD_RESPONSE},
        {SPAN_INIT("HTTP/1.1 abc OK\r\n\r\n"), ERR_BAD_RESPONSE},
        {SPAN_INIT("HTTP/1.1  200 OK\r\n\r\n"), ERR_BAD_RESPONSE},
        {SPAN_INIT("HTTP/1.1\t200 OK\r\n\r\n"), ERR_BAD_RESPONSE},
        {SPAN_INIT("HTTP/1.1 200OK\r\n\r\n"), ERR_BAD_RESPONSE},
        {SPAN_INIT("HTTP/1.1 200\tOK\r\n\r\n"), ERR_BAD_RESPONSE},
        {SPAN_INIT("HTTP/1.1 200 O\x01K\r\n\r\n"), ERR_BAD_RESPONSE},
        {SPAN_INIT("HTTP/1.1 200 O\x7fK\r\n\r\n"), ERR_BAD_RESPONSE},
        {SPAN_INIT("HTTP/1.1 200 O\rK\r\n\r\n"), ERR_BAD_RESPONSE},
        {SPAN_INIT("HTTP/1.1 200 O\0K\r\n\r\n"), ERR_BAD_RESPONSE},
        {SPAN_INIT("HTTP/2.0 200 OK\r\n\r\n"), ERR_BAD_RESPONSE},
        {SPAN_INIT("HTTP/0.9 200 OK\r\n\r\n"), ERR_BAD_RESPONSE},
        {SPAN_INIT("http/1.1 200 OK\r\n\r\n"), ERR_BAD_RESPONSE},
        {SPAN_INIT("ICY 200 OK\r\n\r\n"), ERR_BAD_RESPONSE},
        {SPAN_INIT("HTTP/1.1\r\n\r\n"), ERR_BAD_RESPONSE},
        {SPAN_INIT(OK "X : y\r\n\r\n"), ERR_BAD_RESPONSE},
        {SPAN_INIT(OK "X: a\r\n b\r\n\r\n"), ERR_BAD_RESPONSE},
        {SPAN_INIT(OK "X: a\0b\r\n\r\n"), ERR_BAD_RESPONSE},
        {SPAN_INIT(OK ": x\r\n\r\n"), ERR_BAD_RESPONSE},
        {SPAN_INIT(OK "Content-Length: 5\r\nContent-Length: 6\r\n\r\n"), ERR_BAD_RESPONSE},
        {SPAN_INIT(OK "Content-Length: 5\r\nContent-Length: 5\r\n\r\n"), ERR_BAD_RESPONSE},
        {SPAN_INIT(OK "Content-Length: 18446744073709551621\r\n\r\n"), ERR_BAD_RESPONSE},
        {SPAN_INIT(OK "Content-Length: 5x\r\n\r\n"), ERR_BAD_RESPONSE},
        {SPAN_INIT(OK "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"), ERR_BAD_RESPONSE},
        {SPAN_INIT(OK "Transfer-Encoding: chunked, chunked\r\n\r\n"), ERR_RESPONSE_BAD_CODING},
        {SPAN_INIT(OK "Transfer-Encoding: gzip\r\n\r\n"), ERR_RESPONSE_BAD_CODING},
        {SPAN_INIT(OK "Transfer-Encoding: gzip, chunked\r\n\r\n"), ERR_RESPONSE_BAD_CODING},
        {SPAN_INIT("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), ERR_RESPONSE_BAD_CODING},
        {SPAN_INIT("HTTP/1.1 204 No\r\nTransfer-Encoding: chunked\r\n\r\n"), ERR_BAD_RESPONSE},
        {SPAN_INIT("HTTP/1.1 103 Hint\r\nTransfer-Encoding: chunked\r\n\r\n"), ERR_BAD_RESPONSE},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct arena a;
        struct response r;
        char *buf;
        arena_init(&a, ARENA_NO_LIMIT);
        enum err e = parse(rows[i].text, METHOD_GET, &a, &buf, &r);
        if (e != rows[i].e)
            fail_msg("row %zu: %s instead of %s: %.*s", i, err_name(e), err_name(rows[i].e),
                     SPAN_ARG(rows[i].text));
        assert_int_equal(err_info(e)->status, 502);
        arena_fini(&a);
        free(buf);
    }
}

static void framing(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum http_method to;
        bool no_content;
        enum framing_kind kind;
        uint64_t length;
        bool keep_alive;
    } rows[] = {
        {OK "Content-Length: 5\r\n\r\n", METHOD_GET, false, FRAMING_LENGTH, 5, true},
        {OK "Transfer-Encoding: chunked\r\n\r\n", METHOD_GET, false, FRAMING_CHUNKED, 0, true},
        {OK "\r\n", METHOD_GET, false, FRAMING_CLOSE, 0, true},
        {"HTTP/1.0 200 OK\r\n\r\n", METHOD_GET, false, FRAMING_CLOSE, 0, false},
        {"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 1\r\n\r\n", METHOD_GET, false,
         FRAMING_LENGTH, 1, true},
        {OK "Connection: close\r\nContent-Length: 1\r\n\r\n", METHOD_GET, false, FRAMING_LENGTH, 1, false},
        {OK "Content-Length: 5\r\n\r\n", METHOD_HEAD, true, FRAMING_LENGTH, 5, true},
        {OK "Transfer-Encoding: chunked\r\n\r\n", METHOD_HEAD, true, FRAMING_NONE, 0, true},
        {OK "\r\n", METHOD_HEAD, true, FRAMING_NONE, 0, true},
        {"HTTP/1.1 204 No Content\r\n\r\n", METHOD_GET, true, FRAMING_NONE, 0, true},
        {"HTTP/1.1 304 Not Modified\r\nContent-Length: 100\r\n\r\n", METHOD_GET, true, FRAMING_LENGTH, 100,
         true},
        {"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n", METHOD_GET, true, FRAMING_NONE, 0, true},
        {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n", METHOD_CONNECT, true, FRAMING_LENGTH, 10, true},
        {"HTTP/1.1 403 No\r\nContent-Length: 10\r\n\r\n", METHOD_CONNECT, false, FRAMING_LENGTH, 10, true},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct arena a;
        struct response r;
        char *buf;
        arena_init(&a, ARENA_NO_LIMIT);
        assert_int_equal(parse(span_str(rows[i].text), rows[i].to, &a, &buf, &r), ERR_OK);
        if (r.no_content != rows[i].no_content || r.framing.kind != rows[i].kind ||
            r.framing.length != rows[i].length || r.keep_alive != rows[i].keep_alive)
            fail_msg("row %zu: %s", i, rows[i].text);
        arena_fini(&a);
        free(buf);
    }
}

static void status_and_reason(void **state)
{
    (void)state;
    static const struct {
        const char *text, *reason;
        unsigned status;
    } rows[] = {
        {"HTTP/1.1 200 OK\r\n\r\n", "OK", 200},
        {"HTTP/1.1 404\r\n\r\n", "", 404},
        {"HTTP/1.1 404 \r\n\r\n", "", 404},
        {"HTTP/1.1 599 Not \xe4 known\r\n\r\n", "Not \xe4 known", 599},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct arena a;
        struct response r;
        char *buf;
        arena_init(&a, ARENA_NO_LIMIT);
        assert_int_equal(parse(span_str(rows[i].text), METHOD_GET, &a, &buf, &r), ERR_OK);
        assert_int_equal(r.status, rows[i].status);
        assert_span(r.reason, rows[i].reason);
        arena_fini(&a);
        free(buf);
    }
}

static void upgrades(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        bool upgrade;
    } rows[] = {
        {"HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", true},
        {"HTTP/1.1 101 S\r\nUpgrade: websocket\r\n\r\n", false},
        {"HTTP/1.1 101 S\r\nConnection: upgrade\r\n\r\n", false},
        {"HTTP/1.1 200 OK\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct arena a;
        struct response r;
        char *buf;
        arena_init(&a, ARENA_NO_LIMIT);
        assert_int_equal(parse(span_str(rows[i].text), METHOD_GET, &a, &buf, &r), ERR_OK);
        assert_int_equal(r.upgrade, rows[i].upgrade);
        if (r.upgrade)
            assert_span(r.upgrade_token, "websocket");
        arena_fini(&a);
        free(buf);
    }
}

static void trailers(void **state)
{
    (void)state;
    struct arena a;
    struct fields f;
    arena_init(&a, ARENA_NO_LIMIT);
    assert_int_equal(
        h1_parse_trailers(SPAN("X-Sum: 1\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\nHost: x\r\n"
                               "Connection: close\r\nAuthorization: y\r\nX-Other: 2\r\n"),
                          &a, &f),
        ERR_OK);
    assert_int_equal(f.n, 2);
    assert_span(f.v[0].name, "X-Sum");
    assert_span(f.v[1].value, "2");
    assert_int_equal(h1_parse_trailers(SPAN(""), &a, &f), ERR_OK);
    assert_int_equal(f.n, 0);
    assert_int_equal(h1_parse_trailers(SPAN("X : 1\r\n"), &a, &f), ERR_BAD_CHUNK);
    arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused),  cmocka_unit_test(framing),  cmocka_unit_test(status_and_reason),
        cmocka_unit_test(upgrades), cmocka_unit_test(trailers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
