// SPDX-License-Identifier: Apache-2.0
// Within the room: what tls_trust holds.
#ifndef WEIR_TLS_TRUST_STORE_H
#define WEIR_TLS_TRUST_STORE_H

#include <openssl/ssl.h>

#include "tls/trust.h"

struct tls_trust {
    X509_STORE *store;
    STACK_OF(X509_NAME) *names; // that clients are told
};

#endif
