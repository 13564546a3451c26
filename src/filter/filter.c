// SPDX-License-Identifier: Apache-2.0
#include "filter/filter.h"

void filter_chain_init(struct filter_chain *c)
{
    c->n = 0;
}

bool filter_chain_add(struct filter_chain *c, struct filter *f)
{
    if (!f || c->n == FILTERS_MAX) {
        filter_free(f);
        return false;
    }
    chunkq_init(&c->between[c->n]);
    c->v[c->n++] = f;
    return true;
}

enum err filter_chain_run(struct filter_chain *c, struct chunkq *in, struct chunkq *out, enum filter_more more, bool *ret_done)
{
    bool all_done = true;
    for (unsigned i = 0; i < c->n; i++) {
        struct chunkq *from = i ? &c->between[i] : in, *to = i + 1 < c->n ? &c->between[i + 1] : out;
        bool done = false;
        // What stands before it has not said its last word yet: neither may this one.
        enum err e = c->v[i]->ops->run(c->v[i], from, to, all_done ? more : FILTER_MORE, &done);
        if (e)
            return e;
        all_done = all_done && done;
    }
    *ret_done = all_done;
    return c->n ? ERR_OK : chunkq_move(out, in, in->bytes);
}

void filter_chain_fini(struct filter_chain *c)
{
    for (unsigned i = 0; i < c->n; i++) {
        filter_free(c->v[i]);
        chunkq_fini(&c->between[i]);
    }
    c->n = 0;
}
