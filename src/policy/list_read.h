// SPDX-License-Identifier: Apache-2.0
// The forms of lists: what reads each into a list's indexes.
#ifndef WEIR_POLICY_LIST_READ_H
#define WEIR_POLICY_LIST_READ_H

#include "net/prefix.h"
#include "policy/easylist.h"
#include "policy/list.h"
#include "policy/url_index.h"

enum { LIST_SOURCES_MAX = 256, LIST_REGEXES_MAX = 10000 };

struct list_regex {
    struct list_regex *next;
    struct pattern *pattern;
    struct list_place at;
};

struct list {
    struct span name;
    struct span *sources; // by a place's source: a file as the statement names it, or FILE:LINE of the statement itself (line 0)
    uint16_t n_sources;
    struct domain_index domains;
    struct url_index urls;
    struct easylist rules;
    struct prefix_set addresses; // a value is an index of prefix_places
    struct prefix_entry *prefixes; // while reading
    struct list_place *prefix_places;
    size_t n_prefixes, cap_prefixes;
    struct list_regex *regexes, *last_regex;
    unsigned n_regexes;
};

/// Each reads one value of a statement. Broken lines are counted and told; false after an error was reported.
bool list_read_domain(struct list *l, struct condition_context *k, const struct conf_value *v, uint16_t source);
bool list_read_domains(struct list *l, struct condition_context *k, const struct conf_value *v, uint16_t source);
bool list_read_hosts(struct list *l, struct condition_context *k, const struct conf_value *v, uint16_t source);
bool list_read_urls(struct list *l, struct condition_context *k, const struct conf_value *v, uint16_t source);
bool list_read_addresses(struct list *l, struct condition_context *k, const struct conf_value *v, uint16_t source);
bool list_read_regex(struct list *l, struct condition_context *k, const struct conf_value *v, uint16_t source);
bool list_read_easylist(struct list *l, struct condition_context *k, const struct conf_value *v, uint16_t source);

#endif
