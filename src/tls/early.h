// SPDX-License-Identifier: Apache-2.0
// Within the room: early data (0-RTT) of clients that go on with a session. What it carries may be a copy of
// what somebody recorded, so each ClientHello gets it once, and who reads it is told (transport_info's
// early).
#ifndef WEIR_TLS_EARLY_H
#define WEIR_TLS_EARLY_H

#include "tls/layer.h"

/// Early data may come with the handshake that ssl is about to read.
void tls_early_allow(SSL *ssl);
/// The handshake of a listener where some site allows it, on the calling fiber: up to the first octet of
/// early data, or to its end. As tls_layer_handshake.
MUST_USE enum err tls_early_accept(struct tls_layer *l, uint64_t deadline);
/// SSL_read_ex while l->early_open: early data, then what ends the handshake, then what comes behind it.
int tls_early_read(struct tls_layer *l, char *buf, size_t cap, size_t *ret_n);
/// Waits for the end of the handshake; early data that still comes is thrown away.
MUST_USE enum err tls_early_finish(struct tls_layer *l);

#endif
