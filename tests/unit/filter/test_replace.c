// SPDX-License-Identifier: Apache-2.0
// Texts for texts, in any pieces.
#include "filter_test.h"

#include "filter/replace.h"

static const struct replacement pairs[] = {{SPAN_INIT("hello"), SPAN_INIT("bye")}, {SPAN_INIT("hell"), SPAN_INIT("heaven")}, {SPAN_INIT("aab"), SPAN_INIT("")}, {SPAN_INIT("\0x"), SPAN_INIT("aab")}};

static void expect(struct span in, struct span want)
{
    for (size_t piece = 1; piece <= in.len + 1; piece++) {
        struct text out = {NULL, 0, 0};
        text_add(&out, "", 0);
        assert_int_equal(run_pieces(replace_new(pairs, ARRAY_LEN(pairs)), in.ptr, in.len, piece, 0, &out), ERR_OK);
        assert_int_equal(out.len, want.len);
        assert_memory_equal(out.ptr, want.ptr, want.len);
        free(out.ptr);
    }
}

static void texts(void **state)
{
    (void)state;
    expect(SPAN("hello hell helhello"), SPAN("bye heaven helbye"));
    expect(SPAN("aaab aab hel"), SPAN("a  hel"));
    expect(SPAN("a\0x\0y"), SPAN("aaab\0y"));
    expect(SPAN("nothing"), SPAN("nothing"));
    expect(SPAN("hell"), SPAN("heaven"));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {cmocka_unit_test(texts)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
