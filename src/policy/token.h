// SPDX-License-Identifier: Apache-2.0
// `auth bearer`: JSON Web Tokens (RFC 7519) that are signed by one of the keys of a JWK set (RFC 7517), with one algorithm. Immutable.
#ifndef WEIR_POLICY_TOKEN_H
#define WEIR_POLICY_TOKEN_H

#include "policy/condition.h"

enum { TOKEN_MAX_BYTES = 8192 };

struct token_rules;

/// From the options of an `auth bearer` statement: keys FILE, algorithm NAME, audience TEXT, issuer TEXT, user CLAIM. NULL after an error.
const struct token_rules *token_rules_new(struct condition_context *k, const struct conf_stmt *s);
/// Whether the token is one of ours and valid now. ERR_CREDENTIALS_MALFORMED, _WRONG, _EXPIRED, ERR_NO_MEMORY. ret_user: in the arena.
enum err token_check(const struct token_rules *t, struct span token, int64_t now_s, struct arena *a, struct span *ret_user);

#endif
