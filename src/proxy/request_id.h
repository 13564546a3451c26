// SPDX-License-Identifier: Apache-2.0
// Identifiers of requests: unique, and not to be guessed.
#ifndef WEIR_PROXY_REQUEST_ID_H
#define WEIR_PROXY_REQUEST_ID_H

#include "base/arena.h"

enum { REQUEST_ID_BYTES = 32, REQUEST_ID_MAX_BYTES = 128 };
/// 32 hexadecimal digits, in the arena; empty when memory is out.
struct span request_id_make(struct arena *a);
/// Whether an identifier that a trusted peer sent may be kept: a token of reasonable length.
bool request_id_is_valid(struct span s);

#endif
