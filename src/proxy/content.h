// SPDX-License-Identifier: Apache-2.0
// The answer's content on its way to the client, through the exchange's filters where it has any.
#ifndef WEIR_PROXY_CONTENT_H
#define WEIR_PROXY_CONTENT_H

#include "proxy/exchange.h"

/// The head with the content that is at hand; end: nothing follows it. Takes q's bytes.
MUST_USE enum err content_send_head(struct exchange *x, struct chunkq *q, bool end);
/// More content. idle: nothing more is at hand, so what filters hold back goes out where the client waits for it.
MUST_USE enum err content_send(struct exchange *x, struct chunkq *q, bool end, const struct fields *trailers, bool idle);
/// Frees the filters: what goes to the client from now on passes none.
void content_drop_filters(struct exchange *x);

#endif
