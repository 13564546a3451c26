// SPDX-License-Identifier: Apache-2.0
#include "proxy/parent.h"

#include <stdio.h>

#include "base/hash.h"
#include "net/dns_name.h"
#include "proxy/decide.h"
#include "proxy/inspect.h"
#include "session/h1_connect.h"
#include "session/socks5.h"

enum { DOWN_MS = 10 * 1000 }; // how long one that could not be reached is passed over

struct parent_rule *parent_rule_of(const struct parent_rules *r, const struct condition_input *in)
{
    for (unsigned i = 0; i < r->n; i++)
        if (condition_set_match(r->v[i]->when, in))
            return r->v[i];
    return NULL;
}

static bool speaks_http(const struct parent *p)
{
    return p && (p->kind == PARENT_HTTP || p->kind == PARENT_HTTPS);
}

// ---- The request's form

static enum err absolute_target(struct exchange *x, struct span *ret)
{
    struct request *o = &x->out;
    struct span path = x->req->form == TARGET_ASTERISK ? SPAN("") : o->path; // RFC 9112 3.2.4
    const struct span parts[] = {SPAN("http://"), x->req->authority.text, path, o->query.ptr ? SPAN("?") : SPAN(""), o->query};
    *ret = arena_concat(x->arena, parts, ARRAY_LEN(parts));
    return ret->ptr ? ERR_OK : ERR_NO_MEMORY;
}

static enum err prepare(struct exchange *x, struct span own_target)
{
    const struct parent *p = x->parent;
    if (x->tunnel_wanted)
        return ERR_OK;
    x->out.target = own_target;
    fields_remove(&x->out.fields, FIELD_PROXY_AUTHORIZATION);
    if (!speaks_http(p) || x->inside)
        return ERR_OK;
    enum err e = absolute_target(x, &x->out.target);
    if (!e && p->authorization.len)
        e = fields_add(&x->out.fields, FIELD_PROXY_AUTHORIZATION, p->authorization);
    return e;
}

static struct socks5_target destination(const struct exchange *x)
{
    const struct authority *a = &x->req->authority;
    if (x->inside)
        return (struct socks5_target){.host = inspection_host(x->inside), .port = inspection_port(x->inside)};
    return (struct socks5_target){.host = a->host, .port = a->port ? a->port : 80};
}

// What was written as an address, or might be read as one, obeys egress here: the parent will not ask us.
static enum err check_written(const struct exchange *x)
{
    struct addr a;
    struct dns_name name;
    struct span host = destination(x).host;
    if (host.len > 2 && host.ptr[0] == '[')
        host = span_of(host.ptr + 1, host.len - 2);
    if (addr_parse_ip(host, &a)) {
        a.port = destination(x).port;
        return egress_check(&x->proxy->egress, &a);
    }
    enum err e = dns_name_read(host, &name);
    return e || !dns_name_is_localhost(&name) ? e : ERR_EGRESS_DENIED;
}

// ---- Which one

// Whether another way may lead to the same end.
static bool is_unreachable(enum err e)
{
    return err_info(e)->retry == ERR_RETRY_ANY && err_info(e)->fault == ERR_FAULT_UPSTREAM;
}

static enum err try_one(struct exchange *x, struct parent *p, struct span own_target, enum err (*get)(struct exchange *x, void *arg), void *arg)
{
    x->parent = p->kind == PARENT_DIRECT ? NULL : p;
    enum err e = x->parent ? check_written(x) : ERR_OK;
    if (!e)
        e = prepare(x, own_target);
    if (!e)
        e = get(x, arg);
    if (e && is_unreachable(e) && x->parent)
        atomic_store_explicit(&p->down_until_ms, loop_now_ms() + DOWN_MS, memory_order_relaxed);
    return e;
}

static bool is_down(const struct parent *p)
{
    return p->kind != PARENT_DIRECT && atomic_load_explicit(&p->down_until_ms, memory_order_relaxed) > loop_now_ms();
}

enum err parent_get(struct exchange *x, enum err (*get)(struct exchange *x, void *arg), void *arg)
{
    struct condition_input in;
    enum err e = decide_input(x, &in);
    struct parent_rule *r = e ? NULL : parent_rule_of(&x->proxy->parents, &in);
    struct span own_target = x->own_target.ptr ? x->own_target : x->out.target;
    x->parent = NULL;
    if (e || !r)
        return e ? e : get(x, arg);
    x->own_target = own_target;
    unsigned first = r->in_turn ? atomic_fetch_add_explicit(&r->next, 1, memory_order_relaxed) : 0;
    e = ERR_PARENT_DOWN;
    // Those that are thought to be well first; where there is none, all of them.
    for (unsigned pass = 0; pass < 2; pass++) {
        for (unsigned i = 0; i < r->n; i++) {
            struct parent *p = &r->v[(first + i) % r->n];
            if (pass == 0 ? is_down(p) : !is_down(p))
                continue;
            e = try_one(x, p, own_target, get, arg);
            if (!e || !is_unreachable(e))
                return e;
        }
        if (e != ERR_PARENT_DOWN)
            break;
    }
    return e;
}

// ---- Connections

uint64_t parent_identity(const struct exchange *x)
{
    const struct parent *p = x->parent;
    if (!p || p->kind == PARENT_HTTP)
        return 0;
    if (p->kind == PARENT_HTTPS)
        return tls_client_identity(p->tls);
    // A connection through SOCKS leads to one server only. Nobody else can find a text with the same hash: its key is this process's.
    char key[2 * (DNS_NAME_MAX + 16)];
    struct socks5_target to = destination(x);
    int n = snprintf(key, sizeof key, "socks5 %.*s %.*s:%u", SPAN_ARG(p->user), SPAN_ARG(to.host), to.port);
    return hash_keyed(span_of(key, MIN((size_t)n, sizeof key - 1))) | 1;
}

// A tunnel for TLS of ours.
static enum err greet_inside(struct exchange *x, struct transport *t)
{
    const struct parent *p = x->parent;
    struct span host = inspection_host(x->inside);
    bool v6 = span_find(host, ':') < host.len;
    struct span target = arena_printf(x->arena, "%s%.*s%s:%u", v6 ? "[" : "", SPAN_ARG(host), v6 ? "]" : "", (unsigned)inspection_port(x->inside));
    uint64_t deadline = deadline_in(x->timeouts->connect + x->timeouts->handshake);
    enum err e = target.ptr ? ERR_OK : ERR_NO_MEMORY;
    if (!e && p->tls)
        e = tls_connect(t, p->tls, p->host, &x->upstream_addr, deadline);
    if (!e)
        e = h1_connect(t, target, p->authorization, deadline);
    return e == ERR_TIMEOUT ? ERR_CONNECT_TIMEOUT : e;
}

enum err parent_greet(struct exchange *x, struct transport *t)
{
    const struct parent *p = x->parent;
    if (x->inside && speaks_http(p))
        return greet_inside(x, t);
    if (!p || p->kind != PARENT_SOCKS5)
        return ERR_OK;
    struct socks5_target to = destination(x);
    to.user = p->user;
    to.password = p->password;
    return socks5_connect(t, &to, deadline_in(x->timeouts->connect + x->timeouts->handshake));
}

enum err parent_connect(struct exchange *x)
{
    struct request *o = &x->out;
    struct chunkq none;
    chunkq_init(&none);
    *o = (struct request){.method = METHOD_CONNECT, .method_text = SPAN("CONNECT"), .target = x->req->authority.text, .form = TARGET_AUTHORITY,
                          .authority = x->req->authority, .version = HTTP_1_1, .keep_alive = true};
    fields_init(&o->fields, x->arena);
    enum err e = fields_add(&o->fields, FIELD_HOST, x->req->authority.text);
    if (!e && x->parent->authorization.len)
        e = fields_add(&o->fields, FIELD_PROXY_AUTHORIZATION, x->parent->authorization);
    if (!e)
        e = x->upstream->ops->send_head(x->upstream, o, &none, true);
    struct response r = {0};
    uint64_t deadline = deadline_in(x->timeouts->first_byte);
    do
        e = e ? e : x->upstream->ops->read_head(x->upstream, x->arena, deadline, &r);
    while (!e && r.status / 100 == 1);
    return e ? e : r.status / 100 == 2 ? ERR_OK : ERR_PARENT_REFUSED;
}
