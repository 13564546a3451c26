// SPDX-License-Identifier: Apache-2.0
// Within the room: signatures (RFC 7515, ES256), keys, certificates.
#ifndef WEIR_ACME_JOSE_H
#define WEIR_ACME_JOSE_H

#include <openssl/evp.h>
#include <openssl/x509.h>

#include "base/arena.h"

/// NULL pointers where memory is out, all of them.
struct span jose_base64url(struct arena *a, struct span bytes);
EVP_PKEY *jose_key_new(void);
/// PEM
struct span jose_key_pem(struct arena *a, EVP_PKEY *key);
EVP_PKEY *jose_key_load(struct span pem);
/// The public key as a JSON object, its members in the order that its thumbprint (RFC 7638) wants.
struct span jose_jwk(struct arena *a, EVP_PKEY *key);
struct span jose_thumbprint(struct arena *a, EVP_PKEY *key);
/// A signed message. kid: the account's URL, or empty: the key itself is named. payload empty with a NULL pointer: POST-as-GET.
struct span jose_sign(struct arena *a, EVP_PKEY *key, struct span kid, struct span nonce, struct span url, struct span payload);
/// The request for a certificate (DER, base64url) for these names.
struct span jose_csr(struct arena *a, EVP_PKEY *key, const struct span *names, unsigned n);

struct jose_dates {
    int64_t from_s, to_s;
};
/// Whether the PEM text has a certificate for all of the names, and its key; *ret: how long it is good.
bool jose_certificate(struct span pem, const struct span *names, unsigned n, struct jose_dates *ret);

#endif
