// SPDX-License-Identifier: Apache-2.0
// What the process remembers of credentials, over all threads and configurations: those that were right a short while ago, so that
// a page of a hundred requests costs one hash; and who has failed too often. Both are of a fixed size: what does not fit is forgotten.
#ifndef WEIR_POLICY_AUTH_MEMORY_H
#define WEIR_POLICY_AUTH_MEMORY_H

#include "net/addr.h"

enum {
    AUTH_REMEMBER_MS = 60000,
    AUTH_WINDOW_MS = 60000,     // in which failures count
    AUTH_FAILURES_MAX = 30,     // of one user name from one client in a window; no check is made beyond that
    AUTH_FAILURES_CLIENT_MAX = 150, // of one client over all names
    AUTH_PENDING_MAX = 64,      // checks under way at once
};

struct auth_memory;
/// The process's own; NULL when memory is out.
struct auth_memory *auth_memory_shared(void);

enum { AUTH_PROOF_BYTES = 32 };
/// A keyed digest of a stored secret with the user and password that fit it: changes with each of them.
void auth_memory_proof(const struct auth_memory *m, struct span stored, struct span user, struct span password, unsigned char ret[AUTH_PROOF_BYTES]);
bool auth_memory_knows(struct auth_memory *m, const unsigned char proof[AUTH_PROOF_BYTES], uint64_t now_ms);
void auth_memory_add(struct auth_memory *m, const unsigned char proof[AUTH_PROOF_BYTES], uint64_t now_ms);

/// Counts an attempt as failed until it turns out right, so that many at once are no way around. False: there were too many.
MUST_USE bool auth_memory_attempt(struct auth_memory *m, const struct addr *client, struct span user, uint64_t now_ms);
/// The attempt was right (or was never decided): it is no failure.
void auth_memory_forgive(struct auth_memory *m, const struct addr *client, struct span user, uint64_t now_ms);

/// One more check under way; false: there are too many.
MUST_USE bool auth_memory_enter(struct auth_memory *m);
void auth_memory_leave(struct auth_memory *m);

#endif
