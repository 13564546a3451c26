// SPDX-License-Identifier: Apache-2.0
// The retry budget of a pool: of the last BUDGET_SLOTS seconds, retries may be a share of the requests, so that retries never
// multiply an outage. Shared by the threads.
#ifndef WEIR_BALANCE_BUDGET_H
#define WEIR_BALANCE_BUDGET_H

#include <stdatomic.h>

#include "base/macros.h"

enum {
    BUDGET_SLOTS = 10,  // seconds that count
    BUDGET_START = 10,  // retries that are always allowed in that time: a share of nothing is nothing
};

struct budget_slot {
    _Atomic uint64_t second; // which one the numbers are of
    _Atomic uint32_t requests, retries;
};
struct budget {
    struct budget_slot slots[BUDGET_SLOTS];
};

void budget_note_request(struct budget *b, uint64_t now_ms);
/// Whether one more retry fits share (hundredths of a percent) of the requests; it is counted then.
bool budget_take(struct budget *b, unsigned share, uint64_t now_ms);

#endif
