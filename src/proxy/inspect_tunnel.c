// SPDX-License-Identifier: Apache-2.0
// A tunnel on its way to being decrypted, and then as what carries the connection inside.
#include "proxy/connection.h"
#include "proxy/handshake.h"
#include "proxy/inspection.h"
#include "proxy/policing.h"
#include "proxy/thread.h"
#include "proxy/tunnel.h"
#include "session/upstream.h"
#include "tls/hello.h"

enum { FIRST_BYTES = 16 * 1024, ALERT_UNRECOGNIZED_NAME = 112, ALERT_ACCESS_DENIED = 49 };

enum first { FIRST_TLS, FIRST_OTHER, FIRST_NOTHING, FIRST_END };

// ---- What comes first

static enum first look(const struct chunkq *q, char name[TLS_NAME_MAX + 1], bool *ret_more)
{
    static _Thread_local char joined[TLS_HELLO_MAX]; // nothing here lets another fiber run
    struct span bytes = span_of(joined, chunkq_peek(q, joined, sizeof joined));
    enum tls_hello h = tls_hello_parse(bytes, name);
    *ret_more = h == TLS_HELLO_PARTIAL && q->bytes < TLS_HELLO_MAX;
    return h == TLS_HELLO_WHOLE ? FIRST_TLS : FIRST_OTHER;
}

// Who says nothing may be waiting for the server to speak first.
static enum err read_first(struct exchange *x, struct chunkq *q, char name[TLS_NAME_MAX + 1], enum first *ret)
{
    uint64_t deadline = deadline_in(x->timeouts->handshake);
    bool more = true;
    while (more) {
        enum err e = x->client->ops->read(x->client, q, FIRST_BYTES, deadline);
        if (!q->bytes && (e == ERR_EOF || e == ERR_TIMEOUT || e == ERR_CLIENT_UPLOAD_STALLED)) {
            *ret = e == ERR_EOF ? FIRST_END : FIRST_NOTHING;
            return ERR_OK;
        }
        if (e)
            return e == ERR_EOF ? ERR_REQUEST_INCOMPLETE : e;
        *ret = look(q, name, &more);
    }
    // The name there obeys the policy as in any tunnel.
    return policing_first_bytes(x, q, &more);
}

// ---- Passed on after all

static enum err splice(struct exchange *x, struct chunkq *q, const char *why)
{
    x->inspected = arena_printf(x->arena, "spliced by %.*s, %s", SPAN_ARG(x->inspect->where), why);
    x->inspect = NULL;
    enum err e = connection_tunnel(x);
    if (!e && q->bytes)
        e = x->upstream->ops->send(x->upstream, q, false, NULL);
    return e ? e : tunnel_run(x, x->timeouts->tunnel_idle);
}

// An alert in the clear is what a server says that refuses before it has agreed on anything.
static enum err refuse(struct exchange *x, unsigned char alert, enum err e)
{
    const char record[] = {0x15, 3, 3, 0, 2, 2, (char)alert};
    struct chunkq q;
    chunkq_init(&q);
    if (!chunkq_append_copy(&q, record, sizeof record))
        (void)!x->client->ops->send(x->client, &q, false, NULL);
    chunkq_fini(&q);
    return e;
}

// ---- The server first

static bool is_ours(enum err e)
{
    return e == ERR_CANCELED || e == ERR_SHUTDOWN || e == ERR_NO_MEMORY || e == ERR_NO_FILES;
}

// To a literal address the name in the handshake is all that says who is meant; now that the server has
// proved to be that one, the lists may have it.
static struct span bypass_by_name(struct exchange *x)
{
    const struct inspection *in = x->inside;
    struct request req = *x->req;
    struct condition_input input;
    struct request_view *view = NULL;
    struct dns_answer dest;
    if (x->req->authority.kind == HOST_NAME || span_eq(in->name, in->host) ||
        inspect_input(x, &view, &dest, &input))
        return SPAN("");
    view = NULL; // that one is of the address
    req.authority.host = in->name;
    req.authority.kind = HOST_NAME;
    input.req = &req;
    return inspect_bypass(in->rule, &input);
}

// *ret_why: why the tunnel is to be passed on as it is; NULL: it is not.
static const char *reasons_to_splice(struct exchange *x, enum err e, const struct upstream_conn *u)
{
    const struct inspect_rule *r = x->inside->rule;
    if (r->splice_certificate && (e == ERR_TLS_WANTS_CERTIFICATE || (u && u->t.info->certificate_wanted)))
        return "the server wants the client's certificate";
    return u && bypass_by_name(x).len ? "bypass list" : NULL;
}

static enum err reach_server(struct exchange *x, const char **ret_why)
{
    struct inspection *in = x->inside;
    struct upstream_conn *u = NULL;
    enum err e = connection_get(x, false, &u);
    if (e && is_ours(e))
        return e;
    in->failure = e;
    if (!e && !x->parent)
        in->addr = x->upstream_addr;
    *ret_why = reasons_to_splice(x, e, u);
    e = *ret_why ? ERR_OK : tls_mint_leaf(in->rule->mint, in->name, u ? &u->t : NULL, &in->leaf);
    if (u)
        u->on_finish(u, !*ret_why && !fiber_canceled(x->fiber)); // the first request will take it
    return e;
}

// ---- Then the client

enum err inspect_accept(struct transport *t, const struct client_settings *s, uint64_t deadline)
{
    struct client_conn *c = container_of(t, struct client_conn, t);
    struct inspection *in = container_of(c, struct service_client, conn)->inside;
    in->client = tls_accept_leaf(t, in->leaf, s, deadline);
    handshake_note(t, in->client);
    return in->client;
}

// The far end of the tunnel: one of a pair of sockets, whose other one is served as a client's.
static enum err open_pair(struct exchange *x)
{
    struct endpoints *es = &x->service->endpoints;
    struct upstream_conn *u = endpoints_new(es);
    int fd[2];
    enum err e = u ? io_pair(fd) : ERR_NO_MEMORY;
    if (e) {
        if (u)
            endpoints_abandon(es, u);
        return e;
    }
    e = io_open(&u->t.io, fd[0]);
    if (e)
        endpoints_abandon(es, u);
    else
        e = endpoints_adopt(es, &x->conn->peer, 0, u);
    if (e) {
        io_discard(fd[1]);
        return e;
    }
    x->upstream = upstream_begin_tunnel(u, x->arena, x->timeouts->between_bytes);
    return service_serve_inside(x->service, fd[1], x->conn, x->inside);
}

static enum err carry(struct exchange *x, struct chunkq *q)
{
    enum err e = open_pair(x);
    if (!e)
        e = x->upstream->ops->send(x->upstream, q, false, NULL);
    if (!e)
        e = tunnel_run(x, x->timeouts->tunnel_idle);
    if (e == ERR_CANCELED && x->inside->refs == 1)
        e = ERR_OK; // what is inside has ended by itself: the client had said its end, and does not wait to
                    // hear ours
    if (x->inside->client)
        x->log_reason =
            x->inside->client; // of most clients that do not trust the authority nothing else is seen
    return e;
}

static enum err decrypt(struct exchange *x, struct chunkq *q, struct span sni)
{
    const struct authority *a = &x->req->authority;
    const char *why = NULL;
    if (a->kind == HOST_NAME && sni.len && !span_eq(sni, a->host))
        return refuse(x, ALERT_UNRECOGNIZED_NAME, ERR_MISDIRECTED);
    x->inside = inspection_new(x, sni.len ? sni : a->host);
    enum err e = x->inside ? reach_server(x, &why) : ERR_NO_MEMORY;
    if (!e && !why)
        e = carry(x, q);
    inspection_unref(x->inside);
    x->inside = NULL;
    return e || !why ? e : splice(x, q, why);
}

enum err inspect_run(struct exchange *x)
{
    char name[TLS_NAME_MAX + 1] = "";
    enum first first = FIRST_OTHER;
    struct chunkq q;
    chunkq_init(&q);
    enum err e = read_first(x, &q, name, &first);
    x->first_seen = true;
    if (e == ERR_DENIED)
        e = refuse(x, ALERT_ACCESS_DENIED, e);
    else if (!e && first == FIRST_TLS)
        e = decrypt(x, &q, span_str(name));
    else if (!e && first != FIRST_END)
        e = x->inspect->splice_other ? splice(x, &q, "not TLS") : ERR_NOT_TLS;
    chunkq_fini(&q);
    return e;
}
