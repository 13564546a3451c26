// SPDX-License-Identifier: Apache-2.0
// Whom the other side's certificate may come from: certificates of authorities, and revocation lists. Immutable, shared by threads.
#ifndef WEIR_TLS_TRUST_H
#define WEIR_TLS_TRUST_H

#include "base/span.h"

struct tls_trust;

/// From PEM; crls: empty where nobody's certificate is revoked. NULL, with the end of a sentence about the file in *ret_why:
/// the authorities' (*ret_crl_file false) or the lists'.
struct tls_trust *tls_trust_new(struct span authorities, struct span crls, const char **ret_why, bool *ret_crl_file);
void tls_trust_free(struct tls_trust *t);

#endif
