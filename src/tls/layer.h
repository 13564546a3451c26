// SPDX-License-Identifier: Apache-2.0
// Within the room: TLS as a transport's layer, the same for both sides.
#ifndef WEIR_TLS_LAYER_H
#define WEIR_TLS_LAYER_H

#include <openssl/ssl.h>

#include "session/transport.h"
#include "tls/hello.h"

enum {
    TLS_RECORD_BYTES = 16384,
};

struct tls_layer {
    struct transport_info info;
    SSL *ssl;
    struct transport *t;
    struct transport *below; // mem_alloc; the layer that was there before, seen as a transport (TLS in TLS); NULL: the socket itself
    struct chunkq early;  // read before the layer was there
    struct chunkq out;    // encrypted, not sent yet
    enum err in_err;      // what the socket said last that is final
    uint16_t reads_left;  // of one operation
    uint16_t session_slot; // toward a server: where a session is kept
    uint8_t busy;         // operations since others last ran
    bool established;     // the handshake has ended well
    bool failed;          // OpenSSL takes no more calls
    bool ended;           // our close_notify is said
    bool early_open;      // early data may still come, or the end of the handshake behind it
    bool early_ended;     // of these it is the latter
    bool has_first;       // `first` was read and not yet taken
    char first;           // octet of early data
    bool challenge;       // the handshake of an ACME authority, which is all of it
    bool last;            // what is sent next is the last
    bool sending;         // a fiber waits to send
    uint64_t deadline;    // of a handshake with early data
    const void *owner;    // during the handshake: the listener's or the pool's
    char *peer;           // what info says of the client; mem_alloc
    char name[TLS_NAME_MAX + 1];
};

/// A layer over t, whose operations it takes once it stands (tls_layer_stand); a layer that t has already is beneath it from then on.
/// ERR_NO_MEMORY.
MUST_USE enum err tls_layer_new(struct transport *t, SSL_CTX *ctx, struct tls_layer **ret);
/// The handshake, on the calling fiber. ERR_TIMEOUT, ERR_TLS_FAILED, ERR_RESET, or the fiber's cancellation. What is to be sent at
/// its end may go with what is sent next.
MUST_USE enum err tls_layer_handshake(struct tls_layer *l, uint64_t deadline);
/// Before a call of OpenSSL's.
void tls_layer_operation(struct tls_layer *l);
/// What is to be done after a call of the handshake that returned r <= 0: sends, and waits for more. Otherwise an error as of
/// tls_layer_handshake.
MUST_USE enum err tls_layer_await(struct tls_layer *l, int r, uint64_t deadline);
/// The layer is the transport's from now on.
void tls_layer_stand(struct tls_layer *l);
/// Fills in info what the client proved to be. ERR_NO_MEMORY, ERR_TLS_FAILED (a certificate beyond reason).
MUST_USE enum err tls_peer_note(struct tls_layer *l);
void tls_layer_free(struct tls_layer *l);
struct tls_layer *tls_layer_of(const SSL *ssl);

#endif
