// SPDX-License-Identifier: Apache-2.0
#include "net_test.h"

#include <netinet/in.h>
#include <sys/un.h>

static void test_size(void **state)
{
    (void)state;
    assert_int_equal(sizeof(struct addr), 24);
}

static void test_ip_text(void **state)
{
    (void)state;
    static const struct {
        const char *in, *out; // out NULL: refused
    } rows[] = {
        {"127.0.0.1", "127.0.0.1"},
        {"0.0.0.0", "0.0.0.0"},
        {"255.255.255.255", "255.255.255.255"},
        {"::", "::"},
        {"::1", "::1"},
        {"2001:db8:0:0:1:0:0:1", "2001:db8::1:0:0:1"},    // RFC 5952 4.2.3
        {"2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"}, // 4.2.2: one group of zeros is not shortened
        {"2001:DB8::A", "2001:db8::a"},                   // 4.3
        {"::ffff:192.0.2.1", "::ffff:192.0.2.1"},         // 5
        {"::ffff:c000:201", "::ffff:192.0.2.1"},
        {"1:2:3:4:5:6:7:8", "1:2:3:4:5:6:7:8"},
        {"", NULL},
        {"127.1", NULL},
        {"127.0.1", NULL},
        {"2130706433", NULL},
        {"0x7f.0.0.1", NULL},
        {"0x7f000001", NULL},
        {"0177.0.0.1", NULL},
        {"127.0.0.01", NULL},
        {"00.0.0.0", NULL},
        {"256.0.0.1", NULL},
        {"1.2.3.4.5", NULL},
        {"1.2.3.4.", NULL},
        {".1.2.3.4", NULL},
        {"1..2.3", NULL},
        {" 127.0.0.1", NULL},
        {"127.0.0.1 ", NULL},
        {"+1.2.3.4", NULL},
        {"::1%lo", NULL},
        {"[::1]", NULL},
        {":::", NULL},
        {"1::2::3", NULL},
        {"12345::", NULL},
        {"1:2:3:4:5:6:7", NULL},
        {"1:2:3:4:5:6:7:8:9", NULL},
        {"::ffff:0177.0.0.1", NULL},
        {"::ffff:1.2.3", NULL},
        {"localhost", NULL},
        {"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct addr a;
        bool ok = addr_parse_ip(span_str(rows[i].in), &a);
        if (ok != (rows[i].out != NULL))
            fail_msg("%s", rows[i].in);
        if (!ok)
            continue;
        char out[ADDR_IP_TEXT_MAX];
        assert_int_equal(addr_format_ip(&a, out), strlen(rows[i].out));
        assert_string_equal(out, rows[i].out);
        assert_int_equal(a.port, 0);
    }
    struct addr a;
    assert_false(addr_parse_ip(span_of("127.0.0.1\0", 10), &a));
    assert_false(addr_parse_ip(SPAN_NONE, &a));
}

static void test_with_port(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        bool ok;
    } rows[] = {
        {"127.0.0.1:80", true},
        {"[::1]:80", true},
        {"[2001:db8::1]:65535", true},
        {"unix:/run/a.sock", true},
        {"127.0.0.1", false},
        {"127.0.0.1:", false},
        {"127.0.0.1:0", false},
        {"127.0.0.1:65536", false},
        {"127.0.0.1:+80", false},
        {"127.0.0.1:080000", false},
        {"::1:80", false},
        {"[::1]", false},
        {"[127.0.0.1]:80", false},
        {"[::1:80", false},
        {"::1]:80", false},
        {":80", false},
        {"host:80", false},
        {"unix:", false},
        {"", false},
        {"[]:80", false},
    };
    struct arena arena;
    arena_init(&arena, ARENA_NO_LIMIT);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct addr a;
        if (addr_parse(span_str(rows[i].in), &arena, &a) != rows[i].ok)
            fail_msg("%s", rows[i].in);
        if (!rows[i].ok)
            continue;
        char out[ADDR_TEXT_MAX];
        assert_int_equal(addr_format(&a, out), strlen(rows[i].in));
        assert_string_equal(out, rows[i].in);
    }
    char path[5 + ADDR_PATH_MAX + 2] = "unix:";
    memset(path + 5, 'p', ADDR_PATH_MAX + 1);
    struct addr a;
    assert_false(addr_parse(span_str(path), &arena, &a));
    path[5 + ADDR_PATH_MAX] = '\0';
    assert_true(addr_parse(span_str(path), &arena, &a));
    char out[ADDR_TEXT_MAX];
    assert_int_equal(addr_format(&a, out), 5 + ADDR_PATH_MAX);
    struct sockaddr_storage ss;
    assert_int_equal(addr_to_sockaddr(&a, &ss), offsetof(struct sockaddr_un, sun_path) + ADDR_PATH_MAX + 1);
    assert_false(addr_parse(SPAN("unix:/a"), NULL, &a));
    assert_false(addr_parse(span_of("unix:/a\0b", 9), &arena, &a));
    arena_fini(&arena);
}

static void test_format_of_none(void **state)
{
    (void)state;
    struct addr none = ADDR_NONE, unnamed = {.family = AF_UNIX};
    char ip[ADDR_IP_TEXT_MAX], text[ADDR_TEXT_MAX];
    addr_format(&none, text);
    assert_string_equal(text, "-");
    addr_format_ip(&none, ip);
    assert_string_equal(ip, "-");
    addr_format(&unnamed, text);
    assert_string_equal(text, "unix:");
    addr_format_ip(&unnamed, ip);
    assert_string_equal(ip, "unix");
    assert_int_equal(addr_ip_bytes(&unnamed).len, 0);
}

static void test_sockaddr(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, ARENA_NO_LIMIT);
    static const char *const texts[] = {"192.0.2.1:81", "[2001:db8::7]:82"};
    for (size_t i = 0; i < ARRAY_LEN(texts); i++) {
        struct addr a, b;
        assert_true(addr_parse(span_str(texts[i]), &arena, &a));
        struct sockaddr_storage ss;
        socklen_t len = addr_to_sockaddr(&a, &ss);
        assert_true(len > 0);
        assert_true(addr_from_sockaddr((struct sockaddr *)&ss, len, &b));
        assert_true(addr_eq(&a, &b));
        assert_false(addr_from_sockaddr((struct sockaddr *)&ss, len - 1, &b));
        assert_false(addr_from_sockaddr((struct sockaddr *)&ss, 1, &b));
    }
    struct sockaddr_storage ss;
    struct addr none = ADDR_NONE, a;
    assert_int_equal(addr_to_sockaddr(&none, &ss), 0);
    struct sockaddr_un un = {.sun_family = AF_UNIX};
    assert_true(addr_from_sockaddr((struct sockaddr *)&un, sizeof(sa_family_t), &a));
    assert_int_equal(a.family, AF_UNIX);
    assert_null(a.path);
    struct sockaddr other = {.sa_family = AF_PACKET};
    assert_false(addr_from_sockaddr(&other, sizeof(other), &a));
    struct addr link = at_port("fe80::1", 9);
    link.scope = 3;
    socklen_t len = addr_to_sockaddr(&link, &ss);
    assert_true(addr_from_sockaddr((struct sockaddr *)&ss, len, &a));
    assert_int_equal(a.scope, 3);
    arena_fini(&arena);
}

static void test_equality_and_kind(void **state)
{
    (void)state;
    struct addr a = at_port("192.0.2.1", 80), b = at_port("192.0.2.1", 81), c = at_port("192.0.2.2", 80);
    assert_false(addr_eq(&a, &b));
    assert_true(addr_eq_ip(&a, &b));
    assert_false(addr_eq_ip(&a, &c));
    struct addr m = at_port("::ffff:192.0.2.1", 80), canonical = addr_canonical(&m);
    assert_false(addr_eq(&a, &m));
    assert_true(addr_eq(&a, &canonical));
    struct addr compatible = at_port("::192.0.2.1", 80);
    canonical = addr_canonical(&compatible);
    assert_int_equal(canonical.family, AF_INET6);
    struct addr x = {.family = AF_UNIX, .path = "/a"}, y = {.family = AF_UNIX, .path = "/b"},
                unnamed = {.family = AF_UNIX};
    assert_false(addr_eq(&x, &y));
    assert_false(addr_eq(&x, &unnamed));
    y.path = "/a";
    assert_true(addr_eq(&x, &y));

    static const char *const any[] = {"0.0.0.0", "::"}, *const loop[] = {"127.0.0.1", "127.255.0.9", "::1",
                                                                         "::ffff:127.0.0.1"};
    for (size_t i = 0; i < ARRAY_LEN(any); i++) {
        struct addr ip = ip_of(any[i]);
        assert_true(addr_is_any(&ip));
        assert_false(addr_is_loopback(&ip));
    }
    for (size_t i = 0; i < ARRAY_LEN(loop); i++) {
        struct addr ip = ip_of(loop[i]);
        assert_true(addr_is_loopback(&ip));
        assert_false(addr_is_any(&ip));
    }
    assert_false(addr_is_any(&x));
    assert_false(addr_is_loopback(&a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_size),      cmocka_unit_test(test_ip_text),
        cmocka_unit_test(test_with_port), cmocka_unit_test(test_format_of_none),
        cmocka_unit_test(test_sockaddr),  cmocka_unit_test(test_equality_and_kind),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
