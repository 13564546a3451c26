// SPDX-License-Identifier: Apache-2.0
#include "icap/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

static enum err parse(struct arena *a, struct icap_options *ret, struct span text)
{
    struct icap_answer r;
    assert_int_equal(icap_parse_answer(text, a, &r), ERR_OK);
    return icap_options_parse(&r, a, ret);
}

// The example of RFC 3507 4.10.2, and what services leave out.
static void options(void **state)
{
    (void)state;
    struct arena a;
    struct icap_options o;
    arena_init(&a, 0);
    assert_int_equal(parse(&a, &o,
                           SPAN("ICAP/1.0 200 OK\r\nMethods: RESPMOD\r\nService: FOO Tech Server "
                                "1.0\r\nISTag: \"W3E4R7U9-L2E4-2\"\r\nEncapsulated: null-body=0\r\n"
                                "Max-Connections: 1000\r\nOptions-TTL: 7200\r\nAllow: 204\r\nPreview: "
                                "2048\r\nTransfer-Complete: asp, bat, exe, com\r\n"
                                "Transfer-Ignore: html\r\nTransfer-Preview: *\r\n\r\n")),
                     ERR_OK);
    assert_true(o.respmod && !o.reqmod && o.allow_204 && o.has_preview && o.preview == 2048 &&
                o.max_connections == 1000 && o.ttl_s == 7200);
    assert_true(span_eq(span_of(o.tag.text, o.tag.len), SPAN("W3E4R7U9-L2E4-2")));
    assert_int_equal(icap_transfer_of(&o, SPAN("/a/b.EXE")), ICAP_TRANSFER_COMPLETE);
    assert_int_equal(icap_transfer_of(&o, SPAN("/index.html")), ICAP_TRANSFER_IGNORE);
    assert_int_equal(icap_transfer_of(&o, SPAN("/html")), ICAP_TRANSFER_PREVIEW);
    assert_int_equal(icap_transfer_of(&o, SPAN("/b.html/c")), ICAP_TRANSFER_PREVIEW);
    assert_int_equal(parse(&a, &o,
                           SPAN("ICAP/1.0 200 OK\r\nMethods: REQMOD, RESPMOD\r\nPreview: "
                                "many\r\nOptions-TTL: 0\r\nTransfer-Complete: *\r\n\r\n")),
                     ERR_OK);
    assert_true(o.respmod && o.reqmod && !o.allow_204 && !o.has_preview && !o.max_connections &&
                o.ttl_s == 1 && !o.tag.len);
    assert_int_equal(icap_transfer_of(&o, SPAN("/x")), ICAP_TRANSFER_COMPLETE);
    arena_fini(&a);
}

static void nonsense(void **state)
{
    (void)state;
    struct arena a;
    struct icap_options o;
    arena_init(&a, 0);
    assert_int_equal(parse(&a, &o, SPAN("ICAP/1.0 404 no\r\nMethods: RESPMOD\r\n\r\n")), ERR_BAD_RESPONSE);
    assert_int_equal(parse(&a, &o, SPAN("ICAP/1.0 200 OK\r\nMethods: FOO\r\n\r\n")), ERR_BAD_RESPONSE);
    assert_int_equal(
        parse(
            &a, &o,
            SPAN(
                "ICAP/1.0 200 OK\r\nMethods: RESPMOD\r\nPreview: 99999999999\r\nOptions-TTL: "
                "18446744073709551615\r\n"
                "ISTag: \"0123456789012345678901234567890123456789012345678901234567890123456789\"\r\n\r\n")),
        ERR_OK);
    assert_true(o.preview == ICAP_PREVIEW_MAX_BYTES && o.ttl_s == 86400 && o.tag.len == ICAP_TAG_MAX_BYTES);
    arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(options), cmocka_unit_test(nonsense)};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_thread_fini();
    return failed;
}
