// SPDX-License-Identifier: Apache-2.0
#include "cache/sketch.h"

#include "base/mem.h"

static uint32_t column(uint64_t hash, unsigned row)
{
    return (uint32_t)(hash >> (row * 20)) % SKETCH_COLUMNS;
}

unsigned sketch_estimate(const struct sketch *s, uint64_t hash)
{
    unsigned least = 255;
    for (unsigned r = 0; s->counts && r < SKETCH_ROWS; r++)
        least = MIN(least, (unsigned)s->counts[r][column(hash, r)]);
    return s->counts ? least : 0;
}

static void age(struct sketch *s)
{
    for (unsigned r = 0; r < SKETCH_ROWS; r++)
        for (unsigned i = 0; i < SKETCH_COLUMNS; i++)
            s->counts[r][i] /= 2;
    s->added = 0;
}

unsigned sketch_add(struct sketch *s, uint64_t hash, uint64_t window)
{
    if (!s->counts && !(s->counts = (uint8_t(*)[SKETCH_COLUMNS])mem_calloc(SKETCH_ROWS, SKETCH_COLUMNS)))
        return 1;
    for (unsigned r = 0; r < SKETCH_ROWS; r++) {
        uint8_t *c = &s->counts[r][column(hash, r)];
        *c = (uint8_t)MIN(*c + 1, 255);
    }
    unsigned estimate = sketch_estimate(s, hash);
    if (++s->added >= MIN(MAX(window, (uint64_t)SKETCH_WINDOW_MIN), (uint64_t)SKETCH_WINDOW_MAX))
        age(s);
    return estimate;
}

void sketch_fini(struct sketch *s)
{
    mem_free(s->counts);
    s->counts = NULL;
}
