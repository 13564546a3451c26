// SPDX-License-Identifier: Apache-2.0
// Active health checks: what a server is asked, and what a good answer looks like.
#ifndef WEIR_BALANCE_CHECK_H
#define WEIR_BALANCE_CHECK_H

#include "balance/pool.h"

enum { CHECK_STATUS_RANGES_MAX = 8, CHECK_BODY_MAX = 16 * 1024 };

enum check_kind { CHECK_HTTP, CHECK_TCP, CHECK_TLS };

struct check_rules {
    enum check_kind kind;
    struct span method, path, host; // host empty: the server's name
    uint64_t every_ms, timeout_ms;
    unsigned rise, fall;
    struct {
        uint16_t first, last;
    } expect[CHECK_STATUS_RANGES_MAX];
    unsigned n_expect;
    struct span field;                        // a field that the answer must have; empty: none
    const void *field_pattern, *body_pattern; // NULL: anything
    /// Whether a text fits one of these patterns, which the proxy room has compiled.
    bool (*matches)(const void *pattern, struct span text);
};

/// The `check` statement of a pool; NULL where there is none or after a mistake, which goes to the diagnostics. Patterns and
/// `matches` are the caller's to fill in.
struct check_rules *check_rules_new(const struct conf *c, const struct conf_stmt *pool, struct arena *a, struct conf_diags *diags);
/// Asks the server once, on the calling fiber. ERR_OK: it is well. ERR_CHECK_STATUS and ERR_CHECK_CONTENT are answers that were not
/// expected, everything else is what happened on the way.
MUST_USE enum err check_run(const struct pool *p, const struct server *s, const struct addr *a);

#endif
