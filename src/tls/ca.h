// SPDX-License-Identifier: Apache-2.0
// A new certificate authority, for `weir ca new`.
#ifndef WEIR_TLS_CA_H
#define WEIR_TLS_CA_H

#include "base/arena.h"

struct tls_ca {
    struct span cert, key;   // PEM
    struct span fingerprint; // of the certificate: SHA-256, hexadecimal with colons
};
/// A root that signs servers' certificates and nothing else (ECDSA P-256, ten years). name: its common name,
/// 64 octets at most. The key's text is in the arena: who has stored it wipes it. False: OpenSSL refuses, or
/// memory is out.
MUST_USE bool tls_ca_make(struct span name, struct arena *a, struct tls_ca *ret);

#endif
