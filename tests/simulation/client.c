// SPDX-License-Identifier: Apache-2.0
#include "client.h"

#include <stdio.h>
#include <string.h>

const char *const site_address = "127.0.0.1:80", *const forward_address = "127.0.0.1:3128";
unsigned client_connections;

enum { TOGETHER_MAX = 3 }; // requests that are sent at once

struct client {
    struct wire w;
    bool open, forward; // connected, and to which of the two
    struct fiber *fiber;
    struct strict_message m;
};
static struct client clients[CLIENTS_MAX];
static unsigned n_clients;

static bool one_in(unsigned n)
{
    return scenario_rand(n) == 0;
}

static bool goes_forward(const struct deal *d)
{
    return d->kind == DEAL_FORWARD || d->kind == DEAL_CONNECT;
}

static void hang_up(struct client *c)
{
    if (c->open)
        io_close(&c->w.io);
    c->open = false;
}

static bool connected(struct client *c, bool forward)
{
    if (c->open && c->forward == forward)
        return true;
    hang_up(c);
    struct addr a;
    struct sockaddr_storage ss;
    EXPECT(addr_parse(span_str(forward ? forward_address : site_address), NULL, &a));
    socklen_t len = addr_to_sockaddr(&a, &ss);
    c->w.n = 0;
    c->w.ended = false;
    c->w.error = ERR_OK;
    c->forward = forward;
    c->open = io_connect(&c->w.io, (struct sockaddr *)&ss, len, NULL, 0, deadline_in(PATIENCE_MS)) == ERR_OK;
    client_connections += c->open;
    EXPECT(c->open || weather_now != CALM);
    return c->open;
}

// ---- Asking

static enum err send_head(struct client *c, const struct deal *d)
{
    static const char *const targets[N_DEAL_KINDS] = {"/d/%u",          "http://a.test/d/%u", "/hello/d/%u",
                                                      "/pages/f?/d/%u", "c.test:443",         "/d/%u"};
    char target[40], head[700];
    snprintf(target, sizeof target, targets[d->kind], d->id);
    int n = snprintf(head, sizeof head, "%s %s HTTP/1.%u\r\nHost: %s\r\nX-Deal: %u\r\n", d->method, target,
                     d->minor,
                     d->kind == DEAL_FORWARD   ? "a.test"
                     : d->kind == DEAL_CONNECT ? "c.test:443"
                                               : "www.test",
                     d->id);
    const char *more[] = {
        d->kind == DEAL_UPGRADE ? "Connection: Upgrade\r\nUpgrade: websocket\r\n" : "",
        d->te_trailers ? "TE: trailers\r\nConnection: TE, x-hop\r\nX-Hop: 1\r\n" : "",
        d->expect ? "Expect: 100-continue\r\n" : "",
        d->up_chunked ? "Transfer-Encoding: chunked\r\n" : "",
    };
    for (unsigned i = 0; i < ARRAY_LEN(more); i++)
        n += snprintf(head + n, sizeof head - (size_t)n, "%s", more[i]);
    if (!d->up_chunked && !deal_may_be_followed(d) && !deal_tunnels(d))
        n += snprintf(head + n, sizeof head - (size_t)n, "Content-Length: %zu\r\n", d->up);
    n += snprintf(head + n, sizeof head - (size_t)n, "\r\n");
    return wire_send(&c->w.io, head, (size_t)n);
}

static enum err send_content(struct io *io, const struct deal *d)
{
    char out[3100];
    for (size_t at = 0; at < d->up;) {
        size_t n = 1 + (size_t)scenario_rand(3000);
        n = MIN(n, d->up - at);
        size_t k = d->up_chunked ? (size_t)snprintf(out, sizeof out, "%zX\r\n", n) : 0;
        for (size_t i = 0; i < n; i++)
            out[k++] = deal_octet(d, true, at + i);
        if (d->up_chunked)
            out[k++] = '\r', out[k++] = '\n';
        enum err e = wire_send(io, out, k);
        if (e)
            return e;
        at += n;
    }
    const char *end = !d->up_chunked ? "" : d->up_trailers ? "0\r\nX-Sum: 1\r\n\r\n" : "0\r\n\r\n";
    return wire_send(io, end, strlen(end));
}

struct upload {
    struct io *io;
    const struct deal *d;
    enum err err;
};

static void upload_main(void *arg)
{
    struct upload *u = (struct upload *)arg;
    sim_spare_self();
    if (u->d->expect && (u->err = fiber_sleep(scenario_rand(1500))))
        return;
    u->err = deal_tunnels(u->d) ? wire_tunnel_out(u->io, u->d, true) : send_content(u->io, u->d);
}

// ---- Understanding the answer

static void check_interim(const struct deal *d, const struct strict_message *m)
{
    EXPECT((m->status == 100 && d->expect) || (m->status == 103 && d->interim));
}

static enum deal_end judge(const struct deal *d, const struct client *c)
{
    const struct strict_message *m = &c->m;
    bool from_origin = strict_count(m, "x-deal") > 0, local = d->kind == DEAL_RESPOND || d->kind == DEAL_FILE;
    if (!from_origin && !(local && m->status == 200)) {
        EXPECT(m->status >= 400 && weather_now != CALM);
        return DEAL_REFUSED;
    }
    bool empty = strcmp(d->method, "HEAD") == 0 || d->status == 204 || d->status == 304;
    EXPECT(m->status == d->status && m->minor == 1);
    EXPECT(m->framing != STRICT_UNTIL_END || d->minor == 0);
    EXPECT(m->content_len == (empty ? 0 : d->down) && deal_is(d, false, c->w.content, m->content_len));
    if (from_origin) {
        EXPECT(deal_of(strict_value(m, "x-deal")) == d);
        EXPECT(strict_count(m, "x-hop") == 0 && strict_count(m, "via") == 1 && strict_count(m, "date") == 1);
    }
    bool trailers = m->framing == STRICT_CHUNKED && d->te_trailers && d->down_trailers;
    EXPECT(m->n_trailers == (trailers ? 1 : 0));
    return DEAL_WHOLE;
}

static enum deal_end read_answer(struct client *c, const struct deal *d)
{
    for (;;) {
        enum strict s = strict_response(c->w.p, c->w.n, c->w.ended, d->method, c->w.content, &c->m);
        EXPECT(s != STRICT_BAD);
        if (s == STRICT_WHOLE && c->m.status < 200 && c->m.status != 101) {
            check_interim(d, &c->m);
            wire_consume(&c->w, c->m.len);
            continue;
        }
        if (c->m.head_len && strict_count(&c->m, "x-deal"))
            EXPECT(c->m.status < 200 || deal_is(d, false, c->w.content, c->m.content_len));
        if (s == STRICT_WHOLE)
            return deal_tunnels(d) && (c->m.status == 101 || c->m.status == 200) ? DEAL_WHOLE : judge(d, c);
        if (!wire_read(&c->w) && !(c->w.ended && c->m.head_len && c->m.framing == STRICT_UNTIL_END)) {
            EXPECT(weather_now != CALM);
            return DEAL_BROKEN;
        }
    }
}

// ---- A few deals

static void tunnel(struct client *c, struct deal *d)
{
    d->end = DEAL_BROKEN;
    if (!connected(c, goes_forward(d)) || send_head(c, d) || (d->end = read_answer(c, d)) != DEAL_WHOLE) {
        hang_up(c);
        return;
    }
    d->end = DEAL_BROKEN;
    wire_consume(&c->w, c->m.len);
    char id[9];
    snprintf(id, sizeof id, "%08u", d->id);
    if (d->kind != DEAL_CONNECT || !wire_send(&c->w.io, id, 8)) {
        struct upload u = {.io = &c->w.io, .d = d};
        struct fiber *f;
        EXPECT(fiber_start(upload_main, &u, &f) == ERR_OK);
        bool whole = wire_tunnel_in(&c->w, d, false);
        fiber_join(f);
        if (whole && !u.err)
            d->end = DEAL_WHOLE;
    }
    EXPECT(d->end == DEAL_WHOLE || weather_now != CALM);
    hang_up(c);
}

static void ask_and_read(struct client *c, struct deal *const *v, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        v[i]->end = DEAL_BROKEN;
    if (!connected(c, goes_forward(v[0])))
        return;
    enum err e = ERR_OK;
    for (unsigned i = 0; i < n && !e; i++)
        e = send_head(c, v[i]);
    struct upload u = {.io = &c->w.io, .d = v[0]};
    struct fiber *f = NULL;
    if (!e && !deal_may_be_followed(v[0]))
        EXPECT(fiber_start(upload_main, &u, &f) == ERR_OK);
    bool ends = !e && !f && one_in(10), go_on = true;
    if (ends)
        io_shutdown_write(&c->w.io); // the answers are due all the same
    for (unsigned i = 0; i < n && go_on; i++) {
        v[i]->end = read_answer(c, v[i]);
        go_on = v[i]->end != DEAL_BROKEN && !c->m.close && !c->w.ended;
        if (go_on)
            wire_consume(&c->w, c->m.len);
    }
    if (f) {
        if (!go_on)
            fiber_cancel(f, ERR_CANCELED);
        fiber_join(f);
        go_on = go_on && !u.err;
    }
    if (!go_on || ends || one_in(6))
        hang_up(c);
}

static void client_main(void *arg)
{
    struct client *c = (struct client *)arg;
    sim_spare_self();
    unsigned rounds = 1 + (unsigned)scenario_rand(4);
    for (unsigned r = 0; r < rounds; r++) {
        struct deal *v[TOGETHER_MAX] = {deal_new()};
        unsigned n = 1, together = one_in(3) ? TOGETHER_MAX : 1;
        while (n < together && deal_may_be_followed(v[n - 1])) {
            unsigned before = n_deals;
            v[n] = deal_new();
            if (!deal_may_be_followed(v[n]) || goes_forward(v[n]) != goes_forward(v[0])) {
                n_deals = before; // not agreed on after all
                break;
            }
            n++;
        }
        if (deal_tunnels(v[0]))
            tunnel(c, v[0]);
        else
            ask_and_read(c, v, n);
        if (one_in(3) && fiber_sleep(scenario_rand(2000)))
            break;
    }
    hang_up(c);
}

void clients_start(unsigned n)
{
    n_clients = n;
    client_connections = 0;
    for (unsigned i = 0; i < n; i++) {
        clients[i].open = false;
        EXPECT(fiber_start(client_main, &clients[i], &clients[i].fiber) == ERR_OK);
    }
}

void clients_join(void)
{
    for (unsigned i = 0; i < n_clients; i++)
        fiber_join(clients[i].fiber);
}
