// SPDX-License-Identifier: Apache-2.0
// `list NAME { }`: names, URLs, addresses and rules from the configuration and from files in the forms that people already have,
// compiled into indexes. Immutable, shared by threads.
#ifndef WEIR_POLICY_LIST_H
#define WEIR_POLICY_LIST_H

#include "policy/condition.h"
#include "policy/domain_index.h"

struct list;

/// What a `list` condition names (condition->data).
struct list_refs {
    unsigned n;
    const struct list *v[];
};

/// What a list found.
struct list_hit {
    struct span list;   // its name
    struct span source; // FILE:LINE
};

/// The compiled list of a name, once for a configuration. NULL after an error was reported.
const struct list *list_named(struct condition_context *k, const struct conf_value *name);
/// Compiles every list, so that a mistake in one that nothing uses yet shows as well.
void list_compile_all(struct condition_context *k);
/// Whether something in the list takes the request. ret (may be NULL) says what. UNSURE: a limit was reached, or some of the
/// destination's addresses are in the list and some are not.
MUST_USE enum match list_match(const struct list *l, const struct condition_input *in, struct list_hit *ret);
/// The query without what the list's `removeparam` rules take off. ERR_NO_MEMORY.
MUST_USE enum err list_clean_query(const struct list *l, const struct condition_input *in, struct span query, struct span *ret);
bool list_cleans_queries(const struct list *l);
/// Whether the list has addresses, so that a name has to be resolved before it can be asked.
bool list_has_addresses(const struct list *l);

#endif
