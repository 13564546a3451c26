// SPDX-License-Identifier: Apache-2.0
// How often keys were asked for lately, within 8 KiB: a count-min sketch whose counts are halved from time to time.
#ifndef WEIR_CACHE_SKETCH_H
#define WEIR_CACHE_SKETCH_H

#include "base/macros.h"

enum { SKETCH_ROWS = 2, SKETCH_COLUMNS = 4096, SKETCH_WINDOW_MIN = 128, SKETCH_WINDOW_MAX = 8 * SKETCH_COLUMNS };

struct sketch {
    uint8_t (*counts)[SKETCH_COLUMNS]; // NULL until first used
    uint32_t added;
};

/// One more of this hash; returns the estimate, this one included (1 where there is no memory). After so many (window, within the limits
/// above) all counts are halved: what lies further back says nothing of what is asked for now.
unsigned sketch_add(struct sketch *s, uint64_t hash, uint64_t window);
unsigned sketch_estimate(const struct sketch *s, uint64_t hash);
void sketch_fini(struct sketch *s);

#endif
