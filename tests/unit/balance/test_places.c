// SPDX-License-Identifier: Apache-2.0
// What services stand for: weights as pickers want them, levels from priorities, and what stays of targets
// that fail.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "../io/io_test.h"
#include "balance/places.h"
#include "net/dns_sim.h"

#define NAME "_http._tcp.app.test"

static struct dns_sim_record records[16];
static unsigned n_records;
static struct dns *dns;
static struct server server;

static void put(struct dns_sim_record r)
{
    assert_true(n_records < ARRAY_LEN(records));
    records[n_records++] = r;
}

static void put_target(unsigned priority, unsigned weight, const char *target)
{
    put((struct dns_sim_record){.name = NAME,
                                .target = target,
                                .priority = (uint16_t)priority,
                                .weight = (uint16_t)weight,
                                .port = 80,
                                .ttl_s = 30});
}

static void put_ip(const char *name, const char *ip)
{
    put((struct dns_sim_record){.name = name, .ip = ip, .ttl_s = 20});
}

// A new table, and nothing cached.
static void resolver(void)
{
    struct dns_sim_options o = {.records = records, .n = n_records, .seed = 1};
    struct dns_config c = {.backend = dns_sim_new(&o)};
    assert_non_null(c.backend);
    if (dns)
        assert_int_equal(dns_set_config(dns, &c), ERR_OK);
    else
        assert_int_equal(dns_new(&c, &dns), ERR_OK);
}

static enum err find(struct places *ret)
{
    resolver();
    return places_find(dns, &server, DEADLINE_NONE, ret);
}

static void begin(void)
{
    server = (struct server){.name = SPAN("srv:" NAME), .host = SPAN(NAME), .is_service = true, .weight = 1};
    server.shared = server_shared_get(SPAN("pool"), server.name);
    assert_non_null(server.shared);
    n_records = 0;
    dns = NULL;
}

static void end(void)
{
    dns_free(dns);
    server_shared_unref(server.shared);
}

static const struct place *at(const struct places *p, const char *ip)
{
    struct addr a;
    assert_true(addr_parse_ip(span_str(ip), &a));
    a.port = 80;
    for (unsigned i = 0; i < p->n; i++)
        if (addr_eq(&p->v[i].addr, &a))
            return &p->v[i];
    return NULL;
}

static void weights(void)
{
    begin();
    struct places p;
    put_target(0, 10, "a.test");
    put_target(0, 30, "b.test");
    put_ip("a.test", "192.0.2.1");
    put_ip("b.test", "192.0.2.2");
    assert_int_equal(find(&p), ERR_OK);
    assert_int_equal(p.n, 2);
    assert_int_equal(p.ttl_s, 20);
    assert_int_equal(3 * at(&p, "192.0.2.1")->weight, at(&p, "192.0.2.2")->weight);
    // A target's addresses share its weight.
    put_ip("b.test", "2001:db8::2");
    assert_int_equal(find(&p), ERR_OK);
    assert_int_equal(p.n, 3);
    assert_in_range(at(&p, "192.0.2.1")->weight, 333, 334);
    assert_int_equal(at(&p, "192.0.2.2")->weight, 500);
    assert_int_equal(at(&p, "2001:db8::2")->weight, 500);
    // Next to nothing beside others.
    records[0].weight = 0;
    n_records--;
    assert_int_equal(find(&p), ERR_OK);
    assert_int_equal(at(&p, "192.0.2.1")->weight, 1);
    assert_int_equal(at(&p, "192.0.2.2")->weight, 1000);
    // Alike where all have none.
    records[1].weight = 0;
    assert_int_equal(find(&p), ERR_OK);
    assert_int_equal(at(&p, "192.0.2.1")->weight, at(&p, "192.0.2.2")->weight);
    // The largest there is.
    records[0].weight = 65535;
    records[1].weight = 13107;
    assert_int_equal(find(&p), ERR_OK);
    assert_int_equal(at(&p, "192.0.2.1")->weight, 1000);
    assert_int_equal(at(&p, "192.0.2.2")->weight, 200);
    end();
}

static void levels(void)
{
    begin();
    struct places p;
    static const unsigned priorities[] = {65535, 40, 30, 20, 10, 0};
    static const char *const names[] = {"a.test", "b.test", "c.test", "d.test", "e.test", "f.test"},
                             *const ips[] = {"192.0.2.1", "192.0.2.2", "192.0.2.3",
                                             "192.0.2.4", "192.0.2.5", "192.0.2.6"};
    for (unsigned i = 0; i < ARRAY_LEN(priorities); i++)
        put_target(priorities[i], 1, names[i]);
    for (unsigned i = 0; i < ARRAY_LEN(priorities) - 1; i++) // the first one has no address: it is no level
        put_ip(names[i], ips[i]);
    assert_int_equal(find(&p), ERR_OK);
    assert_int_equal(p.n, 5);
    assert_int_equal(p.partly, ERR_DNS_FAILED);
    assert_int_equal(at(&p, "192.0.2.5")->level, 0);
    assert_int_equal(at(&p, "192.0.2.4")->level, 1);
    assert_int_equal(at(&p, "192.0.2.3")->level, 2);
    assert_int_equal(at(&p, "192.0.2.2")->level, LEVELS_MAX - 1);
    assert_int_equal(at(&p, "192.0.2.1")->level, LEVELS_MAX - 1); // what is too much shares the last one
    end();
}

static void failures(void)
{
    begin();
    struct places p;
    assert_int_equal(find(&p), ERR_DNS_FAILED);
    put_target(0, 10, "a.test");
    put_target(0, 10, "b.test");
    put_ip("a.test", "192.0.2.1");
    put_ip("b.test", "192.0.2.2");
    assert_int_equal(find(&p), ERR_OK);
    assert_int_equal(p.partly, ERR_OK);
    assert_true(server_shared_set_places(server.shared, p.v, p.n));
    assert_false(server_shared_set_places(server.shared, p.v, p.n));
    n_records--;
    assert_int_equal(find(&p), ERR_OK); // b.test is gone, and keeps its place
    assert_int_equal(p.partly, ERR_DNS_FAILED);
    assert_int_equal(p.n, 2);
    assert_int_equal(at(&p, "192.0.2.2")->weight, 10);
    assert_true(p.ttl_s <= 5);
    n_records = 1;
    records[0].target = "c.test"; // of which nothing is known
    assert_int_equal(find(&p), ERR_DNS_FAILED);
    end();
}

#define SCENARIO(fn)                                                                                         \
    static void test_##fn(void **state)                                                                      \
    {                                                                                                        \
        (void)state;                                                                                         \
        on_fiber(fn);                                                                                        \
    }
SCENARIO(weights)
SCENARIO(levels)
SCENARIO(failures)

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_weights), cmocka_unit_test(test_levels),
                                       cmocka_unit_test(test_failures)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
