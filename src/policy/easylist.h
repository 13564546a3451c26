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
    uint16_t key_at; // where the key that it is found by stands in the pattern; EASYLIST_NOWHERE: anywhere
};

/// Open addressing: a key in the upper half, then 1 + the first rule (or node); n counts what is in it. filter has a bit for each hash of
/// a key: most of what is asked for is not there, and the filter is small enough to be at hand.
struct easylist_slots {
    uint64_t *v, *filter;
    uint32_t n_slots, n, shift;
};
/// Rules by what a URL must have to fit: a host, or a run of letters and digits that stands whole in it (keys); four octets in a row
/// (grams); or a page that asks (pages, of nodes). loose is the chain of those that have to be tried on every URL.
struct easylist_table {
    struct easylist_slots keys, grams, pages;
    uint32_t n, loose;
    bool has_entities; // a page of pages is `name.*`
};
struct easylist_node {
    uint32_t rule, next; // each 1 + an index; next 0: none
};

struct easylist {
    struct easylist_rule *rules;
    uint32_t n_rules, cap_rules;
    struct easylist_table block, except, remove;
    struct easylist_node *nodes;
    uint32_t n_nodes;
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
enum match easylist_match(const struct easylist *l, struct request_view *v, const struct condition_input *in, struct list_place *ret);
/// The query without the parameters that `removeparam` rules take off; *ret is the query itself where they take none. ERR_NO_MEMORY.
MUST_USE enum err easylist_clean_query(const struct easylist *l, struct request_view *v, const struct condition_input *in, struct span query, struct span *ret);

/// Of single rules, for the index. at: where in the URL the rule's key was found, or EASYLIST_NOWHERE.
enum { EASYLIST_NOWHERE = UINT16_MAX };
bool easylist_pattern_fits(const struct easylist_rule *r, const struct request_view *v, size_t at);
struct easylist_key {
    uint32_t key;
    uint16_t at; // in the pattern, or EASYLIST_NOWHERE: behind a `*`
};
enum { EASYLIST_KEYS_MAX = 32 };
/// Keys that every URL has which fits the rule's pattern; returns how many.
unsigned easylist_keys(const struct easylist_rule *r, struct easylist_key out[EASYLIST_KEYS_MAX]);
/// The same for runs of four octets.
unsigned easylist_grams(const struct easylist_rule *r, struct easylist_key out[EASYLIST_KEYS_MAX]);
/// Those that every URL has in which a regular expression finds something; 0 where nothing is known of it.
unsigned easylist_regex_grams(struct span re, struct easylist_key out[EASYLIST_KEYS_MAX]);
enum { EASYLIST_GRAM_BYTES = 4 };
static inline uint32_t easylist_gram(const char *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}
uint32_t easylist_host_key(struct span host);

#endif
