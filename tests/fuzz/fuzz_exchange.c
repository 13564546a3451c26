// SPDX-License-Identifier: Apache-2.0
// Whole exchanges in the simulator: the first octet chooses how, then come the client's octets, "@@@@", and
// what the server answers. What the server saw is read by the strict parser of the simulations, and must be
// what the same parser reads in the client's octets; what the client got, what it reads in the server's.
#include "fuzz.h"

#include <stdio.h>

#include "../simulation/proxy_world.h"
#include "../simulation/strict.h"
#include "base/mem.h"
#include "io/io.h"
#include "net/addr.h"

enum {
    BY_FORWARD = 1,    // through the forward proxy
    IN_PIECES = 2,     // the client's octets, one to three at a time
    HALF_CLOSES = 4,   // the client, behind them
    ANSWERS_EARLY = 8, // the server, with a connection's first octet; otherwise with its first whole request
    ENDS = 16,         // the server, behind its answer
    IN_PARTS = 32,     // the server's octets, in two parts

    SIDE_MAX = 32 * 1024,
    SEEN_MAX = 16, // connections of one input
    MESSAGES_MAX = 64,
};

static const char conf[] =
    "log access json stdout\n"
    "resolver 127.0.0.1:53\n"
    "timeouts { header 2s; idle 2s; connect 1s; first-byte 1s; between-bytes 1s; tunnel-idle 2s }\n"
    "pool shop { server 192.0.2.20:80 }\n"
    "site * { listen 127.0.0.1:80; route * -> pool shop }\n"
    "proxy 127.0.0.1:3128 { egress { allow 192.0.2.0/24; connect-ports any } }\n";
static const struct dns_sim_record records[] = {{.name = "a.test", .ip = "192.0.2.20"}};

struct side { // octets of one direction of a connection
    size_t n;
    bool ended; // in order
    char p[SIDE_MAX];
};

static struct loop *loop;
static struct io listener;
static unsigned mode, n_seen, running;
static struct span client_says, server_says;
static struct side seen[SEEN_MAX], got;
static char content_a[SIDE_MAX + 1], content_b[SIDE_MAX + 1];
static bool is_over;

// ---- Who talks

static void send_all(struct io *io, struct span s, size_t piece)
{
    while (s.len) {
        struct iovec v = {(void *)(uintptr_t)s.ptr, MIN(s.len, piece)};
        size_t n;
        if (io_sendv(io, &v, 1, false, deadline_in(5000), &n))
            return;
        s = span_skip(s, n);
        if (piece < 4)
            fiber_yield();
    }
}

// False: nothing comes any more.
static bool read_more(struct io *io, struct side *s)
{
    size_t n;
    enum err e =
        s->n < sizeof s->p ? io_recv(io, s->p + s->n, sizeof s->p - s->n, deadline_in(10000), &n) : ERR_RESET;
    s->ended = e == ERR_EOF;
    if (!e)
        s->n += n;
    return !e;
}

static void answer(struct io *io)
{
    size_t first = mode & IN_PARTS ? server_says.len / 2 : server_says.len;
    send_all(io, span_of(server_says.ptr, first), SIDE_MAX);
    if (mode & IN_PARTS && fiber_sleep(20) == ERR_OK)
        send_all(io, span_skip(server_says, first), SIDE_MAX);
}

struct server {
    struct io io;
    struct side *seen;
};

static void server_main(void *arg)
{
    struct server *s = (struct server *)arg;
    struct strict_message *m = (struct strict_message *)mem_alloc(sizeof *m);
    bool answered = false;
    CHECK(m);
    while (read_more(&s->io, s->seen)) {
        enum strict r = strict_request(s->seen->p, s->seen->n, content_a, m);
        if (answered || (r != STRICT_WHOLE && !(mode & ANSWERS_EARLY)))
            continue;
        answered = true;
        answer(&s->io);
        if (mode & ENDS)
            break;
    }
    io_close(&s->io);
    mem_free(m);
    mem_free(s);
    running--;
}

static void on_connection(struct io *l)
{
    for (int fd; io_accept_now(l, &fd, NULL) == ERR_OK;) {
        if (n_seen == SEEN_MAX) {
            io_discard(fd);
            continue;
        }
        struct server *s = (struct server *)mem_calloc(1, sizeof *s);
        CHECK(s && io_open(&s->io, fd) == ERR_OK);
        s->seen = &seen[n_seen++];
        s->seen->n = 0;
        running++;
        CHECK(fiber_start(server_main, s, NULL) == ERR_OK);
    }
}

static void upload_main(void *arg)
{
    struct io *io = (struct io *)arg;
    send_all(io, client_says, mode & IN_PIECES ? 3 : SIDE_MAX);
    if (mode & HALF_CLOSES)
        io_shutdown_write(io);
}

static void client_main(void *arg)
{
    (void)arg;
    struct io io;
    struct fiber *f;
    struct addr a = addr_v4(127, 0, 0, 1, mode & BY_FORWARD ? 3128 : 80);
    struct sockaddr_storage ss;
    socklen_t len = addr_to_sockaddr(&a, &ss);
    CHECK(io_connect(&io, (struct sockaddr *)&ss, len, NULL, 0, deadline_in(5000)) == ERR_OK);
    CHECK(fiber_start(upload_main, &io, &f) == ERR_OK);
    while (read_more(&io, &got))
        ;
    fiber_join(f);
    io_close(&io);
    running--;
}

static bool is_quiet(void *arg)
{
    (void)arg;
    is_over = running == 0;
    return is_over && fiber_live_count() == 0;
}

// ---- What must hold

static NORETURN void unlike(const char *what)
{
    fprintf(stderr, "%s\n-- the client said\n%.*s\n-- the server said\n%.*s\n-- the client got\n%.*s\n", what,
            SPAN_ARG(client_says), SPAN_ARG(server_says), (int)got.n, got.p);
    for (unsigned i = 0; i < n_seen; i++)
        fprintf(stderr, "-- the server saw\n%.*s\n", (int)seen[i].n, seen[i].p);
    abort();
}

static struct strict_message asked[MESSAGES_MAX];
static struct strict_text asked_content[MESSAGES_MAX];
static char asked_octets[SIDE_MAX * 2];
static unsigned n_asked;

// The client's requests, as far as there is no doubt about them.
static void read_client(void)
{
    size_t at = 0, used = 0;
    n_asked = 0;
    while (at < client_says.len && n_asked < MESSAGES_MAX) {
        struct strict_message *m = &asked[n_asked];
        if (span_starts(span_skip(client_says, at), SPAN("\r\n")))
            at += 2; // one empty line before a request (RFC 9112 2.2)
        if (strict_request(client_says.ptr + at, client_says.len - at, asked_octets + used, m) !=
            STRICT_WHOLE)
            break;
        asked_content[n_asked++] = (struct strict_text){asked_octets + used, m->content_len};
        used += m->content_len;
        at += m->len;
        if (strict_is(m->method, "CONNECT"))
            break; // what follows may be anything
    }
}

static bool same(struct strict_text a, struct strict_text b)
{
    return a.n == b.n && memcmp(a.p, b.p, a.n) == 0;
}

// The request that the server saw is one that the client made, at *at or behind.
static bool was_asked(const struct strict_message *m, const char *content, unsigned *at)
{
    for (unsigned i = *at; i < n_asked; i++) {
        if (same(m->method, asked[i].method) &&
            same((struct strict_text){content, m->content_len}, asked_content[i]) &&
            strict_count(m, "x-id") == strict_count(&asked[i], "x-id")) {
            *at = i;
            return true;
        }
    }
    return false;
}

static bool opened_tunnel(void)
{
    return got.n > 12 &&
           (memcmp(got.p + 9, "101", 3) == 0 || (n_asked && strict_is(asked[n_asked - 1].method, "CONNECT")));
}

static void check_server_side(void)
{
    static struct strict_message m;
    if (opened_tunnel())
        return;
    for (unsigned i = 0; i < n_seen; i++) {
        size_t at = 0;
        unsigned next = 0;
        while (at < seen[i].n) {
            enum strict r = strict_request(seen[i].p + at, seen[i].n - at, content_a, &m);
            if (r == STRICT_BAD)
                unlike(m.why);
            if (r == STRICT_MORE)
                break;
            if (!was_asked(&m, content_a, &next))
                unlike("the server saw a request that the client did not make");
            at += m.len;
        }
    }
}

static void check_relayed(const struct strict_message *m, const char *method)
{
    static struct strict_message said;
    size_t at = 0;
    enum strict r;
    while ((r = strict_response(server_says.ptr + at, server_says.len - at, mode & ENDS, method, content_b,
                                &said)) == STRICT_WHOLE &&
           said.status < 200 && said.status != 101)
        at += said.len;
    if (r != STRICT_WHOLE)
        unlike("the client got a whole answer where the server gave none");
    if (said.status != m->status || !same((struct strict_text){content_b, said.content_len},
                                          (struct strict_text){content_a, m->content_len}))
        unlike("the client got another answer than the server gave");
}

static void check_client_side(void)
{
    static struct strict_message m;
    size_t at = 0;
    for (unsigned i = 0; at < got.n; i++) {
        char method[40] = "GET";
        if (i < n_asked && asked[i].method.n < sizeof method)
            snprintf(method, sizeof method, "%.*s", (int)asked[i].method.n, asked[i].method.p);
        enum strict r = strict_response(got.p + at, got.n - at, got.ended, method, content_a, &m);
        if (r == STRICT_BAD)
            unlike(m.why);
        if (r == STRICT_MORE)
            return;
        at += m.len;
        if (m.status < 200 && m.status != 101) {
            i--;
            continue;
        }
        if (m.status == 101 || (strcmp(method, "CONNECT") == 0 && m.status / 100 == 2))
            return;
        if (i < n_asked && strict_count(&m, "via"))
            check_relayed(&m, method);
    }
}

// ---- One input

static void set_up(void)
{
    struct addr a = addr_v4(192, 0, 2, 20, 80);
    struct sockaddr_storage ss;
    socklen_t len = addr_to_sockaddr(&a, &ss);
    proxy_world_prepare();
    sim_begin(&(struct sim_options){.seed = 1});
    sim_faults(false);
    CHECK(loop_new(&loop) == ERR_OK);
    proxy_world_begin(conf, &(struct dns_sim_options){.records = records, .n = ARRAY_LEN(records)}, NULL);
    CHECK(io_open(&listener, sim_listen((struct sockaddr *)&ss, len)) == ERR_OK);
    listener.on_event = on_connection;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static int64_t chunks;
    static unsigned fds;
    if (!loop) {
        set_up();
        fds = sim_open_fds();
        chunks = chunk_live_count();
    }
    if (size < 5 || size > SIDE_MAX / 4)
        return 0;
    char *buf = fuzz_exact(data + 1, size - 1);
    struct span all = span_of(buf, size - 1);
    size_t cut = span_find_span(all, SPAN("@@@@"));
    mode = data[0];
    client_says = span_of(buf, MIN(cut, all.len));
    server_says = cut < all.len ? span_skip(all, cut + 4) : SPAN_NONE;
    n_seen = 0;
    got.n = 0;
    got.ended = false;
    running = 1;
    CHECK(fiber_start(client_main, NULL, NULL) == ERR_OK);
    CHECK(loop_run_until(loop, is_quiet, NULL));
    CHECK(chunk_live_count() == chunks);
    CHECK(sim_open_fds() == fds);
    read_client();
    check_server_side();
    check_client_side();
    free(buf);
    return 0;
}
