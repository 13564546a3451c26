// SPDX-License-Identifier: Apache-2.0
// Within the room: a site's contexts.
#ifndef WEIR_TLS_SERVER_SITE_H
#define WEIR_TLS_SERVER_SITE_H

#include <openssl/ssl.h>

#include "tls/server.h"

enum { TLS_SETS_MAX = 64, TLS_KINDS_MAX = 4 };

/// What is shown with a certificate (OCSP).
struct tls_staple {
    X509 *leaf;
    unsigned char *der;
    size_t len;
    int64_t next_s; // it holds until then
};

/// Certificates of different kinds for the same names.
struct tls_set {
    struct tls_staple staples[TLS_KINDS_MAX]; // der NULL: none
    SSL_CTX *ctx;
    X509 *leaf; // of the first
    int kinds[TLS_KINDS_MAX];
    unsigned n_kinds;
};

struct tls_site {
    struct tls_set sets[TLS_SETS_MAX];
    unsigned n_sets;
    unsigned char identity[32];
    int64_t expires_s;
    bool no_tickets, early_data;
    int verify_mode; // SSL_VERIFY_*
    const struct tls_trust *trust; // of clients; NULL: none is asked for a certificate
    uint64_t client_policy;
};

/// The context for a name (empty: the first).
SSL_CTX *tls_site_context(const struct tls_site *s, struct span name);
/// Waits until another handshake with a client may be done in this turn of the loop. ERR_TIMEOUT, or the fiber's cancellation.
MUST_USE enum err tls_wait_turn(uint64_t deadline);
/// The callbacks that every context of the server's side has.
void tls_server_callbacks(SSL_CTX *ctx);

#endif
