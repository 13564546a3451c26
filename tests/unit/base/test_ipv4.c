// SPDX-License-Identifier: Apache-2.0
// One way to write an IPv4 address (RFC 6943 3.1.1): whatever some inet_aton takes beside it is none.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <arpa/inet.h>
#include <stdlib.h>

#include "base/ipv4.h"

static void addresses(void **state)
{
    static const struct {
        const char *text;
        uint8_t ip[4];
    } rows[] = {{"127.0.0.1", {127, 0, 0, 1}}, {"0.0.0.0", {0, 0, 0, 0}}, {"255.255.255.255", {255, 255, 255, 255}}, {"1.20.99.100", {1, 20, 99, 100}}};
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint8_t ip[4];
        assert_true(ipv4_parse(span_str(rows[i].text), ip));
        assert_memory_equal(ip, rows[i].ip, 4);
    }
}

static void no_addresses(void **state)
{
    static const char *const rows[] = {"", "1", "1.2.3", "1.2.3.", "1.2.3.4.", "1.2.3.4.5", ".1.2.3", "1..2.3", "256.1.1.1", "1.2.3.256", "1.2.3.1000", "01.2.3.4",
                                       "1.2.3.00", "1.2.3.04", "0x7f.0.0.1", "1.2.3.4 ", " 1.2.3.4", "1.2.3.+4", "1.2.3.-4", "1,2,3,4", "2130706433", "1.2.3.a"};
    uint8_t ip[4];
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_false(ipv4_parse(span_str(rows[i]), ip));
    assert_false(ipv4_parse(SPAN_NONE, ip));
    assert_false(ipv4_parse(SPAN("1.2.3.4\0"), ip));
}

// The C library's strict reader says the same of a hundred thousand short texts of what addresses are made of.
static void as_inet_pton(void **state)
{
    static const char alphabet[] = "00112255..........9x ";
    unsigned seed = 1;
    (void)state;
    for (unsigned i = 0; i < 100000; i++) {
        char text[16];
        size_t n = 7 + (size_t)rand_r(&seed) % 5;
        for (size_t k = 0; k < n; k++)
            text[k] = alphabet[(size_t)rand_r(&seed) % (sizeof alphabet - 1)];
        text[n] = '\0';
        uint8_t ours[4], theirs[4];
        bool ok = inet_pton(AF_INET, text, theirs) == 1;
        assert_int_equal(ipv4_parse(span_of(text, n), ours), ok);
        if (ok)
            assert_memory_equal(ours, theirs, 4);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(addresses), cmocka_unit_test(no_addresses), cmocka_unit_test(as_inet_pton)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
