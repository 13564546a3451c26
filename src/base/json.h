// SPDX-License-Identifier: Apache-2.0
// A look at JSON (RFC 8259) before a parser has it that calls itself for each level: a fiber's stack is short.
#ifndef WEIR_BASE_JSON_H
#define WEIR_BASE_JSON_H

#include "base/span.h"

/// How many objects and arrays are open at once at the most; of text that is no JSON at least as many as a parser would open before
/// it says so.
size_t json_depth(struct span text);

#endif
