// SPDX-License-Identifier: Apache-2.0
#include "proxy/handshake.h"

#include "proxy/generation.h"

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
}

enum err handshake_accept(struct transport *t, const struct client_settings *s, uint64_t deadline)
{
    enum err e = tls_accept(t, s, deadline);
    handshake_note(t, e);
    return e;
}
