// SPDX-License-Identifier: Apache-2.0
// base64 (RFC 4648 4).
#ifndef WEIR_BASE_BASE64_H
#define WEIR_BASE_BASE64_H

#include "base/span.h"

/// How long the text of n bytes is; n at most a quarter of the address space.
static inline size_t base64_size(size_t n)
{
    return (n + 2) / 3 * 4;
}
/// Writes base64_size(s.len) characters to out, without a terminator, and returns how many.
size_t base64_encode(struct span s, char *out);

/// Decodes into out, at most cap bytes. The padding may be missing, and there is nothing else beside the alphabet. How many; SIZE_MAX: it is
/// malformed, or longer than cap.
size_t base64_decode(struct span s, char *out, size_t cap);

#endif
