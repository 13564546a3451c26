// SPDX-License-Identifier: Apache-2.0
// The origins of the simulated proxy: HTTP/1.1 servers, and what stands behind CONNECT.
#ifndef WEIR_TESTS_SIMULATION_ORIGIN_H
#define WEIR_TESTS_SIMULATION_ORIGIN_H

#include "deal.h"

/// Where the origins listen. CONNECT goes to the last.
enum { ORIGINS = 4, ORIGIN_TUNNEL = ORIGINS - 1 };
extern const char *const origin_addresses[ORIGINS];
void origins_begin(void);
void origins_end(void);
/// Their connections that are open.
extern unsigned origin_connections;

#endif
