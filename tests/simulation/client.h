// SPDX-License-Identifier: Apache-2.0
// Clients of the simulated proxy: each makes deals and sees to it that what it gets is exactly right, or
// clearly broken.
#ifndef WEIR_TESTS_SIMULATION_CLIENT_H
#define WEIR_TESTS_SIMULATION_CLIENT_H

#include "deal.h"

enum { CLIENTS_MAX = 6 };
/// Where the proxy listens.
extern const char *const site_address, *const forward_address;
extern unsigned client_connections; // that clients opened, in all
/// Starts n clients that make a few deals each.
void clients_start(unsigned n);
/// Waits for them.
void clients_join(void);

#endif
