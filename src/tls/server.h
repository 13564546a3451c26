// SPDX-License-Identifier: Apache-2.0
// TLS toward clients. A site brings certificates and what it demands of its clients (built once, immutable, shared by threads); a
// listener finds the site for the name that a client asks for. How a session learns what came of it: transport_info of
// session/transport.h, from the connection's `t.info` (NULL: plain): `alpn` the protocol agreed on, `name` the SNI,
// `client_subject` whom the client proved to be.
#ifndef WEIR_TLS_SERVER_H
#define WEIR_TLS_SERVER_H

#include "base/span.h"
#include "session/client.h"
#include "tls/trust.h"

struct tls_site;

/// For debugging: contexts that are made from now on tell fn the secrets of their sessions (NSS key log lines), on any thread. NULL: not.
void tls_keys_log(void (*fn)(const char *line));

/// NULL when memory is out. identity: tells sites apart where sessions are resumed, so a session of one is none of another.
struct tls_site *tls_site_new(struct span identity);
/// A certificate with the chain behind it, and its key, as PEM; password: empty where the key is not encrypted. Several may be of
/// different kinds (ECDSA and RSA: the client's choice) and for different names. NULL, or why not, as the end of a sentence about the
/// file in *ret_key_file (the key's) or not (the certificate's).
const char *tls_site_add(struct tls_site *s, struct span cert, struct span key, struct span password, bool *ret_key_file);
/// The site's clients show a certificate of trust's, or (required false) may show one. identity tells trusts apart. Before the first
/// certificate is added; trust must live as long as the site. False when memory is out.
MUST_USE bool tls_site_demand(struct tls_site *s, bool required, const struct tls_trust *trust, uint64_t identity);
/// What the authority says of one of its certificates (tls/ocsp.h), to be shown with it for as long as it holds. NULL, or why not.
const char *tls_site_staple(struct tls_site *s, struct span cert, struct span answer);
/// Clients that go on with a session may send requests along with the handshake (transport_info's early says so of them).
void tls_site_early_data(struct tls_site *s);
/// session-tickets off
void tls_site_no_tickets(struct tls_site *s);
void tls_site_free(struct tls_site *s);

/// Seconds since 1970 at which the first of its certificates expires.
int64_t tls_site_expires(const struct tls_site *s);
/// Whether one of its certificates is for this name (lower case).
bool tls_site_covers(const struct tls_site *s, struct span name);
/// What the site demands of the client's certificate, as a number that two sites share only when they demand the same; 0: nothing.
uint64_t tls_site_client_policy(const struct tls_site *s);

struct tls_listener {
    /// The site for a name (lower case, no final dot); NULL: unknown, the client is told so.
    const struct tls_site *(*find)(const void *arg, struct span name);
    const void *arg;
    const struct tls_site *fallback; // for clients that name none
    bool early_data;                 // some site here takes it
};
/// struct client_settings' secure, on a connection that nothing was waited for on yet; secure_arg is a struct tls_listener, which must live until the handshake has ended.
enum err tls_accept(struct transport *t, const struct client_settings *s, uint64_t deadline);
/// The same once a byte is there; early: what was read of the connection already (NULL: nothing).
enum err tls_accept_early(struct transport *t, const struct client_settings *s, struct chunk *early, uint64_t deadline);

#endif
