// SPDX-License-Identifier: Apache-2.0
// What the tests of configurations share.
#ifndef WEIR_TESTS_CONF_TEST_H
#define WEIR_TESTS_CONF_TEST_H

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <setjmp.h>
#include <cmocka.h>

#include "conf/conf.h"

#define assert_span(s, lit) assert_span_at((s), span_str(lit), __LINE__)
static inline void assert_span_at(struct span got, struct span want, int line)
{
    if (!span_eq(got, want))
        fail_msg("line %d: \"%.*s\" instead of \"%.*s\"", line, SPAN_ARG(got), SPAN_ARG(want));
}

/// A configuration that must be good, as the file t.conf.
static inline struct conf *load_good(const char *text)
{
    struct conf_diags *d = conf_diags_new();
    struct conf *c = conf_load_text(span_str(text), "t.conf", d);
    if (!c) {
        struct span why = conf_diags_text(d);
        fail_msg("%.*s", SPAN_ARG(why));
    }
    conf_diags_free(d);
    return c;
}

#endif
