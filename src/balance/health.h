// SPDX-License-Identifier: Apache-2.0
// What requests say of a server's health (passive): errors in a row eject it, longer each time, but never more than half of a pool.
// Afterwards it is probed by one request at a time before it is trusted again: closed, open and half-open of a circuit breaker.
#ifndef WEIR_BALANCE_HEALTH_H
#define WEIR_BALANCE_HEALTH_H

#include "balance/pool.h"

/// For a member that is ejected: whether its time is over. It is being probed then.
bool health_ejection_over(struct pool *p, struct member *m, uint64_t now_ms);
/// The member is well again: what it may take grows over `slow-start`.
void health_came_back(struct pool *p, struct member *m, uint64_t now_ms);

#endif
