// SPDX-License-Identifier: Apache-2.0
// Feeding a tokenizer that wants whole tokens from content that comes in any pieces: what it has not taken is held and
// presented again with what follows.
#ifndef WEIR_FILTER_TOKENS_H
#define WEIR_FILTER_TOKENS_H

#include "filter/filter.h"

enum {
    TOKENS_HOLD_MAX = 56 * 1024, // a tokenizer that wants to hold more lets it pass instead
    TOKENS_PIECE = 4096,         // by which held bytes grow
    TOKENS_RUN_BYTES = 64 * 1024,
};

struct tokens {
    struct chunk *held; // NULL: nothing
    uint32_t n_held;
    /// Looks at n bytes (the first ones are those that it left before) and says how many are done with; it has put them out, changed
    /// or not. end: nothing follows, all must be taken. It may leave at most TOKENS_HOLD_MAX.
    size_t (*step)(struct tokens *t, const char *p, size_t n, bool end);
    struct chunkq *out;
    enum err error; // sticky
    const char *from; // for steps that put out what does not change in one go (tokens_pass): where that begins
};

void tokens_put(struct tokens *t, const char *p, size_t n);
/// What stands from t->from to here goes out as it is; t->from is here then.
static inline void tokens_pass(struct tokens *t, const char *to)
{
    tokens_put(t, t->from, (size_t)(to - t->from));
    t->from = to;
}
MUST_USE enum err tokens_feed(struct tokens *t, const char *p, size_t n, bool end);
/// As a filter's run.
MUST_USE enum err tokens_run(struct tokens *t, struct chunkq *in, struct chunkq *out, enum filter_more more, bool *ret_done);
void tokens_fini(struct tokens *t);

#endif
