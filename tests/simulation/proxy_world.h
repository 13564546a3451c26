// SPDX-License-Identifier: Apache-2.0
// The whole proxy in the simulator: a generation from a configuration's text, and one service that stands at
// its listeners.
#ifndef WEIR_TESTS_SIMULATION_PROXY_WORLD_H
#define WEIR_TESTS_SIMULATION_PROXY_WORLD_H

#include "base/span.h"
#include "harness.h"
#include "net/dns_sim.h"

/// What the access log said so far.
struct log_seen {
    unsigned lines, not_ok;
    int64_t bytes_out;
};
extern struct log_seen log_seen;

/// Once a program, before the first world: what is made once in a process.
void proxy_world_prepare(void);
/// From a world without faults. records answers what is asked by name (borrowed).
void proxy_world_begin(const char *conf, const struct dns_sim_options *names,
                       void (*on_line)(struct span line));
/// Another generation of the same text; false where that failed for want of memory.
bool proxy_world_reload(void);
/// Ends the service as SIGTERM does, from a fiber: waits until it is done.
void proxy_world_drain(void);
/// Frees what is left, and checks that the metrics say what the log said.
void proxy_world_end(void);
/// The number behind a name of a JSON line, or 0; and the text.
uint64_t log_number(struct span line, const char *name);
struct span log_text(struct span line, const char *name);

#endif
