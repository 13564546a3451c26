// SPDX-License-Identifier: Apache-2.0
// A proxy's `policy`: ordered rules on requests and on answers. Of those that decide the first that matches counts; those that modify (strip, throttle, log) hold besides, up to the one that decides.
#ifndef WEIR_POLICY_POLICY_H
#define WEIR_POLICY_POLICY_H

#include "policy/gate.h"

enum policy_action { POLICY_ALLOW, POLICY_DENY, POLICY_REDIRECT, POLICY_RESPOND, POLICY_TARPIT, POLICY_CHALLENGE, POLICY_STRIP, POLICY_THROTTLE, POLICY_LOG };

enum policy_strip { STRIP_IMAGES = 1, STRIP_VIDEO = 2, STRIP_AUDIO = 4, STRIP_SCRIPTS = 8, STRIP_TRACKERS = 16 };

struct policy_rule {
    enum policy_action action;
    const struct condition_set *when;
    struct gate gate;    // that requests have to pass before `when` is asked
    struct span where;   // FILE:LINE
    struct span label;   // what it is about, in the words of the configuration: "list ads", "method TRACE"
    struct span message; // for who is refused; empty: the usual words
    const struct conf_stmt *stmt;
    unsigned status;     // redirect, respond
    unsigned strip;      // enum policy_strip
    uint64_t rate;       // throttle: bytes a second
};
struct policy {
    const struct policy_rule *v;
    unsigned n;
    unsigned needs; // enum condition_needs of all rules
    bool default_deny, cleans_queries;
    struct span default_where;
};

enum { POLICY_LOGS_MAX = 4 };
struct policy_outcome {
    const struct policy_rule *rule; // what decides; NULL: the default
    bool refused;                   // anything but to let pass
    bool pending;                   // the answer may change it: to be decided again with it
    unsigned strip;
    uint64_t throttle; // bytes a second; 0: none
    uint64_t size_limit; // of an answer whose length is not known: it is refused from there on; UINT64_MAX: none
    const struct policy_rule *logs[POLICY_LOGS_MAX];
    unsigned n_logs;
};

/// block: the `policy` statement, or NULL. where: of the default. False after an error was reported.
bool policy_new(struct condition_context *k, const struct conf_stmt *block, struct span where, struct policy *ret);
void policy_decide(const struct policy *p, const struct condition_input *in, struct policy_outcome *ret);
/// FILE:LINE of what decided.
struct span policy_where(const struct policy *p, const struct policy_outcome *o);
/// What the `removeparam` rules of lists that a rule denies leave of the query. ERR_NO_MEMORY.
MUST_USE enum err policy_clean_query(const struct policy *p, const struct condition_input *in, struct span query, struct span *ret);

#endif
