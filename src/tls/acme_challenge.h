// SPDX-License-Identifier: Apache-2.0
// Challenges of an ACME authority (RFC 8555 8.3, RFC 8737) that are under way: what proves that a name is ours. A few at a time, for all
// threads of the process.
#ifndef WEIR_TLS_ACME_CHALLENGE_H
#define WEIR_TLS_ACME_CHALLENGE_H

#include "base/arena.h"

/// From now on the token is answered, over HTTP and in handshakes for the name. False when there is no room or no memory.
bool acme_challenge_set(struct span name, struct span token, struct span proof);
void acme_challenge_clear(struct span name, struct span token);
/// What to answer at /.well-known/acme-challenge/TOKEN, in the arena; empty where nobody asks for that.
struct span acme_challenge_answer(struct span token, struct arena *a);

#endif
