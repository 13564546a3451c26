// SPDX-License-Identifier: Apache-2.0
// The opening handshake of a WebSocket (RFC 6455 4): what a proxy needs between HTTP/2, which has none, and HTTP/1.
#ifndef WEIR_HTTP_WEBSOCKET_H
#define WEIR_HTTP_WEBSOCKET_H

#include "base/span.h"

enum {
    WEBSOCKET_NONCE_BYTES = 16,
    WEBSOCKET_KEY_BYTES = 24,
    WEBSOCKET_ACCEPT_BYTES = 28,
};

/// Sec-WebSocket-Key for a nonce; out has WEBSOCKET_KEY_BYTES.
struct span websocket_key(const unsigned char nonce[WEBSOCKET_NONCE_BYTES], char *out);
/// Sec-WebSocket-Accept for a key; out has WEBSOCKET_ACCEPT_BYTES. A key that is longer than any can be gives an empty span.
struct span websocket_accept(struct span key, char *out);

#endif
