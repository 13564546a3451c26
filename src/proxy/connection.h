// SPDX-License-Identifier: Apache-2.0
// The connection for a try: a kept one, or a new one to an address of the destination.
#ifndef WEIR_PROXY_CONNECTION_H
#define WEIR_PROXY_CONNECTION_H

#include "proxy/exchange.h"

struct upstream_conn;

/// To x->target where there is one, otherwise to what the request names. fresh: not a kept one. On failure nothing was sent.
MUST_USE enum err connection_get(struct exchange *x, bool fresh, struct upstream_conn **ret);

/// Whether one could be had at all, as far as names and rules on addresses say so, without connecting.
MUST_USE enum err connection_foresee(struct exchange *x);
/// x->upstream for a CONNECT: bytes both ways, by way of a parent where one is to be asked.
MUST_USE enum err connection_tunnel(struct exchange *x);

#endif
