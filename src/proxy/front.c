// SPDX-License-Identifier: Apache-2.0
#include "proxy/front.h"

#include "admin/metrics.h"
#include "net/proxy_protocol.h"
#include "proxy/peers.h"
#include "proxy/thread.h"

// Never more than the header: what follows is for TLS or HTTP to read.
static enum err read_header(struct client_conn *c, char buf[PROXY_V2_MAX], uint64_t deadline, struct proxy_header *ret)
{
    size_t have = 0, n, len;
    for (;;) {
        size_t want = proxy_header_need(span_of(buf, have));
        if (have + want > PROXY_V2_MAX)
            return ERR_BAD_REQUEST;
        enum err e = io_recv(&c->t.io, buf + have, want, deadline, &n);
        if (e)
            return e;
        have += n;
        switch (proxy_header_parse(span_of(buf, have), ret, &len)) {
        case PROXY_PARSED:
            return ERR_OK;
        case PROXY_BAD:
            return ERR_BAD_REQUEST;
        case PROXY_PARTIAL:
            break;
        }
    }
}

enum err front_introduce(struct client_conn *c, uint64_t deadline)
{
    struct service *s = (struct service *)c->owner;
    char buf[PROXY_V2_MAX];
    struct proxy_header h;
    enum err e = read_header(c, buf, deadline, &h);
    if (e) {
        metrics_limit(LIMIT_PROXY_PROTOCOL);
        return e;
    }
    if (h.local)
        return ERR_OK;
    struct addr client = addr_canonical(&h.src);
    if (!peers_enter(s->peers, &client, s->gen->limits.per_client)) {
        metrics_limit(LIMIT_PER_CLIENT);
        return ERR_TOO_MANY_CONNECTIONS;
    }
    peers_leave(s->peers, &c->peer);
    c->peer = client;
    return ERR_OK;
}
