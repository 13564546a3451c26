// SPDX-License-Identifier: Apache-2.0
// Patterns of the configuration: exact, `*` glob, or `~regex` (PCRE2 with limits). Immutable once compiled,
// shared by threads.
#ifndef WEIR_POLICY_PATTERN_H
#define WEIR_POLICY_PATTERN_H

#include "base/arena.h"

/// What a matcher can say. UNSURE: it gave up at a limit, or two readings of the same bytes disagree. Whoever
/// refuses takes UNSURE for a match, whoever lets pass does not, so that nobody gets past a rule by making it
/// hard to decide.
enum match { MATCH_NO, MATCH_YES, MATCH_UNSURE };

static inline enum match match_not(enum match m)
{
    return m == MATCH_UNSURE ? m : m == MATCH_YES ? MATCH_NO : MATCH_YES;
}
/// Of two alternatives.
static inline enum match match_or(enum match a, enum match b)
{
    return a == MATCH_YES || b == MATCH_YES ? MATCH_YES : a == MATCH_UNSURE ? a : b;
}
/// Of two readings of the same thing.
static inline enum match match_agree(enum match a, enum match b)
{
    return a == b ? a : MATCH_UNSURE;
}

enum { PATTERN_REGEX_SUBJECT_MAX_BYTES = 16 * 1024 }; // a regular expression is unsure about longer ones

struct pattern;

/// fold_case: ASCII letters of either case are the same. The pattern lives in the arena, but what PCRE2 has
/// is freed by pattern_free. NULL with *ret_why (a sentence, in the arena or static) for a bad regular
/// expression, or when memory is out.
struct pattern *pattern_new(struct span text, bool fold_case, struct arena *a, const char **ret_why);
/// May be NULL.
void pattern_free(struct pattern *p);
/// Exact patterns and globs look at the whole of s, a regular expression anywhere in it unless it is
/// anchored. ret_rest (may be NULL) gets, for a match, what the last `*` of a glob stands for, or a regular
/// expression's first group; empty where there is none.
MUST_USE enum match pattern_try(const struct pattern *p, struct span s, struct span *ret_rest);
static inline MUST_USE bool pattern_match(const struct pattern *p, struct span s, struct span *ret_rest)
{
    return pattern_try(p, s, ret_rest) == MATCH_YES;
}
enum { PATTERN_GROUPS = 10 };
/// The first match in s behind `from` (a regular expression finds it anywhere, the others match the whole of s or nothing). groups[0] is
/// what matched, the others what a regular expression's groups stand for; of a glob, groups[1] is its last `*`.
/// Those that took no part are empty.
MUST_USE enum match pattern_search(const struct pattern *p, struct span s, size_t from, struct span groups[PATTERN_GROUPS]);
/// As written.
struct span pattern_text(const struct pattern *p);

#endif
