// SPDX-License-Identifier: Apache-2.0
// route: which site and route, or which destination; and the answers that need no server.
#include "admin/metrics.h"
#include "proxy/api.h"
#include "base/num.h"
#include "proxy/cache_metrics.h"
#include "proxy/pool_metrics.h"
#include "proxy/decide.h"
#include "proxy/exchange.h"
#include "proxy/https.h"
#include "proxy/page.h"
#include "tls/acme_challenge.h"

// OPTIONS whose hops are used up is ours to answer (RFC 9110 7.6.2).
static bool hops_used_up(const struct exchange *x)
{
    const struct field *f = fields_get(&x->req->fields, FIELD_MAX_FORWARDS);
    uint64_t hops;
    return x->req->method == METHOD_OPTIONS && f && num_parse_dec(f->value, UINT64_MAX, &hops) && hops == 0;
}

static enum err answer_options(struct exchange *x)
{
    x->answer = ANSWER_LOCAL;
    enum err e = fields_add(&x->resp.fields, FIELD_ALLOW, SPAN("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
    return e ? e : page_text(200, SPAN(""), &x->resp, &x->content);
}

static enum err route_admin(struct exchange *x)
{
    if (api_is_asked(x))
        return api_answer(x);
    x->allow = SPAN("GET, HEAD");
    if (!method_is_safe(x->req->method))
        return ERR_METHOD_REFUSED;
    x->answer = ANSWER_LOCAL;
    if (!span_eq(x->req->path, SPAN("/metrics")))
        return ERR_NOT_FOUND;
    if (!addr_is_loopback(&x->client_addr) && x->client_addr.family != AF_UNIX) { // who listens elsewhere has tokens
        enum err denied = api_authorize(x, API_READ);
        if (denied)
            return denied;
    }
    x->resp.status = 200;
    cache_metrics_update();
    generation_put_metrics(x->gen);
    enum err e = metrics_write(&x->content);
    x->resp.framing = (struct framing){FRAMING_LENGTH, x->content.bytes};
    return e ? e : fields_set(&x->resp.fields, FIELD_CONTENT_TYPE, SPAN("text/plain; version=0.0.4; charset=utf-8"));
}

// A request may name another site than the one that the handshake was with, where its certificate is for that one as well and no
// other certificate of the client's is demanded (RFC 9110 7.4).
static bool is_for_connection(const struct exchange *x, const struct transport_info *i)
{
    const struct site *met = i->name.len ? site_table_find(&x->listener->sites, i->name) : x->listener->tls_default;
    if (!x->site->tls || !met || !met->tls || tls_site_client_policy(x->site->tls) != i->client_policy)
        return false;
    return met == x->site || tls_site_covers(met->tls, x->req->authority.host);
}

// RFC 8555 8.3: also in the clear, and before any redirect.
static bool answer_challenge(struct exchange *x, enum err *ret)
{
    struct span path = x->req->path, prefix = SPAN("/.well-known/acme-challenge/");
    if (!x->gen->acme.n_sites || !span_starts(path, prefix))
        return false;
    struct span proof = acme_challenge_answer(span_skip(path, prefix.len), x->arena);
    if (!proof.len)
        return false;
    x->answer = ANSWER_LOCAL;
    *ret = page_text(200, proof, &x->resp, &x->content);
    return true;
}

// RFC 8470 4: what may have been recorded and sent again must change nothing.
static bool may_be_early(const struct exchange *x)
{
    return x->route->early_data && method_is_safe(x->req->method) && !x->req->upgrade;
}

static enum err route_site(struct exchange *x)
{
    x->site = site_table_find(&x->listener->sites, x->req->authority.host);
    if (!x->site)
        return ERR_HOST_UNKNOWN;
    if (x->conn->t.info && !is_for_connection(x, x->conn->t.info))
        return ERR_MISDIRECTED;
    enum err e;
    if (unlikely(answer_challenge(x, &e)))
        return e;
    if (https_is_due(x))
        return https_answer(x);
    if (hops_used_up(x))
        return answer_options(x);
    struct condition_input in;
    e = decide_input(x, &in);
    if (e)
        return e;
    bool whole_server = x->req->form == TARGET_ASTERISK;
    if (whole_server)
        in.path = in.path_loose = SPAN("*");
    x->route = site_route(x->site, &in, &x->rest);
    if (whole_server && (!x->route || x->route->target != TARGET_POOL))
        return answer_options(x);
    if (!x->route || x->route->target == TARGET_PASSTHROUGH) // the latter has no requests, only connections
        return ERR_ROUTE_NONE;
    x->rule = x->route->where;
    x->timeouts = &x->route->timeouts;
    return unlikely(exchange_is_early(x)) && !may_be_early(x) ? ERR_TOO_EARLY : ERR_OK;
}

enum err phase_route(struct exchange *x)
{
    switch (x->listener->kind) {
    case LISTENER_ADMIN:
        return route_admin(x);
    case LISTENER_SITES:
        return route_site(x);
    case LISTENER_PROXY:
        x->proxy = x->listener->proxy;
        x->timeouts = &x->proxy->timeouts;
        x->tunnel_wanted = x->req->method == METHOD_CONNECT;
        return hops_used_up(x) ? answer_options(x) : ERR_OK;
    }
    return ERR_INTERNAL;
}
