// SPDX-License-Identifier: Apache-2.0
// TLS of listeners, counted.
#ifndef WEIR_PROXY_HANDSHAKE_H
#define WEIR_PROXY_HANDSHAKE_H

#include "session/client.h"

/// struct client_settings' secure.
enum err handshake_accept(struct transport *t, const struct client_settings *s, uint64_t deadline);
/// Counts what came of a handshake.
void handshake_note(const struct transport *t, enum err e);

#endif
