// SPDX-License-Identifier: Apache-2.0
// Media types by file name extension.
#ifndef WEIR_HTTP_MEDIA_H
#define WEIR_HTTP_MEDIA_H

#include "base/span.h"

/// "application/octet-stream" for an unknown extension.
struct span media_type_of(struct span file_name);
/// type/subtype of a Content-Type value, without parameters; empty where the value is none.
struct span media_essence(struct span content_type);
/// A parameter of a Content-Type value (quotes taken off), or an empty span with a NULL pointer.
struct span media_parameter(struct span content_type, struct span name);
/// Patterns of types whose content gains from a coding, because it is no compressed form of something
/// already.
const struct span *media_compressible(unsigned *ret_n);
/// Whether a type matches a pattern, without regard to case: `text/html`, `text/*`, `*+xml`, `*`.
bool media_matches(struct span essence, struct span pattern);

#endif
