// SPDX-License-Identifier: Apache-2.0
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "base/arena.h"
#include "base/mem.h"

static bool fail_after(void *arg)
{
    unsigned *left = arg;
    return *left == 0 || --*left == 0;
}

static void alignment_and_contents(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, ARENA_NO_LIMIT);
    char *bytes[2000];
    for (size_t i = 0; i < ARRAY_LEN(bytes); i++) {
        size_t n = i % 97 + 1;
        bytes[i] = i % 2 ? arena_bytes(&a, n) : arena_alloc(&a, n);
        assert_non_null(bytes[i]);
        if (i % 2 == 0)
            assert_int_equal((uintptr_t)bytes[i] % 16, 0);
        memset(bytes[i], (int)(i & 255), n);
    }
    for (size_t i = 0; i < ARRAY_LEN(bytes); i++)
        for (size_t k = 0; k < i % 97 + 1; k++)
            assert_int_equal((unsigned char)bytes[i][k], i & 255);
    arena_fini(&a);
}

static void large_requests_leave_the_current_block(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, ARENA_NO_LIMIT);
    char *small = arena_bytes(&a, 1);
    char *large = arena_bytes(&a, 100000);
    assert_non_null(large);
    memset(large, 1, 100000);
    assert_ptr_equal(arena_bytes(&a, 1), small + 1);
    arena_fini(&a);
    assert_null(arena_alloc(&a, SIZE_MAX));
    assert_null(arena_bytes(&a, SIZE_MAX - 8));
}

static void the_limit_holds(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 3 * (size_t)ARENA_BLOCK_BYTES);
    assert_null(arena_alloc(&a, 4 * (size_t)ARENA_BLOCK_BYTES));
    size_t got = 0;
    while (arena_alloc(&a, 1000))
        got += 1000;
    assert_true(got > 2 * (size_t)ARENA_BLOCK_BYTES && got < 3 * (size_t)ARENA_BLOCK_BYTES);
    assert_true(a.total <= a.limit);
    assert_true(a.failed);
    arena_reset(&a); // the limit stays, what was counted does not
    assert_false(a.failed);
    assert_non_null(arena_alloc(&a, 1000));
    assert_int_equal(a.limit, 3 * ARENA_BLOCK_BYTES);
    arena_fini(&a);
}

static void blocks_are_reused(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, ARENA_NO_LIMIT);
    assert_non_null(arena_alloc(&a, 100));
    arena_reset(&a);
    int64_t live = mem_live_count();
    for (unsigned i = 0; i < 100; i++) {
        assert_non_null(arena_alloc(&a, 100));
        arena_reset(&a);
    }
    assert_int_equal(mem_live_count(), live);
}

static void copies(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, ARENA_NO_LIMIT);
    char original[] = "abc";
    struct span s;
    assert_true(arena_dup(&a, SPAN(""), &s));
    assert_non_null(s.ptr);
    assert_true(arena_dup(&a, span_str(original), &s));
    original[0] = 'x';
    assert_true(span_eq(s, SPAN("abc")));
    assert_int_equal(s.ptr[3], 0);
    assert_string_equal(arena_cstr(&a, SPAN("de")), "de");
    assert_true(span_eq(arena_printf(&a, "%d-%s", 42, "x"), SPAN("42-x")));
    assert_true(span_eq(arena_join(&a, SPAN("ab"), SPAN("cd")), SPAN("abcd")));
    assert_true(span_eq(arena_join(&a, SPAN_NONE, SPAN("cd")), SPAN("cd")));
    const unsigned char *z = arena_zalloc(&a, 333);
    for (size_t i = 0; i < 333; i++)
        assert_int_equal(z[i], 0);
    // A text that is longer than a block.
    struct span big = arena_printf(&a, "%20000d", 7);
    assert_int_equal(big.len, 20000);
    assert_int_equal(big.ptr[19999], '7');
    arena_fini(&a);
}

static void out_of_memory(void **state)
{
    (void)state;
    arena_thread_fini(); // or a spare block would do
    struct arena a;
    arena_init(&a, ARENA_NO_LIMIT);
    unsigned left = 1;
    mem_fail_set(fail_after, &left);
    struct span s = SPAN("untouched");
    assert_null(arena_alloc(&a, 10));
    assert_null(arena_zalloc(&a, 10));
    assert_null(arena_cstr(&a, SPAN("x")));
    assert_null(arena_printf(&a, "x").ptr);
    assert_null(arena_join(&a, SPAN("x"), SPAN("y")).ptr);
    assert_false(arena_dup(&a, SPAN("x"), &s));
    assert_true(a.failed);
    assert_true(span_eq(s, SPAN("untouched")));
    mem_fail_set(NULL, NULL);
    assert_non_null(arena_alloc(&a, 10));
    arena_fini(&a);
}

static int nothing_is_left(void **state)
{
    (void)state;
    arena_thread_fini();
    return mem_live_count() == 0 ? 0 : -1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alignment_and_contents),
        cmocka_unit_test(large_requests_leave_the_current_block),
        cmocka_unit_test(the_limit_holds),
        cmocka_unit_test(blocks_are_reused),
        cmocka_unit_test(copies),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, nothing_is_left);
}
