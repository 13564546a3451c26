// SPDX-License-Identifier: Apache-2.0
// Within the room: an authority and what it signs.
#ifndef WEIR_TLS_MINT_INTERNAL_H
#define WEIR_TLS_MINT_INTERNAL_H

#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdatomic.h>

#include "tls/mint.h"

enum {
    MINT_FINGERPRINT_BYTES = 32,
    MINT_FINGERPRINT_TEXT = 3 * MINT_FINGERPRINT_BYTES,
    MINT_WAYS = 4,
    MINT_SETS = 256,
    MINT_SLOTS = MINT_WAYS * MINT_SETS,
};

struct tls_leaf {
    _Atomic unsigned refs;
    SSL_CTX *ctx; // the mint's
    X509 *cert;
    EVP_PKEY *key;
    STACK_OF(X509) * chain; // between it and the root
    int64_t expires_s;
};

/// What tells certificates apart: the name, and what the server showed.
struct mint_key {
    unsigned char digest[MINT_FINGERPRINT_BYTES];
};

struct mint_slot {
    struct mint_key key;
    struct tls_leaf *leaf; // NULL: free
    uint64_t used;         // the mint's clock when it was asked for last
};

struct tls_mint {
    X509 *cert;
    EVP_PKEY *key, *leaf_key;
    STACK_OF(X509) *
        chain; // what clients need besides their root, the authority itself included unless it is that
    SSL_CTX *ctx;
    int64_t expires_s;
    char *pem; // mem_alloc
    size_t pem_len;
    char fingerprint[MINT_FINGERPRINT_TEXT];
    pthread_mutex_t lock; // of what follows
    uint64_t clock;
    unsigned n_kept;
    struct mint_slot slots[MINT_SLOTS];
};

// mint_sign.c
/// Signs a certificate for the name; model: the certificate whose names and subject it takes, or NULL. NULL
/// where OpenSSL refuses.
X509 *mint_sign(const struct tls_mint *m, struct span name, X509 *model, int64_t now_s,
                int64_t *ret_expires_s);
/// One extension by its text, as openssl's configuration has it.
MUST_USE bool mint_add_extension(X509 *x, X509 *issuer, int nid, const char *value);
/// A random serial number of 127 bits (RFC 5280 4.1.2.2).
MUST_USE bool mint_set_serial(X509 *x);
MUST_USE bool mint_set_dates(X509 *x, int64_t from_s, int64_t to_s);
int64_t mint_expiry(const X509 *x);

#endif
