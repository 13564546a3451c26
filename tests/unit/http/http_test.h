// SPDX-License-Identifier: Apache-2.0
// What the tests of heads share.
#ifndef WEIR_TESTS_HTTP_TEST_H
#define WEIR_TESTS_HTTP_TEST_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>

#include "http/h1.h"

static const struct h1_limits test_limits = {.line_bytes = 8192, .fields = 128, .fields_bytes = 32768};

/// An assertion that shows both texts.
#define assert_span(s, lit) assert_span_at((s), span_str(lit), __LINE__)
static inline void assert_span_at(struct span got, struct span want, int line)
{
    if (!span_eq(got, want))
        fail_msg("line %d: \"%.*s\" instead of \"%.*s\"", line, SPAN_ARG(got), SPAN_ARG(want));
}

/// Bytes of exactly this length on the heap, so that a sanitizer sees one byte read too far. The caller
/// frees.
static inline char *exactly(struct span s)
{
    char *p = malloc(s.len ? s.len : 1);
    assert_non_null(p);
    if (s.len)
        memcpy(p, s.ptr, s.len);
    return p;
}

/// The verdict on a head that arrives in pieces that end at the cuts (each a length, the last one the whole).
static inline enum err scan_cut(struct span s, bool is_request, const struct h1_limits *limits, size_t cut,
                                struct h1_head *ret)
{
    h1_head_init(ret);
    enum err e = ERR_AGAIN;
    if (cut < s.len) {
        char *part = exactly(span_first(s, cut));
        e = h1_head_scan(ret, part, cut, is_request, limits);
        free(part);
    }
    return e == ERR_AGAIN ? h1_head_scan(ret, s.ptr, s.len, is_request, limits) : e;
}

#endif
