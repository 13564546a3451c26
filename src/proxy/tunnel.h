// SPDX-License-Identifier: Apache-2.0
// Bytes both ways between a client and an upstream, after CONNECT or an upgrade: each direction ends by itself (half-close).
#ifndef WEIR_PROXY_TUNNEL_H
#define WEIR_PROXY_TUNNEL_H

#include "proxy/exchange.h"

/// Relays until both directions have ended, one of them failed, or nothing moved for idle_ms. ERR_OK for an orderly end.
MUST_USE enum err tunnel_run(struct exchange *x, uint64_t idle_ms);

#endif
