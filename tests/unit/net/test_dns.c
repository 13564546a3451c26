// SPDX-License-Identifier: Apache-2.0
// The resolver over a table, in simulated time.
#include "net_test.h"

#include <stdio.h>

#include "../io/io_test.h"
#include "net/dns_sim.h"

static unsigned n_asked;
static struct dns *dns;

static struct dns_config config_of(const struct dns_sim_record *records, unsigned n)
{
    struct dns_sim_options o = {.records = records, .n = n, .seed = 1, .ret_asked = &n_asked};
    n_asked = 0;
    struct dns_config c = {.backend = dns_sim_new(&o)};
    assert_non_null(c.backend);
    return c;
}

static void begin(const struct dns_sim_record *records, unsigned n)
{
    struct dns_config c = config_of(records, n);
    assert_int_equal(dns_new(&c, &dns), ERR_OK);
}

static enum err resolve(const char *name, struct dns_answer *ret)
{
    return dns_resolve(dns, span_str(name), DEADLINE_NONE, ret);
}

static void expect_ips(const struct dns_answer *a, const char *const *ips, unsigned n)
{
    assert_int_equal(a->n, n);
    for (unsigned i = 0; i < n; i++) {
        char text[ADDR_IP_TEXT_MAX];
        addr_format_ip(&a->addrs[i], text);
        assert_string_equal(text, ips[i]);
        assert_int_equal(a->addrs[i].port, 0);
    }
}
#define EXPECT_IPS(a, ...)                                                                                   \
    expect_ips(a, (const char *const[]){__VA_ARGS__},                                                        \
               sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static void literals(void)
{
    begin(NULL, 0);
    struct dns_answer a;
    assert_int_equal(resolve("192.0.2.1", &a), ERR_OK);
    EXPECT_IPS(&a, "192.0.2.1");
    assert_true(a.fixed);
    assert_int_equal(resolve("::1", &a), ERR_OK);
    EXPECT_IPS(&a, "::1");
    assert_int_equal(resolve("[2001:db8::1]", &a), ERR_OK);
    EXPECT_IPS(&a, "2001:db8::1");
    static const char *const numbers[] = {
        "127.1",     "0177.0.0.1", "2130706433", "0x7f.1", "0x7f000001", "127.0.0.1.",
        "1.2.3.4.5", "0x",         "1.2.3.0x",   "x.0X7F", "host.1",     "127.0.0.0x1",
    };
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
        if (resolve(numbers[i], &a) != ERR_EGRESS_DENIED)
            fail_msg("%s", numbers[i]);
    static const char *const refused[] = {
        "[127.0.0.1]", "[::1",     "::1]", "a..b",        ".a",       "",   ".",        "a b.test",
        "a\tb.test",   "a/b.test", "a:80", "\xc3\xa4.de", "a.test..", "[]", "%61.test", "user@a.test",
    };
    for (size_t i = 0; i < ARRAY_LEN(refused); i++)
        if (resolve(refused[i], &a) != ERR_DNS_FAILED)
            fail_msg("%s", refused[i]);
    assert_int_equal(dns_resolve(dns, span_of("a\0b", 3), DEADLINE_NONE, &a), ERR_DNS_FAILED);
    assert_int_equal(n_asked, 0); // none of them was asked for
    dns_free(dns);
}

static void lengths(void)
{
    char label63[65], name[300] = "";
    memset(label63, 'a', 64);
    label63[63] = '\0';
    for (int i = 0; i < 3; i++)
        strcat(strcat(name, label63), "."); // 192
    memset(name + 192, 'b', 61);
    name[253] = '\0';
    const struct dns_sim_record records[] = {{.name = name, .ip = "192.0.2.1"}};
    begin(records, 1);
    struct dns_answer a;
    assert_int_equal(resolve(name, &a), ERR_OK);
    name[253] = '.'; // a final dot does not count
    name[254] = '\0';
    char again[300];
    strcpy(again, name);
    name[253] = '\0';
    assert_int_equal(resolve(again, &a), ERR_OK);
    again[253] = 'c';
    assert_int_equal(resolve(again, &a), ERR_DNS_FAILED);
    char label64[80];
    memset(label64, 'a', 64);
    strcpy(label64 + 64, ".test");
    assert_int_equal(resolve(label64, &a), ERR_DNS_FAILED);
    assert_int_equal(n_asked, 2);
    dns_free(dns);
}

static void fixed_names(void)
{
    const struct dns_sim_record records[] = {{.name = "a.test", .ip = "192.0.2.99"}};
    struct arena arena;
    arena_init(&arena, ARENA_NO_LIMIT);
    struct dns_hosts h;
    dns_hosts_init(&h, &arena);
    struct addr ip = ip_of("192.0.2.1"), ip6 = ip_of("2001:db8::1");
    assert_int_equal(dns_hosts_add(&h, SPAN("A.Test."), &ip), ERR_OK);
    assert_int_equal(dns_hosts_add(&h, SPAN("a.test"), &ip6), ERR_OK);
    assert_int_equal(dns_hosts_add(&h, SPAN("a.test"), &ip), ERR_OK); // once is enough
    assert_int_equal(dns_hosts_add(&h, SPAN("127.1"), &ip), ERR_DNS_FAILED);
    struct addr none = ADDR_NONE;
    assert_int_equal(dns_hosts_add(&h, SPAN("b.test"), &none), ERR_DNS_FAILED);
    assert_true(dns_hosts_add_file(&h, SPAN("# comment\n"
                                            "127.0.0.1\tlocalhost here # x\n"
                                            "\n   \n"
                                            "::1 localhost\r\n"
                                            "10.0.0.9  a.test  c.test\n"
                                            "127.1 odd.test\n"
                                            "10.0.0.8\n"
                                            "10.0.0.7 in_valid! d.test")));
    struct dns_config c = config_of(records, 1);
    c.hosts = &h;
    assert_int_equal(dns_new(&c, &dns), ERR_OK);
    struct dns_answer a;
    assert_int_equal(resolve("a.TEST", &a), ERR_OK);
    EXPECT_IPS(&a, "192.0.2.1", "2001:db8::1"); // the statement, not the file, not the resolver
    assert_true(a.fixed);
    assert_int_equal(resolve("localhost", &a), ERR_OK);
    EXPECT_IPS(&a, "127.0.0.1", "::1");
    assert_int_equal(resolve("c.test.", &a), ERR_OK);
    EXPECT_IPS(&a, "10.0.0.9");
    assert_int_equal(resolve("d.test", &a), ERR_OK);
    EXPECT_IPS(&a, "10.0.0.7");
    assert_int_equal(n_asked, 0);
    assert_int_equal(resolve("odd.test", &a), ERR_DNS_FAILED);
    assert_int_equal(n_asked, 2);
    dns_free(dns);
    arena_fini(&arena);
}

static void many_fixed_names(void)
{
    struct arena arena;
    arena_init(&arena, ARENA_NO_LIMIT);
    struct dns_hosts h;
    dns_hosts_init(&h, &arena);
    for (unsigned i = 0; i < 2000; i++) {
        char name[32];
        snprintf(name, sizeof(name), "n%u.test", i);
        struct addr ip = addr_v4(10, 0, (uint8_t)(i >> 8), (uint8_t)i, 0);
        assert_int_equal(dns_hosts_add(&h, span_str(name), &ip), ERR_OK);
    }
    struct dns_config c = config_of(NULL, 0);
    c.hosts = &h;
    assert_int_equal(dns_new(&c, &dns), ERR_OK);
    struct dns_answer a;
    for (unsigned i = 0; i < 2000; i++) {
        char name[32];
        snprintf(name, sizeof(name), "n%u.test", i);
        assert_int_equal(resolve(name, &a), ERR_OK);
        assert_int_equal(a.addrs[0].v4[3], (uint8_t)i);
    }
    dns_free(dns);
    arena_fini(&arena);
}

static void special_names(void)
{
    begin(NULL, 0);
    struct dns_answer a;
    assert_int_equal(resolve("localhost", &a), ERR_OK);
    EXPECT_IPS(&a, "127.0.0.1", "::1");
    assert_int_equal(resolve("x.LOCALHOST.", &a), ERR_OK);
    assert_int_equal(resolve("nowhere.invalid", &a), ERR_DNS_FAILED);
    assert_int_equal(resolve("abc.onion", &a), ERR_DNS_FAILED);
    assert_int_equal(n_asked, 0);
    assert_int_equal(resolve("notlocalhost", &a), ERR_DNS_FAILED);
    assert_int_equal(n_asked, 2);
    dns_free(dns);
}

static void cache_and_ttl(void)
{
    static const struct dns_sim_record records[] = {
        {.name = "a.test", .ip = "192.0.2.1", .ttl_s = 5, .delay_ms = 10},
        {.name = "a.test", .ip = "2001:db8::1", .ttl_s = 7, .delay_ms = 20},
        {.name = "a.test", .ip = "192.0.2.2", .ttl_s = 5},
    };
    begin(records, ARRAY_LEN(records));
    struct dns_answer a;
    uint64_t before = loop_now_ms();
    assert_int_equal(resolve("a.test", &a), ERR_OK);
    assert_in_range(loop_now_ms() - before, 20, 21);
    EXPECT_IPS(&a, "2001:db8::1", "192.0.2.1", "192.0.2.2");
    assert_int_equal(a.ttl_s, 5);
    assert_false(a.fixed);
    assert_int_equal(n_asked, 2);
    assert_int_equal(fiber_sleep(2500), ERR_OK);
    assert_int_equal(resolve("A.test.", &a), ERR_OK);
    assert_int_equal(a.ttl_s, 3);
    assert_int_equal(n_asked, 2);
    assert_int_equal(dns_stats(dns)->hits, 1);
    assert_int_equal(fiber_sleep(2600), ERR_OK);
    assert_int_equal(resolve("a.test", &a), ERR_OK);
    assert_int_equal(n_asked, 4);
    dns_flush(dns);
    assert_int_equal(resolve("a.test", &a), ERR_OK);
    assert_int_equal(n_asked, 6);
    dns_free(dns);
}

static void negative_entries(void)
{
    static const struct dns_sim_record records[] = {
        {.name = "failing.test", .err = ERR_DNS_FAILED, .delay_ms = 1},
        {.name = "v6.test", .ip = "2001:db8::1", .ttl_s = 100},
    };
    begin(records, ARRAY_LEN(records));
    struct dns_answer a;
    assert_int_equal(resolve("nobody.test", &a), ERR_DNS_FAILED);
    assert_int_equal(resolve("nobody.test", &a), ERR_DNS_FAILED);
    assert_int_equal(n_asked, 2);
    assert_int_equal(fiber_sleep(DNS_NEGATIVE_TTL_MAX_S * 1000 + 1), ERR_OK);
    assert_int_equal(resolve("nobody.test", &a), ERR_DNS_FAILED);
    assert_int_equal(n_asked, 4);
    // A failure of the resolver is kept just long enough not to ask for every request.
    assert_int_equal(resolve("failing.test", &a), ERR_DNS_FAILED);
    assert_int_equal(resolve("failing.test", &a), ERR_DNS_FAILED);
    assert_int_equal(n_asked, 6);
    assert_int_equal(fiber_sleep(1001), ERR_OK);
    assert_int_equal(resolve("failing.test", &a), ERR_DNS_FAILED);
    assert_int_equal(n_asked, 8);
    // The family that is not there does not shorten the other's life.
    assert_int_equal(resolve("v6.test", &a), ERR_OK);
    EXPECT_IPS(&a, "2001:db8::1");
    assert_int_equal(a.ttl_s, 100);
    dns_free(dns);
}

// ---- Several fibers

struct asking {
    const char *name;
    uint64_t deadline;
    enum err err;
    struct dns_answer answer;
    uint64_t ended_ms;
};

static void asking_main(void *arg)
{
    struct asking *a = (struct asking *)arg;
    a->err = dns_resolve(dns, span_str(a->name), a->deadline, &a->answer);
    a->ended_ms = loop_now_ms();
}

static void one_query_for_many(void)
{
    static const struct dns_sim_record records[] = {{.name = "a.test", .ip = "192.0.2.1", .delay_ms = 30}};
    begin(records, ARRAY_LEN(records));
    struct asking asking[20];
    struct fiber *f[ARRAY_LEN(asking)];
    for (size_t i = 0; i < ARRAY_LEN(asking); i++) {
        asking[i] = (struct asking){"a.test", DEADLINE_NONE, ERR_INTERNAL, .ended_ms = 0};
        if (i == 1)
            asking[i].deadline = loop_now_ms() + 5;
        assert_int_equal(fiber_start(asking_main, &asking[i], &f[i]), ERR_OK);
    }
    fiber_yield();
    // One that is canceled and one that is in a hurry do not take the others with them.
    fiber_cancel(f[0], ERR_CANCELED);
    for (size_t i = 0; i < ARRAY_LEN(asking); i++)
        fiber_join(f[i]);
    assert_int_equal(asking[0].err, ERR_CANCELED);
    assert_int_equal(asking[1].err, ERR_DNS_TIMEOUT);
    for (size_t i = 2; i < ARRAY_LEN(asking); i++)
        assert_int_equal(asking[i].err, ERR_OK);
    assert_int_equal(n_asked, 2);
    assert_int_equal(dns_stats(dns)->joined, ARRAY_LEN(asking) - 1);
    assert_int_equal(dns_stats(dns)->in_flight, 0);
    dns_free(dns);
}

static void deadlines(void)
{
    static const struct dns_sim_record records[] = {{.name = "slow.test", .ip = "192.0.2.1", .delay_ms = 500},
                                                    {.name = "never.test", .delay_ms = UINT32_MAX}};
    begin(records, ARRAY_LEN(records));
    struct dns_answer a;
    uint64_t before = loop_now_ms();
    assert_int_equal(dns_resolve(dns, SPAN("slow.test"), before + 100, &a), ERR_DNS_TIMEOUT);
    assert_in_range(loop_now_ms() - before, 100, 101);
    // The query went on without its asker.
    assert_int_equal(fiber_sleep(600), ERR_OK);
    assert_int_equal(resolve("slow.test", &a), ERR_OK);
    assert_int_equal(n_asked, 2);
    before = loop_now_ms();
    assert_int_equal(resolve("never.test", &a), ERR_DNS_TIMEOUT);
    assert_in_range(loop_now_ms() - before, DNS_QUERY_TIMEOUT_MS, DNS_QUERY_TIMEOUT_MS + 1);
    assert_int_equal(resolve("never.test", &a), ERR_DNS_TIMEOUT); // kept for a second
    assert_int_equal(n_asked, 4);
    assert_int_equal(fiber_sleep(1001), ERR_OK);
    assert_int_equal(dns_resolve(dns, SPAN("never.test"), loop_now_ms() + 10, &a), ERR_DNS_TIMEOUT);
    assert_int_equal(n_asked, 6); // a new query, although the old one was never answered
    dns_free(dns);                // with two queries under way
}

static void second_family_is_not_waited_for_long(void)
{
    static const struct dns_sim_record records[] = {
        {.name = "a.test", .ip = "192.0.2.1", .ttl_s = 1, .delay_ms = 10},
        {.name = "a.test", .ip = "2001:db8::1", .ttl_s = 30, .delay_ms = 3000},
        {.name = "b.test", .ip = "2001:db8::2", .ttl_s = 30, .delay_ms = 10},
        {.name = "b.test", .ip = "192.0.2.2", .ttl_s = 30, .delay_ms = 300},
        {.name = "c.test", .ip = "2001:db8::3", .ttl_s = 30, .delay_ms = 300},
        {.name = "c.test", .ip = "192.0.2.3", .ttl_s = 30, .delay_ms = 10},
    };
    begin(records, ARRAY_LEN(records));
    struct dns_answer a;
    uint64_t before = loop_now_ms();
    assert_int_equal(resolve("a.test", &a), ERR_OK);
    EXPECT_IPS(&a, "192.0.2.1");
    assert_in_range(loop_now_ms() - before, 10 + DNS_SECOND_FAMILY_MS, 12 + DNS_SECOND_FAMILY_MS);
    // The first family's answer is too old before the second one's comes: a new query, and the old one gives
    // nothing any more.
    assert_int_equal(fiber_sleep(1500), ERR_OK);
    assert_int_equal(resolve("a.test", &a), ERR_OK);
    EXPECT_IPS(&a, "192.0.2.1");
    assert_int_equal(n_asked, 4);
    // IPv6 addresses wait for the IPv4 ones.
    before = loop_now_ms();
    assert_int_equal(resolve("b.test", &a), ERR_OK);
    EXPECT_IPS(&a, "2001:db8::2", "192.0.2.2");
    assert_in_range(loop_now_ms() - before, 300, 302);
    assert_int_equal(n_asked, 6);
    // A late second family is kept.
    assert_int_equal(resolve("c.test", &a), ERR_OK);
    EXPECT_IPS(&a, "192.0.2.3");
    assert_int_equal(fiber_sleep(400), ERR_OK);
    assert_int_equal(resolve("c.test", &a), ERR_OK);
    EXPECT_IPS(&a, "2001:db8::3", "192.0.2.3");
    assert_int_equal(n_asked, 8);
    dns_free(dns);
}

static void bounded_cache(void)
{
    static const struct dns_sim_record records[] = {{.name = "keep.test", .ip = "192.0.2.1", .ttl_s = 1000}};
    struct dns_config c = config_of(records, ARRAY_LEN(records));
    c.cache_entries = 8;
    assert_int_equal(dns_new(&c, &dns), ERR_OK);
    struct dns_answer a;
    assert_int_equal(resolve("keep.test", &a), ERR_OK);
    for (unsigned i = 0; i < 100; i++) {
        char name[32];
        snprintf(name, sizeof(name), "n%u.test", i);
        assert_int_equal(resolve(name, &a), ERR_DNS_FAILED);
        assert_true(dns_stats(dns)->entries <= 8);
        assert_int_equal(resolve("keep.test", &a), ERR_OK); // used, so it stays
    }
    assert_int_equal(n_asked, 202);
    assert_int_equal(resolve("n0.test", &a), ERR_DNS_FAILED);
    assert_int_equal(n_asked, 204); // long gone
    dns_free(dns);
}

static void full_of_queries(void)
{
    static const struct dns_sim_record records[] = {{.name = "a.test", .delay_ms = UINT32_MAX},
                                                    {.name = "b.test", .delay_ms = UINT32_MAX}};
    struct dns_config c = config_of(records, ARRAY_LEN(records));
    c.cache_entries = 2;
    assert_int_equal(dns_new(&c, &dns), ERR_OK);
    struct dns_answer a;
    assert_int_equal(dns_resolve(dns, SPAN("a.test"), loop_now_ms() + 1, &a), ERR_DNS_TIMEOUT);
    assert_int_equal(dns_resolve(dns, SPAN("b.test"), loop_now_ms() + 1, &a), ERR_DNS_TIMEOUT);
    assert_int_equal(resolve("c.test", &a), ERR_NO_MEMORY);
    assert_int_equal(fiber_sleep(DNS_QUERY_TIMEOUT_MS), ERR_OK);
    assert_int_equal(resolve("c.test", &a), ERR_DNS_FAILED);
    dns_free(dns);
}

static void another_configuration(void)
{
    static const struct dns_sim_record old[] =
        {{.name = "a.test", .ip = "192.0.2.1", .ttl_s = 100, .delay_ms = 50}},
                                       new[] = {{.name = "a.test", .ip = "192.0.2.2", .ttl_s = 100}};
    begin(old, 1);
    struct asking asking = {"a.test", DEADLINE_NONE, ERR_INTERNAL, .ended_ms = 0};
    struct fiber *f;
    assert_int_equal(fiber_start(asking_main, &asking, &f), ERR_OK);
    fiber_yield();
    struct dns_config c = config_of(new, 1);
    assert_int_equal(dns_set_config(dns, &c), ERR_OK);
    struct dns_answer a;
    assert_int_equal(resolve("a.test", &a), ERR_OK);
    EXPECT_IPS(&a, "192.0.2.2");
    fiber_join(f);
    assert_int_equal(asking.err, ERR_OK); // what was under way ended on the old resolver
    EXPECT_IPS(&asking.answer, "192.0.2.1");
    assert_int_equal(resolve("a.test", &a), ERR_OK);
    EXPECT_IPS(&a, "192.0.2.2"); // and left nothing behind
    // Fixed names alone do not empty the cache.
    struct arena arena;
    arena_init(&arena, ARENA_NO_LIMIT);
    struct dns_hosts h;
    dns_hosts_init(&h, &arena);
    struct addr ip = ip_of("10.0.0.1");
    assert_int_equal(dns_hosts_add(&h, SPAN("h.test"), &ip), ERR_OK);
    struct dns_config only_hosts = {.hosts = &h};
    assert_int_equal(dns_set_config(dns, &only_hosts), ERR_OK);
    unsigned n = n_asked;
    assert_int_equal(resolve("h.test", &a), ERR_OK);
    assert_int_equal(resolve("a.test", &a), ERR_OK);
    assert_int_equal(n_asked, n);
    dns_free(dns);
    arena_fini(&arena);
}

static void without_resolvers(void)
{
    struct dns_config c = {.hosts = NULL};
    assert_int_equal(dns_new(&c, &dns), ERR_OK);
    struct dns_answer a;
    assert_int_equal(resolve("a.test", &a), ERR_DNS_FAILED);
    assert_int_equal(resolve("192.0.2.1", &a), ERR_OK);
    dns_free(dns);
}

static void many_addresses(void)
{
    struct dns_sim_record records[40];
    char ips[40][32];
    for (unsigned i = 0; i < 40; i++) {
        snprintf(ips[i], sizeof(ips[i]), i < 20 ? "192.0.2.%u" : "2001:db8::%u", i);
        records[i] = (struct dns_sim_record){.name = "a.test", .ip = ips[i]};
    }
    begin(records, 40);
    struct dns_answer a;
    assert_int_equal(resolve("a.test", &a), ERR_OK);
    assert_int_equal(a.n, DNS_ADDRS_MAX);
    unsigned v4 = 0;
    for (unsigned i = 0; i < a.n; i++)
        v4 += a.addrs[i].family == AF_INET;
    assert_int_equal(v4, DNS_ADDRS_MAX / 2); // neither family pushes the other out
    dns_free(dns);
}

static void test_resolvers_from_file(void **state)
{
    (void)state;
    struct addr out[3];
    assert_int_equal(dns_resolvers_from_file(SPAN("# x\nsearch a.test\nnameserver 192.0.2.1\n"
                                                  "nameserver\t2001:db8::1 # y\n;nameserver 10.0.0.1\n"
                                                  "nameserver nonsense\nnameserver\nnameserver 127.0.0.53\n"
                                                  "nameserver 192.0.2.9"),
                                             out, 3),
                     3);
    static const char *const want[] = {"192.0.2.1", "2001:db8::1", "127.0.0.53"};
    for (unsigned i = 0; i < 3; i++) {
        struct addr a = at_port(want[i], 53);
        assert_true(addr_eq(&out[i], &a));
    }
    assert_int_equal(dns_resolvers_from_file(SPAN_NONE, out, 3), 0);
}

#define SCENARIO(fn)                                                                                         \
    static void test_##fn(void **state)                                                                      \
    {                                                                                                        \
        (void)state;                                                                                         \
        on_fiber(fn);                                                                                        \
    }
SCENARIO(literals)
SCENARIO(lengths)
SCENARIO(fixed_names)
SCENARIO(many_fixed_names)
SCENARIO(special_names)
SCENARIO(cache_and_ttl)
SCENARIO(negative_entries)
SCENARIO(one_query_for_many)
SCENARIO(deadlines)
SCENARIO(second_family_is_not_waited_for_long)
SCENARIO(bounded_cache)
SCENARIO(full_of_queries)
SCENARIO(another_configuration)
SCENARIO(without_resolvers)
SCENARIO(many_addresses)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_literals),
        cmocka_unit_test(test_lengths),
        cmocka_unit_test(test_fixed_names),
        cmocka_unit_test(test_many_fixed_names),
        cmocka_unit_test(test_special_names),
        cmocka_unit_test(test_cache_and_ttl),
        cmocka_unit_test(test_negative_entries),
        cmocka_unit_test(test_one_query_for_many),
        cmocka_unit_test(test_deadlines),
        cmocka_unit_test(test_second_family_is_not_waited_for_long),
        cmocka_unit_test(test_bounded_cache),
        cmocka_unit_test(test_full_of_queries),
        cmocka_unit_test(test_another_configuration),
        cmocka_unit_test(test_without_resolvers),
        cmocka_unit_test(test_many_addresses),
        cmocka_unit_test(test_resolvers_from_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
