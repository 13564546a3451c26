// SPDX-License-Identifier: Apache-2.0
// Many fibers resolve and dial at once, some are canceled on the way, and the resolvers change under them. In
// any weather each of them must come to an end that fits its name, and never to an address that was denied.
#include <string.h>

#include "harness.h"
#include "net/dial.h"
#include "net/dns_sim.h"

enum { CLIENTS = 12, PORT = 80 };

static const struct dns_sim_record records[] = {
    {.name = "both.test", .ip = "2001:db8::1", .ttl_s = 1},
    {.name = "both.test", .ip = "192.0.2.1", .ttl_s = 1},
    {.name = "v4.test", .ip = "192.0.2.1", .ttl_s = 2},
    {.name = "half.test", .ip = "2001:db8::99", .ttl_s = 3}, // nobody listens there
    {.name = "half.test", .ip = "192.0.2.1", .ttl_s = 3},
    {.name = "late.test", .ip = "2001:db8::1", .ttl_s = 1, .delay_ms = 700},
    {.name = "late.test", .ip = "192.0.2.1", .ttl_s = 1, .delay_ms = 5},
    {.name = "mixed.test", .ip = "2001:db8::66"},
    {.name = "mixed.test", .ip = "192.0.2.1"},
    {.name = "denied.test", .ip = "2001:db8::66"},
    {.name = "nobody.test", .ip = "192.0.2.99"},
    {.name = "never.test", .delay_ms = UINT32_MAX},
    {.name = "sick.test", .err = ERR_DNS_FAILED},
    {.name = "_x._tcp.test", .target = "v4.test", .ttl_s = 1, .port = PORT, .delay_ms = 40},
    {.name = "_x._tcp.test", .target = "both.test", .ttl_s = 1, .port = PORT, .priority = 1},
};
static const struct {
    const char *name;
    enum err calm; // how it ends where nothing is in the way
} names[] = {
    {"both.test", ERR_OK},
    {"v4.test", ERR_OK},
    {"half.test", ERR_OK},
    {"late.test", ERR_OK},
    {"mixed.test", ERR_OK},
    {"denied.test", ERR_EGRESS_DENIED},
    {"nobody.test", ERR_CONNECT_REFUSED},
    {"never.test", ERR_DNS_TIMEOUT},
    {"sick.test", ERR_DNS_FAILED},
    {"absent.test", ERR_DNS_FAILED},
    {"127.1", ERR_EGRESS_DENIED},
    {"192.0.2.1", ERR_OK},
    {"_x._tcp.test", ERR_OK},
    {"_y._tcp.test", ERR_DNS_FAILED},
};

struct client {
    unsigned name;
    enum err err;
    bool canceled;
    struct fiber *fiber;
};

static struct dns *dns;
static struct io listeners[2];
static struct addr served[2], denied;
static struct client clients[CLIENTS];
static unsigned n_clients;
static bool done;

static struct addr at_port(const char *ip)
{
    struct addr a;
    EXPECT(addr_parse_ip(span_str(ip), &a));
    a.port = PORT;
    return a;
}

static enum err check(void *arg, const struct addr *a)
{
    (void)arg;
    return addr_eq(a, &denied) ? ERR_EGRESS_DENIED : ERR_OK;
}

static enum err find_service(const char *name)
{
    struct dns_srv_answer srv;
    enum err e = dns_resolve_srv(dns, span_str(name), deadline_in(2000), &srv);
    EXPECT(e || (srv.n == 2 && srv.v[1].port == PORT && srv.ttl_s == 1));
    return e;
}

static enum err reach(const char *name)
{
    struct dns_answer answer;
    if (name[0] == '_')
        return find_service(name);
    enum err e = dns_resolve(dns, span_str(name), DEADLINE_NONE, &answer);
    if (e)
        return e;
    EXPECT(answer.n > 0 && answer.n <= DNS_ADDRS_MAX && answer.ttl_s > 0);
    for (unsigned i = 0; i < answer.n; i++)
        answer.addrs[i].port = PORT;
    struct dial_request r = {.addrs = answer.addrs, .n = answer.n, .check = check};
    struct io io;
    struct addr used, peer;
    struct sockaddr_storage ss;
    e = dial(&r, deadline_in(20000), &io, &used);
    if (e)
        return e;
    EXPECT(addr_eq(&used, &served[0]) || addr_eq(&used, &served[1]));
    if (io_peer_address(&io, &ss) == ERR_OK) {
        EXPECT(addr_from_sockaddr((struct sockaddr *)&ss, sizeof(ss), &peer));
        EXPECT(addr_eq(&used, &peer));
    }
    io_close(&io);
    return ERR_OK;
}

static void client_main(void *arg)
{
    struct client *c = (struct client *)arg;
    c->err = reach(names[c->name].name);
    if (fiber_sleep(scenario_rand(3000)) == ERR_OK && !c->err)
        c->err = reach(names[c->name].name); // from the cache, or with what is new
}

static struct dns_config config(uint64_t seed)
{
    struct dns_sim_options o = {.records = records,
                                .n = ARRAY_LEN(records),
                                .seed = seed,
                                .fail_at = answer_fail_at,
                                .ret_asked = &answers_asked,
                                .delay_max_ms = (unsigned)scenario_rand(100)};
    struct dns_config c = {.backend = dns_sim_new(&o), .cache_entries = ARRAY_LEN(names)};
    EXPECT(c.backend != NULL);
    return c;
}

/// Starts the clients, disturbs some of them, and waits for all.
static void manager_main(void *arg)
{
    (void)arg;
    sim_spare_self();
    for (unsigned i = 0; i < n_clients; i++) {
        struct client *c = &clients[i];
        *c = (struct client){.name = (unsigned)scenario_rand(ARRAY_LEN(names)), .err = ERR_INTERNAL};
        EXPECT(fiber_start(client_main, c, &c->fiber) == ERR_OK);
    }
    EXPECT(fiber_sleep(scenario_rand(300)) == ERR_OK);
    struct dns_config c = config(~scenario_rand(1000));
    EXPECT(dns_set_config(dns, &c) == ERR_OK);
    for (unsigned i = 0; i < n_clients / 4; i++) {
        struct client *victim = &clients[scenario_rand(n_clients)];
        EXPECT(fiber_sleep(scenario_rand(400)) == ERR_OK);
        victim->canceled = true;
        fiber_cancel(victim->fiber, ERR_CANCELED);
    }
    for (unsigned i = 0; i < n_clients; i++)
        fiber_join(clients[i].fiber);
    done = true;
}

static void on_listener(struct io *l)
{
    bool before = sim_faults(false); // the servers are not what is being tested
    for (int fd; io_accept_now(l, &fd, NULL) == ERR_OK;) {
        struct io io;
        EXPECT(io_open(&io, fd) == ERR_OK);
        io_close(&io);
    }
    sim_faults(before);
}

static void begin(uint64_t seed, enum weather weather)
{
    (void)weather;
    done = false;
    served[0] = at_port("2001:db8::1");
    served[1] = at_port("192.0.2.1");
    denied = at_port("2001:db8::66");
    for (unsigned i = 0; i < ARRAY_LEN(served); i++) {
        struct sockaddr_storage ss;
        socklen_t len = addr_to_sockaddr(&served[i], &ss);
        EXPECT(io_open(&listeners[i], sim_listen((struct sockaddr *)&ss, len)) == ERR_OK);
        listeners[i].on_event = on_listener;
    }
    struct dns_config c = config(seed);
    EXPECT(dns_new(&c, &dns) == ERR_OK);
    n_clients = 1 + (unsigned)scenario_rand(CLIENTS);
    EXPECT(fiber_start(manager_main, NULL, NULL) == ERR_OK);
}

static bool is_done(void *arg)
{
    (void)arg;
    return done && fiber_live_count() == 0;
}

static bool may_end_so(const struct client *c, enum weather weather)
{
    enum err calm = names[c->name].calm, e = c->err;
    if (e == calm || (e == ERR_CANCELED && c->canceled))
        return true;
    if (weather == CALM)
        return false;
    // Trouble may come in between, but what must not succeed never does.
    return e == ERR_NO_MEMORY || e == ERR_NO_FILES || e == ERR_IO || e == ERR_CONNECT_REFUSED ||
           e == ERR_CONNECT_TIMEOUT || e == ERR_CONNECT_FAILED || e == ERR_DNS_FAILED ||
           e == ERR_DNS_TIMEOUT || e == ERR_EGRESS_DENIED; // of the one family that could be had
}

static void end(enum weather weather)
{
    for (unsigned i = 0; i < n_clients; i++)
        EXPECT(may_end_so(&clients[i], weather));
    EXPECT(dns_stats(dns)->entries <= ARRAY_LEN(names));
    dns_free(dns);
    for (unsigned i = 0; i < ARRAY_LEN(listeners); i++)
        io_close(&listeners[i]);
}

int main(void)
{
    static const struct scenario resolve_and_dial = {"resolve and dial", begin, is_done, end, 0, 0};
    return simulate(&resolve_and_dial);
}
