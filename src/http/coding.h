// SPDX-License-Identifier: Apache-2.0
// Content codings and their negotiation (RFC 9110 8.4, 12.5.3).
#ifndef WEIR_HTTP_CODING_H
#define WEIR_HTTP_CODING_H

#include "http/field.h"

enum coding { CODING_IDENTITY, CODING_GZIP, CODING_DEFLATE, CODING_BR, CODING_ZSTD, CODING_UNKNOWN };

/// By its name, without regard to case; x-gzip is gzip.
enum coding coding_of(struct span name);
/// As it stands in Content-Encoding; empty for identity and unknown.
struct span coding_name(enum coding c);

/// Chooses from offers (in our order of preference, n of them) what Accept-Encoding wants: the greatest weight wins, among
/// equals the first offer. CODING_IDENTITY where none is acceptable or identity weighs more than each of them, or where the
/// field is absent (accept's pointer NULL). A weight that cannot be read counts as 0.
enum coding coding_choose(struct span accept, const enum coding *offers, unsigned n);

/// The codings of a Content-Encoding value in the order in which they were applied, without identity. Returns how many; more
/// than max is max + 1.
unsigned coding_list(struct span content_encoding, enum coding *out, unsigned max);

/// A weight (RFC 9110 12.4.2) in thousandths from the parameters behind an item (`;q=0.5`); 1000 where there is none, 0 where it
/// cannot be read.
unsigned weight_parse(struct span parameters);

#endif
