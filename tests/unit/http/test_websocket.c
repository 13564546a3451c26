// SPDX-License-Identifier: Apache-2.0
// The example of RFC 6455 1.3, and SHA-1's own (RFC 3174 7.3 tells the same in other words).
#include "http/websocket.h"

#include "http_test.h"

static void test_accept(void **state)
{
    (void)state;
    char out[WEBSOCKET_ACCEPT_BYTES];
    assert_true(span_eq(websocket_accept(SPAN("dGhlIHNhbXBsZSBub25jZQ=="), out), SPAN("s3pPLMBiTxaQ9kYGzzhZRbK+xOo=")));
    assert_null(websocket_accept(SPAN("dGhlIHNhbXBsZSBub25jZQ==x"), out).ptr);
    assert_null(websocket_accept(SPAN(""), out).ptr);
}

static void test_key(void **state)
{
    (void)state;
    char out[WEBSOCKET_KEY_BYTES];
    assert_true(span_eq(websocket_key((const unsigned char *)"the sample nonce", out), SPAN("dGhlIHNhbXBsZSBub25jZQ==")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_accept), cmocka_unit_test(test_key)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
