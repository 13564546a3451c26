// SPDX-License-Identifier: Apache-2.0
// Public keys from PEM, for tokens.
#ifndef WEIR_POLICY_TOKEN_PEM_H
#define WEIR_POLICY_TOKEN_PEM_H

#include <cjose/cjose.h>

#include "base/span.h"

/// Whether a file is PEM at all.
bool token_pem_is(struct span text);
/// The RSA and EC keys (public keys, and those of certificates) of the text, at most max, into keys, whose
/// they are then. Gives how many; *ret_why says what is wrong with the others, where something is.
unsigned token_pem_read(struct span text, cjose_jwk_t **keys, unsigned max, const char **ret_why);

#endif
