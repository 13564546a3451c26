// SPDX-License-Identifier: Apache-2.0
// Within the room: what holds for every connection, whichever side and site.
#ifndef WEIR_TLS_CONTEXT_H
#define WEIR_TLS_CONTEXT_H

#include <openssl/ssl.h>

#include "base/span.h"

/// A context with versions, ciphers, groups and modes set; NULL when memory is out.
SSL_CTX *tls_context_new(bool server);
/// What OpenSSL says went wrong last, as the end of a sentence; empties its queue of errors. A static string.
const char *tls_reason(void);

// pem.c
/// The certificates of a PEM text, in order; NULL (ret_why: a sentence) where there is none or one is malformed.
STACK_OF(X509) *tls_pem_certificates(struct span pem, const char **ret_why);
/// Certificate revocation lists.
STACK_OF(X509_CRL) *tls_pem_crls(struct span pem, const char **ret_why);
/// password: empty where the key is not encrypted.
EVP_PKEY *tls_pem_key(struct span pem, struct span password, const char **ret_why);

// acme_challenge.c
/// A reference to the context that answers the authority's handshake for the name; NULL where none is under way.
SSL_CTX *tls_challenge_context(struct span name);

// tickets.c
/// Makes the context seal tickets with the process's keys, which rotate.
bool tls_tickets_use(SSL_CTX *ctx);

#endif
