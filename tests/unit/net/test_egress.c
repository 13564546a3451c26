// SPDX-License-Identifier: Apache-2.0
#include "net_test.h"

#include "net/egress.h"

static void test_classes(void **state)
{
    (void)state;
    static const struct {
        const char *ip;
        enum addr_class addr_class;
    } rows[] = {
        {"8.8.8.8", ADDR_CLASS_PUBLIC},
        {"1.0.0.0", ADDR_CLASS_PUBLIC},
        {"0.0.0.0", ADDR_CLASS_UNSPECIFIED},
        {"0.255.255.255", ADDR_CLASS_UNSPECIFIED},
        {"9.255.255.255", ADDR_CLASS_PUBLIC},
        {"10.0.0.0", ADDR_CLASS_PRIVATE},
        {"10.255.255.255", ADDR_CLASS_PRIVATE},
        {"11.0.0.0", ADDR_CLASS_PUBLIC},
        {"100.63.255.255", ADDR_CLASS_PUBLIC},
        {"100.64.0.0", ADDR_CLASS_SHARED},
        {"100.127.255.255", ADDR_CLASS_SHARED},
        {"100.128.0.0", ADDR_CLASS_PUBLIC},
        {"100.100.100.200", ADDR_CLASS_METADATA},
        {"126.255.255.255", ADDR_CLASS_PUBLIC},
        {"127.0.0.1", ADDR_CLASS_LOOPBACK},
        {"127.255.255.255", ADDR_CLASS_LOOPBACK},
        {"128.0.0.0", ADDR_CLASS_PUBLIC},
        {"169.253.255.255", ADDR_CLASS_PUBLIC},
        {"169.254.0.0", ADDR_CLASS_LINK_LOCAL},
        {"169.254.169.253", ADDR_CLASS_LINK_LOCAL},
        {"169.254.169.254", ADDR_CLASS_METADATA},
        {"169.254.170.2", ADDR_CLASS_METADATA},
        {"169.255.0.0", ADDR_CLASS_PUBLIC},
        {"172.15.255.255", ADDR_CLASS_PUBLIC},
        {"172.16.0.0", ADDR_CLASS_PRIVATE},
        {"172.31.255.255", ADDR_CLASS_PRIVATE},
        {"172.32.0.0", ADDR_CLASS_PUBLIC},
        {"192.0.0.1", ADDR_CLASS_RESERVED},
        {"192.0.0.192", ADDR_CLASS_METADATA},
        {"192.0.1.0", ADDR_CLASS_PUBLIC},
        {"192.0.2.1", ADDR_CLASS_DOCUMENTATION},
        {"192.88.99.1", ADDR_CLASS_RESERVED},
        {"192.167.255.255", ADDR_CLASS_PUBLIC},
        {"192.168.0.1", ADDR_CLASS_PRIVATE},
        {"192.169.0.0", ADDR_CLASS_PUBLIC},
        {"198.17.255.255", ADDR_CLASS_PUBLIC},
        {"198.18.0.0", ADDR_CLASS_RESERVED},
        {"198.19.255.255", ADDR_CLASS_RESERVED},
        {"198.20.0.0", ADDR_CLASS_PUBLIC},
        {"198.51.100.1", ADDR_CLASS_DOCUMENTATION},
        {"203.0.113.255", ADDR_CLASS_DOCUMENTATION},
        {"223.255.255.255", ADDR_CLASS_PUBLIC},
        {"224.0.0.1", ADDR_CLASS_MULTICAST},
        {"239.255.255.255", ADDR_CLASS_MULTICAST},
        {"240.0.0.1", ADDR_CLASS_RESERVED},
        {"255.255.255.254", ADDR_CLASS_RESERVED},
        {"255.255.255.255", ADDR_CLASS_BROADCAST},
        {"2606:4700:4700::1111", ADDR_CLASS_PUBLIC},
        {"::", ADDR_CLASS_UNSPECIFIED},
        {"::1", ADDR_CLASS_LOOPBACK},
        {"::2", ADDR_CLASS_UNSPECIFIED}, // compatible with 0.0.0.2
        {"64:ff9c::8.8.8.8", ADDR_CLASS_RESERVED},
        {"100::1", ADDR_CLASS_RESERVED},
        {"1fff::1", ADDR_CLASS_RESERVED},
        {"2001:2::1", ADDR_CLASS_RESERVED},
        {"2001:1ff::1", ADDR_CLASS_RESERVED},
        {"2001:200::1", ADDR_CLASS_PUBLIC},
        {"2001:db8::1", ADDR_CLASS_DOCUMENTATION},
        {"2001:db9::1", ADDR_CLASS_PUBLIC},
        {"3fff:fff::1", ADDR_CLASS_DOCUMENTATION},
        {"3fff:1000::1", ADDR_CLASS_PUBLIC},
        {"4000::1", ADDR_CLASS_RESERVED},
        {"5f00::1", ADDR_CLASS_RESERVED},
        {"fbff::1", ADDR_CLASS_RESERVED},
        {"fc00::1", ADDR_CLASS_PRIVATE},
        {"fdff::1", ADDR_CLASS_PRIVATE},
        {"fd00:ec2::254", ADDR_CLASS_METADATA},
        {"fd00:ec2::253", ADDR_CLASS_PRIVATE},
        {"fe80::1", ADDR_CLASS_LINK_LOCAL},
        {"febf::1", ADDR_CLASS_LINK_LOCAL},
        {"fec0::1", ADDR_CLASS_PRIVATE},
        {"ff02::1", ADDR_CLASS_MULTICAST},
        // IPv4 inside IPv6
        {"::ffff:8.8.8.8", ADDR_CLASS_PUBLIC},
        {"::ffff:127.0.0.1", ADDR_CLASS_LOOPBACK},
        {"::ffff:169.254.169.254", ADDR_CLASS_METADATA},
        {"::ffff:0:10.0.0.1", ADDR_CLASS_PRIVATE},
        {"::ffff:0:8.8.8.8", ADDR_CLASS_PUBLIC},
        {"::127.0.0.1", ADDR_CLASS_LOOPBACK},
        {"::10.1.2.3", ADDR_CLASS_PRIVATE},
        {"::8.8.8.8", ADDR_CLASS_PUBLIC},
        {"64:ff9b::127.0.0.1", ADDR_CLASS_LOOPBACK},
        {"64:ff9b::192.168.0.1", ADDR_CLASS_PRIVATE},
        {"64:ff9b::8.8.8.8", ADDR_CLASS_PUBLIC},
        {"64:ff9b:1::10.0.0.1", ADDR_CLASS_PRIVATE},
        {"64:ff9b:1::8.8.8.8", ADDR_CLASS_PUBLIC},
        {"64:ff9b:1:7f00:0:100:808:808",
         ADDR_CLASS_LOOPBACK},                            // /48: 127.0.0.1, and bytes that translators ignore
        {"64:ff9b:1:a:00:1:808:808", ADDR_CLASS_PRIVATE}, // /56: 10.0.1.8
        {"64:ff9b:1:0:7f:0:108:808", ADDR_CLASS_LOOPBACK}, // /64: 127.0.0.1
        {"2002:7f00:1::1", ADDR_CLASS_LOOPBACK},
        {"2002:a9fe:a9fe::", ADDR_CLASS_METADATA},
        {"2002:808:808::1", ADDR_CLASS_PUBLIC},
        {"2001:0:808:808::f5ff:fffe", ADDR_CLASS_PRIVATE}, // Teredo: client 10.0.0.1 inverted
        {"2001:0:7f00:1::f7f7:f7f7", ADDR_CLASS_LOOPBACK}, // server 127.0.0.1
        {"2001:0:808:808::f7f7:f7f7", ADDR_CLASS_PUBLIC},
        {"2606::5efe:10.0.0.1", ADDR_CLASS_PRIVATE}, // ISATAP
        {"2606::200:5efe:127.0.0.1", ADDR_CLASS_LOOPBACK},
        {"2606::200:5efe:8.8.8.8", ADDR_CLASS_PUBLIC},
        {"fe80::5efe:8.8.8.8", ADDR_CLASS_LINK_LOCAL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct addr a = ip_of(rows[i].ip);
        enum addr_class c = addr_classify(&a);
        if (c != rows[i].addr_class)
            fail_msg("%s is %s instead of %s", rows[i].ip, addr_class_name(c),
                     addr_class_name(rows[i].addr_class));
    }
    struct addr un = {.family = AF_UNIX, .path = "/run/x"};
    assert_int_equal(addr_classify(&un), ADDR_CLASS_LOCAL);
}

struct fixture {
    struct arena arena;
    struct egress_rules rules;
};

static int set_up(void **state)
{
    static struct fixture f;
    arena_init(&f.arena, ARENA_NO_LIMIT);
    egress_rules_init(&f.rules, &f.arena);
    *state = &f;
    return 0;
}

static int tear_down(void **state)
{
    arena_fini(&((struct fixture *)*state)->arena);
    return 0;
}

static void add(struct fixture *f, enum egress_action action, const char *prefix, uint16_t first,
                uint16_t last)
{
    struct prefix p;
    assert_true(prefix_parse(span_str(prefix), &p, NULL));
    struct port_range range = {first, last};
    assert_true(egress_rules_add(&f->rules, action, &p, &range, first ? 1 : 0, f->rules.n_rules + 100));
}

static void expect(struct fixture *f, const char *ip, uint16_t port, bool allowed)
{
    struct addr a = at_port(ip, port);
    enum err e = egress_check(&f->rules, &a);
    if (e != (allowed ? ERR_OK : ERR_EGRESS_DENIED))
        fail_msg("%s port %u: %s", ip, port, err_name(e));
}

static void test_defaults(void **state)
{
    struct fixture *f = *state;
    expect(f, "8.8.8.8", 80, true);
    expect(f, "2606:4700::1", 80, true);
    expect(f, "127.0.0.1", 80, false);
    expect(f, "::1", 80, false);
    expect(f, "169.254.169.254", 80, false);
    expect(f, "::ffff:10.0.0.1", 80, false);
    struct addr un = {.family = AF_UNIX, .path = "/run/x"};
    assert_int_equal(egress_check(&f->rules, &un), ERR_EGRESS_DENIED);
    assert_int_equal(egress_check_connect_port(&f->rules, 443), ERR_OK);
    assert_int_equal(egress_check_connect_port(&f->rules, 80), ERR_PORT_DENIED);
    assert_int_equal(egress_check_connect_port(&f->rules, 0), ERR_PORT_DENIED);
}

static void test_exception_with_ports(void **state)
{
    struct fixture *f = *state;
    add(f, EGRESS_ALLOW, "127.0.0.1/32", 18081, 18099);
    expect(f, "127.0.0.1", 18081, true);
    expect(f, "127.0.0.1", 18099, true);
    expect(f, "127.0.0.1", 18080, false);
    expect(f, "127.0.0.1", 18100, false);
    expect(f, "127.0.0.2", 18081, false);
    expect(f, "::1", 18081, false);
    expect(f, "::", 18081, false);
    expect(f, "0.0.0.0", 18081, false);
    expect(f, "::ffff:127.0.0.1", 18081, true); // counts by what is inside
    expect(f, "::ffff:127.0.0.2", 18081, false);
    expect(f, "8.8.8.8", 18081, true);
}

static void test_first_match_wins(void **state)
{
    struct fixture *f = *state;
    add(f, EGRESS_DENY, "10.1.2.0/24", 0, 0);
    add(f, EGRESS_ALLOW, "10.1.0.0/16", 443, 443);
    add(f, EGRESS_DENY, "8.8.8.0/24", 25, 25);
    add(f, EGRESS_DENY, "2606::/16", 0, 0);
    expect(f, "10.1.2.3", 443, false);
    expect(f, "10.1.3.3", 443, true);
    expect(f, "10.1.3.3", 80, false);
    expect(f, "8.8.8.8", 25, false);
    expect(f, "8.8.8.8", 80, true);
    expect(f, "64:ff9b::8.8.8.8", 25, false); // a denial holds for what is inside too
    expect(f, "2606::1", 80, false);
    struct addr a = at_port("10.1.3.3", 443);
    struct egress_verdict v;
    egress_decide(&f->rules, &a, &v);
    assert_int_equal(v.rule->tag, 101);
    assert_int_equal(v.addr_class, ADDR_CLASS_PRIVATE);
    a = at_port("127.0.0.1", 1);
    egress_decide(&f->rules, &a, &v);
    assert_null(v.rule);
}

static void test_exceptions_and_embedding(void **state)
{
    struct fixture *f = *state;
    add(f, EGRESS_ALLOW, "::/0", 0, 0);
    expect(f, "fc00::1", 80, true);
    expect(f, "::1", 80, true);
    expect(f, "2002:7f00:1::", 80, false); // the wide exception does not open what hides inside
    expect(f, "::ffff:127.0.0.1", 80, false);
    expect(f, "64:ff9b::10.0.0.1", 80, false);
    expect(f, "2606::5efe:10.0.0.1", 80, false);
    add(f, EGRESS_ALLOW, "64:ff9b::/96", 0, 0); // what is written for it does
    expect(f, "64:ff9b::10.0.0.1", 80, true);
    add(f, EGRESS_ALLOW, "10.0.0.0/8", 0, 0);
    expect(f, "2002:a00:1::", 80, true);
    // Teredo carries two addresses: both must be allowed.
    expect(f, "2001:0:a00:1::f5ff:fffe", 80, true);
    expect(f, "2001:0:7f00:1::f5ff:fffe", 80, false);
}

static void test_allow_private(void **state)
{
    struct fixture *f = *state;
    egress_rules_private(&f->rules, EGRESS_ALLOW);
    add(f, EGRESS_DENY, "10.0.0.0/8", 0, 0);
    expect(f, "192.168.0.1", 80, true);
    expect(f, "127.0.0.1", 80, true);
    expect(f, "::1", 80, true);
    expect(f, "10.0.0.1", 80, false);
    expect(f, "169.254.169.254", 80, false);
    expect(f, "fd00:ec2::254", 80, false);
    expect(f, "0.0.0.0", 80, false);
    expect(f, "224.0.0.1", 80, false);
    expect(f, "255.255.255.255", 80, false);
    egress_rules_private(&f->rules, EGRESS_DENY);
    expect(f, "192.168.0.1", 80, false);
}

static void test_connect_ports(void **state)
{
    struct fixture *f = *state;
    assert_true(egress_rules_connect_ports(&f->rules, (struct port_range){8443, 8443}));
    assert_true(egress_rules_connect_ports(&f->rules, (struct port_range){9000, 9010}));
    assert_int_equal(egress_check_connect_port(&f->rules, 443), ERR_PORT_DENIED);
    assert_int_equal(egress_check_connect_port(&f->rules, 8443), ERR_OK);
    assert_int_equal(egress_check_connect_port(&f->rules, 9010), ERR_OK);
    assert_int_equal(egress_check_connect_port(&f->rules, 9011), ERR_PORT_DENIED);
    egress_rules_connect_any(&f->rules);
    assert_int_equal(egress_check_connect_port(&f->rules, 22), ERR_OK);
    expect(f, "127.0.0.1", 22, false);
    for (uint16_t i = 0; i < 100; i++) { // the arrays grow
        assert_true(egress_rules_connect_ports(&f->rules, (struct port_range){i, i}));
        add(f, EGRESS_DENY, "9.9.9.9", i, i);
    }
    assert_int_equal(f->rules.n_rules, 100);
    expect(f, "9.9.9.9", 99, false);
    assert_int_equal(f->rules.rules[42].ports[0].first, 42);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_classes),
        cmocka_unit_test_setup_teardown(test_defaults, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_exception_with_ports, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_first_match_wins, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_exceptions_and_embedding, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_allow_private, set_up, tear_down),
        cmocka_unit_test_setup_teardown(test_connect_ports, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
