// SPDX-License-Identifier: Apache-2.0
// /api/events: the numbers of each second to everybody who listens (server-sent events). They are made once,
// however many listen, and only while somebody does. A listener that reads slowly misses seconds, never
// memory of ours.
#ifndef WEIR_PROXY_EVENTS_H
#define WEIR_PROXY_EVENTS_H

#include "proxy/exchange.h"

struct events;

enum { EVENTS_LISTENERS_MAX = 256 };

/// Sends them, on the calling fiber, until the client leaves, weir drains, or another configuration is in
/// force (browsers come back by themselves). ERR_API_BUSY where too many listen.
MUST_USE enum err events_send(struct exchange *x);
/// Nobody may be listening. e may be NULL.
void events_free(struct events *e);
/// Ends all streams.
void events_end(struct events *e);

#endif
