// SPDX-License-Identifier: Apache-2.0
// Gates: most of a policy's rules are about other hosts and paths than a request's. One word of bits says so
// of a rule, before its conditions are asked at all.
#ifndef WEIR_POLICY_GATE_H
#define WEIR_POLICY_GATE_H

#include "policy/condition.h"

enum gate_kind { GATE_OPEN, GATE_HOST, GATE_PATH, N_GATES };

/// What requests may have that a condition can hold for: a request without one of these bits meets it not,
/// whichever they are.
struct gate {
    enum gate_kind kind; // GATE_OPEN: nothing is known
    uint64_t bits;
};
/// Of a condition as it is written (not negated).
struct gate gate_of(const struct conf_stmt *condition);

/// What a request has, by kind.
struct gate_input {
    uint64_t bits[N_GATES];
};
void gate_input_of(const struct condition_input *in, struct gate_input *ret);
static inline bool gate_is_shut(const struct gate *g, const struct gate_input *in)
{
    return !(g->bits & in->bits[g->kind]);
}

#endif
