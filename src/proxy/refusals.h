// SPDX-License-Identifier: Apache-2.0
// Refusals that cost the client time: `tarpit` and `challenge`.
#ifndef WEIR_PROXY_REFUSALS_H
#define WEIR_PROXY_REFUSALS_H

#include "proxy/exchange.h"

/// Keeps the client waiting for `timeouts { tarpit }`, then gives ERR_TARPITTED. Where too many wait already it gives that at once.
MUST_USE enum err tarpit(struct exchange *x);
/// Whether the request brings the solution of a challenge.
bool challenge_is_met(const struct exchange *x);
/// Answers with the page that has the work done; ERR_CHALLENGED where the client would not show a page.
MUST_USE enum err challenge_answer(struct exchange *x);

#endif
