// SPDX-License-Identifier: Apache-2.0
// Ordered rules `deny|allow [conditions]`, first match wins.
#ifndef WEIR_POLICY_RULES_H
#define WEIR_POLICY_RULES_H

#include "policy/condition.h"

enum rule_action { RULE_DENY, RULE_ALLOW };
struct rule {
    enum rule_action action;
    const struct condition_set *when;
    struct span where; // FILE:LINE
};
struct rules {
    const struct rule *v;
    unsigned n;
};
/// The `deny` and `allow` statements of a block (which may be NULL), in the order written. False after an
/// error was reported; *ret is empty then.
bool rules_new(struct condition_context *k, const struct conf_stmt *block, struct rules *ret);
/// The first rule that matches, or NULL. What a condition is unsure about (enum match) a `deny` matches and
/// an `allow` does not.
const struct rule *rules_decide(const struct rules *r, const struct condition_input *in);

#endif
