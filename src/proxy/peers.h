// SPDX-License-Identifier: Apache-2.0
// How many connections, and handshakes under way, each client address has, over all threads.
#ifndef WEIR_PROXY_PEERS_H
#define WEIR_PROXY_PEERS_H

#include "net/addr.h"

struct peer_counts;
/// The process's tables; NULL when memory is out.
struct peer_counts *peers_shared(void);
struct peer_counts *peers_handshaking(void);
/// Counts one connection; false where the address has max already. IPv6 counts by /64. When the table is full an unknown address passes.
bool peers_enter(struct peer_counts *p, const struct addr *a, unsigned max);
/// Connections counted over all addresses and threads.
unsigned peers_total(const struct peer_counts *p);
void peers_leave(struct peer_counts *p, const struct addr *a);

#endif
