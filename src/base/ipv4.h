// SPDX-License-Identifier: Apache-2.0
// An IPv4 address as text, the one way that is not ambiguous.
#ifndef WEIR_BASE_IPV4_H
#define WEIR_BASE_IPV4_H

#include "base/span.h"

/// Four decimal numbers up to 255 without leading zeros, the whole span: no octal, no hexadecimal, no short forms (RFC 6943 3.1.1).
/// False leaves ret in no certain state.
MUST_USE bool ipv4_parse(struct span s, uint8_t ret[4]);

#endif
