// SPDX-License-Identifier: Apache-2.0
// Which filters an answer's content passes, and what that means for its fields.
#ifndef WEIR_PROXY_TRANSFORM_H
#define WEIR_PROXY_TRANSFORM_H

#include "proxy/exchange.h"

/// Sets x->filters and changes the answer's fields accordingly: Content-Encoding, Vary, ETag (weak from then on) and digests.
/// ERR_NO_MEMORY.
MUST_USE enum err transform_plan(struct exchange *x);
/// The other way: validators that we weakened go to the server as it gave them (If-None-Match is compared weakly, so that
/// loses nothing). On routes whose content is transformed; changes f. ERR_NO_MEMORY.
MUST_USE enum err transform_request_fields(const struct exchange *x, struct fields *f);

/// The filters that answers may pass by these statements, in order, as words. Empty where there are none; a NULL pointer when memory is out.
struct span transform_describe(const struct route *r, const struct proxy *p, struct arena *a);

#endif
