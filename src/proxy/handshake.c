// SPDX-License-Identifier: Apache-2.0
#include "proxy/handshake.h"

#include "proxy/generation.h"
#include "proxy/peers.h"

enum { WAIT_MS = 5 };

void handshake_note(const struct transport *t, enum err e)
{
    const struct client_conn *c = container_of(t, const struct client_conn, t);
    struct metric_set *m = ((const struct listener *)c->listener)->metrics;
    if (e) {
        metric_add(m, METRIC_TLS_FAILURES, 1);
        return;
    }
    metric_add(m, METRIC_TLS_HANDSHAKES, 1);
    if (t->info->resumed)
        metric_add(m, METRIC_TLS_RESUMED, 1);
    if (unlikely(t->info->early))
        metric_add(m, METRIC_TLS_EARLY, 1);
}

// An address may have so many under way; further ones wait for those, as far as their time goes. Peers whose word on clients is
// trusted stand for many.
static enum err take_place(const struct client_conn *c, uint64_t deadline, struct peer_counts **ret, bool *ret_waited)
{
    const struct generation *g = ((const struct listener *)c->listener)->gen;
    struct peer_counts *p = trust_peer(&g->trust, &c->peer) ? NULL : peers_handshaking();
    *ret_waited = false;
    *ret = p;
    while (p && !peers_enter(p, &c->peer, g->limits.handshakes)) {
        if (!*ret_waited)
            metrics_limit(LIMIT_HANDSHAKES);
        *ret_waited = true;
        if (loop_now_ms() >= deadline)
            return ERR_TIMEOUT;
        enum err e = fiber_sleep(WAIT_MS);
        if (e)
            return e;
    }
    return ERR_OK;
}

enum err handshake_accept(struct transport *t, const struct client_settings *s, uint64_t deadline)
{
    struct client_conn *c = container_of(t, struct client_conn, t);
    struct peer_counts *p;
    bool waited;
    enum err e = take_place(c, deadline, &p, &waited);
    if (!e) {
        e = waited ? tls_accept_early(t, s, NULL, deadline) : tls_accept(t, s, deadline); // its first bytes may have come meanwhile
        if (p)
            peers_leave(p, &c->peer);
    }
    handshake_note(t, e);
    return e;
}
