// SPDX-License-Identifier: Apache-2.0
// What of a request draws it to a server: the key of `balance hash`, and the cookie, field or address of `sticky`.
#ifndef WEIR_PROXY_AFFINITY_H
#define WEIR_PROXY_AFFINITY_H

#include "proxy/exchange.h"

/// The value of a request's cookie (the first of that name), or a NULL pointer.
struct span affinity_cookie(const struct exchange *x, struct span name);
/// The hash of what a key means of the request. False where it has no such thing.
bool affinity_key(const struct exchange *x, enum pool_key key, struct span name, uint64_t *ret);
/// Fills in what the pool's statements want of the request.
void affinity_find(const struct exchange *x, const struct pool *p, struct pick *k);
/// Tells the client by its cookies where it belongs from now on. ERR_NO_MEMORY.
MUST_USE enum err affinity_answer(struct exchange *x);

#endif
