// SPDX-License-Identifier: Apache-2.0
// Password files (`htpasswd`): one `NAME:HASH` a line, the hash bcrypt, sha-512 crypt or yescrypt. Immutable once read.
#ifndef WEIR_POLICY_PASSWD_H
#define WEIR_POLICY_PASSWD_H

#include "policy/condition.h"

enum { PASSWD_NAME_MAX = 255, PASSWD_PASSWORD_MAX = 512 };

struct passwd;

/// NULL after an error was reported: a file that cannot be read, a line that is none, a hash of another kind.
const struct passwd *passwd_new(struct condition_context *k, const struct conf_value *file);
/// The stored hash of a user. Of one that the file does not know: another user's, so that telling the two apart takes equally
/// long; *ret_known says which.
const char *passwd_hash_of(const struct passwd *p, struct span user, bool *ret_known);
/// Whether the password has this hash. Takes tens of milliseconds and 32 KiB: never on a loop. Both are C strings.
enum err passwd_verify(const char *hash, const char *password, bool *ret_fits);
/// A line for such a file, without its end. ERR_IO where the system's crypt cannot; a C string.
enum err passwd_make_hash(const char *password, char *out, size_t cap);

#endif
