// SPDX-License-Identifier: Apache-2.0
// Tokens and their solutions: what passes, and that nothing else does.
#include "policy_test.h"

#include <openssl/sha.h>

#include "policy/challenge.h"

static const int64_t now = 1800000000;

// Searches like a browser, with another implementation of nothing: the rule is in the header.
static size_t solve(const char *token, char *out)
{
    for (unsigned k = 0;; k++) {
        unsigned char h[SHA256_DIGEST_LENGTH];
        size_t n = (size_t)sprintf(out, "%.*s-%u", CHALLENGE_TOKEN_BYTES, token, k);
        SHA256((const unsigned char *)out, n, h);
        if (h[0] == 0 && h[1] == 0)
            return n;
    }
}

static struct addr ip(const char *text)
{
    struct addr a;
    assert_true(addr_parse_ip(span_str(text), &a));
    return a;
}

static void test_a_solution_counts(void **state)
{
    (void)state;
    char token[CHALLENGE_TOKEN_BYTES], cookie[128];
    struct addr c = ip("192.0.2.1"), other = ip("192.0.2.2");
    challenge_token(&c, SPAN("a.test"), now, token);
    struct span v = span_of(cookie, solve(token, cookie));
    assert_true(challenge_is_solved(v, &c, SPAN("a.test"), now));
    assert_true(challenge_is_solved(v, &c, SPAN("a.test"), now + CHALLENGE_SECONDS - 1));
    assert_false(challenge_is_solved(v, &c, SPAN("a.test"), now + CHALLENGE_SECONDS));
    assert_false(challenge_is_solved(v, &c, SPAN("a.test"), now - 1)); // not ours: it would count for longer than we give
    assert_false(challenge_is_solved(v, &other, SPAN("a.test"), now));
    assert_false(challenge_is_solved(v, &c, SPAN("b.test"), now));
}

static void test_one_network_of_ipv6_is_one_client(void **state)
{
    (void)state;
    char token[CHALLENGE_TOKEN_BYTES], cookie[128];
    struct addr a = ip("2001:db8:0:1::1"), same = ip("2001:db8:0:1:2::3"), other = ip("2001:db8:0:2::1");
    challenge_token(&a, SPAN("a.test"), now, token);
    struct span v = span_of(cookie, solve(token, cookie));
    assert_true(challenge_is_solved(v, &same, SPAN("a.test"), now));
    assert_false(challenge_is_solved(v, &other, SPAN("a.test"), now));
}

// Whatever octet is changed or left out: it does not pass, or it is another number that happens to be a solution too.
static void test_nothing_else_counts(void **state)
{
    (void)state;
    char token[CHALLENGE_TOKEN_BYTES], cookie[128], changed[128];
    struct addr c = ip("192.0.2.1");
    challenge_token(&c, SPAN("a.test"), now, token);
    size_t n = solve(token, cookie);
    for (size_t i = 0; i <= CHALLENGE_TOKEN_BYTES; i++) {
        for (unsigned b = 0; b < 256; b++) {
            memcpy(changed, cookie, n);
            changed[i] = (char)b;
            if (changed[i] != cookie[i])
                assert_false(challenge_is_solved(span_of(changed, n), &c, SPAN("a.test"), now));
        }
    }
    for (size_t len = 0; len <= CHALLENGE_TOKEN_BYTES + 1; len++)
        assert_false(challenge_is_solved(span_of(cookie, len), &c, SPAN("a.test"), now));
    static const char *const numbers[] = {"", "x", "-1", "+1", "1 ", "18446744073709551616", "00000000000000000000000000001"};
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        size_t m = (size_t)sprintf(changed, "%.*s-%s", CHALLENGE_TOKEN_BYTES, token, numbers[i]);
        assert_false(challenge_is_solved(span_of(changed, m), &c, SPAN("a.test"), now));
    }
    assert_false(challenge_is_solved(SPAN_NONE, &c, SPAN("a.test"), now));
}

static int setup(void **state)
{
    (void)state;
    return challenge_init();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_solution_counts),
        cmocka_unit_test(test_one_network_of_ipv6_is_one_client),
        cmocka_unit_test(test_nothing_else_counts),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
