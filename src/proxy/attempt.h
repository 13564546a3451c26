// SPDX-License-Identifier: Apache-2.0
// One try of a request at a server: it is sent, and the head of the answer read.
#ifndef WEIR_PROXY_ATTEMPT_H
#define WEIR_PROXY_ATTEMPT_H

#include "proxy/exchange.h"

struct upstream_conn;

/// What a try may cost while there could be another one.
struct attempt {
    uint64_t first_byte_ms; // how long to wait for the head
    bool movable;           // it may be given up once the server is known to be down
    bool whole;             // a short content must have come before the head counts: one that breaks off is tried again
};
/// Sends x->out over the connection, content too, and reads the head into x->resp.
MUST_USE enum err attempt_run(struct exchange *x, struct upstream_conn *u, const struct attempt *a);
/// Keeps what is read of the request's content for another try, up to x->keep_bytes. q: what was read now.
void attempt_keep(struct exchange *x, const struct chunkq *q, size_t from);

#endif
