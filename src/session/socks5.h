// SPDX-License-Identifier: Apache-2.0
// Asking a SOCKS 5 server (RFC 1928, 1929) for a connection: the client's part.
#ifndef WEIR_SESSION_SOCKS5_H
#define WEIR_SESSION_SOCKS5_H

#include "session/transport.h"

struct socks5_target {
    struct span host; // a name, or an address as text (IPv6 with or without brackets); at most 255 octets
    uint16_t port;
    struct span user, password; // a NULL pointer for user: none; at most 255 octets each
};

/// Over a fresh connection, on the calling fiber: afterwards t leads to the target, and nothing more of it has been read. ERR_PARENT_REFUSED:
/// the server does not want to (or our credentials are wrong); ERR_PARENT_BAD: it does not speak SOCKS 5; ERR_PARENT_UNREACHED: it cannot
/// reach the target; ERR_TIMEOUT, or the fiber's cancellation.
MUST_USE enum err socks5_connect(struct transport *t, const struct socks5_target *to, uint64_t deadline);

#endif
