// SPDX-License-Identifier: Apache-2.0
// What a certificate's authority says of it at present (RFC 6960), to be shown to clients with it.
#ifndef WEIR_TLS_OCSP_H
#define WEIR_TLS_OCSP_H

#include "base/arena.h"

enum { TLS_OCSP_NAME_MAX = 64 + sizeof ".ocsp" };

/// The first certificate of a PEM text and its issuer's. False where one of them is missing or no responder is named.
/// ret_url: the responder (http); ret_name: a file's name that is the certificate's alone; ret_request: what to ask (DER). In the arena.
bool tls_ocsp_question(struct span pem, struct arena *a, struct span *ret_url, struct span *ret_name, struct span *ret_request);
/// Whether an answer (DER) is the responder's, about this certificate, says that it is good, and holds now. *ret_next_s: until when
/// (seconds since 1970). Otherwise the end of a sentence.
const char *tls_ocsp_judge(struct span pem, struct span answer, int64_t *ret_next_s);

#endif
