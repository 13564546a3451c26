// SPDX-License-Identifier: Apache-2.0
// From exchanges to what is stored: keys, objects of answers, updates.
#ifndef WEIR_PROXY_CACHE_KEEP_H
#define WEIR_PROXY_CACHE_KEEP_H

#include "http/vary.h"
#include "proxy/cached.h"

/// The key of the exchange's request.
MUST_USE enum err cache_exchange_key(struct exchange *x, struct cache_key *ret);
/// Only the URL's part, by the rules of this cache.
MUST_USE enum err cache_exchange_url(struct exchange *x, struct span *ret);
/// vary_key for the answer of x. ERR_AGAIN, too, where Vary names a field that a statement writes for each client.
MUST_USE enum err cache_vary_key(struct exchange *x, const struct cache_use *use, const struct fields *response, struct span *ret);

/// Whether x->resp, which answers x->req, may be stored, and as what: a new object with the body. expected: its content's length
/// or UINT64_MAX.
enum storable cache_keep(struct exchange *x, const struct cache_use *use, const struct cache_key *key, int64_t sent_ms, int64_t received_ms,
                         struct cache_body *body, struct cache_object **ret);
/// The same before there is a body: only the decision.
enum storable cache_may_keep(struct exchange *x, const struct cache_use *use, uint64_t expected, int64_t sent_ms, int64_t received_ms);
/// What the stored response becomes by a 304, or by a HEAD's answer (RFC 9111 3.2): a new object with the old one's content. NULL
/// when memory is out, or where by its new fields it may not be stored any more.
struct cache_object *cache_update(struct exchange *x, const struct cache_use *use, const struct cache_object *old, int64_t sent_ms,
                                  int64_t received_ms);

/// Whether x->resp, a 206, may be kept: the whole would have to be, and the part has to be what it says, with a validator that is strong
/// (RFC 9110 15.3.7). ret_range: which part of *ret_size.
enum storable cache_may_keep_part(struct exchange *x, const struct cache_use *use, int64_t sent_ms, int64_t received_ms,
                                  struct byte_range *ret_range, uint64_t *ret_size);
/// As cache_keep, for such a part.
enum storable cache_keep_part(struct exchange *x, const struct cache_use *use, const struct cache_key *key, int64_t sent_ms, int64_t received_ms,
                              struct cache_body *body, struct cache_object **ret);
/// Two parts of the same that meet or overlap (RFC 9111 3.4) as one, with the newer one's head; the whole where nothing is missing. NULL:
/// they cannot be put together.
struct cache_object *cache_join_parts(struct exchange *x, const struct cache_use *use, const struct cache_object *older, const struct cache_object *newer);
/// Whether a stored part has all that the request asks for.
bool cache_part_answers(const struct exchange *x, const struct cache_object *o);

#endif
