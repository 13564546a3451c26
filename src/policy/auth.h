// SPDX-License-Identifier: Apache-2.0
// `auth`: how users show who they are. What a request has to say is held against the methods in the order written; one is enough.
#ifndef WEIR_POLICY_AUTH_H
#define WEIR_POLICY_AUTH_H

#include "policy/auth_request.h"
#include "policy/passwd.h"
#include "policy/token.h"

enum auth_kind { AUTH_BASIC, AUTH_BEARER, AUTH_CLIENT_CERT, AUTH_REQUEST };

struct auth_method {
    enum auth_kind kind;
    struct span where;            // FILE:LINE
    struct span challenge;        // the value of WWW-Authenticate or Proxy-Authenticate; empty: none
    const struct passwd *passwords;   // AUTH_BASIC
    const struct token_rules *tokens; // AUTH_BEARER
    const struct auth_request *request; // AUTH_REQUEST
};
struct auth {
    const struct auth_method *v;
    unsigned n;
};

/// The `auth` statements of a block, or what holds outside of it where there are none. NULL where nobody has to say who they are
/// (`auth off` is how a block says so), or after an error was reported.
const struct auth *auth_new(struct condition_context *k, const struct conf_stmt *block, const struct auth *outer);

#endif
