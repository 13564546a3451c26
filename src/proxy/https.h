// SPDX-License-Identifier: Apache-2.0
// What sites with TLS do about clients without it: `plain` and `hsts`.
#ifndef WEIR_PROXY_HTTPS_H
#define WEIR_PROXY_HTTPS_H

#include "proxy/exchange.h"

/// Whether the request came in the clear to a site that is served over TLS only.
bool https_is_due(const struct exchange *x);
/// Answers it with 308 to the same URL over TLS.
MUST_USE enum err https_answer(struct exchange *x);
/// The site's Strict-Transport-Security on an answer over TLS (RFC 6797 7.2: never on another).
MUST_USE enum err https_promise(struct exchange *x);

#endif
