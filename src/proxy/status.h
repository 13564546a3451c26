// SPDX-License-Identifier: Apache-2.0
// How a status begins, whoever gives it: the supervisor to a command, the worker to the API. What follows are
// the numbers (ask_status).
#ifndef WEIR_PROXY_STATUS_H
#define WEIR_PROXY_STATUS_H

#include "proxy/service.h"

struct status_facts {
    int pid, worker; // of the supervisor, and of its worker
    unsigned threads;
    uint64_t started_ms; // of the monotonic clock that status_now_ms reads
};
/// What the worker says of itself, before its threads start.
void status_set_facts(const struct status_facts *f);
const struct status_facts *status_facts(void);
uint64_t status_now_ms(void);

/// From `weir VERSION` to the listeners; as JSON the object stays open behind them. Lives as long as the
/// arena.
struct span status_begin(const struct generation *g, const struct status_facts *f, bool json,
                         struct arena *a);

#endif
