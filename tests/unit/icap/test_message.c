// SPDX-License-Identifier: Apache-2.0
#include "icap/message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#define assert_span(s, text) assert_true(span_eq(s, SPAN(text)))

static void urls(void **state)
{
    (void)state;
    struct arena a;
    struct icap_url u;
    arena_init(&a, 0);
    assert_true(icap_url_parse(SPAN("icap://scanner.example/avscan?x=y"), &a, &u));
    assert_span(u.host, "scanner.example");
    assert_int_equal(u.port, 1344); // RFC 3507 4.2
    assert_true(icap_url_parse(SPAN("ICAP://[::1]:13440/s"), &a, &u));
    assert_span(u.host, "::1");
    assert_span(u.authority, "[::1]:13440");
    assert_int_equal(u.port, 13440);
    static const struct span bad[] = {
        SPAN_INIT("http://h/x"),   SPAN_INIT("icap:/h/x"),    SPAN_INIT("icap://h"),
        SPAN_INIT("icap://h/"),    SPAN_INIT("icap:///x"),    SPAN_INIT("icap://u@h/x"),
        SPAN_INIT("icap://h:0/x"), SPAN_INIT("icap://h/x y"), SPAN_INIT("icap://h/x\r\n"),
        SPAN_INIT("icap://h/x#y"),
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(icap_url_parse(bad[i], &a, &u));
    arena_fini(&a);
}

// RFC 3507 4.4.1: offsets are those of the octets behind the head.
static void requests(void **state)
{
    (void)state;
    struct arena a;
    struct icap_url u;
    struct request req = {.method = METHOD_GET, .method_text = SPAN("GET")};
    struct response resp = {.status = 200, .reason = SPAN("OK"), .framing = {FRAMING_LENGTH, 7}};
    arena_init(&a, 0);
    fields_init(&req.fields, &a);
    fields_init(&resp.fields, &a);
    assert_true(icap_url_parse(SPAN("icap://h/s"), &a, &u));
    assert_int_equal(fields_add(&req.fields, FIELD_HOST, SPAN("www.example")), ERR_OK);
    assert_int_equal(fields_add(&req.fields, FIELD_COOKIE, SPAN("secret=1")), ERR_OK);
    assert_int_equal(fields_add(&req.fields, FIELD_AUTHORIZATION, SPAN("Basic secret")), ERR_OK);
    assert_int_equal(fields_add(&resp.fields, FIELD_TRANSFER_ENCODING, SPAN("chunked")), ERR_OK);
    struct icap_request r = {.method = ICAP_RESPMOD,
                             .url = &u,
                             .req = &req,
                             .target = SPAN("http://www.example/"),
                             .resp = &resp,
                             .has_content = true,
                             .has_preview = true,
                             .preview = 0,
                             .allow_204 = true};
    assert_span(icap_request_head(&r, &a), "RESPMOD icap://h/s ICAP/1.0\r\nHost: h\r\nAllow: 204\r\nPreview: "
                                           "0\r\nEncapsulated: req-hdr=0, res-hdr=55, res-body=93\r\n\r\n"
                                           "GET http://www.example/ HTTP/1.1\r\nHost: "
                                           "www.example\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n");
    r = (struct icap_request){.method = ICAP_OPTIONS, .url = &u};
    assert_span(icap_request_head(&r, &a),
                "OPTIONS icap://h/s ICAP/1.0\r\nHost: h\r\nEncapsulated: null-body=0\r\n\r\n");
    r = (struct icap_request){.method = ICAP_REQMOD,
                              .url = &u,
                              .req = &req,
                              .target = SPAN("http://www.example/"),
                              .has_content = true};
    assert_true(span_find_span(icap_request_head(&r, &a),
                               SPAN("Encapsulated: req-hdr=0, req-body=55\r\n\r\n")) < 100);
    arena_fini(&a);
}

static void parts(void **state)
{
    (void)state;
    struct icap_parts p;
    assert_true(icap_parse_parts(SPAN("res-hdr=0, res-body=213"), 1000, &p));
    assert_true(p.res_head && !p.req_head && p.head_bytes == 213 && p.body == ICAP_BODY_RES);
    assert_true(icap_parse_parts(SPAN("req-hdr=0,null-body=1000"), 1000, &p));
    assert_true(p.req_head && p.head_bytes == 1000 && p.body == ICAP_BODY_NULL);
    assert_true(icap_parse_parts(SPAN("null-body=0"), 1000, &p));
    assert_true(icap_parse_parts(SPAN("opt-body=0"), 1000, &p) && p.body == ICAP_BODY_OPT);
    static const struct span bad[] = {
        SPAN_INIT(""),
        SPAN_INIT("res-hdr=0"),
        SPAN_INIT("res-hdr=0, res-body=1001"),
        SPAN_INIT("res-hdr=0, res-body=0"),
        SPAN_INIT("res-body=5"),
        SPAN_INIT("res-hdr=5, res-body=10"),
        SPAN_INIT("res-body=0, res-hdr=5"),
        SPAN_INIT("res-hdr=0, req-body=5"),
        SPAN_INIT("req-hdr=0, res-body=5"),
        SPAN_INIT("req-hdr=0, res-hdr=5, res-body=9"),
        SPAN_INIT("res-hdr=0, res-body=5, null-body=5"),
        SPAN_INIT("res-hdr=0, opt-body=5"),
        SPAN_INIT("res-hdr=0, res-body=-5"),
        SPAN_INIT("res-hdr=0, res-body=5x"),
        SPAN_INIT("res-hdr=0, res-body=18446744073709551621"),
        SPAN_INIT("x=0, null-body=0"),
        SPAN_INIT("res-hdr, res-body=5"),
        SPAN_INIT("res-hdr=0; res-body=5"),
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(icap_parse_parts(bad[i], 1000, &p));
}

static void answers(void **state)
{
    (void)state;
    struct arena a;
    struct icap_answer r;
    arena_init(&a, 0);
    assert_int_equal(
        icap_parse_answer(
            SPAN("ICAP/1.0 204 No modifications needed\r\nISTag: \"x\"\r\nConnection: close\r\n\r\n"), &a,
            &r),
        ERR_OK);
    assert_true(r.status == 204 && !r.keep_alive && r.parts.body == ICAP_BODY_UNSAID);
    assert_int_equal(icap_parse_answer(SPAN("ICAP/1.0 100 Continue\r\n\r\n"), &a, &r), ERR_OK);
    assert_true(r.status == 100 && r.keep_alive);
    static const struct span bad[] = {
        SPAN_INIT("HTTP/1.1 200 OK\r\n\r\n"),
        SPAN_INIT("ICAP/2.0 200 OK\r\n\r\n"),
        SPAN_INIT("ICAP/1.0 099 OK\r\n\r\n"),
        SPAN_INIT("ICAP/1.0 600 OK\r\n\r\n"),
        SPAN_INIT("ICAP/1.0 2000\r\n\r\n"),
        SPAN_INIT("ICAP/1.0  200\r\n\r\n"),
        SPAN_INIT("ICAP/1.0 20\r\n\r\n"),
        SPAN_INIT("\r\n"),
        SPAN_INIT(""),
        SPAN_INIT("ICAP/1.0 200 OK\r\nEncapsulated: null-body=0\r\nEncapsulated: null-body=0\r\n\r\n"),
        SPAN_INIT("ICAP/1.0 200 OK\r\nA b: c\r\n\r\n"),
        SPAN_INIT("ICAP/1.0 200 OK\r\nEncapsulated: res-hdr=0, res-body=99999999\r\n\r\n"),
    };
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_int_equal(icap_parse_answer(bad[i], &a, &r), ERR_BAD_RESPONSE);
    arena_fini(&a);
}

static struct span finding(struct arena *a, struct span name, struct span value)
{
    struct fields f;
    fields_init(&f, a);
    assert_int_equal(fields_add_named(&f, name, value), ERR_OK);
    return icap_finding(&f);
}

static void findings(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 0);
    assert_span(finding(&a, SPAN("X-Infection-Found"), SPAN("Type=0; Resolution=2; Threat=Some Thing;")),
                "Some Thing");
    assert_span(finding(&a, SPAN("X-Virus-ID"), SPAN("Some.Thing")), "Some.Thing");
    assert_int_equal(finding(&a, SPAN("X-Virus-ID"), SPAN("no threats")).len, 0);
    assert_int_equal(finding(&a, SPAN("X-Violations-Found"), SPAN("0")).len, 0);
    assert_int_equal(finding(&a, SPAN("X-Other"), SPAN("1")).len, 0);
    arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(urls), cmocka_unit_test(requests),
                                       cmocka_unit_test(parts), cmocka_unit_test(answers),
                                       cmocka_unit_test(findings)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_thread_fini();
    return failed;
}
