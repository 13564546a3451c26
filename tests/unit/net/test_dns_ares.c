// SPDX-License-Identifier: Apache-2.0
// The resolver with c-ares against a server on 127.0.0.1, which a thread of the test is: it answers by UDP
// and TCP, by the first label of the name.
#include "net_test.h"

#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <strings.h>
#include <unistd.h>

#include "../io/io_test.h"
#include "net/dns_ares.h"

enum { TYPE_A = 1, HEADER = 12, MESSAGE_MAX = 4096, TCP_PIECE = 7, MANY = 100 };

static struct server {
    int udp, tcp, stop[2];
    uint16_t port;
    pthread_t udp_thread, tcp_thread;
    _Atomic unsigned n_udp, n_tcp, n_edns, n_mixed, n_ports;
    uint16_t last_port;
} server;

static size_t put(uint8_t *out, size_t at, const void *bytes, size_t n)
{
    memcpy(out + at, bytes, n);
    return at + n;
}

static size_t put_ip(uint8_t *out, size_t at, uint16_t type, uint8_t last)
{
    uint8_t head[12] = {0xc0, 12, 0, (uint8_t)type, 0, 1, 0, 0, 0, 100, 0, type == TYPE_A ? 4 : 16};
    uint8_t ip[16] = {192, 0, 2};
    if (type != TYPE_A)
        memcpy(ip, "\x20\x01\x0d\xb8", 4);
    ip[head[11] - 1] = last;
    at = put(out, at, head, sizeof(head));
    return put(out, at, ip, head[11]);
}

static bool label_is(const uint8_t *query, const char *label)
{
    return query[HEADER] == strlen(label) &&
           strncasecmp((const char *)query + HEADER + 1, label, query[HEADER]) == 0;
}

/// The length of the answer; 0: none.
static size_t answer(const uint8_t *query, size_t len, bool tcp, uint8_t *out)
{
    size_t at = HEADER;
    while (at < len && query[at])
        at += query[at] + 1u;
    at += 5;
    if (at > len || label_is(query, "silent"))
        return 0;
    uint16_t type = query[at - 3];
    bool edns = query[11] == 1 && len == at + 11 && query[at + 2] == 41 && query[at + 3] << 8 | query[at + 4];
    server.n_edns += edns;
    for (size_t i = HEADER, mixed = 0; i < at; i++)
        server.n_mixed += query[i] >= 'A' && query[i] <= 'Z' && !mixed++;
    memcpy(out, query, at);
    memset(out + 6, 0, 6);
    out[2] = 0x81;
    out[3] = 0x80;
    if (label_is(query, "servfail")) {
        out[3] |= 2;
    } else if (label_is(query, "nobody")) {
        out[3] |= 3;
    } else if (label_is(query, "old") && edns) {
        out[3] |= 1; // RFC 6891 7: a format error, and nothing more
    } else if (label_is(query, "broken")) {
        out[7] = 1; // an answer that is not there
    } else if (label_is(query, "foreign")) {
        out[HEADER + 1] ^= 1; // another name than was asked for
    } else if (label_is(query, "truncated") && !tcp) {
        out[2] |= 2;
    } else if (label_is(query, "many")) {
        if (!tcp) {
            out[2] |= 2;
        } else {
            out[7] = MANY;
            for (unsigned i = 0; i < MANY; i++)
                at = put_ip(out, at, type, (uint8_t)i);
        }
    } else if (!(label_is(query, "four") && type != TYPE_A)) {
        out[7] = 1;
        at = put_ip(out, at, type, 1);
    }
    if (label_is(query, "flat"))
        for (size_t i = HEADER + 1; i < HEADER + 20u; i++)
            out[i] |= out[i] >= 'A' && out[i] <= 'Z' ? 0x20 : 0;
    return at;
}

static void serve_udp(struct server *s)
{
    uint8_t in[MESSAGE_MAX], out[MESSAGE_MAX];
    struct sockaddr_in from;
    socklen_t from_len = sizeof(from);
    ssize_t n = recvfrom(s->udp, in, sizeof(in), 0, (struct sockaddr *)&from, &from_len);
    if (n < HEADER + 5)
        return;
    s->n_udp++;
    s->n_ports += from.sin_port != s->last_port;
    s->last_port = from.sin_port;
    size_t len = answer(in, (size_t)n, false, out);
    if (len && label_is(in, "forged")) { // first somebody who does not know the number
        out[0] ^= 0x55;
        out[len - 1] = 66;
        sendto(s->udp, out, len, 0, (struct sockaddr *)&from, from_len);
        out[0] ^= 0x55;
        out[len - 1] = 1;
    }
    if (len && label_is(in, "guessed")) { // the number is right, the case is not
        out[HEADER + 1] ^= 0x20;
        out[len - 1] = 66;
    }
    if (len)
        sendto(s->udp, out, len, 0, (struct sockaddr *)&from, from_len);
}

/// False: there is no more, or the test is over.
static bool wait_readable(struct server *s, int fd)
{
    struct pollfd p[] = {{fd, POLLIN, 0}, {s->stop[0], POLLIN, 0}};
    return poll(p, 2, -1) > 0 && !p[1].revents;
}

static bool read_all(struct server *s, int fd, uint8_t *buf, size_t n)
{
    for (size_t got = 0; got < n;) {
        if (!wait_readable(s, fd))
            return false;
        ssize_t k = read(fd, buf + got, n - got);
        if (k <= 0)
            return false;
        got += (size_t)k;
    }
    return true;
}

/// Every query on the connection, answered a few bytes at a time.
static void serve_tcp(struct server *s)
{
    int fd = accept(s->tcp, NULL, NULL);
    uint8_t in[MESSAGE_MAX], out[MESSAGE_MAX + 2], prefix[2];
    while (fd >= 0 && read_all(s, fd, prefix, 2)) {
        size_t n = (size_t)(prefix[0] << 8 | prefix[1]);
        if (n < HEADER + 5 || n > sizeof(in) || !read_all(s, fd, in, n))
            break;
        s->n_tcp++;
        size_t len = answer(in, n, true, out + 2);
        out[0] = (uint8_t)(len >> 8);
        out[1] = (uint8_t)len;
        for (size_t at = 0; at < len + 2; at += TCP_PIECE)
            if (send(fd, out + at, MIN(len + 2 - at, (size_t)TCP_PIECE), MSG_NOSIGNAL) < 0)
                break;
    }
    if (fd >= 0)
        close(fd);
}

/// UDP and TCP have a thread each: a connection may stay open while datagrams come.
static void *server_main(struct server *s, int fd, void (*serve)(struct server *s))
{
    while (wait_readable(s, fd))
        serve(s);
    return NULL;
}

static void *udp_main(void *arg)
{
    struct server *s = (struct server *)arg;
    return server_main(s, s->udp, serve_udp);
}

static void *tcp_main(void *arg)
{
    struct server *s = (struct server *)arg;
    return server_main(s, s->tcp, serve_tcp);
}

static int server_start(void **state)
{
    (void)state;
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    for (unsigned i = 0; i < 50; i++) { // a port that is free for both
        a.sin_port = 0;
        server.udp = socket(AF_INET, SOCK_DGRAM, 0);
        server.tcp = socket(AF_INET, SOCK_STREAM, 0);
        if (bind(server.udp, (struct sockaddr *)&a, len) == 0 &&
            getsockname(server.udp, (struct sockaddr *)&a, &len) == 0 &&
            bind(server.tcp, (struct sockaddr *)&a, len) == 0)
            break;
        close(server.udp);
        close(server.tcp);
    }
    server.port = ntohs(a.sin_port);
    return listen(server.tcp, 16) || pipe(server.stop) ||
           pthread_create(&server.udp_thread, NULL, udp_main, &server) ||
           pthread_create(&server.tcp_thread, NULL, tcp_main, &server);
}

static int server_stop(void **state)
{
    (void)state;
    if (write(server.stop[1], "x", 1) != 1)
        return -1;
    pthread_join(server.udp_thread, NULL);
    pthread_join(server.tcp_thread, NULL);
    close(server.udp);
    close(server.tcp);
    close(server.stop[0]);
    close(server.stop[1]);
    return 0;
}

static struct dns *dns;

static void begin(uint64_t query_timeout_ms)
{
    struct addr a = addr_v4(127, 0, 0, 1, server.port);
    struct dns_config c = {.resolvers = &a, .n_resolvers = 1, .query_timeout_ms = query_timeout_ms};
    server.n_udp = server.n_tcp = 0;
    assert_int_equal(dns_new(&c, &dns), ERR_OK);
}

static enum err resolve(const char *name, struct dns_answer *ret)
{
    return dns_resolve(dns, span_str(name), DEADLINE_NONE, ret);
}

/// Resolves to one address of each family. Where one of them is late, the first answer is without it, but the
/// cache gets it.
static void expect_both(const char *name)
{
    struct addr v4 = ip_of("192.0.2.1"), v6 = ip_of("2001:db8::1");
    struct dns_answer a = {.n = 0};
    do {
        assert_int_equal(resolve(name, &a), ERR_OK);
        assert_int_equal(fiber_sleep(a.n < 2), ERR_OK);
    } while (a.n < 2);
    assert_int_equal(a.n, 2);
    assert_true(addr_eq(&a.addrs[0], &v6));
    assert_true(addr_eq(&a.addrs[1], &v4));
}

static void answers(void)
{
    begin(0);
    struct dns_answer a;
    expect_both("plain.test");
    assert_int_equal(resolve("Plain.test.", &a), ERR_OK);
    assert_in_range(a.ttl_s, 1, 100);
    assert_int_equal(server.n_udp, 2);
    assert_int_equal(server.n_tcp, 0);
    assert_int_equal(resolve("four.test", &a), ERR_OK);
    assert_int_equal(a.n, 1);
    expect_both("forged.test");
    dns_free(dns);
}

static void truncated(void)
{
    begin(0);
    expect_both("truncated.test");
    assert_int_equal(server.n_udp, 2);
    assert_int_equal(server.n_tcp, 2);
    struct dns_answer a;
    do {
        assert_int_equal(resolve("many.test", &a), ERR_OK);
        assert_int_equal(fiber_sleep(server.n_tcp < 4), ERR_OK);
    } while (server.n_tcp < 4); // the other family may be late
    assert_int_equal(a.n, DNS_ADDRS_MAX);
    dns_free(dns);
}

static void failures(void)
{
    begin(0);
    struct dns_answer a;
    static const char *const names[] = {"nobody.test", "servfail.test", "broken.test"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        unsigned before = server.n_udp;
        assert_int_equal(resolve(names[i], &a), ERR_DNS_FAILED);
        unsigned asked = server.n_udp - before;
        assert_true(asked >= 2);
        assert_int_equal(resolve(names[i], &a), ERR_DNS_FAILED); // from the cache
        assert_int_equal(server.n_udp - before, asked);
    }
    dns_free(dns);
}

static void nobody_answers(void)
{
    begin(300);
    struct dns_answer a;
    assert_int_equal(resolve("silent.test", &a), ERR_DNS_TIMEOUT);
    assert_int_equal(resolve("foreign.test", &a), ERR_DNS_TIMEOUT); // an answer to another question is none
    dns_free(dns);                                                  // while c-ares still waits
}

static void nobody_there(void)
{
    struct addr a = addr_v4(127, 0, 0, 1, 1);
    struct dns_config c = {.resolvers = &a, .n_resolvers = 1};
    assert_int_equal(dns_new(&c, &dns), ERR_OK);
    struct dns_answer answer_;
    assert_int_equal(resolve("plain.test", &answer_), ERR_DNS_FAILED);
    dns_free(dns);
}

/// The first resolver is nobody, the second one answers.
static void second_resolver(void)
{
    struct addr a[] = {addr_v4(127, 0, 0, 1, 1), addr_v4(127, 0, 0, 1, server.port)};
    struct dns_config c = {.resolvers = a, .n_resolvers = 2};
    assert_int_equal(dns_new(&c, &dns), ERR_OK);
    struct dns_answer answer_;
    expect_both("plain.test");
    // With the resolvers the cache goes; the same ones change nothing.
    assert_int_equal(dns_set_config(dns, &c), ERR_OK);
    unsigned before = server.n_udp;
    assert_int_equal(resolve("plain.test", &answer_), ERR_OK);
    assert_int_equal(server.n_udp, before);
    struct dns_config other = {.resolvers = &a[1], .n_resolvers = 1};
    assert_int_equal(dns_set_config(dns, &other), ERR_OK);
    expect_both("plain.test");
    assert_int_equal(server.n_udp, before + 2);
    dns_free(dns);
}

struct asking {
    char name[32];
    enum err err;
    struct dns_answer answer;
};

static void asking_main(void *arg)
{
    struct asking *a = (struct asking *)arg;
    a->err = resolve(a->name, &a->answer);
}

static void many_names_at_once(void)
{
    enum { N = 60 }; // twice as many datagrams as that fit into the server's buffer
    static struct asking asking[N];
    static struct fiber *f[N];
    begin(0);
    for (unsigned i = 0; i < N; i++) {
        snprintf(asking[i].name, sizeof(asking[i].name), "%s.n%u.test", i % 10 ? "plain" : "truncated", i);
        assert_int_equal(fiber_start(asking_main, &asking[i], &f[i]), ERR_OK);
    }
    for (unsigned i = 0; i < N; i++) {
        fiber_join(f[i]);
        assert_int_equal(asking[i].err, ERR_OK);
        expect_both(asking[i].name);
    }
    dns_free(dns);
}

/// As for a resolver that is not on this machine.
static void begin_guarded(void)
{
    struct addr a = addr_v4(127, 0, 0, 1, server.port);
    struct dns_config c = {.backend = NULL};
    server.n_udp = server.n_tcp = server.n_edns = server.n_mixed = server.n_ports = 0;
    server.last_port = 0;
    assert_int_equal(dns_ares_new(&a, 1, true, &c.backend), ERR_OK);
    assert_int_equal(dns_new(&c, &dns), ERR_OK);
}

static void guarded(void)
{
    begin_guarded();
    static const char *const names[] = {"plain.one.test",  "plain.two.test",  "plain.three.test",
                                        "plain.four.test", "plain.five.test", "plain.six.test"};
    for (size_t i = 0; i < ARRAY_LEN(names); i++)
        expect_both(names[i]);
    assert_int_equal(server.n_tcp, 0);
    assert_int_equal(server.n_edns, server.n_udp);
    assert_true(server.n_mixed > 0); // of some 70 letters
    assert_true(server.n_ports > 1); // not the same for all
    expect_both("forged.test");
    dns_free(dns);
}

static void guarded_against_guesses(void)
{
    begin_guarded();
    expect_both("guessed.test");
    assert_int_equal(server.n_tcp, 2);
    expect_both(
        "flat.aaaaaaaaaaaaaaaaaaaa.test"); // a resolver that does not keep the case is believed by TCP
    assert_true(server.n_tcp > 2);
    expect_both("truncated.test");
    dns_free(dns);
}

static void guarded_without_edns(void)
{
    begin_guarded();
    expect_both("old.test");
    unsigned before = server.n_udp;
    expect_both("old.again.test");
    assert_true(server.n_udp - before <= 4);
    before = server.n_udp;
    expect_both("old.at-last.test"); // it is known by now
    assert_int_equal(server.n_udp - before, 2);
    struct dns_answer a;
    assert_int_equal(resolve("nobody.test", &a), ERR_DNS_FAILED);
    dns_free(dns);
}

#define SCENARIO(fn)                                                                                         \
    static void test_##fn(void **state)                                                                      \
    {                                                                                                        \
        (void)state;                                                                                         \
        on_fiber(fn);                                                                                        \
    }
SCENARIO(answers)
SCENARIO(truncated)
SCENARIO(failures)
SCENARIO(nobody_answers)
SCENARIO(nobody_there)
SCENARIO(second_resolver)
SCENARIO(many_names_at_once)
SCENARIO(guarded)
SCENARIO(guarded_against_guesses)
SCENARIO(guarded_without_edns)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test(test_truncated),
        cmocka_unit_test(test_failures),
        cmocka_unit_test(test_nobody_answers),
        cmocka_unit_test(test_nobody_there),
        cmocka_unit_test(test_second_resolver),
        cmocka_unit_test(test_many_names_at_once),
        cmocka_unit_test(test_guarded),
        cmocka_unit_test(test_guarded_against_guesses),
        cmocka_unit_test(test_guarded_without_edns),
    };
    return cmocka_run_group_tests(tests, server_start, server_stop);
}
