// SPDX-License-Identifier: Apache-2.0
#include "proxy/side.h"

#include "balance/connecting.h"
#include "balance/registry.h"
#include "net/dial.h"
#include "proxy/thread.h"

static enum err open_new(struct exchange *x, const struct side *s, const struct dns_answer *to,
                         struct upstream_conn **ret)
{
    struct endpoints *es = &x->service->endpoints;
    struct upstream_conn *u = endpoints_new(es);
    struct addr used;
    if (!u)
        return ERR_NO_MEMORY;
    struct dial_request d = {.addrs = to->addrs, .n = to->n};
    enum err e = dial(&d, deadline_in(x->timeouts->connect), &u->t.io, &used);
    if (e) {
        endpoints_abandon(es, u);
        return e;
    }
    e = endpoints_adopt(es, &used, s->identity, u);
    if (!e) {
        u->member = s->member;
        *ret = u;
    }
    return e;
}

static struct upstream_conn *take_kept(struct exchange *x, const struct side *s, const struct addr *a)
{
    struct upstream_conn *u;
    while ((u = endpoints_take(&x->service->endpoints, a, s->identity))) {
        u->n_exchanges++;
        if (upstream_is_alive(u))
            return u;
        u->on_finish(u, false);
    }
    return NULL;
}

enum err side_connect(struct exchange *x, const struct side *s, bool fresh, struct upstream_conn **ret)
{
    struct dns_answer to;
    enum err e = dns_resolve(x->service->dns, s->host, deadline_in(DNS_QUERY_TIMEOUT_MS + 1000), &to);
    if (e)
        return e;
    for (unsigned i = 0; i < to.n; i++) {
        to.addrs[i].port = s->port;
        if (!fresh && (*ret = take_kept(x, s, &to.addrs[i])))
            return ERR_OK;
    }
    if (!s->member)
        return open_new(x, s, &to, ret);
    e = member_connect(s->member, s->max, deadline_in(s->wait_ms));
    if (e)
        return e;
    e = open_new(x, s, &to, ret);
    if (e)
        member_disconnected(s->member);
    return e;
}
