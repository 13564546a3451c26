// SPDX-License-Identifier: Apache-2.0
// Feeding filters in pieces and looking at what comes out.
#ifndef WEIR_TEST_FILTER_H
#define WEIR_TEST_FILTER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "filter/filter.h"

struct text {
    char *ptr;
    size_t len, cap;
};

static inline void text_add(struct text *t, const void *bytes, size_t len)
{
    if (t->len + len > t->cap) {
        t->cap = (t->len + len) * 2 + 64;
        t->ptr = (char *)realloc(t->ptr, t->cap);
        assert_non_null(t->ptr);
    }
    if (len)
        memcpy(t->ptr + t->len, bytes, len);
    t->len += len;
}

static inline void text_take(struct text *t, struct chunkq *q)
{
    while (q->bytes) {
        struct span s = chunkq_first(q);
        text_add(t, s.ptr, s.len);
        chunkq_skip(q, s.len);
    }
}

static inline uint32_t test_random(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

/// Runs the filter over the bytes in pieces: of piece bytes, or where that is 0 of random sizes with random flushes. Frees it.
static inline enum err run_pieces(struct filter *f, const void *bytes, size_t len, size_t piece, uint32_t seed, struct text *out)
{
    struct chunkq in, q;
    chunkq_init(&in);
    chunkq_init(&q);
    enum err e = ERR_OK;
    assert_non_null(f);
    for (size_t at = 0; !e;) {
        size_t n = piece ? piece : 1 + test_random(&seed) % (test_random(&seed) % 8 ? 200 : 9000);
        if (n > len - at)
            n = len - at;
        assert_int_equal(chunkq_append(&in, NULL, (const char *)bytes + at, n), ERR_OK);
        at += n;
        enum filter_more more = at == len ? FILTER_END : !piece && test_random(&seed) % 4 == 0 ? FILTER_FLUSH : FILTER_MORE;
        for (bool done = false; !e && !done;) {
            e = f->ops->run(f, &in, &q, more, &done);
            assert_true(q.bytes <= 2 * FILTER_STEP_BYTES);
            text_take(out, &q);
        }
        if (at == len)
            break;
    }
    if (!e)
        assert_int_equal(in.bytes, 0);
    chunkq_fini(&in);
    chunkq_fini(&q);
    filter_free(f);
    return e;
}

#endif
