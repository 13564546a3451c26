// SPDX-License-Identifier: Apache-2.0
// Proof of work in front of a site: the client gets a token that is signed for its address and host, searches a number with which
// the token's hash begins with enough zero bits, and shows both in a cookie. Nothing is kept here but one key of the process.
#ifndef WEIR_POLICY_CHALLENGE_H
#define WEIR_POLICY_CHALLENGE_H

#include "base/err.h"
#include "net/addr.h"

enum {
    CHALLENGE_TOKEN_BYTES = 16 + 1 + 32, // expiry and signature in hexadecimal, `-` between them
    CHALLENGE_BITS = 16,                 // 65,536 hashes on average
    CHALLENGE_SECONDS = 12 * 3600,       // how long a solution counts
};
#define CHALLENGE_COOKIE "weir-challenge"

/// Makes the process's key where there is none yet. ERR_NO_MEMORY. Before requests are served; any thread.
MUST_USE enum err challenge_init(void);
/// A token for a client (IPv6: its /64) at a host. now_s: wall clock.
void challenge_token(const struct addr *client, struct span host, int64_t now_s, char ret[CHALLENGE_TOKEN_BYTES]);
/// Whether a cookie's value `TOKEN-NUMBER` is a solution of a token for this client and host that still counts.
bool challenge_is_solved(struct span value, const struct addr *client, struct span host, int64_t now_s);

#endif
