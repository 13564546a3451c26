// SPDX-License-Identifier: Apache-2.0
#include "origin.h"

#include <stdio.h>
#include <string.h>

#include "base/mem.h"

const char *const origin_addresses[ORIGINS] = {"192.0.2.10:8080", "192.0.2.11:8080", "192.0.2.20:80",
                                               "192.0.2.30:443"};
unsigned origin_connections;
static struct io listeners[ORIGINS];

struct origin {
    struct wire w;
    struct strict_message m; // of HTTP, large
    bool tunnel;             // nothing of HTTP: the deal's id in eight octets, then its octets
};

static const char SAY_CONTINUE[] = "HTTP/1.1 100 Continue\r\n\r\n";

// ---- Answering

static enum err send_chunks(struct io *io, const struct deal *d)
{
    char out[2100];
    for (size_t at = 0; at < d->down;) {
        size_t n = 1 + (size_t)scenario_rand(2000);
        n = MIN(n, d->down - at);
        size_t k = (size_t)snprintf(out, sizeof out, "%zx\r\n", n);
        for (size_t i = 0; i < n; i++)
            out[k++] = deal_octet(d, false, at + i);
        out[k++] = '\r', out[k++] = '\n';
        enum err e = wire_send(io, out, k);
        if (e)
            return e;
        at += n;
    }
    const char *end = d->down_trailers ? "0\r\nX-Sum: 1\r\n\r\n" : "0\r\n\r\n";
    return wire_send(io, end, strlen(end));
}

static enum err send_plain(struct io *io, const struct deal *d)
{
    char out[4000];
    for (size_t at = 0; at < d->down;) {
        size_t n = MIN(d->down - at, sizeof out);
        for (size_t i = 0; i < n; i++)
            out[i] = deal_octet(d, false, at + i);
        enum err e = wire_send(io, out, n);
        if (e)
            return e;
        at += n;
    }
    return ERR_OK;
}

static enum err answer(struct io *io, const struct deal *d, const struct strict_message *m)
{
    char head[600];
    bool bare = d->status == 204 || d->status == 304, to_head = strict_is(m->method, "HEAD");
    const char *interim = d->interim ? "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n" : "";
    int n =
        snprintf(head, sizeof head, "%sHTTP/1.1 %u Fine\r\nX-Deal: %u\r\nConnection: X-Hop%s\r\nX-Hop: 1\r\n",
                 interim, d->status, d->id, d->origin_closes ? ", close" : "");
    if (!bare && d->framing == DOWN_LENGTH)
        n += snprintf(head + n, sizeof head - (size_t)n, "Content-Length: %zu\r\n", d->down);
    if (!bare && d->framing == DOWN_CHUNKED)
        n += snprintf(head + n, sizeof head - (size_t)n, "Transfer-Encoding: chunked\r\n");
    n += snprintf(head + n, sizeof head - (size_t)n, "\r\n");
    enum err e = wire_send(io, head, (size_t)n);
    if (e || bare || to_head)
        return e;
    return d->framing == DOWN_CHUNKED ? send_chunks(io, d) : send_plain(io, d);
}

// ---- Reading

// What the proxy may make of a client's request.
static void check_head(const struct deal *d, const struct strict_message *m)
{
    char target[32];
    snprintf(target, sizeof target, "/d/%u", d->id);
    EXPECT(strict_is(m->method, d->method) && strict_is(m->target, target) && m->minor == 1);
    EXPECT(strict_is(strict_value(m, "host"), d->kind == DEAL_FORWARD ? "a.test" : "www.test"));
    EXPECT(strict_count(m, "x-hop") == 0 && strict_count(m, "proxy-connection") == 0);
    EXPECT(strict_count(m, "via") == 1);
    EXPECT(m->framing != STRICT_UNTIL_END);
}

static void check_whole(struct deal *d, const struct strict_message *m)
{
    if (d->kind == DEAL_UPGRADE) { // what is agreed on goes through the tunnel
        EXPECT(m->framing == STRICT_NO_CONTENT);
        return;
    }
    EXPECT(m->content_len == d->up);
    EXPECT(m->n_trailers == (d->up_trailers ? 1 : 0));
    d->wholes++;
}

enum reading { READ_NOTHING, READ_HEAD, READ_WHOLE };

// READ_HEAD: an answer may go out before the rest.
static enum reading read_request(struct origin *o, struct strict_message *m, struct deal **ret)
{
    bool head_seen = false;
    for (;;) {
        enum strict s = strict_request(o->w.p, o->w.n, o->w.content, m);
        EXPECT(s != STRICT_BAD);
        struct deal *d = m->head_len ? *ret = deal_of(strict_value(m, "x-deal")) : NULL;
        EXPECT(d || !m->head_len);
        if (d && !head_seen) {
            head_seen = true;
            check_head(d, m);
            d->heads++;
            if (strict_count(m, "expect") && wire_send(&o->w.io, SAY_CONTINUE, sizeof SAY_CONTINUE - 1))
                return READ_NOTHING;
        }
        EXPECT(!d || deal_is(d, true, o->w.content, m->content_len));
        if (s == STRICT_WHOLE) {
            check_whole(d, m);
            return READ_WHOLE;
        }
        if (d && d->early)
            return READ_HEAD;
        if (!wire_read(&o->w))
            return READ_NOTHING;
    }
}

// After an early answer: the rest of the request.
static bool read_rest(struct origin *o, struct strict_message *m, struct deal *d)
{
    enum strict s;
    while ((s = strict_request(o->w.p, o->w.n, o->w.content, m)) == STRICT_MORE && wire_read(&o->w))
        ;
    EXPECT(s != STRICT_BAD && deal_is(d, true, o->w.content, m->content_len));
    if (s == STRICT_WHOLE)
        check_whole(d, m);
    return s == STRICT_WHOLE;
}

struct tunnel_out {
    struct io *io;
    const struct deal *d;
    enum err err;
};

static void tunnel_out_main(void *arg)
{
    struct tunnel_out *t = (struct tunnel_out *)arg;
    sim_spare_self();
    t->err = wire_tunnel_out(t->io, t->d, false);
}

static void serve_tunnel(struct origin *o, struct deal *d)
{
    struct tunnel_out t = {&o->w.io, d, ERR_OK};
    struct fiber *f = NULL;
    d->heads += d->kind == DEAL_CONNECT;
    if (d->early)
        EXPECT(fiber_start(tunnel_out_main, &t, &f) == ERR_OK);
    bool whole = wire_tunnel_in(&o->w, d, true);
    d->wholes += whole;
    if (f)
        fiber_join(f);
    else if (whole)
        t.err = wire_tunnel_out(&o->w.io, d, false);
    if (!whole || t.err)
        io_close_reset(&o->w.io);
}

static void serve_upgrade(struct origin *o, struct deal *d, const struct strict_message *m)
{
    static const char head[] =
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";
    EXPECT(strict_is_ci(strict_value(m, "upgrade"), "websocket") &&
           strict_is_ci(strict_value(m, "connection"), "upgrade"));
    wire_consume(&o->w, m->len);
    if (!wire_send(&o->w.io, head, sizeof head - 1))
        serve_tunnel(o, d);
}

// True: the connection goes on.
static bool serve_one(struct origin *o, struct strict_message *m)
{
    struct deal *d = NULL;
    enum reading r = read_request(o, m, &d);
    if (r == READ_NOTHING)
        return false;
    if (d->kind == DEAL_UPGRADE) {
        serve_upgrade(o, d, m);
        return false;
    }
    if (scenario_rand(6) == 0 && fiber_sleep(scenario_rand(400)))
        return false;
    if (answer(&o->w.io, d, m)) {
        io_close_reset(&o->w.io);
        return false;
    }
    if (r == READ_HEAD && !read_rest(o, m, d))
        return false;
    wire_consume(&o->w, m->len);
    return !d->origin_closes && (weather_now == CALM || scenario_rand(8));
}

static void serve_connect(struct origin *o)
{
    while (o->w.n < 8 && wire_read(&o->w))
        ;
    if (o->w.n < 8)
        return;
    size_t zeros = 0;
    while (zeros < 7 && o->w.p[zeros] == '0')
        zeros++;
    struct deal *d = deal_of((struct strict_text){o->w.p + zeros, 8 - zeros});
    EXPECT(d != NULL && d->kind == DEAL_CONNECT);
    wire_consume(&o->w, 8);
    serve_tunnel(o, d);
}

static void origin_main(void *arg)
{
    struct origin *o = (struct origin *)arg;
    sim_spare_self();
    if (o->tunnel)
        serve_connect(o);
    else
        while (serve_one(o, &o->m))
            ;
    io_close(&o->w.io);
    mem_free(o);
    origin_connections--;
}

static void on_listener(struct io *l)
{
    bool before = sim_faults(false); // the origins are not what is being tested
    for (int fd; io_accept_now(l, &fd, NULL) == ERR_OK;) {
        struct origin *o = (struct origin *)mem_calloc(1, sizeof *o);
        EXPECT(o && io_open(&o->w.io, fd) == ERR_OK);
        o->tunnel = l == &listeners[ORIGIN_TUNNEL];
        origin_connections++;
        EXPECT(fiber_start(origin_main, o, NULL) == ERR_OK);
    }
    sim_faults(before);
}

void origins_begin(void)
{
    origin_connections = 0;
    for (unsigned i = 0; i < ORIGINS; i++) {
        struct addr a;
        struct sockaddr_storage ss;
        EXPECT(addr_parse(span_str(origin_addresses[i]), NULL, &a));
        socklen_t len = addr_to_sockaddr(&a, &ss);
        EXPECT(io_open(&listeners[i], sim_listen((struct sockaddr *)&ss, len)) == ERR_OK);
        listeners[i].on_event = on_listener;
    }
}

void origins_end(void)
{
    for (unsigned i = 0; i < ORIGINS; i++)
        io_close(&listeners[i]);
}
