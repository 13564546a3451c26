// SPDX-License-Identifier: Apache-2.0
// Lines of the access log are whole and valid whatever is in them; a JSON library reads them.
#include "proxy_test.h"

#include <jansson.h>

#include "proxy/access_log.h"
#include "proxy/escape.h"

static const struct access_record full = {
    .wall_ms = 1769860800007, // 2026-01-31T12:00:00.007Z
    .id = SPAN_INIT("f00d"),
    .client = SPAN_INIT("192.0.2.1"),
    .user = SPAN_INIT("ann"),
    .listener = SPAN_INIT("127.0.0.1:8080"),
    .site = SPAN_INIT("shop.test"),
    .route = SPAN_INIT("weir.conf:12"),
    .method = SPAN_INIT("GET"),
    .scheme = SPAN_INIT("http"),
    .host = SPAN_INIT("shop.test:8080"),
    .target = SPAN_INIT("/a?b=\"c\""),
    .protocol = SPAN_INIT("HTTP/1.1"),
    .status = 200,
    .bytes_in = 123,
    .bytes_out = 18446744073709551615ULL,
    .duration_us = 1234567,
    .phase = SPAN_INIT("account"),
    .upstream = SPAN_INIT("10.0.0.1:80"),
    .upstream_status = 200,
    .upstream_connect_us = 5,
    .upstream_first_byte_us = 12034,
    .retries = 1,
    .cache = SPAN_INIT("weir; hit"),
    .reason = SPAN_INIT("ok"),
    .rule = SPAN_INIT("weir.conf:12"),
    .tls = SPAN_INIT("TLSv1.3"),
    .referer = SPAN_INIT("http://r.test/"),
    .user_agent = SPAN_INIT("curl/8"),
};

static struct span json_line(const struct access_record *r)
{
    static char out[ACCESS_LINE_MAX_BYTES];
    return span_of(out, access_log_json(r, out));
}

static struct span combined_line(const struct access_record *r)
{
    static char out[ACCESS_LINE_MAX_BYTES];
    return span_of(out, access_log_combined(r, out));
}

static void all_fields(void **state)
{
    (void)state;
    assert_span(
        json_line(&full),
        "{\"time\":\"2026-01-31T12:00:00.007Z\",\"id\":\"f00d\",\"client\":\"192.0.2.1\",\"user\":\"ann\","
        "\"listener\":\"127.0.0.1:8080\",\"site\":\"shop.test\",\"route\":\"weir.conf:12\",\"method\":"
        "\"GET\","
        "\"scheme\":\"http\",\"host\":\"shop.test:8080\",\"target\":\"/a?b=\\\"c\\\"\",\"protocol\":\"HTTP/"
        "1.1\","
        "\"status\":200,\"bytes_in\":123,\"bytes_out\":18446744073709551615,\"duration_ms\":1234.567,"
        "\"phase\":\"account\",\"upstream\":\"10.0.0.1:80\",\"upstream_status\":200,\"upstream_connect_ms\":"
        "0.005,"
        "\"upstream_first_byte_ms\":12.034,\"retries\":1,\"cache\":\"weir; hit\",\"reason\":\"ok\","
        "\"rule\":\"weir.conf:12\",\"tls\":\"TLSv1.3\"}\n");
    assert_span(combined_line(&full),
                "192.0.2.1 - ann [31/Jan/2026:12:00:00 +0000] \"GET /a?b=\\\"c\\\" HTTP/1.1\" 200 "
                "18446744073709551615 \"http://r.test/\" \"curl/8\"\n");
}

static void what_is_not_there_is_left_out(void **state)
{
    (void)state;
    struct access_record r = {.wall_ms = 0, .reason = SPAN("bad_request_line")};
    assert_span(json_line(&r),
                "{\"time\":\"1970-01-01T00:00:00.000Z\",\"status\":0,\"bytes_in\":0,\"bytes_out\":0,"
                "\"duration_ms\":0.000,\"reason\":\"bad_request_line\"}\n");
    assert_span(combined_line(&r), "- - - [01/Jan/1970:00:00:00 +0000] \"- - -\" 0 0 \"-\" \"-\"\n");
    r.upstream = SPAN("10.0.0.1:80");
    assert_false(has(json_line(&r), "upstream_status")); // it was asked and did not answer
    assert_true(has(json_line(&r), "\"retries\":0"));
}

static void times(void **state)
{
    (void)state;
    static const struct {
        uint64_t ms;
        const char *json, *combined;
    } rows[] = {
        {951782399999, "2000-02-28T23:59:59.999Z", "[28/Feb/2000:23:59:59 +0000]"},
        {951782400000, "2000-02-29T00:00:00.000Z", "[29/Feb/2000:00:00:00 +0000]"},
        {1798761599010, "2026-12-31T23:59:59.010Z", "[31/Dec/2026:23:59:59 +0000]"},
        {1798761599010, "2026-12-31T23:59:59.010Z",
         "[31/Dec/2026:23:59:59 +0000]"}, // the second is remembered
        {1798761600100, "2027-01-01T00:00:00.100Z", "[01/Jan/2027:00:00:00 +0000]"},
        {4102444799999, "2099-12-31T23:59:59.999Z", "[31/Dec/2099:23:59:59 +0000]"},
    };
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        struct access_record r = full;
        r.wall_ms = rows[i].ms;
        assert_true(has(json_line(&r), rows[i].json));
        assert_true(has(combined_line(&r), rows[i].combined));
    }
}

static void secrets_are_masked(void **state)
{
    (void)state;
    static const struct {
        const char *target, *shown;
    } rows[] = {
        {"http://ann:secret@a.test/x", "http://***@a.test/x"},
        {"http://secret@a.test", "http://***@a.test"},
        {"http://a:b@secret@a.test/x@y", "http://***@a.test/x@y"},
        {"ann:secret@a.test:443", "***@a.test:443"},
        {"http://a.test/x@y?z@w", "http://a.test/x@y?z@w"},
        {"/x@y", "/x@y"},
        {"http://a.test?x@y", "http://a.test?x@y"},
        {"http://@/", "http://***@/"},
        {"@", "***@"},
        {"/go?to=http://ann:secret@a.test/", "/go?to=http://***@a.test/"},
    };
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        char want[100];
        struct access_record r = full;
        r.target = r.referer = span_str(rows[i].target);
        snprintf(want, sizeof want, "\"target\":\"%s\"", rows[i].shown);
        if (!has(json_line(&r), want) || has(json_line(&r), "secret"))
            fail_msg("%s: %.*s", rows[i].target, SPAN_ARG(json_line(&r)));
        snprintf(want, sizeof want, "\"%s\" \"curl/8\"", rows[i].shown);
        if (!has(combined_line(&r), want) || has(combined_line(&r), "secret"))
            fail_msg("%s: %.*s", rows[i].target, SPAN_ARG(combined_line(&r)));
    }
}

// Every text at once is made of this, as long as can be.
static struct access_record filled_with(struct span s)
{
    struct access_record r = full;
    struct span *texts[] = {&r.id,     &r.client, &r.user,     &r.listener,   &r.site,
                            &r.proxy,  &r.route,  &r.method,   &r.scheme,     &r.host,
                            &r.target, &r.phase,  &r.protocol, &r.upstream,   &r.cache,
                            &r.reason, &r.rule,   &r.tls,      &r.user_agent, &r.referer};
    for (unsigned i = 0; i < ARRAY_LEN(texts); i++)
        *texts[i] = s;
    r.bytes_in = r.bytes_out = r.duration_us = r.upstream_connect_us = r.upstream_first_byte_us = UINT64_MAX;
    r.status = r.upstream_status = r.retries = UINT32_MAX;
    return r;
}

static void assert_valid(struct span line)
{
    json_error_t error;
    assert_true(line.len > 2 && line.len <= ACCESS_LINE_MAX_BYTES);
    assert_int_equal(line.ptr[line.len - 1], '\n');
    assert_int_equal(span_find(line, '\n'), line.len - 1);
    json_t *j = json_loadb(line.ptr, line.len, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
    if (!j)
        fail_msg("%s in %.*s", error.text, SPAN_ARG(line));
    assert_true(json_is_string(json_object_get(j, "target")));
    json_decref(j);
}

static void long_and_odd_texts(void **state)
{
    (void)state;
    static char text[100000];
    static const char *const pieces[] = {"a",
                                         "\"",
                                         "\\",
                                         "\n",
                                         "\x7f",
                                         "\xff",
                                         "\xc3\xa9",
                                         "\xf0\x9f\x98\x80",
                                         "\xe2\x80\xa8",
                                         "a\xc3",
                                         "\xed\xa0\x80",
                                         "\xc2\x9b"};
    for (unsigned i = 0; i < ARRAY_LEN(pieces); i++) {
        size_t n = strlen(pieces[i]);
        for (size_t k = 0; k + n < sizeof text; k += n)
            memcpy(text + k, pieces[i], n);
        for (unsigned shift = 0; shift < 8; shift++) { // cut anywhere in a character
            struct access_record r = filled_with(span_of(text + shift % n, sizeof text - 16 - shift));
            r.bytes_in = r.bytes_out = 1; // a library of signed numbers reads it
            assert_valid(json_line(&r));
            struct span c = combined_line(&r);
            for (size_t k = 0; k + 1 < c.len; k++)
                assert_true(c.ptr[k] >= 0x20 && c.ptr[k] < 0x7f);
        }
    }
    struct access_record r = filled_with(SPAN("x"));
    assert_true(json_line(&r).len < 1000);
    // A target of 8 KiB is whole, a longer one is cut.
    r = full;
    memset(text, 'x', sizeof text);
    r.target = span_of(text, ACCESS_TARGET_MAX_BYTES);
    size_t whole = json_line(&r).len;
    r.target.len++;
    assert_int_equal(json_line(&r).len, whole);
    r.target.len -= 2;
    assert_int_equal(json_line(&r).len, whole - 1);
}

static void a_user_cannot_forge_a_line(void **state)
{
    (void)state;
    struct access_record r = full;
    r.user = SPAN("x [now] \"GET / HTTP/1.1\" 200\n");
    struct span c = combined_line(&r);
    assert_true(has(c, "192.0.2.1 - x_[now]_\\\"GET_/_HTTP/1.1\\\"_200\\x0a ["));
    r = full;
    r.user_agent = SPAN("\" 200 1 \"\r\n\x1b[31m");
    assert_true(has(combined_line(&r), "\"\\\" 200 1 \\\"\\x0d\\x0a\\x1b[31m\"\n"));
}

// ---- Escaping by itself

static void json_escapes(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out;
    } rows[] = {
        {"plain", "plain"},
        {"a\"b\\c", "a\\\"b\\\\c"},
        {"\t\r\n", "\\u0009\\u000d\\u000a"},
        {"\x7f", "\\u007f"},
        {"caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "caf\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80"},
        {"\xff\xfe", "\\u00ff\\u00fe"},
        {"\xc3", "\\u00c3"},
        {"\xc3x", "\\u00c3x"},
        {"\xc0\xaf", "\\u00c0\\u00af"}, // overlong
        {"\xe0\x80\xaf", "\\u00e0\\u0080\\u00af"},
        {"\xf0\x80\x80\xaf", "\\u00f0\\u0080\\u0080\\u00af"},
        {"\xed\xa0\x80", "\\u00ed\\u00a0\\u0080"},            // a surrogate
        {"\xf4\x90\x80\x80", "\\u00f4\\u0090\\u0080\\u0080"}, // behind the last character
        {"\xf5\x80\x80\x80", "\\u00f5\\u0080\\u0080\\u0080"},
        {"\xc2\x9b", "\\u009b"}, // a terminal would obey it
        {"\xe2\x80\xa8\xe2\x80\xa9", "\\u2028\\u2029"},
        {"\xf0\x9f\x98", "\\u00f0\\u009f\\u0098"},
    };
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        char out[100];
        struct span in = span_str(rows[i].in), want = span_str(rows[i].out);
        size_t n = escape_json(in, out, sizeof out);
        if (!span_eq(span_of(out, n), want))
            fail_msg("%u: %.*s", i, (int)n, out);
        for (size_t cap = 0; cap <= want.len; cap++) { // cut: a whole part of it
            memset(out, '#', sizeof out);
            n = escape_json(in, out, cap);
            assert_true(n <= cap && span_starts(want, span_of(out, n)));
            assert_int_equal(out[cap], '#');
        }
    }
    char out[8];
    assert_int_equal(escape_json(span_of("\0", 1), out, sizeof out), 6);
    assert_int_equal(escape_json(SPAN_NONE, out, sizeof out), 0);
    assert_int_equal(escape_log(SPAN("\xc3\xa9"), out, sizeof out), 8);
    assert_memory_equal(out, "\\xc3\\xa9", 8);
}

static void html_escapes(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 0);
    assert_span(escape_html(&a, SPAN("<a href=\"x\">&'")), "&lt;a href=&quot;x&quot;&gt;&amp;&#39;");
    assert_span(escape_html(&a, SPAN("")), "");
    arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_fields),
        cmocka_unit_test(what_is_not_there_is_left_out),
        cmocka_unit_test(times),
        cmocka_unit_test(secrets_are_masked),
        cmocka_unit_test(long_and_odd_texts),
        cmocka_unit_test(a_user_cannot_forge_a_line),
        cmocka_unit_test(json_escapes),
        cmocka_unit_test(html_escapes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
