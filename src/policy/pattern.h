// SPDX-License-Identifier: Apache-2.0
// Patterns of the configuration: exact, `*` glob, or `~regex` (PCRE2 with limits). Immutable once compiled, shared by threads.
#ifndef WEIR_POLICY_PATTERN_H
#define WEIR_POLICY_PATTERN_H

#include "base/arena.h"

struct pattern;

/// fold_case: letters of either case are the same. NULL with *ret_why for a bad regular expression (or out of memory). What is not in the arena
/// is freed by pattern_free.
struct pattern *pattern_new(struct span text, bool fold_case, struct arena *a, const char **ret_why);
void pattern_free(struct pattern *p);
/// Whether the whole of s matches. ret_rest (may be NULL) gets what the last `*` of a glob stands for, or a regular expression's first group.
bool pattern_match(const struct pattern *p, struct span s, struct span *ret_rest);
struct span pattern_text(const struct pattern *p);

#endif
