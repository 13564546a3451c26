// SPDX-License-Identifier: Apache-2.0
// The request as it goes upstream: our own canonical message, made from the one view.
#ifndef WEIR_PROXY_UPSTREAM_REQUEST_H
#define WEIR_PROXY_UPSTREAM_REQUEST_H

#include "proxy/exchange.h"

/// Fills x->out from x->req: target, fields without what is for this hop or a claim of an untrusted client, and what we say of the
/// client ourselves. ERR_NO_MEMORY, ERR_LOOP, ERR_UPGRADE_REFUSED.
MUST_USE enum err upstream_request_build(struct exchange *x);
/// Path and query as they go upstream, behind `strip` and `rewrite`. ERR_NO_MEMORY; ERR_BAD_TARGET where a rewrite makes no path.
MUST_USE enum err upstream_target(struct exchange *x, struct span *ret_path, struct span *ret_query);
MUST_USE enum err field_ops_run(const struct exchange *x, const struct field_ops *ops, bool on_response, struct fields *f);
/// Applies `set`, `add`, `remove` and `replace` statements for requests or responses.
static inline MUST_USE enum err field_ops_apply(const struct exchange *x, const struct field_ops *ops, bool on_response, struct fields *f)
{
    return likely(ops->n == 0) ? ERR_OK : field_ops_run(x, ops, on_response, f);
}
/// Appends ourselves to Via (RFC 9110 7.6.3).
MUST_USE enum err via_append(struct fields *f, struct arena *a, enum http_version received);

/// Whether a client says who it is, or which URL it really means, by fields that some server might believe.
bool request_has_claims(const struct fields *f);

#endif
