// SPDX-License-Identifier: Apache-2.0
// Who the client is behind proxies, and what one may not make us believe.
#include "policy_test.h"

#include "policy/trust.h"

/// Lines: "x:" X-Forwarded-For, "f:" Forwarded; trusted are 10.0.0.0/8 and fd00::/8.
#define assert_client(peer, want, ...) assert_client_at((peer), (want), __LINE__, __VA_ARGS__, NULL)
static void assert_client_at(const char *peer, const char *want, int line, ...)
{
    struct arena a;
    struct fields f;
    struct trust t = {0};
    struct prefix_entry e[2];
    struct addr p;
    arena_init(&a, 0);
    fields_init(&f, &a);
    assert_true(prefix_parse(SPAN("10.0.0.0/8"), &e[0].prefix, NULL));
    assert_true(prefix_parse(SPAN("fd00::/8"), &e[1].prefix, NULL));
    assert_true(prefix_set_build(&t.proxies, &a, e, 2));
    assert_true(addr_parse_ip(span_str(peer), &p));
    va_list ap;
    va_start(ap, line);
    for (const char *s; (s = va_arg(ap, const char *));)
        assert_int_equal(
            fields_add(&f, s[0] == 'x' ? FIELD_X_FORWARDED_FOR : FIELD_FORWARDED, span_str(s + 2)), ERR_OK);
    va_end(ap);
    struct addr got = trust_client(&t, &p, &f);
    char text[ADDR_IP_TEXT_MAX];
    addr_format_ip(&got, text);
    if (strcmp(text, want) != 0)
        fail_msg("line %d: %s instead of %s", line, text, want);
    assert_int_equal(trust_peer(&t, &p), strncmp(peer, "10.", 3) == 0 || strncmp(peer, "fd", 2) == 0 ||
                                             strncmp(peer, "::ffff:10.", 10) == 0);
    // Nobody is believed by default.
    got = trust_client(&(struct trust){{0}}, &p, &f);
    assert_true(addr_eq(&got, &p));
    arena_fini(&a);
}

static void x_forwarded_for(void **state)
{
    (void)state;
    assert_client("192.0.2.9", "192.0.2.9", "x:198.51.100.1"); // a stranger's claim
    assert_client("10.0.0.1", "198.51.100.1", "x:198.51.100.1");
    assert_client("10.0.0.1", "198.51.100.1", "x:203.0.113.5, 198.51.100.1"); // the left one is only claimed
    assert_client("10.0.0.1", "198.51.100.1", "x:198.51.100.1, 10.0.0.2, 10.0.0.3");
    assert_client("10.0.0.1", "198.51.100.1", "x:203.0.113.5,198.51.100.1",
                  "x:10.0.0.2");                                   // two lines are one list
    assert_client("10.0.0.1", "10.0.0.9", "x:10.0.0.9, 10.0.0.2"); // all are trusted: the farthest
    assert_client("10.0.0.1", "10.0.0.1", "x:");
    assert_client("10.0.0.1", "2001:db8::1", "x:2001:db8::1");
    assert_client("fd00::1", "2001:db8::1", "x:2001:db8::1, fd00::2");
    assert_client("10.0.0.1", "198.51.100.1", "x:198.51.100.1:4711");
    assert_client("10.0.0.1", "2001:db8::1", "x:[2001:db8::1]:4711");
    assert_client("10.0.0.1", "2001:db8::1", "x:[2001:db8::1]");
    assert_client("::ffff:10.0.0.1", "198.51.100.1", "x:::ffff:198.51.100.1");
}

// Something unreadable ends the walk: what is left of it could be anybody's.
static void unreadable(void **state)
{
    (void)state;
    static const char *const junk[] = {"unknown",
                                       "_hidden",
                                       "198.51.100.1x",
                                       "198.51.100.256",
                                       "0198.51.100.1",
                                       "198.51.100.1:x",
                                       "198.51.100.1:0",
                                       "198.51.100.1:",
                                       "[2001:db8::1",
                                       "[2001:db8::1]x",
                                       "[2001:db8::1]:",
                                       "[198.51.100.1]",
                                       "2001:db8::1:99999",
                                       "\"",
                                       "example.test",
                                       "198.51.100.1 198.51.100.2",
                                       "127.1",
                                       "2130706433"};
    for (unsigned i = 0; i < ARRAY_LEN(junk); i++) {
        char line[100];
        snprintf(line, sizeof line, "x:203.0.113.5, %s, 10.0.0.2", junk[i]);
        assert_client("10.0.0.1", "10.0.0.2", line);
        snprintf(line, sizeof line, "x:203.0.113.5, %s", junk[i]);
        assert_client("10.0.0.1", "10.0.0.1", line);
    }
}

static void forwarded(void **state)
{
    (void)state;
    assert_client("10.0.0.1", "198.51.100.1", "f:for=198.51.100.1");
    assert_client("10.0.0.1", "198.51.100.1", "f:For=\"198.51.100.1:80\";proto=https;by=10.0.0.1");
    assert_client("10.0.0.1", "2001:db8::1", "f:proto=http; for=\"[2001:db8::1]:4711\"");
    assert_client("10.0.0.1", "198.51.100.1", "f:for=203.0.113.5, for=198.51.100.1, for=10.0.0.2");
    assert_client("10.0.0.1", "10.0.0.1", "f:for=unknown");
    assert_client("10.0.0.1", "10.0.0.1", "f:for=\"_secret\"");
    assert_client("10.0.0.1", "10.0.0.1", "f:by=198.51.100.1");
    assert_client("10.0.0.1", "10.0.0.1", "f:for=203.0.113.5, proto=http"); // an element that names nobody
    assert_client("192.0.2.9", "192.0.2.9", "f:for=198.51.100.1");
    // Where both are there X-Forwarded-For counts.
    assert_client("10.0.0.1", "198.51.100.1", "f:for=203.0.113.5", "x:198.51.100.1");
}

// A quote that a stranger opens does not hide what our proxy wrote behind it (it would make the stranger the
// proxy itself).
static void open_quotes(void **state)
{
    (void)state;
    assert_client("10.0.0.1", "198.51.100.1", "x:\"203.0.113.5, 198.51.100.1");
    assert_client("10.0.0.1", "198.51.100.1", "x:\"203.0.113.5", "x:198.51.100.1, 10.0.0.2");
    assert_client("10.0.0.1", "198.51.100.1", "f:for=\"203.0.113.5, for=198.51.100.1");
    assert_client("10.0.0.1", "198.51.100.1", "f:for=\"203.0.113.5, for=\"198.51.100.1:80\"");
    assert_client("10.0.0.1", "198.51.100.1", "f:for=\"203.0.113.5\\, for=\"198.51.100.1:80\"");
    assert_client("10.0.0.1", "2001:db8::1", "f:for=\"a, for=\"[2001:db8::1]\", for=10.0.0.2");
    assert_client("10.0.0.1", "10.0.0.2", "f:for=\"203.0.113.5, for=x\", for=10.0.0.2"); // a comma in quotes
}

// Only the nearest 64 count, and a long list costs little.
static void long_lists(void **state)
{
    (void)state;
    static char line[16000];
    size_t n = (size_t)snprintf(line, sizeof line, "x:198.51.100.1");
    for (unsigned i = 0; i < 63; i++)
        n += (size_t)snprintf(line + n, sizeof line - n, ", 10.0.0.2");
    assert_client("10.0.0.1", "198.51.100.1", line);
    for (unsigned i = 0; i < 1000; i++)
        n += (size_t)snprintf(line + n, sizeof line - n, ", 10.0.0.3");
    assert_client("10.0.0.1", "10.0.0.3", line);
    snprintf(line + n, sizeof line - n, ", 198.51.100.7");
    assert_client("10.0.0.1", "198.51.100.7", line);
    assert_client("10.0.0.1", "198.51.100.1", "x:203.0.113.5", "x:,,198.51.100.1, ,", "x:", "x:10.0.0.2",
                  "x: ,");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(x_forwarded_for), cmocka_unit_test(unreadable), cmocka_unit_test(forwarded),
        cmocka_unit_test(open_quotes),     cmocka_unit_test(long_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
