// SPDX-License-Identifier: Apache-2.0
// Answers of our own, for browsers and for programs.
#include "proxy_test.h"

#include <jansson.h>

#include "base/ascii.h"
#include "base/mem.h"
#include "proxy/page.h"

struct rendered {
    struct arena arena;
    struct request req;
    struct response resp;
    struct chunkq content;
    struct span text;
};

static void render(struct rendered *r, const struct page *p, const char *accept)
{
    char head[300];
    memset(r, 0, sizeof *r);
    arena_init(&r->arena, 0);
    chunkq_init(&r->content);
    fields_init(&r->resp.fields, &r->arena);
    snprintf(head, sizeof head, "GET / HTTP/1.1\r\nHost: a\r\n%s%s%s\r\n", accept ? "Accept: " : "",
             accept ? accept : "", accept ? "\r\n" : "");
    assert_int_equal(request_of(head, &r->arena, &r->req), ERR_OK);
    assert_int_equal(page_render(p, &r->req, &r->arena, &r->resp, &r->content), ERR_OK);
    r->text = chunkq_first(&r->content);
    assert_int_equal(r->text.len, r->content.bytes);
    assert_int_equal(r->resp.framing.kind, FRAMING_LENGTH);
    assert_int_equal(r->resp.framing.length, r->content.bytes);
}

static void finish(struct rendered *r)
{
    chunkq_fini(&r->content);
    arena_fini(&r->arena);
}

static struct span field(const struct rendered *r, enum field_id id)
{
    return fields_value(&r->resp.fields, id);
}

static void for_browsers(void **state)
{
    (void)state;
    struct rendered r;
    struct page p = {.reason = ERR_NOT_FOUND, .id = SPAN("f00d")};
    render(&r, &p, "text/html,application/xhtml+xml,*/*;q=0.8");
    assert_int_equal(r.resp.status, 404);
    assert_span(field(&r, FIELD_CONTENT_TYPE), "text/html; charset=utf-8");
    assert_span(field(&r, FIELD_CACHE_CONTROL), "no-store");
    assert_span(field(&r, FIELD_CONTENT_SECURITY_POLICY), "default-src 'none'; style-src 'unsafe-inline'");
    assert_true(has(r.text, "<title>404 Not Found</title>"));
    assert_true(has(r.text, "Nothing is there."));
    assert_true(has(r.text, "not_found"));
    assert_true(has(r.text, "f00d"));
    assert_false(has(r.text, "policy"));
    assert_true(r.text.len < 1024);
    finish(&r);
}

static void for_programs(void **state)
{
    (void)state;
    struct rendered r;
    struct page p = {.reason = ERR_DENIED, .id = SPAN("f00d")};
    render(&r, &p, "application/json");
    assert_int_equal(r.resp.status, 403);
    assert_span(field(&r, FIELD_CONTENT_TYPE), "application/problem+json");
    json_t *j = json_loadb(r.text.ptr, r.text.len, 0, NULL);
    assert_non_null(j);
    assert_string_equal(json_string_value(json_object_get(j, "type")), "about:blank");
    assert_string_equal(json_string_value(json_object_get(j, "title")), "Forbidden");
    assert_int_equal(json_integer_value(json_object_get(j, "status")), 403);
    assert_string_equal(json_string_value(json_object_get(j, "reason")), "denied");
    assert_string_equal(json_string_value(json_object_get(j, "id")), "f00d");
    assert_non_null(strstr(json_string_value(json_object_get(j, "detail")), "policy"));
    json_decref(j);
    finish(&r);
}

static void accept(void **state)
{
    (void)state;
    static const struct {
        const char *accept;
        bool json;
    } rows[] = {
        {NULL, false},
        {"", false},
        {"*/*", false},
        {"text/html", false},
        {"application/json", true},
        {"Application/JSON", true},
        {"application/problem+json", true},
        {"application/problem+json, application/json;q=0.5", true},
        {"application/json, text/plain, */*", true},
        {"text/html, application/json", false}, // no preference
        {"text/html;q=0.5, application/json", true},
        {"text/html, application/json;q=0.9", false},
        {"application/json;q=0.001, text/html;q=0", true},
        {"application/json;q=0", false},
        {"application/json; charset=utf-8 ; Q=0.8, text/html;q=0.7", true},
        {"application/json;q=0.8, text/html;level=1;q=0.9", false},
        {"application/json;q=0.5, text/*;q=0.6", false},
        {"application/json;q=0.5, text/*;q=0.6, text/html;q=0.1", true},
        {"application/json;q=2", false}, // malformed
        {"application/json;q=0.12345", false},
        {"application/json;q=", false},
        {"application/json;q=0x1", false},
        {"application/jsonx, x/application/json", false},
        {"image/png", false},
    };
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++) {
        struct rendered r;
        struct page p = {.reason = ERR_NOT_FOUND};
        render(&r, &p, rows[i].accept);
        if (span_starts(field(&r, FIELD_CONTENT_TYPE), SPAN("application/")) != rows[i].json)
            fail_msg("%s", rows[i].accept);
        assert_int_equal(page_wants_json(&r.req.fields), rows[i].json);
        finish(&r);
    }
}

// Every reason there is: a status that may be sent, and nothing about the inside.
static void all_reasons(void **state)
{
    (void)state;
    for (unsigned e = 1; e < N_ERRS; e++) {
        for (unsigned json = 0; json < 2; json++) {
            struct rendered r;
            struct page p = {.reason = (enum err)e, .id = SPAN("f00d")};
            const struct err_info *i = err_info((enum err)e);
            render(&r, &p, json ? "application/json" : NULL);
            assert_true(r.resp.status >= 400 && r.resp.status < 600 && r.resp.status != 499);
            assert_true(status_reason(r.resp.status).len > 0);
            assert_true(has(r.text, i->name));
            assert_int_equal(field(&r, FIELD_RETRY_AFTER).len > 0,
                             r.resp.status == 503 || r.resp.status == 429);
            assert_int_equal(field(&r, FIELD_ALLOW).len > 0, r.resp.status == 405);
            if (i->fault == ERR_FAULT_POLICY)
                assert_true(has(r.text, "blocked") && has(r.text, "rule") && has(r.text, "policy"));
            static const char *const inside[] = {".conf", "127.0.0.1", "/etc", "/usr", "errno", ".c:"};
            for (unsigned k = 0; k < ARRAY_LEN(inside); k++)
                assert_false(has(r.text, inside[k]));
            if (json) {
                json_t *j = json_loadb(r.text.ptr, r.text.len, 0, NULL);
                assert_non_null(j);
                json_decref(j);
            }
            finish(&r);
        }
    }
}

static void odd_messages(void **state)
{
    (void)state;
    struct page p = {
        .reason = ERR_DENIED, .id = SPAN("<b>"), .message = SPAN("<script>alert(\"\\\n\xff\")</script>&")};
    struct rendered r;
    render(&r, &p, NULL);
    assert_true(has(r.text, "<p>&lt;script&gt;alert(&quot;\\\n\xff&quot;)&lt;/script&gt;&amp; It was"));
    assert_false(has(r.text, "<script"));
    assert_false(has(r.text, "<b>"));
    assert_false(has(r.text, "A rule denies this."));
    finish(&r);
    render(&r, &p, "application/json");
    json_t *j = json_loadb(r.text.ptr, r.text.len, 0, NULL);
    assert_non_null(j);
    assert_non_null(strstr(json_string_value(json_object_get(j, "detail")),
                           "<script>alert(\"\\\n\xc3\xbf\")</script>& It was"));
    json_decref(j);
    finish(&r);
}

static void allowed_methods(void **state)
{
    (void)state;
    struct rendered r;
    struct page p = {.reason = ERR_METHOD_REFUSED, .allow = SPAN("GET, HEAD")};
    render(&r, &p, NULL);
    assert_span(field(&r, FIELD_ALLOW), "GET, HEAD");
    finish(&r);
    p.allow = SPAN_NONE;
    render(&r, &p, NULL);
    assert_true(list_has(field(&r, FIELD_ALLOW), SPAN("POST")));
    finish(&r);
}

static void plain_text(void **state)
{
    (void)state;
    struct rendered r;
    struct page p = {.reason = ERR_NOT_FOUND};
    render(&r, &p, NULL);
    chunkq_clear(&r.content);
    fields_init(&r.resp.fields, &r.arena);
    assert_int_equal(page_text(418, SPAN("short"), &r.resp, &r.content), ERR_OK);
    assert_int_equal(r.resp.status, 418);
    assert_span(field(&r, FIELD_CONTENT_TYPE), "text/plain; charset=utf-8");
    assert_span(chunkq_first(&r.content), "short");
    chunkq_clear(&r.content);
    fields_init(&r.resp.fields, &r.arena);
    assert_int_equal(page_text(204, SPAN_NONE, &r.resp, &r.content), ERR_OK);
    assert_int_equal(field(&r, FIELD_CONTENT_TYPE).len, 0);
    assert_int_equal(r.content.bytes, 0);
    finish(&r);
}

static bool always(void *arg)
{
    (void)arg;
    return true;
}

static void memory_runs_out(void **state)
{
    (void)state;
    static char words[9000]; // more than a block of the arena
    memset(words, 'x', sizeof words);
    for (unsigned json = 0; json < 2; json++) {
        struct rendered r;
        struct page p = {.reason = ERR_DENIED};
        render(&r, &p, json ? "application/json" : NULL);
        chunkq_clear(&r.content);
        p.message = span_of(words, sizeof words);
        arena_thread_fini();
        mem_fail_set(always, NULL);
        enum err e = page_render(&p, &r.req, &r.arena, &r.resp, &r.content);
        mem_fail_set(NULL, NULL);
        assert_int_equal(e, ERR_NO_MEMORY);
        assert_int_equal(r.content.bytes, 0);
        finish(&r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(for_browsers), cmocka_unit_test(for_programs),    cmocka_unit_test(accept),
        cmocka_unit_test(all_reasons),  cmocka_unit_test(odd_messages),    cmocka_unit_test(allowed_methods),
        cmocka_unit_test(plain_text),   cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
