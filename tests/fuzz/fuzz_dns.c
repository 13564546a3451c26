// SPDX-License-Identifier: Apache-2.0
// Answers of resolvers to a question for www.a.test, and the names, addresses and files that net reads. The
// first byte chooses the family.
#include "fuzz.h"

#include "net/dns_message.h"
#include "net/dns_name.h"
#include "net/prefix.h"

static void answer(struct span s, sa_family_t family)
{
    struct dns_records r;
    enum err e = dns_message_read(s, SPAN("www.a.test"), family, &r);
    CHECK(e == ERR_OK || e == ERR_DNS_FAILED);
    if (e)
        return;
    CHECK(r.n <= DNS_ADDRS_MAX && r.ttl_s <= INT32_MAX);
    for (unsigned i = 0; i < r.n; i++)
        CHECK(r.addrs[i].family == family);
}

static void services(struct span s)
{
    static struct dns_srv_answer a;
    enum err e = dns_message_read_srv(s, SPAN("www.a.test"), &a);
    CHECK(e == ERR_OK || e == ERR_DNS_FAILED);
    if (e)
        return;
    CHECK(a.n <= DNS_SRV_MAX && a.n_addrs <= DNS_SRV_ADDRS_MAX);
    for (unsigned i = 0; i < a.n; i++)
        CHECK(a.v[i].port && a.v[i].name[0] && strlen(a.v[i].name) <= DNS_NAME_MAX);
    for (unsigned i = 0; i < a.n_addrs; i++)
        CHECK(a.addrs[i].of < a.n && a.addrs[i].addr.port == 0);
}

static void texts(struct span s)
{
    struct arena arena;
    arena_init(&arena, 1 << 22);
    struct addr a, again;
    struct prefix p;
    char text[ADDR_TEXT_MAX];
    if (addr_parse(s, &arena, &a))
        CHECK(addr_parse(span_of(text, addr_format(&a, text)), &arena, &again) && addr_eq(&a, &again));
    if (prefix_parse(s, &p, NULL))
        CHECK(prefix_has(&p, &p.ip) ||
              p.bits < 96); // a wide IPv6 prefix around ::ffff:0:0/96 holds no IPv4 address
    struct dns_name name, same;
    if (dns_name_read(s, &name) == ERR_OK) {
        CHECK(dns_name_read(dns_name_span(&name), &same) == ERR_OK);
        CHECK(span_eq(dns_name_span(&name), dns_name_span(&same)) &&
              !addr_parse_ip(dns_name_span(&name), &a));
    }
    struct dns_hosts hosts;
    dns_hosts_init(&hosts, &arena);
    CHECK(dns_hosts_add_file(&hosts, s) || arena.total > 0);
    struct addr resolvers[3];
    CHECK(dns_resolvers_from_file(s, resolvers, ARRAY_LEN(resolvers)) <= ARRAY_LEN(resolvers));
    arena_fini(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    char *buf = fuzz_exact(data + 1, size - 1);
    struct span s = span_of(buf, size - 1);
    answer(s, data[0] & 1 ? AF_INET6 : AF_INET);
    services(s);
    texts(s);
    free(buf);
    return 0;
}
