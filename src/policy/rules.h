// SPDX-License-Identifier: Apache-2.0
// Ordered rules `deny|allow|tarpit|challenge [conditions]`, first match wins.
#ifndef WEIR_POLICY_RULES_H
#define WEIR_POLICY_RULES_H

#include "policy/condition.h"

enum rule_action {
    RULE_DENY,
    RULE_ALLOW,
    RULE_TARPIT,    // a denial that takes its time
    RULE_CHALLENGE, // a denial to those who have not done their work (in->solved)
};
struct rule {
    enum rule_action action;
    const struct condition_set *when;
    struct span where; // FILE:LINE
};
struct rules {
    const struct rule *v;
    unsigned n;
    unsigned needs; // enum condition_needs of all of them
};
/// The rules of a block (which may be NULL), in the order written. False after an
/// error was reported; *ret is empty then.
bool rules_new(struct condition_context *k, const struct conf_stmt *block, struct rules *ret);
/// The first rule that matches, or NULL. What a condition is unsure about (enum match) an `allow` does not match, and the others do.
const struct rule *rules_decide(const struct rules *r, const struct condition_input *in);

#endif
