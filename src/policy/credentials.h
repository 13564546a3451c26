// SPDX-License-Identifier: Apache-2.0
// Credentials in a field (RFC 9110 11.4): the scheme, and what Basic (RFC 7617) says.
#ifndef WEIR_POLICY_CREDENTIALS_H
#define WEIR_POLICY_CREDENTIALS_H

#include "base/span.h"
#include "policy/passwd.h"

/// The token68 behind a scheme's name; a NULL pointer where the value is of another scheme.
struct span credentials_of(struct span value, struct span scheme);

struct basic_credentials {
    char text[PASSWD_NAME_MAX + PASSWD_PASSWORD_MAX + 2]; // both, each with a terminator: to be wiped after use
    struct span user, password;
};
/// False for what is no base64 of USER:PASSWORD, for control characters (RFC 7617 2) and for what is too long.
MUST_USE bool basic_parse(struct span token, struct basic_credentials *ret);

#endif
