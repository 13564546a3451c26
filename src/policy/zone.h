// SPDX-License-Identifier: Apache-2.0
// Time zones by IANA name, from the system's compiled files (RFC 8536). Read when a configuration is
// compiled; immutable afterwards.
#ifndef WEIR_POLICY_ZONE_H
#define WEIR_POLICY_ZONE_H

#include "base/arena.h"
#include "conf/source.h"

struct zone;
/// Whether the word could be a zone's name at all.
bool zone_is_name(struct span name);
/// files (may be NULL) remembers the zone's file for a process that has no disk. The zone lives in the arena.
/// NULL with *ret_why, a sentence.
const struct zone *zone_load(struct span name, struct conf_source *files, struct arena *a,
                             const char **ret_why);
/// From the content of a zone's file; NULL where it is damaged or memory is out.
const struct zone *zone_parse(struct span file, struct arena *a);
/// Seconds east of UTC at a moment.
int32_t zone_offset_s(const struct zone *z, int64_t utc_s);

#endif
