// SPDX-License-Identifier: Apache-2.0
// What a proxy in front of us says of a connection: the PROXY protocol.
#ifndef WEIR_PROXY_FRONT_H
#define WEIR_PROXY_FRONT_H

#include "session/client.h"

/// Reads the header (client_settings.introduce). Where it names a client the connection is that one's from then on, and counts for its
/// address. An error where there is no header, or that client has too many connections.
MUST_USE enum err front_introduce(struct client_conn *c, uint64_t deadline);

#endif
