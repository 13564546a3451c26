// SPDX-License-Identifier: Apache-2.0
// Steps on the content's flow. A filter takes bytes from one queue and appends what it makes of them to another; a chain runs
// several. Nothing here waits or does I/O: who pulls content feeds the chain and sends on what comes out.
#ifndef WEIR_FILTER_FILTER_H
#define WEIR_FILTER_FILTER_H

#include "base/chunk.h"
#include "base/err.h"

struct filter;

/// What comes behind the bytes that a filter is given.
enum filter_more {
    FILTER_MORE,  // something, soon: what is held back may stay
    FILTER_FLUSH, // nothing for a while: what can go out goes out
    FILTER_END,   // nothing: the content is complete
};

enum {
    FILTER_STEP_BYTES = 256 * 1024, // about the most that one run appends, so that a little input cannot become a flood of memory
    FILTERS_MAX = 5,
};

struct filter_ops {
    const char *name;
    /// Takes from in and appends to out. *ret_done: all of in was taken and `more` was obeyed; otherwise out has had enough for
    /// now and the same call is to be made again. An error is final: the content is broken.
    enum err (*run)(struct filter *f, struct chunkq *in, struct chunkq *out, enum filter_more more, bool *ret_done);
    void (*free)(struct filter *f);
};

/// The first member of every filter.
struct filter {
    const struct filter_ops *ops;
};

struct filter_chain {
    struct filter *v[FILTERS_MAX];
    struct chunkq between[FILTERS_MAX]; // what the filter at this place has yet to take; [0] is not used
    unsigned n;
};

void filter_chain_init(struct filter_chain *c);
/// Takes the filter over (NULL, or a full chain, is false, and the filter is freed).
MUST_USE bool filter_chain_add(struct filter_chain *c, struct filter *f);
/// Like a filter's run, through all of them.
MUST_USE enum err filter_chain_run(struct filter_chain *c, struct chunkq *in, struct chunkq *out, enum filter_more more, bool *ret_done);
/// Frees the filters and what they hold.
void filter_chain_fini(struct filter_chain *c);

static inline void filter_free(struct filter *f)
{
    if (f)
        f->ops->free(f);
}

#endif
