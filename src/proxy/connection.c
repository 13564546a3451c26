// SPDX-License-Identifier: Apache-2.0
#include "proxy/connection.h"
#include "proxy/policing.h"

#include "balance/connecting.h"
#include "balance/places.h"
#include "balance/registry.h"
#include "net/dial.h"
#include "net/proxy_protocol.h"
#include "proxy/inspect.h"
#include "proxy/parent.h"
#include "proxy/thread.h"

static enum err check_destination(void *arg, const struct addr *a)
{
    struct exchange *x = (struct exchange *)arg;
    if (listen_set_reaches(&x->gen->own, a))
        return ERR_LOOP;
    return x->parent ? ERR_OK : egress_check(&x->proxy->egress, a);
}

struct candidates {
    struct addr addrs[DNS_ADDRS_MAX];
    unsigned n;
};

static enum err resolve(struct exchange *x, struct span host, uint16_t port, struct candidates *c)
{
    struct dns_answer answer;
    const struct dns_answer *judged; // what rules have seen is what is dialled
    enum err e = ERR_OK;
    if (!x->server && policing_addresses(x, &judged))
        answer = *judged;
    else
        e = dns_resolve(x->service->dns, host, deadline_in(DNS_QUERY_TIMEOUT_MS + 1000), &answer);
    if (e)
        return e == ERR_TIMEOUT ? ERR_DNS_TIMEOUT : e;
    c->n = answer.n;
    for (unsigned i = 0; i < answer.n; i++) {
        c->addrs[i] = answer.addrs[i];
        c->addrs[i].port = port;
    }
    return ERR_OK;
}

// The addresses of a service in the order of its priorities.
static enum err resolve_service(struct exchange *x, struct candidates *c)
{
    struct places found;
    enum err e = places_find(x->service->dns, x->server, deadline_in(DNS_QUERY_TIMEOUT_MS + 1000), &found);
    if (e)
        return e;
    c->n = 0;
    for (unsigned level = 0; level < LEVELS_MAX; level++)
        for (unsigned i = 0; i < found.n && c->n < DNS_ADDRS_MAX; i++)
            if (found.v[i].level == level)
                c->addrs[c->n++] = found.v[i].addr;
    return ERR_OK;
}

// A server whose name has not been resolved yet is resolved here.
static enum err destinations(struct exchange *x, struct candidates *c)
{
    const struct member *m = x->target.member;
    if (m && m->addr.family == AF_UNSPEC && x->server->is_service)
        return resolve_service(x, c);
    if (m && m->addr.family == AF_UNSPEC)
        return resolve(x, x->server->host, x->server->addr.port, c);
    if (m) {
        c->addrs[0] = m->addr;
        c->n = 1;
        return ERR_OK;
    }
    if (x->parent)
        return resolve(x, x->parent->host, x->parent->port, c);
    const struct authority *a = &x->req->authority;
    if (likely(!x->inside))
        return resolve(x, a->host, a->port ? a->port : 80, c);
    c->addrs[0] = *inspection_addr(x->inside); // what the client takes itself to be connected to
    c->n = 1;
    return c->addrs[0].family ? ERR_OK : resolve(x, inspection_host(x->inside), inspection_port(x->inside), c);
}

// What tells connections to the same address apart: TLS of the pool, where a parent leads, where they come from. 0: plain.
static uint64_t identity_of(const struct exchange *x)
{
    if (x->proxy) {
        uint64_t from = x->proxy->egress.source_identity, by = x->parent ? parent_identity(x) : 0;
        return from ^ by ^ (unlikely(x->inside != NULL) ? inspection_identity(x->inside) : 0);
    }
    return x->server ? pool_identity(x->pool) : 0;
}

static struct upstream_conn *take_kept(struct exchange *x, const struct candidates *c)
{
    struct endpoints *es = &x->service->endpoints;
    for (unsigned i = 0; i < c->n; i++) {
        if (x->proxy && check_destination(x, &c->addrs[i]))
            continue;
        struct upstream_conn *u;
        while ((u = endpoints_take(es, &c->addrs[i], identity_of(x)))) {
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
    const struct tls_client *tls = x->parent ? x->parent->tls : x->server ? x->pool->tls : NULL;
    if (unlikely(x->inside != NULL)) {
        enum err e = parent_greet(x, &u->t);
        return e ? e : inspection_secure(x, &u->t);
    }
    if (!tls)
        return parent_greet(x, &u->t);
    char text[ADDR_IP_TEXT_MAX];
    struct span host = x->parent ? x->parent->host : x->server->host;
    if (!host.len)
        host = span_of(text, addr_format_ip(&x->server->addr, text));
    enum err e = tls_connect(&u->t, tls, host, &x->upstream_addr, deadline_in(x->timeouts->handshake));
    return e == ERR_TIMEOUT ? ERR_CONNECT_TIMEOUT : e;
}

// Who the client is, in the first bytes of the connection.
static enum err introduce(struct exchange *x, struct upstream_conn *u)
{
    char out[PROXY_HEADER_OUT_MAX];
    struct chunkq q;
    struct addr to = ADDR_NONE;
    struct sockaddr_storage ss;
    if (!x->pool || !x->pool->proxy_protocol)
        return ERR_OK;
    if (!x->conn || io_local_address(&x->conn->t.io, &ss) || !addr_from_sockaddr((const struct sockaddr *)&ss, sizeof ss, &to))
        to = ADDR_NONE;
    to = addr_canonical(&to);
    size_t n = x->pool->proxy_protocol == 1 ? proxy_header_write_v1(out, &x->client_addr, &to) : proxy_header_write_v2(out, &x->client_addr, &to);
    chunkq_init(&q);
    enum err e = chunkq_append_copy(&q, out, n);
    if (!e)
        e = io_send_queue(&u->t.io, &q, x->timeouts->connect);
    chunkq_fini(&q);
    return !e || e == ERR_NO_MEMORY || fiber_canceled(fiber_self()) ? e : ERR_CONNECT_FAILED;
}

static enum err open_new(struct exchange *x, const struct candidates *c, struct upstream_conn **ret)
{
    struct endpoints *es = &x->service->endpoints;
    struct upstream_conn *u = endpoints_new(es);
    if (!u)
        return ERR_NO_MEMORY;
    struct dial_request d = {.addrs = c->addrs, .n = c->n};
    if (x->proxy) {
        d.check = check_destination;
        d.check_arg = x;
        const struct egress_rules *r = &x->proxy->egress;
        d.bind_v4 = r->source_v4.family ? &r->source_v4 : NULL;
        d.bind_v6 = r->source_v6.family ? &r->source_v6 : NULL;
    }
    uint64_t t0 = loop_clock_us();
    enum err e = dial(&d, deadline_in(x->timeouts->connect), &u->t.io, &x->upstream_addr);
    if (!e)
        e = introduce(x, u);
    if (!e)
        e = secure(x, u);
    x->connect_us = loop_clock_us() - t0;
    if (e) {
        endpoints_abandon(es, u);
        return e;
    }
    e = endpoints_adopt(es, &x->upstream_addr, identity_of(x), u);
    if (!e && x->target.member)
        endpoints_dedicate(u, x->pool, x->target.member);
    if (!e)
        *ret = u;
    return e;
}

static enum err connect_new(struct exchange *x, const struct candidates *c, struct upstream_conn **ret)
{
    struct member *m = x->target.member;
    unsigned max = m ? x->pool->max_connections : 0;
    if (likely(!max))
        return open_new(x, c, ret);
    enum err e = member_connect(m, max, deadline_in(x->timeouts->connect));
    if (e)
        return e;
    e = open_new(x, c, ret);
    if (e)
        member_disconnected(m);
    return e;
}

// Whether this one speaks HTTP/2, as the pool wants it.
static bool agreed_on_h2(const struct exchange *x, const struct upstream_conn *u)
{
    return !x->pool->tls || (u->t.info && span_eq(u->t.info->alpn, SPAN("h2")));
}

static enum err connect_shared(struct exchange *x, const struct candidates *c, struct upstream_conn **ret)
{
    struct endpoints *es = &x->service->endpoints;
    struct upstream_conn *u = NULL;
    enum err e = connect_new(x, c, &u);
    if (!e && agreed_on_h2(x, u))
        e = endpoints_speak_h2(es, u, deadline_in(x->timeouts->handshake));
    if (e == ERR_TIMEOUT)
        e = ERR_CONNECT_TIMEOUT;
    if (!e)
        *ret = u;
    return e;
}

// One for many exchanges, of which there is already one, or somebody makes one, or we do.
static enum err share(struct exchange *x, const struct candidates *c, bool fresh, struct upstream_conn **ret)
{
    struct endpoints *es = &x->service->endpoints;
    *ret = NULL;
    if (fresh)
        return connect_shared(x, c, ret);
    enum err e = endpoints_share_begin(es, &c->addrs[0], identity_of(x), deadline_in(x->timeouts->connect + x->timeouts->handshake), ret);
    if (e || *ret) {
        x->upstream_addr = c->addrs[0];
        return e == ERR_TIMEOUT ? ERR_CONNECT_TIMEOUT : e;
    }
    e = connect_shared(x, c, ret);
    endpoints_share_end(es, &c->addrs[0], identity_of(x), e ? NULL : *ret);
    return e;
}

static void note_new(struct exchange *x)
{
    metric_add(x->upstream_metrics, METRIC_UPSTREAM_CONNECTIONS, 1);
    metric_observe_us(x->upstream_metrics, METRIC_UPSTREAM_CONNECT_SECONDS, x->connect_us);
}

struct wish {
    bool fresh;
    struct upstream_conn *conn;
};

static enum err get(struct exchange *x, void *arg)
{
    struct wish *w = (struct wish *)arg;
    struct candidates c;
    enum err e = destinations(x, &c);
    if (e)
        return e;
    x->connect_us = 0;
    bool fresh = w->fresh || (x->pool && x->pool->proxy_protocol); // another's connection says who that was
    w->conn = fresh ? NULL : take_kept(x, &c);
    if (w->conn) {
        metric_add(x->upstream_metrics, METRIC_UPSTREAM_REUSES, 1);
        return ERR_OK;
    }
    if (x->server && x->pool->http2 && x->route->target != TARGET_PASSTHROUGH) {
        e = share(x, &c, fresh, &w->conn);
        if (!e && !x->connect_us)
            metric_add(x->upstream_metrics, METRIC_UPSTREAM_REUSES, 1);
    } else {
        e = connect_new(x, &c, &w->conn);
    }
    if (!e && x->connect_us)
        note_new(x);
    return e;
}

enum err connection_get(struct exchange *x, bool fresh, struct upstream_conn **ret)
{
    struct wish w = {.fresh = fresh};
    enum err e = unlikely(x->proxy && x->proxy->parents.n) ? parent_get(x, get, &w) : get(x, &w);
    if (!e)
        *ret = w.conn;
    return e;
}

enum err connection_foresee(struct exchange *x)
{
    struct candidates c;
    enum err e = destinations(x, &c), last = ERR_OK;
    for (unsigned i = 0; !e && i < c.n; i++)
        if (!(last = check_destination(x, &c.addrs[i])))
            return ERR_OK;
    return e ? e : last;
}

enum err connection_tunnel(struct exchange *x)
{
    struct upstream_conn *u;
    x->upstream_metrics = x->proxy->origins;
    enum err e = connection_get(x, true, &u);
    if (e)
        return e;
    if (!x->parent || x->parent->kind == PARENT_SOCKS5) {
        x->upstream = upstream_begin_tunnel(u, x->arena, x->timeouts->between_bytes);
        return ERR_OK;
    }
    x->upstream = upstream_begin(u, x->arena, &x->gen->limits.h1, x->timeouts->between_bytes);
    return parent_connect(x);
}
