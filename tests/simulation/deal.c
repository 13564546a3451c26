// SPDX-License-Identifier: Apache-2.0
#include "deal.h"

#include <stdio.h>
#include <string.h>

struct deal deals[DEALS_MAX];
unsigned n_deals;
enum weather weather_now;

static bool one_in(unsigned n)
{
    return scenario_rand(n) == 0;
}

static size_t some_bytes(void)
{
    switch (scenario_rand(4)) {
    case 0:
        return 0;
    case 1:
        return (size_t)scenario_rand(200);
    case 2:
        return (size_t)scenario_rand(5000);
    default:
        return (size_t)scenario_rand(CONTENT_MAX);
    }
}

static void choose_up(struct deal *d)
{
    static const char *const methods[] = {"POST", "PUT", "PATCH", "DELETE"};
    d->method = methods[scenario_rand(ARRAY_LEN(methods))];
    d->up = some_bytes();
    d->up_chunked = d->minor == 1 && one_in(2);
    d->up_trailers = d->up_chunked && one_in(3);
    d->expect = d->minor == 1 && one_in(4);
    // Not where only the connection's end ends the answer, which waits for the rest of the request.
    d->early = one_in(6) && !d->expect && d->framing != DOWN_UNTIL_END;
}

static void choose_down(struct deal *d)
{
    static const unsigned statuses[] = {200, 200, 200, 200, 201, 204, 304, 404, 500, 302};
    d->status = statuses[scenario_rand(ARRAY_LEN(statuses))];
    d->down = d->status == 204 || d->status == 304 ? 0 : some_bytes();
    d->framing = (enum deal_framing)scenario_rand(3);
    d->te_trailers = d->minor == 1 && one_in(3);
    d->down_trailers = d->framing == DOWN_CHUNKED && one_in(3);
    d->interim = one_in(8);
    d->origin_closes = d->framing == DOWN_UNTIL_END || one_in(6);
}

struct deal *deal_new(void)
{
    static const enum deal_kind kinds[] = {DEAL_SITE,    DEAL_SITE,    DEAL_SITE, DEAL_FORWARD, DEAL_FORWARD,
                                           DEAL_RESPOND, DEAL_CONNECT, DEAL_FILE, DEAL_UPGRADE, DEAL_SITE};
    struct deal *d = &deals[n_deals++];
    *d = (struct deal){
        .id = n_deals, .method = one_in(6) ? "HEAD" : "GET", .status = 200, .minor = one_in(10) ? 0 : 1};
    d->kind = kinds[scenario_rand(ARRAY_LEN(kinds))];
    if (deal_tunnels(d)) {
        d->method = d->kind == DEAL_CONNECT ? "CONNECT" : "GET";
        d->minor = 1;
        d->up = some_bytes();
        d->down = some_bytes();
        d->early = one_in(2); // the origin does not wait for the client's end
        d->status = d->kind == DEAL_UPGRADE ? 101 : 200;
    } else if (d->kind == DEAL_FILE) {
        d->down = FILE_BYTES;
    } else if (d->kind == DEAL_RESPOND) {
        d->down = 5;
    } else {
        choose_down(d);
        if (one_in(2))
            choose_up(d);
    }
    return d;
}

void deals_show(void)
{
    static const char *const kinds[] = {"site", "forward", "respond", "file", "connect", "upgrade"},
                             *const ends[] = {"not tried", "whole", "refused", "broken"},
                             *const framings[] = {"length", "chunked", "until end"};
    for (unsigned i = 0; i < n_deals; i++) {
        const struct deal *d = &deals[i];
        fprintf(stderr,
                "  deal %u: %s %s HTTP/1.%u, up %zu%s%s%s%s, down %u %zu %s%s%s%s%s; origin saw %u heads, %u "
                "whole; logged %u; %s\n",
                d->id, kinds[d->kind], d->method, d->minor, d->up, d->up_chunked ? " chunked" : "",
                d->up_trailers ? " trailers" : "", d->expect ? " expect" : "", d->te_trailers ? " te" : "",
                d->status, d->down, framings[d->framing], d->down_trailers ? " trailers" : "",
                d->interim ? " interim" : "", d->origin_closes ? " closes" : "", d->early ? " early" : "",
                d->heads, d->wholes, d->logged, ends[d->end]);
    }
}

bool deal_tunnels(const struct deal *d)
{
    return d->kind == DEAL_CONNECT || d->kind == DEAL_UPGRADE;
}

bool deal_may_be_followed(const struct deal *d)
{
    return !deal_tunnels(d) && d->minor == 1 &&
           (strcmp(d->method, "GET") == 0 || strcmp(d->method, "HEAD") == 0);
}

char deal_octet(const struct deal *d, bool up, size_t at)
{
    if (d->kind == DEAL_RESPOND)
        return "hello"[at];
    if (d->kind == DEAL_FILE)
        return (char)(at * 31 + (at >> 8));
    return (char)(d->id * 131 + at * 7 + (at >> 8) * 13 + (up ? 64 : 0));
}

bool deal_is(const struct deal *d, bool up, const char *p, size_t n)
{
    if (n > (up ? d->up : d->down))
        return false;
    for (size_t i = 0; i < n; i++)
        if (p[i] != deal_octet(d, up, i))
            return false;
    return true;
}

struct deal *deal_of(struct strict_text id)
{
    unsigned n = 0;
    for (size_t i = 0; i < id.n && i < 6; i++) {
        if (id.p[i] < '0' || id.p[i] > '9')
            return NULL;
        n = n * 10 + (unsigned)(id.p[i] - '0');
    }
    return id.n && n > 0 && n <= n_deals ? &deals[n - 1] : NULL;
}

// ---- Connections

bool wire_read(struct wire *w)
{
    size_t n;
    if (w->ended || w->error)
        return false;
    EXPECT(w->n < sizeof w->p);
    w->error = io_recv(&w->io, w->p + w->n, sizeof w->p - w->n, deadline_in(PATIENCE_MS), &n);
    if (w->error == ERR_EOF) {
        w->ended = true;
        w->error = ERR_OK;
        return false;
    }
    if (w->error)
        return false;
    w->n += n;
    return true;
}

void wire_consume(struct wire *w, size_t n)
{
    memmove(w->p, w->p + n, w->n - n);
    w->n -= n;
}

enum err wire_send(struct io *io, const char *p, size_t n)
{
    size_t piece = one_in(3) ? 1 + (size_t)scenario_rand(300) : n;
    while (n) {
        struct iovec v = {(void *)(uintptr_t)p, n < piece ? n : piece};
        size_t sent;
        enum err e = io_sendv(io, &v, 1, false, deadline_in(PATIENCE_MS), &sent);
        if (e)
            return e;
        p += sent;
        n -= sent;
        if (n && one_in(20) && (e = fiber_sleep(scenario_rand(100))))
            return e;
    }
    return ERR_OK;
}

enum err wire_tunnel_out(struct io *io, const struct deal *d, bool up)
{
    char piece[1000];
    size_t n = up ? d->up : d->down;
    for (size_t at = 0; at < n;) {
        size_t k = 0;
        while (k < sizeof piece && at + k < n) {
            piece[k] = deal_octet(d, up, at + k);
            k++;
        }
        enum err e = wire_send(io, piece, k);
        if (e)
            return e;
        at += k;
    }
    io_shutdown_write(io);
    return ERR_OK;
}

bool wire_tunnel_in(struct wire *w, struct deal *d, bool up)
{
    while (wire_read(w))
        EXPECT(deal_is(d, up, w->p, w->n));
    EXPECT(deal_is(d, up, w->p, w->n));
    if (up && d->kind == DEAL_UPGRADE && w->n == 0 && d->up)
        return false; // the proxy had given up before it saw the 101
    // An orderly end says that this was all, unless nothing moved any more.
    bool whole = w->n == (up ? d->up : d->down);
    if (w->ended && !whole) {
        EXPECT(weather_now == ROUGH);
        d->idled = true;
    }
    return w->ended && whole;
}
