// SPDX-License-Identifier: Apache-2.0
// The decisions on a request that rules make: the same for real exchanges, for `test` blocks and for `weir explain`.
#ifndef WEIR_PROXY_DECIDE_H
#define WEIR_PROXY_DECIDE_H

#include "proxy/exchange.h"

/// What rules see of the exchange. ERR_NO_MEMORY.
MUST_USE enum err decide_input(struct exchange *x, struct condition_input *ret);
/// The same once it has ended, with what there is to say of its answer: ret keeps a pointer to answer. ERR_NO_MEMORY.
MUST_USE enum err decide_input_at_end(struct exchange *x, struct response_facts *answer, struct condition_input *ret);
struct verdict {
    enum err err;      // ERR_OK, or ERR_DENIED, ERR_TARPITTED, ERR_CHALLENGED
    struct span where; // of the rule; empty: no rule
};
/// Site and route rules.
struct verdict decide_site(const struct site *s, const struct route *r, const struct condition_input *in);
/// Who may use the proxy at all.
struct verdict decide_client(const struct proxy *p, const struct condition_input *in);

/// Where a redirecting route sends the request; NULL pointer when memory is out.
struct span decide_redirect_url(struct exchange *x);

#endif
