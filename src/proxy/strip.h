// SPDX-License-Identifier: Apache-2.0
// `strip`: answers whose content does not reach the client.
#ifndef WEIR_PROXY_STRIP_H
#define WEIR_PROXY_STRIP_H

#include "policy/policy.h"
#include "proxy/exchange.h"

/// Begins an answer of our own; what came from a server is given up.
void strip_begin(struct exchange *x);
/// Trackers, in a request: may answer it, or change it.
MUST_USE enum err strip_request(struct exchange *x);
/// By the type of the answer.
MUST_USE enum err strip_answer(struct exchange *x, const struct response_facts *f);

#endif
