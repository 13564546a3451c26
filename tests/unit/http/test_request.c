// SPDX-License-Identifier: Apache-2.0
// Heads of requests: what is read, and what is refused with which reason.
#include "base/mem.h"
#include "http_test.h"

// Parses a whole head; the request borrows from *ret_buf and from the arena.
static enum err parse(struct span text, struct arena *a, char **ret_buf, struct request *ret)
{
    struct h1_head h;
    *ret_buf = exactly(text);
    h1_head_init(&h);
    enum err e = h1_head_scan(&h, *ret_buf, text.len, true, &test_limits);
    return e ? e : h1_parse_request(*ret_buf, &h, SPAN("http"), a, ret);
}

#define G "GET / HTTP/1.1\r\nHost: a\r\n"
#define P "POST / HTTP/1.1\r\nHost: a\r\n"

static void refused(void **state)
{
    (void)state;
    static const struct {
        struct span text;
        enum err e;
    } rows[] = {
        {SPAN_INIT("GET / HTTP/1.1 \r\nHost: a\r\n\r\n"), ERR_BAD_VERSION},
        {SPAN_INIT("GET  / HTTP/1.1\r\nHost: a\r\n\r\n"), ERR_BAD_REQUEST_LINE},
        {SPAN_INIT("GET /\r\nHost: a\r\n\r\n"), ERR_BAD_REQUEST_LINE},
        {SPAN_INIT("GET\r\n\r\n"), ERR_BAD_REQUEST_LINE},
        {SPAN_INIT("\rGET / HTTP/1.1\r\nHost: a\r\n\r\n"), ERR_BAD_REQUEST_LINE},
        {SPAN_INIT("\rXGET / HTTP/1.1\r\nHost: a\r\n\r\n"), ERR_BAD_REQUEST_LINE},
        {SPAN_INIT("GET\t/ HTTP/1.1\r\n\r\n"), ERR_BAD_REQUEST_LINE},
        {SPAN_INIT("G[T / HTTP/1.1\r\nHost: a\r\n\r\n"), ERR_BAD_REQUEST_LINE},
        {SPAN_INIT("GET /a b HTTP/1.1\r\nHost: a\r\n\r\n"), ERR_BAD_VERSION},
        {SPAN_INIT("GET /\x01 HTTP/1.1\r\nHost: a\r\n\r\n"), ERR_BAD_REQUEST_LINE},
        {SPAN_INIT("GET /\xff HTTP/1.1\r\nHost: a\r\n\r\n"), ERR_BAD_REQUEST_LINE},
        {SPAN_INIT("GET /\x7f HTTP/1.1\r\nHost: a\r\n\r\n"), ERR_BAD_REQUEST_LINE},
        {SPAN_INIT("ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG / HTTP/1.1\r\nHost: a\r\n\r\n"), ERR_BAD_METHOD},
        {SPAN_INIT("GET / http/1.1\r\nHost: a\r\n\r\n"), ERR_BAD_VERSION},
        {SPAN_INIT("GET / HTTP/1.10\r\nHost: a\r\n\r\n"), ERR_BAD_VERSION},
        {SPAN_INIT("GET / HTTP/x.1\r\nHost: a\r\n\r\n"), ERR_BAD_VERSION},
        {SPAN_INIT("GET / HTTP/1,1\r\nHost: a\r\n\r\n"), ERR_BAD_VERSION},
        {SPAN_INIT("GET / HTTP/0.9\r\nHost: a\r\n\r\n"), ERR_BAD_VERSION},
        {SPAN_INIT("GET / HTTP/2.0\r\nHost: a\r\n\r\n"), ERR_VERSION_UNSUPPORTED},
        // targets
        {SPAN_INIT("GET x HTTP/1.1\r\nHost: a\r\n\r\n"), ERR_BAD_TARGET},
        {SPAN_INIT("GET * HTTP/1.1\r\nHost: a\r\n\r\n"), ERR_BAD_TARGET},
        {SPAN_INIT("GET /#x HTTP/1.1\r\nHost: a\r\n\r\n"), ERR_BAD_TARGET},
        {SPAN_INIT("GET /?a#x HTTP/1.1\r\nHost: a\r\n\r\n"), ERR_BAD_TARGET},
        {SPAN_INIT("GET /%4 HTTP/1.1\r\nHost: a\r\n\r\n"), ERR_BAD_TARGET},
        {SPAN_INIT("GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n"), ERR_BAD_TARGET},
        {SPAN_INIT("GET http://u@a/x HTTP/1.1\r\nHost: a\r\n\r\n"), ERR_BAD_TARGET},
        {SPAN_INIT("CONNECT a HTTP/1.1\r\nHost: a\r\n\r\n"), ERR_BAD_TARGET},
        {SPAN_INIT("CONNECT /x HTTP/1.1\r\nHost: a\r\n\r\n"), ERR_BAD_TARGET},
        {SPAN_INIT("CONNECT http://a:1/ HTTP/1.1\r\nHost: a\r\n\r\n"), ERR_BAD_TARGET},
        // fields
        {SPAN_INIT(G "X : y\r\n\r\n"), ERR_BAD_FIELD},
        {SPAN_INIT(G "X\r\n\r\n"), ERR_BAD_FIELD},
        {SPAN_INIT(G ": y\r\n\r\n"), ERR_BAD_FIELD},
        {SPAN_INIT(G "X Y: z\r\n\r\n"), ERR_BAD_FIELD},
        {SPAN_INIT(G "X: a\r\n b\r\n\r\n"), ERR_BAD_FIELD},
        {SPAN_INIT("GET / HTTP/1.1\r\n X: a\r\n\r\n"), ERR_BAD_FIELD},
        {SPAN_INIT(G "X: a\0b\r\n\r\n"), ERR_BAD_FIELD},
        {SPAN_INIT(G "X: a\rb\r\n\r\n"), ERR_BAD_FIELD},
        {SPAN_INIT(G "X: a\x01\r\n\r\n"), ERR_BAD_FIELD},
        {SPAN_INIT(G "X: 12345678901234567890\x1f\r\n\r\n"), ERR_BAD_FIELD},
        {SPAN_INIT(G "X: 1234567\x7f"
                     "8901234567890\r\n\r\n"),
         ERR_BAD_FIELD},
        {SPAN_INIT(G "X\xe9: a\r\n\r\n"), ERR_BAD_FIELD},
        // Host
        {SPAN_INIT("GET / HTTP/1.1\r\n\r\n"), ERR_BAD_HOST},
        {SPAN_INIT(G "Host: a\r\n\r\n"), ERR_BAD_HOST},
        {SPAN_INIT("GET / HTTP/1.1\r\nHost:\r\n\r\n"), ERR_BAD_HOST},
        {SPAN_INIT("GET / HTTP/1.1\r\nHost: a, b\r\n\r\n"), ERR_BAD_HOST},
        {SPAN_INIT("GET http://b/ HTTP/1.1\r\nHost: a b\r\n\r\n"), ERR_BAD_HOST},
        {SPAN_INIT("GET / HTTP/1.0\r\nHost: a/b\r\n\r\n"), ERR_BAD_HOST},
        // framing
        {SPAN_INIT(P "Content-Length: 1\r\nContent-Length: 1\r\n\r\n"), ERR_BAD_LENGTH},
        {SPAN_INIT(P "Content-Length: 1, 1\r\n\r\n"), ERR_BAD_LENGTH},
        {SPAN_INIT(P "Content-Length: +1\r\n\r\n"), ERR_BAD_LENGTH},
        {SPAN_INIT(P "Content-Length: -1\r\n\r\n"), ERR_BAD_LENGTH},
        {SPAN_INIT(P "Content-Length: 0x1\r\n\r\n"), ERR_BAD_LENGTH},
        {SPAN_INIT(P "Content-Length: 1 2\r\n\r\n"), ERR_BAD_LENGTH},
        {SPAN_INIT(P "Content-Length:\r\n\r\n"), ERR_BAD_LENGTH},
        {SPAN_INIT(P "Content-Length: 9223372036854775808\r\n\r\n"), ERR_BAD_LENGTH},
        {SPAN_INIT(P "Content-Length: 18446744073709551617\r\n\r\n"), ERR_BAD_LENGTH},
        {SPAN_INIT(P "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"), ERR_BAD_TRANSFER_CODING},
        {SPAN_INIT(P "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"),
         ERR_BAD_TRANSFER_CODING},
        {SPAN_INIT(P "Transfer-Encoding: chunked, chunked\r\n\r\n"), ERR_BAD_TRANSFER_CODING},
        {SPAN_INIT(P "Transfer-Encoding: chunked, gzip\r\n\r\n"), ERR_BAD_TRANSFER_CODING},
        {SPAN_INIT(P "Transfer-Encoding: ,chunked\r\n\r\n"), ERR_TRANSFER_CODING_UNKNOWN},
        {SPAN_INIT(P "Transfer-Encoding: identity\r\n\r\n"), ERR_BAD_TRANSFER_CODING},
        {SPAN_INIT(P "Transfer-Encoding: identity, chunked\r\n\r\n"), ERR_BAD_TRANSFER_CODING},
        {SPAN_INIT(P "Transfer-Encoding: xchunked\r\n\r\n"), ERR_BAD_TRANSFER_CODING},
        {SPAN_INIT(P "Transfer-Encoding: chunked;a=b\r\n\r\n"), ERR_BAD_TRANSFER_CODING},
        {SPAN_INIT(P "Transfer-Encoding: \"chunked\"\r\n\r\n"), ERR_BAD_TRANSFER_CODING},
        {SPAN_INIT(P "Transfer-Encoding:\r\n\r\n"), ERR_BAD_TRANSFER_CODING},
        {SPAN_INIT(P "Transfer-Encoding: gzip\r\n\r\n"), ERR_BAD_TRANSFER_CODING},
        {SPAN_INIT(P "Transfer-Encoding: gzip, chunked\r\n\r\n"), ERR_TRANSFER_CODING_UNKNOWN},
        {SPAN_INIT("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), ERR_BAD_TRANSFER_CODING},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct arena a;
        struct request r;
        char *buf;
        arena_init(&a, ARENA_NO_LIMIT);
        enum err e = parse(rows[i].text, &a, &buf, &r);
        if (e != rows[i].e)
            fail_msg("row %zu: %s instead of %s: %.*s", i, err_name(e), err_name(rows[i].e),
                     SPAN_ARG(rows[i].text));
        // Whatever the reason, the client did it and hears so.
        assert_int_equal(err_info(e)->fault, ERR_FAULT_CLIENT);
        arena_fini(&a);
        free(buf);
    }
}

static void targets(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum target_form form;
        const char *scheme, *host, *path, *query; // query NULL: none
        uint16_t port;
    } rows[] = {
        {"GET / HTTP/1.1\r\nHost: A.test\r\n\r\n", TARGET_ORIGIN, "http", "a.test", "/", NULL, 0},
        {"GET /a/../b?x=%20&y HTTP/1.1\r\nHost: a:81\r\n\r\n", TARGET_ORIGIN, "http", "a", "/b", "x=%20&y",
         81},
        {"GET /? HTTP/1.1\r\nHost: a\r\n\r\n", TARGET_ORIGIN, "http", "a", "/", "", 0},
        {"GET http://B.test:8080/%7Ex?q HTTP/1.1\r\nHost: a\r\n\r\n", TARGET_ABSOLUTE, "http", "b.test",
         "/~x", "q", 8080},
        {"GET HTTPS://b HTTP/1.1\r\nHost: a\r\n\r\n", TARGET_ABSOLUTE, "https", "b", "/", NULL, 0},
        {"OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n", TARGET_ASTERISK, "http", "a", "", NULL, 0},
        {"CONNECT b:443 HTTP/1.1\r\nHost: a\r\n\r\n", TARGET_AUTHORITY, "", "b", "", NULL, 443},
        {"CONNECT [::1]:443 HTTP/1.0\r\n\r\n", TARGET_AUTHORITY, "", "::1", "", NULL, 443},
        {"GET / HTTP/1.0\r\n\r\n", TARGET_ORIGIN, "http", "", "/", NULL, 0},
        {"\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", TARGET_ORIGIN, "http", "a", "/", NULL, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct arena a;
        struct request r;
        char *buf;
        arena_init(&a, ARENA_NO_LIMIT);
        assert_int_equal(parse(span_str(rows[i].text), &a, &buf, &r), ERR_OK);
        assert_int_equal(r.form, rows[i].form);
        assert_span(r.scheme, rows[i].scheme);
        assert_span(r.authority.host, rows[i].host);
        assert_int_equal(r.authority.port, rows[i].port);
        assert_span(r.path, rows[i].path);
        assert_int_equal(r.query.ptr == NULL, rows[i].query == NULL);
        if (rows[i].query)
            assert_span(r.query, rows[i].query);
        arena_fini(&a);
        free(buf);
    }
}

static void framing_and_wishes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        enum framing_kind kind;
        uint64_t length;
        bool keep_alive, upgrade, te, expect;
    } rows[] = {
        {G "\r\n", FRAMING_NONE, 0, true, false, false, false},
        {G "Connection: close\r\n\r\n", FRAMING_NONE, 0, false, false, false, false},
        {G "Connection: x, CLOSE\r\n\r\n", FRAMING_NONE, 0, false, false, false, false},
        {G "Connection: keep-alive\r\nConnection: close\r\n\r\n", FRAMING_NONE, 0, false, false, false,
         false},
        {"GET / HTTP/1.0\r\n\r\n", FRAMING_NONE, 0, false, false, false, false},
        {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", FRAMING_NONE, 0, true, false, false, false},
        {"GET / HTTP/1.7\r\nHost: a\r\n\r\n", FRAMING_NONE, 0, true, false, false, false},
        {P "Content-Length: 0\r\n\r\n", FRAMING_LENGTH, 0, true, false, false, false},
        {P "Content-Length: 0042\r\n\r\n", FRAMING_LENGTH, 42, true, false, false, false},
        {P "Content-Length: 9223372036854775807\r\n\r\n", FRAMING_LENGTH, INT64_MAX, true, false, false,
         false},
        {P "transfer-encoding: Chunked\r\n\r\n", FRAMING_CHUNKED, 0, true, false, false, false},
        {P "Content-Length: 1\r\nExpect: 100-Continue\r\n\r\n", FRAMING_LENGTH, 1, true, false, false, true},
        {G "Expect: 100-continue\r\n\r\n", FRAMING_NONE, 0, true, false, false,
         false}, // RFC 9110 10.1.1: no content, no expectation
        {"POST / HTTP/1.0\r\nContent-Length: 1\r\nExpect: 100-continue\r\n\r\n", FRAMING_LENGTH, 1, false,
         false, false, false},
        {G "TE: gzip;q=1, Trailers\r\nConnection: TE\r\n\r\n", FRAMING_NONE, 0, true, false, true, false},
        {G "TE: gzip\r\n\r\n", FRAMING_NONE, 0, true, false, false, false},
        {G "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n", FRAMING_NONE, 0, true, true, false, false},
        {G "Connection: Upgrade\r\n\r\n", FRAMING_NONE, 0, true, false, false, false},
        {G "Upgrade: websocket\r\n\r\n", FRAMING_NONE, 0, true, false, false, false},
        {"GET / HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", FRAMING_NONE, 0, false, false,
         false, false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct arena a;
        struct request r;
        char *buf;
        arena_init(&a, ARENA_NO_LIMIT);
        assert_int_equal(parse(span_str(rows[i].text), &a, &buf, &r), ERR_OK);
        if (r.framing.kind != rows[i].kind || r.framing.length != rows[i].length ||
            r.keep_alive != rows[i].keep_alive || r.upgrade != rows[i].upgrade ||
            r.te_trailers != rows[i].te || r.expect_continue != rows[i].expect)
            fail_msg("row %zu: %s", i, rows[i].text);
        if (r.upgrade)
            assert_span(r.upgrade_token, "websocket");
        arena_fini(&a);
        free(buf);
    }
}

static void fields(void **state)
{
    (void)state;
    struct arena a;
    struct request r;
    char *buf;
    arena_init(&a, ARENA_NO_LIMIT);
    assert_int_equal(
        parse(SPAN("GET / HTTP/1.1\r\nhOST: a\r\nX-Empty:\r\nX-Space: \t a \t b \t\r\nx-utf:\xc3\xa4\xff\r\n"
                   "X-Long: 0123456789\t0123456789abcdefghij\r\n!#$%&'*+-.^_`|~1:z\r\n\r\n"),
              &a, &buf, &r),
        ERR_OK);
    assert_int_equal(r.fields.n, 6);
    assert_span(r.fields.v[0].name, "hOST");
    assert_int_equal(r.fields.v[0].id, FIELD_HOST);
    assert_span(fields_find(&r.fields, SPAN("x-empty"))->value, "");
    assert_span(fields_find(&r.fields, SPAN("X-SPACE"))->value, "a \t b");
    assert_span(fields_find(&r.fields, SPAN("X-Utf"))->value, "\xc3\xa4\xff");
    assert_span(fields_find(&r.fields, SPAN("X-Long"))->value, "0123456789\t0123456789abcdefghij");
    assert_span(r.fields.v[5].name, "!#$%&'*+-.^_`|~1");
    assert_int_equal(r.method, METHOD_GET);
    arena_fini(&a);
    free(buf);
}

static void methods(void **state)
{
    (void)state;
    for (unsigned m = METHOD_GET; m < N_METHODS; m++)
        assert_int_equal(method_parse(method_name((enum http_method)m)), m);
    assert_int_equal(method_parse(SPAN("get")), METHOD_OTHER);
    assert_int_equal(method_parse(SPAN("GETX")), METHOD_OTHER);
    assert_int_equal(method_parse(SPAN("PROPFIND")), METHOD_OTHER);
    // RFC 9110 9.2: what may be repeated, and what changes nothing.
    const unsigned safe = 1 << METHOD_GET | 1 << METHOD_HEAD | 1 << METHOD_OPTIONS | 1 << METHOD_TRACE;
    const unsigned idempotent = safe | 1 << METHOD_PUT | 1 << METHOD_DELETE;
    for (unsigned m = 0; m < N_METHODS; m++) {
        assert_int_equal(method_is_safe((enum http_method)m), safe >> m & 1);
        assert_int_equal(method_is_idempotent((enum http_method)m), idempotent >> m & 1);
    }
}

static bool nth(void *arg)
{
    unsigned *left = arg;
    return *left && --*left == 0;
}

static void every_allocation_fails_once(void **state)
{
    (void)state;
    const struct span text = SPAN("GET HTTP://A.Test/%7Ea/../b HTTP/1.1\r\nHost: "
                                  "[::1]\r\nA:1\r\nB:1\r\nC:1\r\nD:1\r\nE:1\r\nF:1\r\nG:1\r\nH:1\r\nI:1\r\n"
                                  "J:1\r\nK:1\r\nL:1\r\nM:1\r\nN:1\r\nO:1\r\nP:1\r\nQ:1\r\nR:1\r\nS:1\r\nT:"
                                  "1\r\nU:1\r\nV:1\r\nW:1\r\nX:1\r\nY:1\r\n\r\n");
    char *buf = exactly(text);
    struct h1_head h;
    h1_head_init(&h);
    assert_int_equal(h1_head_scan(&h, buf, text.len, true, &test_limits), ERR_OK);
    enum err e = ERR_NO_MEMORY;
    unsigned failed = 0;
    for (unsigned at = 1; e != ERR_OK; at++) {
        struct arena a;
        struct request r;
        unsigned left = at;
        arena_thread_fini();
        arena_init(&a, ARENA_NO_LIMIT);
        mem_fail_set(nth, &left);
        e = h1_parse_request(buf, &h, SPAN("http"), &a, &r);
        mem_fail_set(NULL, NULL);
        assert_true(e == ERR_OK || e == ERR_NO_MEMORY);
        failed += e != ERR_OK;
        arena_fini(&a);
    }
    assert_true(failed > 0);
    free(buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refused), cmocka_unit_test(targets), cmocka_unit_test(framing_and_wishes),
        cmocka_unit_test(fields),  cmocka_unit_test(methods), cmocka_unit_test(every_allocation_fails_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
