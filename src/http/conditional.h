// SPDX-License-Identifier: Apache-2.0
// Conditional requests and single ranges (RFC 9110 13 and 14) over a representation that is at hand.
#ifndef WEIR_HTTP_CONDITIONAL_H
#define WEIR_HTTP_CONDITIONAL_H

#include "http/message.h"

struct validators {
    struct span etag;      // with its quotes; empty: none
    int64_t last_modified; // seconds since 1970; 0: none
};
enum conditional { CONDITIONAL_PASS, CONDITIONAL_NOT_MODIFIED, CONDITIONAL_FAILED };
/// RFC 9110 13.2.2, for a GET or HEAD (not modified: 304) or another method (412 instead).
enum conditional conditional_check(const struct request *req, const struct validators *v, int64_t now_s);
/// Weak comparison of one entity tag with a list (or `*`).
bool etag_list_has(struct span list, struct span etag, bool weak);

/// Whether If-Range lets Range count; true where there is none (RFC 9110 13.1.5).
bool if_range_holds(const struct request *req, const struct validators *v, int64_t now_s);

/// A position of a range: 1*DIGIT of any length. A number beyond what fits is as good as the largest.
MUST_USE bool range_position(struct span s, uint64_t *ret);
enum range_kind { RANGE_NONE, RANGE_ONE, RANGE_UNSATISFIABLE };
/// The one range of bytes that the request asks for, If-Range obeyed. RANGE_NONE: send the whole (also for several ranges, and for a malformed field).
enum range_kind range_check(const struct request *req, const struct validators *v, uint64_t size, int64_t now_s, uint64_t *ret_first,
                            uint64_t *ret_length);

#endif
