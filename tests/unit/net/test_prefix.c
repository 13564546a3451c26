// SPDX-License-Identifier: Apache-2.0
#include "net_test.h"

#include <stdio.h>

#include "base/mem.h"
#include "net/prefix.h"

static struct prefix prefix_of(const char *text)
{
    struct prefix p;
    if (!prefix_parse(span_str(text), &p, NULL))
        fail_msg("%s is no prefix", text);
    return p;
}

static void test_parse(void **state)
{
    (void)state;
    static const struct {
        const char *in;
        int bits; // -1: refused
    } rows[] = {
        {"10.0.0.0/8", 8},
        {"0.0.0.0/0", 0},
        {"::/0", 0},
        {"fc00::/7", 7},
        {"192.0.2.1", 32},
        {"2001:db8::1", 128},
        {"192.0.2.1/32", 32},
        {"::1/128", 128},
        {"10.0.0.1/8", -1},
        {"fc00::1/7", -1},
        {"10.0.0.0/33", -1},
        {"::/129", -1},
        {"10.0.0.0/", -1},
        {"10.0.0.0/08", -1},
        {"10.0.0.0/-1", -1},
        {"10.0.0.0/8/8", -1},
        {"10.0.0/8", -1},
        {"10/8", -1},
        {"", -1},
        {"/8", -1},
        {"[::1]", -1},
        {"10.0.0.0 /8", -1},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct prefix p;
        const char *why = NULL;
        bool ok = prefix_parse(span_str(rows[i].in), &p, &why);
        if (ok != (rows[i].bits >= 0))
            fail_msg("%s", rows[i].in);
        if (ok)
            assert_int_equal(p.bits, rows[i].bits);
        else
            assert_non_null(why);
    }
}

static void test_has(void **state)
{
    (void)state;
    static const struct {
        const char *prefix, *ip;
        bool held;
    } rows[] = {
        {"10.0.0.0/8", "10.255.0.1", true},
        {"10.0.0.0/8", "11.0.0.0", false},
        {"10.0.0.0/8", "::ffff:10.1.2.3", true},
        {"10.0.0.0/8", "::10.1.2.3", false},
        {"0.0.0.0/0", "192.0.2.1", true},
        {"0.0.0.0/0", "::1", false},
        {"::/0", "::1", true},
        {"::/0", "192.0.2.1", false},
        {"192.168.128.0/17", "192.168.127.255", false},
        {"192.168.128.0/17", "192.168.128.0", true},
        {"fe80::/10", "febf::1", true},
        {"fe80::/10", "fec0::1", false},
        {"192.0.2.7", "192.0.2.7", true},
        {"192.0.2.7", "192.0.2.6", false},
        {"::ffff:10.0.0.0/104", "10.2.3.4", true},
        {"::ffff:10.0.0.0/104", "::ffff:11.2.3.4", false},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct prefix p = prefix_of(rows[i].prefix);
        struct addr a = ip_of(rows[i].ip);
        if (prefix_has(&p, &a) != rows[i].held)
            fail_msg("%s in %s", rows[i].ip, rows[i].prefix);
    }
}

static void test_longest_match(void **state)
{
    (void)state;
    static const char *const prefixes[] = {"10.0.0.0/8",     "10.1.0.0/16", "10.1.2.3",    "10.1.0.0/16",
                                           "192.168.0.0/16", "fc00::/7",    "fc00:1::/32", "255.0.0.0/8"};
    struct prefix_entry entries[ARRAY_LEN(prefixes)];
    for (uint32_t i = 0; i < ARRAY_LEN(prefixes); i++)
        entries[i] = (struct prefix_entry){prefix_of(prefixes[i]), i};
    struct arena arena;
    arena_init(&arena, ARENA_NO_LIMIT);
    struct prefix_set set;
    assert_true(prefix_set_build(&set, &arena, entries, ARRAY_LEN(entries)));
    static const struct {
        const char *ip;
        int value; // -1: none
    } rows[] = {
        {"10.0.0.0", 0},    {"10.1.0.0", 1}, {"10.1.2.2", 1},        {"10.1.2.3", 2},
        {"10.1.2.4", 1},    {"10.2.0.0", 0}, {"11.0.0.0", -1},       {"9.255.255.255", -1},
        {"192.168.3.4", 4}, {"fc00::1", 5},  {"fc00:1::1", 6},       {"fc00:2::1", 5},
        {"fe00::", -1},     {"::", -1},      {"255.255.255.255", 7}, {"::ffff:10.1.2.3", 2},
        {"0.0.0.0", -1},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct addr a = ip_of(rows[i].ip);
        uint32_t value = 99;
        bool found = prefix_set_find(&set, &a, &value);
        if (found != (rows[i].value >= 0) || (found && value != (uint32_t)rows[i].value))
            fail_msg("%s: %d %u", rows[i].ip, found, value);
        assert_int_equal(prefix_set_find(&set, &a, NULL), found);
    }
    struct addr none = ADDR_NONE;
    assert_false(prefix_set_find(&set, &none, NULL));
    arena_fini(&arena);
}

static void test_empty(void **state)
{
    (void)state;
    struct prefix_set set = {0};
    struct addr a = ip_of("10.0.0.1"), b = ip_of("::1");
    assert_false(prefix_set_find(&set, &a, NULL));
    assert_false(prefix_set_find(&set, &b, NULL));
    assert_true(prefix_set_build(&set, NULL, NULL, 0));
    assert_false(prefix_set_find(&set, &a, NULL));
}

// ---- Against a model that tries every prefix

static uint64_t rng;
static uint32_t below(uint32_t n)
{
    rng ^= rng << 13;
    rng ^= rng >> 7;
    rng ^= rng << 17;
    return (uint32_t)(rng >> 32) % n;
}

/// Few different bytes, so that prefixes nest and touch.
static struct addr random_addr(void)
{
    static const uint8_t bytes[] = {0, 1, 2, 127, 128, 254, 255};
    struct addr a = {.family = below(2) ? AF_INET : AF_INET6};
    for (unsigned i = 0; i < (a.family == AF_INET ? 4u : 16u); i++)
        a.v6[i] = bytes[below(ARRAY_LEN(bytes))];
    return a;
}

static struct prefix random_prefix(void)
{
    struct prefix p = {.ip = random_addr()};
    unsigned width = p.ip.family == AF_INET ? 32 : 128;
    p.bits = (uint8_t)below(width + 1);
    for (unsigned bit = p.bits; bit < width; bit++)
        p.ip.v6[bit / 8] &= (uint8_t) ~(0x80 >> bit % 8);
    return p;
}

static int model(const struct prefix_entry *e, size_t n, const struct addr *a)
{
    int best = -1, bits = -1;
    for (size_t i = 0; i < n; i++) {
        if (prefix_has(&e[i].prefix, a) && e[i].prefix.bits > bits) {
            bits = e[i].prefix.bits;
            best = (int)e[i].value;
        }
    }
    return best;
}

/// The first and the last address of a prefix and their neighbours are where mistakes would be.
static struct addr edge_of(const struct prefix *p)
{
    struct addr a = p->ip;
    unsigned width = a.family == AF_INET ? 32 : 128;
    if (below(2))
        for (unsigned bit = p->bits; bit < width; bit++)
            a.v6[bit / 8] |= (uint8_t)(0x80 >> bit % 8);
    int step = (int)below(3) - 1;
    for (int i = (int)width / 8 - 1; i >= 0 && step; i--) {
        a.v6[i] = (uint8_t)(a.v6[i] + step);
        if (a.v6[i] != (step > 0 ? 0 : 255))
            break;
    }
    return a;
}

static void test_model(void **state)
{
    (void)state;
    rng = 88172645463325252;
    for (unsigned round = 0; round < 300; round++) {
        struct prefix_entry entries[40];
        size_t n = below(ARRAY_LEN(entries)) + 1;
        for (uint32_t i = 0; i < n; i++)
            entries[i] = (struct prefix_entry){random_prefix(), i};
        struct arena arena;
        arena_init(&arena, ARENA_NO_LIMIT);
        struct prefix_set set;
        assert_true(prefix_set_build(&set, &arena, entries, n));
        for (unsigned k = 0; k < 300; k++) {
            struct addr a = below(2) ? random_addr() : edge_of(&entries[below((uint32_t)n)].prefix);
            uint32_t value = 0;
            int got = prefix_set_find(&set, &a, &value) ? (int)value : -1;
            int want = model(entries, n, &a);
            if (got != want) {
                char text[ADDR_IP_TEXT_MAX];
                addr_format_ip(&a, text);
                fail_msg("round %u: %s gives %d instead of %d", round, text, got, want);
            }
        }
        arena_fini(&arena);
    }
}

static unsigned fail_in;
static bool fail_now(void *arg)
{
    (void)arg;
    return --fail_in == 0;
}

static void test_no_memory(void **state)
{
    (void)state;
    struct prefix_entry entries[] = {{prefix_of("10.0.0.0/8"), 1}, {prefix_of("fc00::/7"), 2}};
    arena_thread_fini();
    bool ok = false;
    unsigned at = 0;
    int64_t before = mem_live_count();
    while (!ok) {
        struct arena arena;
        arena_init(&arena, ARENA_NO_LIMIT);
        struct prefix_set set = {0};
        fail_in = ++at;
        mem_fail_set(fail_now, NULL);
        ok = prefix_set_build(&set, &arena, entries, ARRAY_LEN(entries));
        mem_fail_set(NULL, NULL);
        assert_true(ok || set.v4 == NULL);
        arena_fini(&arena);
        arena_thread_fini();
        assert_int_equal(mem_live_count(), before);
    }
    assert_true(at > 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse), cmocka_unit_test(test_has),   cmocka_unit_test(test_longest_match),
        cmocka_unit_test(test_empty), cmocka_unit_test(test_model), cmocka_unit_test(test_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
