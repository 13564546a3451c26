// SPDX-License-Identifier: Apache-2.0
// Any octets as a part of a text that has rules of its own.
#ifndef WEIR_PROXY_ESCAPE_H
#define WEIR_PROXY_ESCAPE_H

#include "base/arena.h"

/// Writes s as the inside of a JSON string (RFC 8259 7) and returns the number of bytes, at most cap: what
/// does not fit is left out, in whole characters. Well-formed UTF-8 stays, but for control characters (C1 and
/// the line separators too); an octet that belongs to none is written as the character of that number
/// (`\u00ff`).
size_t escape_json(struct span s, char *out, size_t cap);
/// The same for the quoted parts of the combined log form: `\"`, `\\` and `\xhh`, ASCII alone stays.
size_t escape_log(struct span s, char *out, size_t cap);
/// For text and quoted attributes of HTML; in the arena, NULL pointer when memory is out.
struct span escape_html(struct arena *a, struct span s);

#endif
