// SPDX-License-Identifier: Apache-2.0
// TLS toward servers: what a pool (or a parent) demands of them and shows them. Built once, immutable, shared by threads; the
// sessions to resume are kept beside it, by server address.
#ifndef WEIR_TLS_CLIENT_H
#define WEIR_TLS_CLIENT_H

#include "net/addr.h"
#include "session/transport.h"
#include "tls/trust.h"

struct tls_client;

struct tls_client_options {
    const struct tls_trust *trust; // NULL: the server is not verified
    struct span name;              // that its certificate must be for; empty: what tls_connect is told
    struct span alpn;              // protocols to offer, as RFC 7301 writes the list; empty: none
    uint64_t trust_identity;       // tells trusts apart: see tls_client_identity
    bool many_names;               // it is for servers of many names: no session is resumed, since what it proved may be another's
};
/// NULL when memory is out.
struct tls_client *tls_client_new(const struct tls_client_options *o);
/// The certificate with its chain that the server is shown, and its key, as PEM. NULL, or why not, as the end of a sentence about the
/// key's file (*ret_key_file) or the certificate's.
const char *tls_client_certificate(struct tls_client *c, struct span cert, struct span key, struct span password, bool *ret_key_file);
/// Connections that are open keep what they need of it.
void tls_client_free(struct tls_client *c);
/// A number that two share only when they verify and show the same, so that one may use the other's connections. Never 0.
uint64_t tls_client_identity(const struct tls_client *c);
/// The handshake over a fresh connection to this address, on the calling fiber. host: the server's name or address as it was written;
/// where the options have no name the certificate must be for it. Afterwards t->info says what was agreed on.
/// ERR_TLS_CERTIFICATE, ERR_TLS_FAILED, ERR_TIMEOUT, ERR_NO_MEMORY, or the fiber's cancellation; t has no layer then.
MUST_USE enum err tls_connect(struct transport *t, const struct tls_client *c, struct span host, const struct addr *to, uint64_t deadline);
/// What became of a handshake, for people.
struct tls_verdict {
    struct span why;         // a certificate is not to be trusted, in OpenSSL's words; empty otherwise
    bool certificate_wanted; // the server asked for one of ours
};
/// The same, and says what became of it.
MUST_USE enum err tls_connect_told(struct transport *t, const struct tls_client *c, struct span host, const struct addr *to, uint64_t deadline,
                                   struct tls_verdict *ret);
/// A number for contents, as tls_client_options.trust_identity and its like want one: never 0.
uint64_t tls_identity(const struct span *parts, unsigned n);

#endif
