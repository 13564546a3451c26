// SPDX-License-Identifier: Apache-2.0
// Time zones by IANA name, from the system's compiled files (RFC 8536). Loaded when a configuration is compiled.
#ifndef WEIR_POLICY_ZONE_H
#define WEIR_POLICY_ZONE_H

#include "base/arena.h"

struct zone;
/// NULL with *ret_why (left as it is where the word cannot be a zone's name at all).
const struct zone *zone_load(struct span name, struct arena *a, const char **ret_why);
/// Seconds east of UTC at a moment.
int32_t zone_offset_s(const struct zone *z, int64_t utc_s);

#endif
