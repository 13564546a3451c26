// SPDX-License-Identifier: Apache-2.0
#include "net_test.h"

#include "net/dns_message.h"

struct packet {
    uint8_t bytes[8192];
    size_t len;
};

enum {
    A = 1,
    CNAME = 5,
    SOA = 6,
    TXT = 16,
    AAAA = 28,
    SRV = 33,
    IN = 1,
    CHAOS = 3,
    POINTER_TO_QUESTION = 0xc00c
};

static void put16(struct packet *p, unsigned v)
{
    p->bytes[p->len++] = (uint8_t)(v >> 8);
    p->bytes[p->len++] = (uint8_t)v;
}

static void put32(struct packet *p, uint32_t v)
{
    put16(p, v >> 16);
    put16(p, v & 0xffff);
}

static void put_name(struct packet *p, const char *name)
{
    struct span rest = span_str(name);
    while (rest.len) {
        struct span label = span_cut(&rest, '.');
        p->bytes[p->len++] = (uint8_t)label.len;
        memcpy(p->bytes + p->len, label.ptr, label.len);
        p->len += label.len;
    }
    p->bytes[p->len++] = 0;
}

static void begin(struct packet *p, unsigned flags, const char *name, unsigned type)
{
    p->len = 0;
    put16(p, 0x1234);
    put16(p, flags);
    put16(p, 1);
    put16(p, 0);
    put16(p, 0);
    put16(p, 0);
    put_name(p, name);
    put16(p, type);
    put16(p, IN);
}

/// section: 6 answers, 8 authority.
static void count(struct packet *p, unsigned section)
{
    unsigned n = (unsigned)(p->bytes[section] << 8 | p->bytes[section + 1]) + 1;
    p->bytes[section] = (uint8_t)(n >> 8);
    p->bytes[section + 1] = (uint8_t)n;
}

/// owner NULL: a pointer to the question's name. data_len is written as given.
static void put_record(struct packet *p, unsigned section, const char *owner, unsigned type, unsigned class,
                       uint32_t ttl, const void *data, size_t data_len)
{
    count(p, section);
    if (owner)
        put_name(p, owner);
    else
        put16(p, POINTER_TO_QUESTION);
    put16(p, type);
    put16(p, class);
    put32(p, ttl);
    put16(p, (unsigned)data_len);
    memcpy(p->bytes + p->len, data, data_len);
    p->len += data_len;
}

static void put_a(struct packet *p, const char *owner, uint32_t ttl, const char *ip)
{
    struct addr a = ip_of(ip);
    struct span b = addr_ip_bytes(&a);
    put_record(p, 6, owner, b.len == 4 ? A : AAAA, IN, ttl, b.ptr, b.len);
}

static void put_cname(struct packet *p, const char *owner, uint32_t ttl, const char *target)
{
    struct packet data = {.len = 0};
    put_name(&data, target);
    put_record(p, 6, owner, CNAME, IN, ttl, data.bytes, data.len);
}

static void put_soa(struct packet *p, uint32_t ttl, uint32_t minimum)
{
    struct packet data = {.len = 0};
    put_name(&data, "ns.test");
    put_name(&data, "admin.test");
    for (uint32_t i = 0; i < 4; i++)
        put32(&data, 1000 + i);
    put32(&data, minimum);
    put_record(p, 8, "test", SOA, IN, ttl, data.bytes, data.len);
}

static enum err read_packet(const struct packet *p, struct dns_records *r)
{
    // Exactly as long as it is, so that the sanitizer sees a read beyond it.
    char *copy = test_malloc(p->len + 1);
    memcpy(copy, p->bytes, p->len);
    enum err e = dns_message_read(span_of(copy, p->len), SPAN("www.a.test"), AF_INET, r);
    test_free(copy);
    return e;
}

static void test_addresses(void **state)
{
    (void)state;
    struct packet p;
    struct dns_records r;
    begin(&p, 0x8180, "WWW.a.Test", A);
    put_a(&p, NULL, 300, "192.0.2.1");
    put_a(&p, "www.A.test", 200, "192.0.2.2");
    put_a(&p, "other.test", 1, "192.0.2.66");            // another name
    put_a(&p, NULL, 1, "2001:db8::1");                   // another family
    put_record(&p, 6, NULL, A, CHAOS, 1, "\1\2\3\4", 4); // another class
    put_record(&p, 6, NULL, TXT, IN, 1, "\3abc", 4);
    assert_int_equal(read_packet(&p, &r), ERR_OK);
    assert_int_equal(r.n, 2);
    assert_int_equal(r.ttl_s, 200);
    struct addr want = ip_of("192.0.2.2");
    assert_true(addr_eq(&r.addrs[1], &want));

    begin(&p, 0x8180, "www.a.test", AAAA);
    put_a(&p, NULL, 300, "2001:db8::1");
    assert_int_equal(read_packet(&p, &r), ERR_DNS_FAILED); // not what was asked
    assert_int_equal(dns_message_read(span_of((char *)p.bytes, p.len), SPAN("www.a.test"), AF_INET6, &r),
                     ERR_OK);
    assert_int_equal(r.n, 1);
}

static void test_aliases(void **state)
{
    (void)state;
    struct packet p;
    struct dns_records r;
    begin(&p, 0x8180, "www.a.test", A);
    put_a(&p, "c.test", 300, "192.0.2.1"); // in any order
    put_cname(&p, "b.test", 100, "c.test");
    put_cname(&p, NULL, 200, "B.test");
    put_a(&p, NULL, 300, "192.0.2.66"); // a name with an alias has nothing else
    assert_int_equal(read_packet(&p, &r), ERR_OK);
    assert_int_equal(r.n, 1);
    assert_int_equal(r.addrs[0].v4[3], 1);
    assert_int_equal(r.ttl_s, 100);

    begin(&p, 0x8180, "www.a.test", A); // a circle
    put_cname(&p, NULL, 200, "b.test");
    put_cname(&p, "b.test", 200, "www.a.test");
    assert_int_equal(read_packet(&p, &r), ERR_DNS_FAILED);
    begin(&p, 0x8180, "www.a.test", A); // to itself
    put_cname(&p, NULL, 200, "www.a.test");
    assert_int_equal(read_packet(&p, &r), ERR_DNS_FAILED);

    for (unsigned n = DNS_ALIASES_MAX; n <= DNS_ALIASES_MAX + 1; n++) {
        begin(&p, 0x8180, "www.a.test", A);
        char from[] = "a.test", to[] = "a.test";
        for (unsigned i = 0; i < n; i++) {
            to[0] = (char)('a' + i);
            from[0] = (char)('a' + i - 1);
            put_cname(&p, i ? from : NULL, 60, to);
        }
        put_a(&p, to, 60, "192.0.2.1");
        assert_int_equal(read_packet(&p, &r), n > DNS_ALIASES_MAX ? ERR_DNS_FAILED : ERR_OK);
    }
    // The target has bytes that no name of ours has.
    begin(&p, 0x8180, "www.a.test", A);
    put_record(&p, 6, NULL, CNAME, IN, 60, "\3a.b\4test", 10);
    assert_int_equal(read_packet(&p, &r), ERR_DNS_FAILED);
    begin(&p, 0x8180, "www.a.test", A);
    put_record(&p, 6, NULL, CNAME, IN, 60, "\1b\4test", 6); // without its end
    assert_int_equal(read_packet(&p, &r), ERR_DNS_FAILED);
    begin(&p, 0x8180, "www.a.test", A);
    put_record(&p, 6, NULL, CNAME, IN, 60, "\1b\4test\0more", 12); // and with something behind it
    assert_int_equal(read_packet(&p, &r), ERR_DNS_FAILED);
}

static void test_none(void **state)
{
    (void)state;
    struct packet p;
    struct dns_records r;
    static const struct {
        uint32_t ttl, minimum, want;
    } rows[] = {{600, 30, 30}, {20, 900, 20}, {0, 0, 0}};
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        begin(&p, i ? 0x8180 : 0x8183, "www.a.test", A); // NXDOMAIN, NODATA
        put_soa(&p, rows[i].ttl, rows[i].minimum);
        assert_int_equal(read_packet(&p, &r), ERR_OK);
        assert_int_equal(r.n, 0);
        assert_int_equal(r.ttl_s, rows[i].want);
    }
    begin(&p, 0x8183, "www.a.test", A); // without a SOA it is not to be kept
    assert_int_equal(read_packet(&p, &r), ERR_OK);
    assert_int_equal(r.ttl_s, 0);
    begin(&p, 0x8183, "www.a.test", A);
    put_record(&p, 8, "test", SOA, IN, 600, "\0\0\0\0\0\1", 6);
    assert_int_equal(read_packet(&p, &r), ERR_OK);
    assert_int_equal(r.ttl_s, 0);
    begin(&p, 0x8180, "www.a.test", A); // an alias to nothing
    put_cname(&p, NULL, 5, "b.test");
    put_soa(&p, 600, 600);
    assert_int_equal(read_packet(&p, &r), ERR_OK);
    assert_int_equal(r.n, 0);
    assert_int_equal(r.ttl_s, 5);
}

static void test_refused(void **state)
{
    (void)state;
    static const unsigned flags[] = {
        0x0180, // a question
        0x8380, // truncated
        0x8181, // FORMERR
        0x8182, // SERVFAIL
        0x8185, // REFUSED
    };
    struct packet p;
    struct dns_records r;
    for (size_t i = 0; i < ARRAY_LEN(flags); i++) {
        begin(&p, flags[i], "www.a.test", A);
        put_a(&p, NULL, 300, "192.0.2.1");
        assert_int_equal(read_packet(&p, &r), ERR_DNS_FAILED);
    }
    begin(&p, 0x8180, "www.b.test", A); // another name
    put_a(&p, NULL, 300, "192.0.2.1");
    assert_int_equal(read_packet(&p, &r), ERR_DNS_FAILED);
    begin(&p, 0x8180, "www.a.test", A);
    p.bytes[5] = 2; // two questions
    assert_int_equal(read_packet(&p, &r), ERR_DNS_FAILED);
    begin(&p, 0x8180, "www.a.test", A);
    put_record(&p, 6, NULL, A, IN, 300, "\1\2\3", 3); // an address of three bytes
    assert_int_equal(read_packet(&p, &r), ERR_DNS_FAILED);
    begin(&p, 0x8180, "www.a.test", A);
    put_record(&p, 6, NULL, A, IN, 300, "\1\2\3\4\5", 5);
    assert_int_equal(read_packet(&p, &r), ERR_DNS_FAILED);
}

static void test_pointers(void **state)
{
    (void)state;
    static const unsigned pointers[] = {
        0xc000 | 28, // to itself: the record begins at 28
        0xc000 | 29, 0xffff, 0x8000, 0x4000,
    };
    struct packet p;
    struct dns_records r;
    for (size_t i = 0; i < ARRAY_LEN(pointers); i++) {
        begin(&p, 0x8180, "www.a.test", A);
        assert_int_equal(p.len, 28);
        put_a(&p, NULL, 300, "192.0.2.1");
        p.bytes[28] = (uint8_t)(pointers[i] >> 8);
        p.bytes[29] = (uint8_t)pointers[i];
        assert_int_equal(read_packet(&p, &r), ERR_DNS_FAILED);
    }
    // A question that points at itself.
    begin(&p, 0x8180, "www.a.test", A);
    p.bytes[12] = 0xc0;
    p.bytes[13] = 12;
    assert_int_equal(read_packet(&p, &r), ERR_DNS_FAILED);
    // A pointer in the middle of a name: "www" and the question's ".a.test" at 16.
    begin(&p, 0x8180, "www.a.test", A);
    count(&p, 6);
    memcpy(p.bytes + p.len, "\3WwW\xc0\x10\0\1\0\1\0\0\0\7\0\4\1\2\3\4", 20);
    p.len += 20;
    assert_int_equal(read_packet(&p, &r), ERR_OK);
    assert_int_equal(r.n, 1);
}

/// A message cut anywhere is refused; one with any byte changed does no harm.
static void test_damaged(void **state)
{
    (void)state;
    struct packet p, cut;
    struct dns_records r;
    begin(&p, 0x8180, "www.a.test", A);
    put_cname(&p, NULL, 200, "b.test");
    put_a(&p, "b.test", 300, "192.0.2.1");
    assert_int_equal(read_packet(&p, &r), ERR_OK);
    for (size_t n = 0; n < p.len; n++) {
        cut = p;
        cut.len = n;
        assert_int_equal(read_packet(&cut, &r), ERR_DNS_FAILED);
    }
    begin(&p, 0x8180, "www.a.test", A);
    put_cname(&p, NULL, 200, "b.test");
    put_soa(&p, 100, 100);
    for (size_t i = 0; i < p.len; i++) {
        for (unsigned v = 0; v < 256; v++) {
            cut = p;
            cut.bytes[i] = (uint8_t)v;
            enum err e = read_packet(&cut, &r);
            assert_true(e == ERR_OK || e == ERR_DNS_FAILED);
        }
    }
}

static void test_many_records(void **state)
{
    (void)state;
    struct packet p;
    struct dns_records r;
    begin(&p, 0x8180, "www.a.test", A);
    for (unsigned i = 0; i < DNS_RECORDS_MAX + 50; i++)
        put_a(&p, NULL, i < DNS_RECORDS_MAX ? 300 : 1, "192.0.2.1");
    assert_int_equal(read_packet(&p, &r), ERR_OK);
    assert_int_equal(r.n, DNS_ADDRS_MAX);
    assert_int_equal(r.ttl_s, 300);
    begin(&p, 0x8180, "www.a.test", A);
    put_a(&p, NULL, 0x80000000, "192.0.2.1"); // RFC 2181 8
    assert_int_equal(read_packet(&p, &r), ERR_OK);
    assert_int_equal(r.ttl_s, 0);
}

// ---- SRV

static void put_srv(struct packet *p, const char *owner, uint32_t ttl, unsigned priority, unsigned weight,
                    unsigned port, const char *target)
{
    struct packet data = {.len = 0};
    put16(&data, priority);
    put16(&data, weight);
    put16(&data, port);
    put_name(&data, target);
    put_record(p, 6, owner, SRV, IN, ttl, data.bytes, data.len);
}

static enum err read_srv(const struct packet *p, struct dns_srv_answer *ret)
{
    char *copy = test_malloc(p->len + 1);
    memcpy(copy, p->bytes, p->len);
    enum err e = dns_message_read_srv(span_of(copy, p->len), SPAN("_http._tcp.a.test"), ret);
    test_free(copy);
    return e;
}

static void test_services(void **state)
{
    (void)state;
    static struct dns_srv_answer a;
    struct packet p;
    begin(&p, 0x8180, "_http._tcp.a.test", SRV);
    put_cname(&p, NULL, 90, "_http._tcp.b.test");
    put_srv(&p, "_http._tcp.b.test", 60, 10, 65535, 8080, "One.b.test");
    put_srv(&p, "_http._tcp.b.test", 70, 0, 0, 65535, "two.b.test");
    put_srv(&p, "_http._tcp.c.test", 1, 0, 0, 1, "other.b.test"); // nobody asked for that
    put_record(&p, 10, "two.b.test", A, IN, 50, "\xc0\0\2\1", 4);
    put_record(&p, 10, "two.b.test", AAAA, IN, 55, "\x20\1\xd\xb8\0\0\0\0\0\0\0\0\0\0\0\1", 16);
    put_record(&p, 10, "stranger.test", A, IN, 2, "\xc0\0\2\2", 4);
    put_record(&p, 10, "two.b.test", A, IN, 2, "\xc0\0\2", 3); // is no address
    assert_int_equal(read_srv(&p, &a), ERR_OK);
    assert_int_equal(a.n, 2);
    assert_string_equal(a.v[0].name, "one.b.test");
    assert_int_equal(a.v[0].priority, 10);
    assert_int_equal(a.v[0].weight, 65535);
    assert_int_equal(a.v[0].port, 8080);
    assert_string_equal(a.v[1].name, "two.b.test");
    assert_int_equal(a.n_addrs, 2);
    assert_int_equal(a.addrs[0].of, 1);
    struct addr v4 = ip_of("192.0.2.1"), v6 = ip_of("2001:db8::1");
    assert_true(addr_eq(&a.addrs[0].addr, &v4) && addr_eq(&a.addrs[1].addr, &v6));
    assert_int_equal(a.ttl_s, 50);
}

static void test_services_that_are_none(void **state)
{
    (void)state;
    static struct dns_srv_answer a;
    struct packet p;
    begin(&p, 0x8183, "_http._tcp.a.test", SRV);
    assert_int_equal(read_srv(&p, &a), ERR_OK);
    assert_int_equal(a.n, 0);
    begin(&p, 0x8180, "_http._tcp.a.test", SRV);
    put_srv(&p, NULL, 60, 0, 0, 80, ""); // RFC 2782: decidedly not available
    put_srv(&p, NULL, 60, 0, 0, 0, "x.test");
    assert_int_equal(read_srv(&p, &a), ERR_OK);
    assert_int_equal(a.n, 0);
    begin(&p, 0x8180, "_http._tcp.a.test", A); // another question
    assert_int_equal(read_srv(&p, &a), ERR_DNS_FAILED);
    for (size_t cut = 0; cut < 12; cut++) { // a record too short, or with more than it may have
        begin(&p, 0x8180, "_http._tcp.a.test", SRV);
        put_record(&p, 6, NULL, SRV, IN, 60, "\0\1\0\1\0\x50\1x\0yyyy", cut == 9 ? 11 : cut);
        assert_int_equal(read_srv(&p, &a), ERR_DNS_FAILED);
    }
}

static void test_more_services_than_places(void **state)
{
    (void)state;
    static struct dns_srv_answer a;
    struct packet p;
    begin(&p, 0x8180, "_http._tcp.a.test", SRV);
    for (unsigned i = 0; i < DNS_SRV_MAX + 9; i++)
        put_srv(&p, NULL, 60, 0, 0, 1 + i, "x.test");
    for (unsigned i = 0; i < DNS_SRV_ADDRS_MAX; i++) // each counts for all of them
        put_record(&p, 10, "x.test", A, IN, 60, "\xc0\0\2\1", 4);
    assert_int_equal(read_srv(&p, &a), ERR_OK);
    assert_int_equal(a.n, DNS_SRV_MAX);
    assert_int_equal(a.n_addrs, DNS_SRV_ADDRS_MAX);
    p.len -= 7; // what comes beside may be cut off
    assert_int_equal(read_srv(&p, &a), ERR_OK);
    assert_int_equal(a.n, DNS_SRV_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses),
        cmocka_unit_test(test_aliases),
        cmocka_unit_test(test_none),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_pointers),
        cmocka_unit_test(test_damaged),
        cmocka_unit_test(test_many_records),
        cmocka_unit_test(test_services),
        cmocka_unit_test(test_services_that_are_none),
        cmocka_unit_test(test_more_services_than_places),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
