// SPDX-License-Identifier: Apache-2.0
// Interception: certificates that an authority of the user's own signs on the fly, for a client that is to
// see us in a server's place. The authority and the certificates made so far are shared by threads.
#ifndef WEIR_TLS_MINT_H
#define WEIR_TLS_MINT_H

#include "session/client.h"

struct tls_mint;
struct tls_leaf;

/// NULL when memory is out.
struct tls_mint *tls_mint_new(void);
/// The authority's certificate (with the chain behind it, where it is not the root) and its key, as PEM.
/// NULL, or why not, as the end of a sentence about the key's file (*ret_key_file) or the certificate's.
const char *tls_mint_authority(struct tls_mint *m, struct span cert, struct span key, struct span password,
                               bool *ret_key_file);
void tls_mint_free(struct tls_mint *m);
/// Seconds since 1970 at which the authority's certificate expires.
int64_t tls_mint_expires(const struct tls_mint *m);
/// The authority's certificates as PEM, and the fingerprint of the first (SHA-256, hexadecimal with colons).
struct span tls_mint_pem(const struct tls_mint *m);
struct span tls_mint_fingerprint(const struct tls_mint *m);

/// The certificate for `name` (a host's name or address, lower case): with the names and the subject of the
/// one that upstream showed and that is good for it, or (upstream NULL) with that name alone. One that was
/// made before is used again; otherwise it is made on a helper thread, while the calling fiber waits.
/// ERR_NO_MEMORY, ERR_TLS_FAILED.
MUST_USE enum err tls_mint_leaf(struct tls_mint *m, struct span name, const struct transport *upstream,
                                struct tls_leaf **ret);
void tls_leaf_unref(struct tls_leaf *l);
/// How many certificates the mint keeps.
unsigned tls_mint_kept(struct tls_mint *m);

/// The handshake with a client that is shown this certificate, on the calling fiber; afterwards as
/// tls_accept.
MUST_USE enum err tls_accept_leaf(struct transport *t, const struct tls_leaf *leaf,
                                  const struct client_settings *s, uint64_t deadline);

#endif
