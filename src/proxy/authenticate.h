// SPDX-License-Identifier: Apache-2.0
// Who the user is: credentials held against the methods of `auth`.
#ifndef WEIR_PROXY_AUTHENTICATE_H
#define WEIR_PROXY_AUTHENTICATE_H

#include "proxy/exchange.h"

/// What `auth` statement holds for the exchange; NULL: nobody has to say who they are.
const struct auth *authenticate_by(const struct exchange *x);
/// Finds out who the user is (x->user). The refusal where `auth` wants to know and the request does not show it.
MUST_USE enum err authenticate(struct exchange *x);
/// Adds the challenges to the answer of a 401 or 407.
MUST_USE enum err authenticate_challenge(const struct exchange *x, struct fields *f);

#endif
