// SPDX-License-Identifier: Apache-2.0
// Which pool a request goes to, where its route leaves a choice: `split` by shares, `failover` in order.
#ifndef WEIR_PROXY_CHOICE_H
#define WEIR_PROXY_CHOICE_H

#include "proxy/exchange.h"

enum { CHOICE_PLACES = 10000 }; // of a split: hundredths of a percent

/// `split` or `failover` of a route.
struct pool_choice {
    struct pool **pools;
    unsigned n;
    bool in_order;   // failover
    uint32_t *until; // split: the first place that is not the pool's
    enum pool_key by; // POOL_KEY_NONE: by chance
    struct span by_name;
    unsigned respond_status; // failover, once all have failed; 0: the error's own answer
    struct text respond_text;
    unsigned retry_after_s; // 0: nothing is said
};

/// The pool for the exchange, and (where the route fails over) how many come behind it.
struct pool *choice_first(struct exchange *x);
/// The next one of a route that fails over, or NULL.
struct pool *choice_next(struct exchange *x);
/// What is answered when all pools have failed with e: an answer of ours like exchange_answer_error's. False: nothing is said of it.
bool choice_last_word(struct exchange *x, enum err e);

#endif
