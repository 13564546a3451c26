// SPDX-License-Identifier: Apache-2.0
// Two-way relaying with half-closes over the operations of io/ alone: what breaks must be seen as broken by
// the client, never as an orderly end, and every connection must be accounted for.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

#include "base/mem.h"
#include "harness.h"

enum { CLIENTS = 6, REQUEST_MAX = 20000, PATIENCE_MS = 20000, RETRY_MS = 50 };

static struct sockaddr_in relay_addr, origin_addr;
static struct io relay_listener, origin_listener;
static struct timer retry;
static unsigned n_clients, n_ok, n_failed, n_relayed, n_relays_ended;

static uint64_t patience(void)
{
    return loop_now_ms() + PATIENCE_MS;
}

static enum err send_all(struct io *io, const char *p, size_t n)
{
    while (n) {
        struct iovec v = {(void *)(uintptr_t)p, n};
        size_t k;
        enum err e = io_sendv(io, &v, 1, false, patience(), &k);
        if (e)
            return e;
        p += k;
        n -= k;
    }
    return ERR_OK;
}

// ---- What is tested: the relay

struct relay {
    struct io client, upstream;
    struct fiber *parent, *child;
};

static enum err pump(struct io *from, struct io *to)
{
    char buf[3000];
    for (;;) {
        size_t n;
        enum err e = io_recv(from, buf, sizeof(buf), patience(), &n);
        if (e == ERR_EOF) {
            io_shutdown_write(to);
            return ERR_OK;
        }
        if (!e)
            e = send_all(to, buf, n);
        if (e)
            return e;
    }
}

static void downward_main(void *arg)
{
    struct relay *r = (struct relay *)arg;
    enum err e = pump(&r->upstream, &r->client);
    if (e)
        fiber_cancel(r->parent, e);
}

static enum err relay_both(struct relay *r)
{
    enum err e =
        io_connect(&r->upstream, (struct sockaddr *)&origin_addr, sizeof(origin_addr), NULL, 0, patience());
    if (e)
        return e;
    r->parent = fiber_self();
    e = fiber_start(downward_main, r, &r->child);
    if (e)
        return e;
    e = pump(&r->client, &r->upstream);
    if (e)
        fiber_cancel(r->child, e);
    fiber_join(r->child);
    return e ? e : fiber_canceled(r->parent);
}

static void relay_main(void *arg)
{
    struct relay *r = (struct relay *)arg;
    io_watch(&r->client, fiber_self());
    enum err e = relay_both(r);
    io_watch(&r->client, NULL);
    if (e) {
        io_close_reset(&r->client);
        io_close_reset(&r->upstream);
    } else {
        io_close(&r->client);
        io_close(&r->upstream);
    }
    mem_free(r);
    n_relays_ended++;
}

static void accept_relay(int fd)
{
    struct io c;
    if (io_open(&c, fd))
        return;
    struct relay *r = (struct relay *)mem_calloc(1, sizeof(*r));
    if (!r) {
        io_close_reset(&c);
        return;
    }
    io_move(&r->client, &c);
    r->upstream.fd = -1;
    n_relayed++;
    if (fiber_start(relay_main, r, NULL)) {
        n_relayed--;
        io_close_reset(&r->client);
        mem_free(r);
    }
}

static void accept_all(struct io *l, void (*fn)(int fd))
{
    int fd;
    enum err e;
    while ((e = io_accept_now(l, &fd, NULL)) == ERR_OK || e == ERR_IO) {
        if (!e)
            fn(fd);
    }
    if (e == ERR_NO_FILES)
        timer_set(&retry, loop_now_ms() + RETRY_MS);
}

// ---- The actors. The origin reads a request to its end and answers with its bytes inverted, each preceded
// by their number.

struct message {
    struct io io;
    char bytes[4 + REQUEST_MAX];
};

static void origin_main(void *arg)
{
    sim_spare_self();
    struct message *m = (struct message *)arg;
    size_t have = 0, n;
    enum err e;
    while ((e = io_recv(&m->io, m->bytes + 4 + have, REQUEST_MAX - have + 1, patience(), &n)) == ERR_OK) {
        have += n;
        EXPECT(have <= REQUEST_MAX);
    }
    if (e == ERR_EOF) {
        for (size_t i = 0; i < have; i++)
            m->bytes[4 + i] = (char)~m->bytes[4 + i];
        uint32_t length = (uint32_t)have;
        memcpy(m->bytes, &length, 4);
        e = send_all(&m->io, m->bytes, 4 + have);
    }
    if (e)
        io_close_reset(&m->io);
    else
        io_close(&m->io);
    mem_free(m);
}

static void accept_origin(int fd)
{
    sim_faults(false); // an actor's own needs are met
    struct message *m = (struct message *)mem_alloc(sizeof(*m));
    EXPECT(m && io_open(&m->io, fd) == ERR_OK);
    EXPECT(fiber_start(origin_main, m, NULL) == ERR_OK);
    sim_faults(true);
}

// Whether the whole answer came. An orderly end before that is what must never be.
static bool receive_answer(struct io *io, const char *request, size_t n_request)
{
    enum { ANSWER_MAX = 4 + REQUEST_MAX + 1 };
    char *mine = (char *)mem_alloc(ANSWER_MAX);
    EXPECT(mine != NULL);
    size_t have = 0, n;
    enum err e;
    while ((e = io_recv(io, mine + have, ANSWER_MAX - have, 10 * PATIENCE_MS + loop_now_ms(), &n)) == ERR_OK)
        have += n;
    if (e == ERR_EOF) {
        uint32_t length;
        EXPECT(have == 4 + n_request);
        memcpy(&length, mine, 4);
        EXPECT(length == n_request);
        for (size_t i = 0; i < n_request; i++)
            EXPECT(mine[4 + i] == (char)~request[i]);
    }
    mem_free(mine);
    return e == ERR_EOF;
}

static void client_main(void *arg)
{
    sim_spare_self();
    size_t n = (size_t)(uintptr_t)arg;
    char *request = (char *)mem_alloc(n + 1);
    EXPECT(request != NULL);
    for (size_t i = 0; i < n; i++)
        request[i] = (char)(i * 7 + n);
    struct io io;
    bool ok = false;
    if (io_connect(&io, (struct sockaddr *)&relay_addr, sizeof(relay_addr), NULL, 0, patience()) == ERR_OK) {
        if (send_all(&io, request, n) == ERR_OK) {
            io_shutdown_write(&io);
            ok = receive_answer(&io, request, n);
        }
        io_close(&io);
    }
    mem_free(request);
    if (ok)
        n_ok++;
    else
        n_failed++;
}

// ---- The scenario

static void on_relay_listener(struct io *l)
{
    accept_all(l, accept_relay);
}

static void on_origin_listener(struct io *l)
{
    accept_all(l, accept_origin);
}

static void on_retry(struct timer *t)
{
    (void)t;
    on_relay_listener(&relay_listener);
    on_origin_listener(&origin_listener);
}

static void listen_at(struct io *io, struct sockaddr_in *a, uint16_t port, void (*on_event)(struct io *))
{
    *a = (struct sockaddr_in){
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    EXPECT(io_open(io, sim_listen((struct sockaddr *)a, sizeof(*a))) == ERR_OK);
    io->on_event = on_event;
}

static void begin(uint64_t seed, enum weather weather)
{
    (void)weather;
    (void)seed;
    n_ok = n_failed = n_relayed = n_relays_ended = 0;
    timer_init(&retry, on_retry);
    listen_at(&relay_listener, &relay_addr, 7000, on_relay_listener);
    listen_at(&origin_listener, &origin_addr, 7001, on_origin_listener);
    n_clients = 1 + (unsigned)scenario_rand(CLIENTS);
    for (unsigned i = 0; i < n_clients; i++)
        EXPECT(fiber_start(client_main, (void *)(uintptr_t)scenario_rand(REQUEST_MAX), NULL) == ERR_OK);
}

static bool is_done(void *arg)
{
    (void)arg;
    return n_ok + n_failed == n_clients && n_relays_ended == n_relayed && fiber_live_count() == 0;
}

static void end(enum weather weather)
{
    EXPECT(weather != CALM || n_ok == n_clients);
    EXPECT(weather != SINGLE || n_failed <= 1);
    timer_cancel(&retry);
    io_close(&relay_listener);
    io_close(&origin_listener);
}

int main(void)
{
    static const struct scenario tunnel = {"tunnel", begin, is_done, end, 0, 0};
    return simulate(&tunnel);
}
