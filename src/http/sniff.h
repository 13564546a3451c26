// SPDX-License-Identifier: Apache-2.0
// What content is by its first bytes: the tables of https://mimesniff.spec.whatwg.org/ (sections 6 and 7.1).
#ifndef WEIR_HTTP_SNIFF_H
#define WEIR_HTTP_SNIFF_H

#include "base/span.h"

enum { SNIFF_BYTES = 1445 }; // what the tables look at

/// The media type that the bytes show; a NULL pointer where they show none (text is no sign: everything may be text).
struct span sniff_type(struct span first_bytes);
/// The same, where it says more than what is declared (an essence, or empty): pictures, sound and video are decoded by clients whatever
/// the declaration; for the others it counts only where the declaration leaves it open.
struct span sniff_beside(struct span first_bytes, struct span declared);

#endif
