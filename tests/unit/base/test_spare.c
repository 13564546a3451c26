// SPDX-License-Identifier: Apache-2.0
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <pthread.h>
#include <string.h>

#include "base/mem.h"
#include "base/spare.h"

static int64_t at_start;

static void pieces_are_distinct_and_hold_what_was_asked_for(void **state)
{
    (void)state;
    enum { N = 2300 };
    static unsigned char *v[N];
    for (unsigned round = 0; round < 3; round++) {
        for (size_t n = 0; n < N; n++) {
            v[n] = spare_alloc(n);
            assert_non_null(v[n]);
            assert_int_equal((uintptr_t)v[n] % 16, 0);
            memset(v[n], (int)(n % 251), n);
        }
        for (size_t n = 0; n < N; n++) {
            for (size_t i = 0; i < n; i++)
                assert_int_equal(v[n][i], n % 251);
            spare_free(v[n]);
        }
    }
    assert_true(mem_live_count() > at_start);
    spare_free(NULL);
}

static void realloc_keeps_content(void **state)
{
    (void)state;
    unsigned char *p = spare_realloc(NULL, 10);
    memset(p, 7, 10);
    static const size_t sizes[] = {11, 100, 2000, 16500, 17408, 40000, 16900, 300, 9};
    for (size_t k = 0; k < ARRAY_LEN(sizes); k++) {
        p = spare_realloc(p, sizes[k]);
        assert_non_null(p);
        for (size_t i = 0; i < MIN(sizes[k], (size_t)9); i++)
            assert_int_equal(p[i], 7);
        memset(p, 7, sizes[k]);
    }
    spare_free(p);
}

static void *use_and_end(void *arg)
{
    void **v = (void **)arg;
    for (unsigned i = 0; i < 200; i++)
        spare_free(v[i]);
    void *late = spare_alloc(64);
    spare_thread_fini();
    spare_free(late); // as a destructor does
    return NULL;
}

static void another_thread_may_free(void **state)
{
    (void)state;
    int64_t before = mem_live_count();
    void *v[200];
    for (unsigned i = 0; i < ARRAY_LEN(v); i++)
        assert_non_null(v[i] = spare_alloc(16 * i));
    pthread_t t;
    assert_int_equal(pthread_create(&t, NULL, use_and_end, v), 0);
    pthread_join(t, NULL);
    assert_int_equal(mem_live_count(), before);
}

static bool never(void *arg)
{
    (void)arg;
    return true;
}

static void what_is_kept_is_bounded_and_failure_is_told(void **state)
{
    (void)state;
    enum { N = 4000 };
    static void *v[N];
    int64_t before = mem_live_count();
    for (unsigned i = 0; i < N; i++)
        v[i] = spare_alloc(i % 2 ? 17000 : 200);
    for (unsigned i = 0; i < N; i++)
        spare_free(v[i]);
    assert_true(mem_live_count() - before < 100);
    for (unsigned i = 0; i < 50; i++)
        v[i] = spare_alloc(17000);
    mem_fail_set(never, NULL);
    assert_null(spare_alloc(17000));
    assert_null(spare_realloc(NULL, 17000));
    assert_null(spare_alloc(100000));
    mem_fail_set(NULL, NULL);
    for (unsigned i = 0; i < 50; i++)
        spare_free(v[i]);
}

static void the_threads_end_leaves_nothing(void **state)
{
    (void)state;
    spare_thread_fini();
    assert_int_equal(mem_live_count(), at_start);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_distinct_and_hold_what_was_asked_for),
        cmocka_unit_test(realloc_keeps_content),
        cmocka_unit_test(what_is_kept_is_bounded_and_failure_is_told),
        cmocka_unit_test(the_threads_end_leaves_nothing),
        cmocka_unit_test(another_thread_may_free),
    };
    at_start = mem_live_count();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
