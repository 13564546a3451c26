// SPDX-License-Identifier: Apache-2.0
// What sites with TLS do about clients without it: `plain` and `hsts`.
#ifndef WEIR_PROXY_HTTPS_H
#define WEIR_PROXY_HTTPS_H

#include "proxy/exchange.h"

enum { HTTPS_STATUS = 308 };

/// Whether requests in the clear, at this address, are led to https.
bool https_redirects(const struct site *s, const struct addr *listener);
/// The request's URL over TLS, in the arena; NULL pointer when memory is out.
struct span https_url(const struct site *s, const struct request *r, struct arena *arena);
/// Whether the request came in the clear to a site that is served over TLS only.
bool https_is_due(const struct exchange *x);
/// Answers it with 308 to the same URL over TLS.
MUST_USE enum err https_answer(struct exchange *x);
/// The site's Strict-Transport-Security on an answer over TLS (RFC 6797 7.2: never on another).
MUST_USE enum err https_promise(struct exchange *x);

#endif
