// SPDX-License-Identifier: Apache-2.0
// fetch: choose a server, connect, send, read the head, retry by the rules.
#include "net/dial.h"
#include "proxy/exchange.h"
#include "proxy/thread.h"
#include "proxy/upload.h"
#include "proxy/upstream_request.h"

enum {
    STALE_TRIES_MAX = 5,         // of one request over kept connections that turn out to be closed; the last is on a new one
    AT_HAND_BYTES = 64 * 1024,   // content that goes with the head
    INTERIM_MAX = 16,            // 1xx answers before the final one
    CONTINUE_AFTER_MS = 1000,    // a server that ignores Expect: we say 100 ourselves then
};

// ---- Choosing an address and a connection

static enum err check_destination(void *arg, const struct addr *a)
{
    struct exchange *x = (struct exchange *)arg;
    if (listen_set_reaches(&x->gen->own, a))
        return ERR_LOOP;
    return egress_check(&x->proxy->egress, a);
}

struct candidates {
    struct addr addrs[DNS_ADDRS_MAX];
    unsigned n;
};

static enum err resolve(struct exchange *x, struct span host, uint16_t port, struct candidates *c)
{
    struct dns_answer answer;
    enum err e = dns_resolve(x->service->dns, host, deadline_in(DNS_QUERY_TIMEOUT_MS + 1000), &answer);
    if (e)
        return e == ERR_TIMEOUT ? ERR_DNS_TIMEOUT : e;
    c->n = answer.n;
    for (unsigned i = 0; i < answer.n; i++) {
        c->addrs[i] = answer.addrs[i];
        c->addrs[i].port = port;
    }
    return ERR_OK;
}

// The addresses of the destination, in x->server's or the request's name.
static enum err destinations(struct exchange *x, struct candidates *c)
{
    if (x->server) {
        if (!x->server->fixed)
            return resolve(x, x->server->host, x->server->addr.port, c);
        c->addrs[0] = x->server->addr;
        c->n = 1;
        return ERR_OK;
    }
    const struct authority *a = &x->req->authority;
    return resolve(x, a->host, a->port ? a->port : 80, c);
}

// TLS of the pool; 0: plain.
static uint64_t tls_of(const struct exchange *x)
{
    return x->server && x->route->pool->tls ? tls_client_identity(x->route->pool->tls) : 0;
}

static struct upstream_conn *take_kept(struct exchange *x, const struct candidates *c)
{
    struct endpoints *es = &x->service->endpoints;
    for (unsigned i = 0; i < c->n; i++) {
        if (x->proxy && check_destination(x, &c->addrs[i]))
            continue;
        struct upstream_conn *u;
        while ((u = endpoints_take(es, &c->addrs[i], tls_of(x)))) {
            x->upstream_addr = c->addrs[i];
            // What cannot be repeated is not sent down a connection that has silently ended.
            if (method_is_idempotent(x->req->method) || upstream_is_alive(u))
                return u;
            u->on_finish(u, false);
        }
    }
    return NULL;
}

static enum err secure(struct exchange *x, struct upstream_conn *u)
{
    const struct server *s = x->server;
    if (!tls_of(x))
        return ERR_OK;
    struct span host = s->host;
    char text[ADDR_IP_TEXT_MAX];
    if (s->fixed)
        host = span_of(text, addr_format_ip(&s->addr, text));
    enum err e = tls_connect(&u->t, x->route->pool->tls, host, &x->upstream_addr, deadline_in(x->timeouts->handshake));
    return e == ERR_TIMEOUT ? ERR_CONNECT_TIMEOUT : e;
}

static enum err connect_new(struct exchange *x, const struct candidates *c, struct upstream_conn **ret)
{
    struct endpoints *es = &x->service->endpoints;
    struct upstream_conn *u = endpoints_new(es);
    if (!u)
        return ERR_NO_MEMORY;
    struct dial_request d = {.addrs = c->addrs, .n = c->n};
    if (x->proxy) {
        d.check = check_destination;
        d.check_arg = x;
    }
    uint64_t t0 = loop_clock_us();
    enum err e = dial(&d, deadline_in(x->timeouts->connect), &u->t.io, &x->upstream_addr);
    if (!e)
        e = secure(x, u);
    x->connect_us = loop_clock_us() - t0;
    if (e) {
        endpoints_abandon(es, u);
        return e;
    }
    e = endpoints_adopt(es, &x->upstream_addr, tls_of(x), u);
    if (!e)
        *ret = u;
    return e;
}

static enum err connection(struct exchange *x, bool fresh, struct upstream_conn **ret)
{
    struct candidates c;
    enum err e = destinations(x, &c);
    if (e)
        return e;
    struct upstream_conn *u = fresh ? NULL : take_kept(x, &c);
    if (u) {
        *ret = u;
        return ERR_OK;
    }
    return connect_new(x, &c, ret);
}

// ---- One try

// Content that has arrived already goes out with the head.
static enum err content_at_hand(struct exchange *x, struct chunkq *q)
{
    struct client_stream *c = x->client;
    while (!c->request_complete && q->bytes < AT_HAND_BYTES && c->ops->ready(c)) {
        enum err e = c->ops->read(c, q, AT_HAND_BYTES, DEADLINE_NONE);
        if (e == ERR_EOF)
            break;
        if (e)
            return e;
        if (x->body_limit && q->bytes > x->body_limit)
            return ERR_CONTENT_TOO_LARGE;
    }
    x->uploaded = q->bytes;
    return ERR_OK;
}

static enum err send_request(struct exchange *x)
{
    struct chunkq q;
    chunkq_init(&q);
    enum err e = x->req->framing.kind == FRAMING_NONE ? ERR_OK : content_at_hand(x, &q);
    bool whole = x->client->request_complete && x->client->trailers.n == 0;
    if (!e)
        e = x->upstream->ops->send_head(x->upstream, &x->out, &q, whole);
    chunkq_fini(&q);
    if (e || whole)
        return e;
    return upload_start(x);
}

// Waits for the first byte of a head. While content still goes up the server is not late.
static enum err wait_for_head(struct exchange *x)
{
    bool said_continue = !x->req->expect_continue;
    for (;;) {
        uint64_t before = x->uploaded;
        bool uploading = x->uploading;
        uint64_t wait_ms = said_continue ? x->timeouts->first_byte : MIN(x->timeouts->first_byte, (uint64_t)CONTINUE_AFTER_MS);
        enum err e = x->upstream->ops->wait(x->upstream, deadline_in(wait_ms));
        if (e != ERR_TIMEOUT)
            return e;
        if (!said_continue) {
            said_continue = true;
            struct response r = {.status = 100, .version = HTTP_1_1};
            fields_init(&r.fields, x->arena);
            e = x->client->ops->send_interim(x->client, &r);
            if (e)
                return e;
        } else if (!uploading || x->uploaded == before) {
            return ERR_UPSTREAM_TIMEOUT;
        }
    }
}

static bool token_was_offered(const struct exchange *x, struct span token)
{
    return x->out.upgrade && span_eq_ci(x->out.upgrade_token, token);
}

static enum err read_response(struct exchange *x)
{
    uint64_t t0 = loop_clock_us();
    for (unsigned interim = 0;; interim++) {
        enum err e = wait_for_head(x);
        if (!e)
            e = x->upstream->ops->read_head(x->upstream, x->arena, deadline_in(x->timeouts->first_byte), &x->resp);
        if (e)
            return e;
        if (interim == 0)
            x->first_byte_us = loop_clock_us() - t0;
        if (x->resp.status == 101)
            return x->resp.upgrade && token_was_offered(x, x->resp.upgrade_token) ? ERR_OK : ERR_UPGRADE_FAILED;
        if (x->resp.status >= 200)
            return ERR_OK;
        if (interim >= INTERIM_MAX)
            return ERR_RESPONSE_TOO_MANY_1XX;
        h1_strip_hop_fields(&x->resp.fields);
        e = x->client->ops->send_interim(x->client, &x->resp);
        if (e)
            return e;
    }
}

// A server may answer and close before it has read the request: the failed send is then no reason not to look.
static bool perhaps_answered(enum err e)
{
    return e == ERR_UPSTREAM_CLOSED || e == ERR_UPSTREAM_STALE || e == ERR_UPSTREAM_WRITE_TIMEOUT;
}

static enum err one_try(struct exchange *x, struct upstream_conn *u)
{
    x->upstream = upstream_begin(u, x->arena, &x->gen->limits.h1, x->timeouts->between_bytes);
    enum err sent = send_request(x);
    if (sent && !perhaps_answered(sent))
        return sent;
    enum err e = read_response(x);
    if (x->upload_err)
        return x->upload_err;
    return e && sent ? sent : e;
}

void exchange_end_upstream(struct exchange *x)
{
    upload_stop(x);
    if (x->upstream) {
        x->upstream->ops->finish(x->upstream);
        x->upstream = NULL;
    }
}

// ---- Retrying

static bool may_repeat(const struct exchange *x, enum err e)
{
    if (x->upload_err || x->uploaded || x->req->framing.kind != FRAMING_NONE)
        return false; // content is gone
    return e == ERR_UPSTREAM_STALE && method_is_idempotent(x->req->method);
}

static enum err fetch(struct exchange *x)
{
    uint64_t tried = 0;
    unsigned stale = 0;
    for (;;) {
        if (x->route && !x->server && !(x->server = pool_pick(x->route->pool, tried)))
            return ERR_POOL_EMPTY;
        struct upstream_conn *u;
        enum err e = connection(x, stale + 1 >= STALE_TRIES_MAX, &u);
        if (e) {
            if (!x->server || err_info(e)->retry != ERR_RETRY_ANY)
                return e;
            // Nothing was sent: another server may be asked, whatever the method.
            if (x->server->index < 64)
                tried |= UINT64_C(1) << x->server->index;
            if (++x->tries >= x->route->pool->n_servers || !(x->server = pool_pick(x->route->pool, tried)))
                return e;
            continue;
        }
        e = one_try(x, u);
        if (!e)
            return ERR_OK;
        bool again = may_repeat(x, e) && ++stale < STALE_TRIES_MAX;
        exchange_end_upstream(x);
        if (!again)
            return e;
        x->tries++;
    }
}

static enum err fetch_tunnel(struct exchange *x)
{
    struct candidates c;
    struct upstream_conn *u;
    enum err e = destinations(x, &c);
    if (!e)
        e = connect_new(x, &c, &u);
    if (e)
        return e;
    x->upstream = upstream_begin_tunnel(u, x->arena, x->timeouts->between_bytes);
    x->resp = (struct response){.status = 200, .reason = SPAN("Connection established"), .version = HTTP_1_1};
    fields_init(&x->resp.fields, x->arena);
    x->answer = ANSWER_TUNNEL;
    return ERR_OK;
}

enum err phase_fetch(struct exchange *x)
{
    x->body_limit = x->gen->limits.body;
    if (x->req->framing.kind == FRAMING_LENGTH && x->body_limit && x->req->framing.length > x->body_limit)
        return ERR_CONTENT_TOO_LARGE;
    if (x->tunnel_wanted)
        return fetch_tunnel(x);
    enum err e = upstream_request_build(x);
    if (!e)
        e = fetch(x);
    if (e)
        return e;
    x->upstream_status = x->resp.status;
    x->answer = x->resp.status == 101 ? ANSWER_TUNNEL : ANSWER_UPSTREAM;
    return ERR_OK;
}
