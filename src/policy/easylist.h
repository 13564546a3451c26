// SPDX-License-Identifier: Apache-2.0
// Network rules of EasyList and its kin: https://help.adblockplus.org/hc/en-us/articles/360062733293. `||`, `|`, `^`, `*`,
// regular expressions, exceptions, and the options that a proxy can tell; a rule with an option that is not known here is left out
// and counted, as is element hiding.
#ifndef WEIR_POLICY_EASYLIST_H
#define WEIR_POLICY_EASYLIST_H

#include "policy/domain_index.h"
#include "policy/view.h"

enum easylist_flags {
    EASYLIST_HOST = 1 << 0,  // `||`: where a label of the host begins
    EASYLIST_START = 1 << 1, // `|` in front
    EASYLIST_END = 1 << 2,   // `|` behind
    EASYLIST_REGEX = 1 << 3,
    EASYLIST_EXCEPTION = 1 << 4,
    EASYLIST_IMPORTANT = 1 << 5,
    EASYLIST_MATCH_CASE = 1 << 6,
    EASYLIST_FIRST_PARTY = 1 << 7,
    EASYLIST_THIRD_PARTY = 1 << 8,
    EASYLIST_REMOVE = 1 << 9, // removeparam
};

/// What few rules have.
struct easylist_extra {
    struct span domains;  // of the page, `a.example|~b.a.example`; empty: any
    struct span to;       // the same for the host that is asked
    struct span not_to;   // denyallow: hosts that the rule does not concern
    struct span methods;  // lower case, `get|~post`
    struct span param;    // removeparam's value: a name; empty: all of them
    bool param_negated;   // every other one
    struct pattern *regex, *param_regex;
};

struct easylist_rule {
    const char *pattern; // lower case where case does not matter
    const struct easylist_extra *extra; // NULL: nothing
    uint32_t line, next; // next: 1 + the next rule with the same key, or 0
    uint16_t len, source, flags, types;
};

/// Rules by a key: a host, or a run of letters and digits that a URL must have; 0: none.
struct easylist_table {
    uint64_t *slots; // the key, then 1 + the first rule
    uint32_t n_slots, n, loose; // loose: 1 + the first rule without a key
};

struct easylist {
    struct easylist_rule *rules;
    uint32_t n_rules, cap_rules;
    struct easylist_table block, except, remove;
    uint32_t n_important;
    struct span *bad; // texts that `badfilter` takes back
    uint32_t n_bad, cap_bad;
};

/// All zero is empty. Reads a file into it; false after an error was reported.
bool easylist_read(struct easylist *l, struct condition_context *k, const struct conf_value *file, uint16_t source);
/// To be called once, when all are in. False when memory is out.
MUST_USE bool easylist_finish(struct easylist *l);
void easylist_fini(struct easylist *l);

/// Whether the rules block the request. The place of the rule, where they do.
enum match easylist_match(const struct easylist *l, const struct request_view *v, const struct condition_input *in, struct list_place *ret);
/// The query without the parameters that `removeparam` rules take off; *ret is the query itself where they take none. ERR_NO_MEMORY.
MUST_USE enum err easylist_clean_query(const struct easylist *l, const struct request_view *v, const struct condition_input *in, struct span query, struct span *ret);

/// Of single rules, for tests and the index.
bool easylist_pattern_fits(const struct easylist_rule *r, const struct request_view *v);
/// The key of a rule's pattern; 0: none. counts (may be NULL) says how often each token occurs, by its low 16 bits.
uint32_t easylist_key(const struct easylist_rule *r, const uint32_t *counts);
uint32_t easylist_host_key(struct span host);

#endif
