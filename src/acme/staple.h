// SPDX-License-Identifier: Apache-2.0
// Within the room: what is shown with a certificate (OCSP), had from its responder and stored.
#ifndef WEIR_ACME_STAPLE_H
#define WEIR_ACME_STAPLE_H

#include "acme/acme.h"
#include "acme/https.h"

/// When the stored answer is to be had anew (seconds since 1970): in the middle of what is left; 0: now.
int64_t staple_renewal(int folder, struct arena *a, const struct acme_staple *s, int64_t now_s);
/// Asks and stores. NULL, or the end of a sentence.
const char *staple_fetch(const struct https *h, int folder, struct arena *a, const struct acme_staple *s);

#endif
