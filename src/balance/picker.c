// SPDX-License-Identifier: Apache-2.0
#include "balance/picker.h"

#include "balance/pool.h"
#include "io/loop.h"

const struct picker *picker_find(struct span word)
{
    static const struct picker *const all[] = {
#define PICKER(id, word) &picker_##id,
#include "balance/pickers.tbl"
#undef PICKER
    };
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        if (span_eq(word, span_str(all[i]->word)))
            return all[i];
    return NULL;
}

// xorshift64*: nobody gains by guessing it, and two steps are all that a choice may cost.
uint32_t pick_random(uint32_t n)
{
    static _Thread_local uint64_t state;
    while (unlikely(state == 0))
        loop_random(&state, sizeof state);
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    uint32_t high = (uint32_t)((state * UINT64_C(0x2545F4914F6CDD1D)) >> 32);
    return (uint32_t)((uint64_t)high * n >> 32);
}
