// SPDX-License-Identifier: Apache-2.0
// The configuration language: any text ends in a tree or in diagnostics, and the canonical layout of a good
// one is a fixed point that means the same.
#include "fuzz.h"

#include "conf/conf.h"

static struct conf *load(struct span text)
{
    struct conf_diags *d = conf_diags_new();
    CHECK(d);
    struct conf *c = conf_load_text(text, "fuzz.conf", d);
    CHECK((c != NULL) == (conf_diags_errors(d) == 0));
    CHECK(c || conf_diags_text(d).len > 0);
    CHECK(conf_diags_json(d).len > 0);
    conf_diags_free(d);
    return c;
}

static struct span format(struct span text, struct arena *a)
{
    struct conf_diags *d = conf_diags_new();
    struct span out;
    CHECK(d && conf_fmt(text, "fuzz.conf", d, a, &out));
    conf_diags_free(d);
    return out;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char *buf = fuzz_exact(data, size);
    struct conf *c = load(span_of(buf, size));
    if (c) {
        struct arena a;
        arena_init(&a, ARENA_NO_LIMIT);
        struct span once = format(span_of(buf, size), &a), twice = format(once, &a);
        CHECK(span_eq(once, twice));
        struct conf *again = load(once);
        CHECK(again);
        CHECK(conf_json(c, &a).len > 0 && conf_json(again, &a).len > 0);
        conf_unref(again);
        conf_unref(c);
        arena_fini(&a);
    }
    free(buf);
    return 0;
}
