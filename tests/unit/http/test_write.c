// SPDX-License-Identifier: Apache-2.0
// Heads out, and what is taken out of them at each hop.
#include "http_test.h"

static void lines(void **state)
{
    (void)state;
    char buf[256];
    struct h1_out o = {.next = buf, .end = buf + sizeof buf};
    h1_put_request_line(&o, SPAN("GET"), SPAN("/x"));
    h1_put_field(&o, SPAN("A"), SPAN("b"));
    h1_put_field(&o, SPAN("Empty"), SPAN_NONE);
    h1_put(&o, SPAN("\r\n"));
    assert_false(o.full);
    assert_span(span_of(buf, (size_t)(o.next - buf)), "GET /x HTTP/1.1\r\nA: b\r\nEmpty: \r\n\r\n");

    static const struct {
        unsigned status;
        const char *reason, *line;
    } rows[] = {
        {200, "", "HTTP/1.1 200 OK\r\n"},       {200, "OK", "HTTP/1.1 200 OK\r\n"},
        {200, "Fine", "HTTP/1.1 200 Fine\r\n"}, {404, "", "HTTP/1.1 404 Not Found\r\n"},
        {599, "", "HTTP/1.1 599 \r\n"},         {599, "Odd", "HTTP/1.1 599 Odd\r\n"},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        o = (struct h1_out){.next = buf, .end = buf + sizeof buf};
        h1_put_status_line(&o, rows[i].status, span_str(rows[i].reason));
        assert_span(span_of(buf, (size_t)(o.next - buf)), rows[i].line);
    }
}

// Whatever the room, nothing is written behind it, and what does not fit is known.
static void a_full_buffer(void **state)
{
    (void)state;
    for (size_t room = 0; room < 60; room++) {
        char *buf = exactly(span_of("............................................................", room));
        struct h1_out o = {.next = buf, .end = buf + room};
        h1_put_request_line(&o, SPAN("GET"), SPAN("/0123456789"));
        h1_put_field(&o, SPAN("Name"), SPAN("value"));
        h1_put_dec(&o, 12345);
        h1_put(&o, SPAN("\r\n"));
        assert_int_equal(o.full, room < 26 + 13 + 5 + 2);
        assert_true(o.next <= o.end);
        free(buf);
    }
}

static void add(struct fields *f, const char *name, const char *value)
{
    assert_int_equal(fields_add_named(f, span_str(name), span_str(value)), ERR_OK);
}

static void what_goes_out(void **state)
{
    (void)state;
    struct arena a;
    struct fields f;
    arena_init(&a, ARENA_NO_LIMIT);
    fields_init(&f, &a);
    static const char *const names[] = {"Host",
                                        "Connection",
                                        "X-A",
                                        "Keep-Alive",
                                        "Proxy-Connection",
                                        "TE",
                                        "Trailer",
                                        "Upgrade",
                                        "X-Gone",
                                        "X-B",
                                        "Content-Length",
                                        "Transfer-Encoding",
                                        "Accept",
                                        "Proxy-Authorization"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        add(&f, names[i], "v");
    fields_remove_named(&f, SPAN("x-gone"));
    char buf[512];
    struct h1_out o = {.next = buf, .end = buf + sizeof buf};
    h1_put_fields(&o, &f);
    assert_span(span_of(buf, (size_t)(o.next - buf)), "Host: v\r\nX-A: v\r\nX-B: v\r\nAccept: v\r\nProxy-Authorization: v\r\n"); // what is ours to say to the next hop
    assert_true(h1_fields_size(&f) >= (size_t)(o.next - buf));
    arena_fini(&a);
}

static void what_connection_nominates(void **state)
{
    (void)state;
    struct arena a;
    struct fields f;
    arena_init(&a, ARENA_NO_LIMIT);
    fields_init(&f, &a);
    add(&f, "X-Secret", "1");
    add(&f, "x-secret", "2");
    add(&f, "Connection",
        "x-SECRET, close, Host, Content-Type, X-Forwarded-For, X-Forwarded-Anything, If-Match, Cookie, "
        "Connection");
    add(&f, "Connection", "Accept, \"quoted\", , Age");
    static const char *const stay[] = {
        "Host",   "Content-Type", "X-Forwarded-For", "X-Forwarded-Anything", "If-Match",
        "Cookie", "Age",          "X-Other"};
    for (size_t i = 0; i < ARRAY_LEN(stay); i++)
        add(&f, stay[i], "v");
    add(&f, "Accept", "*/*");
    add(&f, "Keep-Alive", "5");
    add(&f, "Proxy-Authorization", "Basic x");
    add(&f, "Proxy-Authenticate", "Basic");
    h1_strip_hop_fields(&f);
    for (size_t i = 0; i < ARRAY_LEN(stay); i++)
        if (!fields_find(&f, span_str(stay[i])))
            fail_msg("%s is gone", stay[i]);
    static const char *const gone[] = {"X-Secret", "Connection", "Accept", "Keep-Alive", "Proxy-Authorization", "Proxy-Authenticate"};
    for (size_t i = 0; i < ARRAY_LEN(gone); i++)
        if (fields_find(&f, span_str(gone[i])))
            fail_msg("%s is still there", gone[i]);
    arena_fini(&a);
}

static void reasons(void **state)
{
    (void)state;
    assert_span(status_reason(413), "Content Too Large");
    assert_span(status_reason(421), "Misdirected Request");
    assert_span(status_reason(299), "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines),         cmocka_unit_test(a_full_buffer),
        cmocka_unit_test(what_goes_out), cmocka_unit_test(what_connection_nominates),
        cmocka_unit_test(reasons),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
