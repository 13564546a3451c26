// SPDX-License-Identifier: Apache-2.0
// What the tests of the proxy's parts share.
#ifndef WEIR_TESTS_PROXY_TEST_H
#define WEIR_TESTS_PROXY_TEST_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>

#include "http/h1.h"

#define assert_span(s, lit) assert_span_at((s), span_str(lit), __LINE__)
static inline void assert_span_at(struct span got, struct span want, int line)
{
    if (!span_eq(got, want))
        fail_msg("line %d: \"%.*s\" instead of \"%.*s\"", line, SPAN_ARG(got), SPAN_ARG(want));
}

static inline bool has(struct span s, const char *part)
{
    return span_find_span(s, span_str(part)) <= s.len;
}

/// A request from its head (lines end with \r\n).
static inline MUST_USE enum err request_of(const char *head, struct arena *a, struct request *ret)
{
    static const struct h1_limits limits = {.line_bytes = 1 << 20, .fields = 1000, .fields_bytes = 1 << 20};
    struct span s;
    struct h1_head h;
    if (!arena_dup(a, span_str(head), &s))
        return ERR_NO_MEMORY;
    h1_head_init(&h);
    enum err e = h1_head_scan(&h, s.ptr, s.len, true, &limits);
    return e ? e : h1_parse_request(s.ptr, &h, SPAN("http"), a, ret);
}

#endif
