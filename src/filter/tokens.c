// SPDX-License-Identifier: Apache-2.0
#include "filter/tokens.h"

#include "base/check.h"

void tokens_put(struct tokens *t, const char *p, size_t n)
{
    if (!t->error && n)
        t->error = chunkq_append_copy(t->out, p, n);
}

static enum err hold(struct tokens *t, const char *p, size_t n)
{
    if (!n)
        return ERR_OK;
    if (!t->held && !(t->held = chunk_new(CHUNK_MEDIUM_BYTES)))
        return ERR_NO_MEMORY;
    CHECK(t->n_held + n <= t->held->cap);
    memcpy(t->held->data + t->n_held, p, n);
    t->n_held += (uint32_t)n;
    return ERR_OK;
}

static void unhold(struct tokens *t, size_t n)
{
    t->n_held -= (uint32_t)n;
    if (t->n_held) {
        memmove(t->held->data, t->held->data + n, t->n_held);
        return;
    }
    chunk_unref(t->held);
    t->held = NULL;
}

enum err tokens_feed(struct tokens *t, const char *p, size_t n, bool end)
{
    for (;;) {
        if (t->n_held) {
            size_t piece = MIN(n, (size_t)TOKENS_PIECE);
            enum err e = hold(t, p, piece);
            if (e)
                return e;
            p += piece;
            n -= piece;
            size_t used = t->step(t, t->held->data, t->n_held, end && !n);
            if (used)
                unhold(t, used);
        } else {
            size_t used = t->step(t, p, n, end);
            enum err e = hold(t, p + used, n - used);
            if (e)
                return e;
            n = 0;
        }
        if (t->error || !n)
            return t->error;
    }
}

enum err tokens_run(struct tokens *t, struct chunkq *in, struct chunkq *out, enum filter_more more, bool *ret_done)
{
    size_t taken = 0;
    t->out = out;
    while (in->bytes && taken < TOKENS_RUN_BYTES) {
        struct span s = span_first(chunkq_first(in), TOKENS_RUN_BYTES / 2);
        enum err e = tokens_feed(t, s.ptr, s.len, false);
        if (e)
            return e;
        chunkq_skip(in, s.len);
        taken += s.len;
    }
    *ret_done = !in->bytes;
    return *ret_done && more == FILTER_END ? tokens_feed(t, "", 0, true) : ERR_OK;
}

void tokens_fini(struct tokens *t)
{
    chunk_unref(t->held);
    t->held = NULL;
}
