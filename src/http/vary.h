// SPDX-License-Identifier: Apache-2.0
// Secondary keys (RFC 9111 4.1): the request's values of the fields that a response's Vary names, normalised where the meaning
// stays the same: order and case of Accept-*, white space and lines of lists.
#ifndef WEIR_HTTP_VARY_H
#define WEIR_HTTP_VARY_H

#include "http/field.h"

enum { VARY_NAMES_MAX = 32 };

/// Adds a name to the response's Vary, where it is not there already. ERR_NO_MEMORY.
MUST_USE enum err vary_add(struct fields *response, struct span name, struct arena *a);
/// The key of a response for the request that it answers: its Vary's names (lower case, sorted) with the
/// request's values. Empty where there is no Vary. ERR_AGAIN: no request can ever be known to match (`*`, too
/// many names, or what a proxy writes for each client by itself). ERR_NO_MEMORY.
MUST_USE enum err vary_key(const struct fields *response, const struct fields *request, struct arena *a,
                           struct span *ret);
/// Whether a request has the values that the key holds. False, too, when memory is out.
bool vary_matches(struct span key, const struct fields *request, struct arena *a);
/// The key that the request has for another key's names (to look for others with the same).
MUST_USE enum err vary_rekey(struct span key, const struct fields *request, struct arena *a, struct span *ret);
/// One field's normalised value; NULL pointer: the request does not have it.
MUST_USE enum err vary_value(const struct fields *request, struct span name, struct arena *a, struct span *ret);

#endif
