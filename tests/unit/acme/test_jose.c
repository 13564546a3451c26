// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "acme/jose.h"

static int start(void **state)
{
    static struct arena a;
    arena_init(&a, 0);
    *state = &a;
    return 0;
}

static int end(void **state)
{
    arena_fini((struct arena *)*state);
    return 0;
}

#define assert_text(s, text) (assert_int_equal((s).len, strlen(text)), assert_memory_equal((s).ptr, text, (s).len))

// RFC 4648 section 10, without the padding, and the two letters that differ.
static void base64url(void **state)
{
    struct arena *a = (struct arena *)*state;
    assert_text(jose_base64url(a, SPAN("")), "");
    assert_text(jose_base64url(a, SPAN("f")), "Zg");
    assert_text(jose_base64url(a, SPAN("fo")), "Zm8");
    assert_text(jose_base64url(a, SPAN("foo")), "Zm9v");
    assert_text(jose_base64url(a, SPAN("foob")), "Zm9vYg");
    assert_text(jose_base64url(a, SPAN("fooba")), "Zm9vYmE");
    assert_text(jose_base64url(a, SPAN("foobar")), "Zm9vYmFy");
    assert_text(jose_base64url(a, SPAN("\xfb\xff\xfe")), "-__-");
}

// The key of RFC 7515 A.3, as PEM.
static const char key_pem[] = "-----BEGIN PRIVATE KEY-----\n"
                              "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgjpsQnnGQmL+YBIff\n"
                              "H1136cspYG6+0iY7X1fCE9+E9LKhRANCAAR/zc4ncPbEXUGDy+5v20t7WAczNXvp\n"
                              "7xO6z248e9FURcfxRM0bvZt+hyzf7bnuufSzaV1uqQskrYpGIyiFiOWt\n"
                              "-----END PRIVATE KEY-----\n";

static void keys_have_the_numbers_of_the_rfc(void **state)
{
    struct arena *a = (struct arena *)*state;
    EVP_PKEY *key = jose_key_load(span_str(key_pem));
    assert_non_null(key);
    assert_text(jose_jwk(a, key), "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU\","
                                  "\"y\":\"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0\"}");
    EVP_PKEY_free(key);
}

static void what_is_no_key_is_refused(void **state)
{
    (void)state;
    assert_null(jose_key_load(SPAN("")));
    assert_null(jose_key_load(SPAN("nothing")));
}

static void keys_come_back_from_their_text(void **state)
{
    struct arena *a = (struct arena *)*state;
    EVP_PKEY *key = jose_key_new(), *again;
    struct span pem = jose_key_pem(a, key), first = jose_thumbprint(a, key);
    assert_non_null(pem.ptr);
    again = jose_key_load(pem);
    assert_non_null(again);
    struct span second = jose_thumbprint(a, again);
    assert_true(first.len == 43 && span_eq(first, second));
    EVP_PKEY_free(key);
    EVP_PKEY_free(again);
}

static void signed_messages_name_the_key_or_the_account(void **state)
{
    struct arena *a = (struct arena *)*state;
    EVP_PKEY *key = jose_key_load(span_str(key_pem));
    struct span s = jose_sign(a, key, SPAN("https://ca.test/acct/1"), SPAN("n"), SPAN("https://ca.test/x"), SPAN_NONE);
    struct span head = jose_base64url(a, SPAN("{\"alg\":\"ES256\",\"kid\":\"https://ca.test/acct/1\",\"nonce\":\"n\",\"url\":\"https://ca.test/x\"}"));
    assert_true(span_starts(s, arena_printf(a, "{\"protected\":\"%.*s\",\"payload\":\"\",\"signature\":\"", SPAN_ARG(head))));
    s = jose_sign(a, key, SPAN(""), SPAN("n"), SPAN("https://ca.test/x"), SPAN("{}"));
    assert_true(span_find_span(s, SPAN("\"payload\":\"e30\"")) < s.len);
    EVP_PKEY_free(key);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(base64url, start, end),
        cmocka_unit_test_setup_teardown(what_is_no_key_is_refused, start, end),
        cmocka_unit_test_setup_teardown(keys_have_the_numbers_of_the_rfc, start, end),
        cmocka_unit_test_setup_teardown(keys_come_back_from_their_text, start, end),
        cmocka_unit_test_setup_teardown(signed_messages_name_the_key_or_the_account, start, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
