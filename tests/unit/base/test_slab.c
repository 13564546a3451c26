// SPDX-License-Identifier: Apache-2.0
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "base/mem.h"
#include "base/slab.h"

enum { N = 5000 };

static void objects_are_distinct_and_come_back(void **state)
{
    (void)state;
    static const size_t sizes[] = {1, 8, 17, 48, 200, 40000}; // the last is larger than a page
    int64_t before = mem_live_count();
    for (size_t k = 0; k < ARRAY_LEN(sizes); k++) {
        size_t n = sizes[k] > 1000 ? 10 : N;
        struct slab s;
        slab_init(&s, sizes[k]);
        static unsigned char *v[N];
        for (size_t i = 0; i < n; i++) {
            v[i] = slab_alloc(&s);
            assert_non_null(v[i]);
            assert_int_equal((uintptr_t)v[i] % 16, 0);
            memset(v[i], (int)(i & 255), sizes[k]);
        }
        assert_int_equal(s.live, n);
        for (size_t i = 0; i < n; i++) {
            assert_int_equal(v[i][0], i & 255);
            assert_int_equal(v[i][sizes[k] - 1], i & 255);
        }
        int64_t pages = mem_live_count();
        // Last in, first out, and nothing new is taken from the allocator.
        slab_free(&s, v[3]);
        slab_free(&s, v[7]);
        assert_ptr_equal(slab_alloc(&s), v[7]);
        assert_ptr_equal(slab_alloc(&s), v[3]);
        assert_int_equal(mem_live_count(), pages);
        for (size_t i = 0; i < n; i++)
            slab_free(&s, v[i]);
        assert_int_equal(s.live, 0);
        slab_fini(&s);
        assert_int_equal(mem_live_count(), before);
    }
}

static bool always(void *arg)
{
    (void)arg;
    return true;
}

static void out_of_memory(void **state)
{
    (void)state;
    struct slab s;
    slab_init(&s, 64);
    mem_fail_set(always, NULL);
    assert_null(slab_alloc(&s));
    assert_int_equal(s.live, 0);
    mem_fail_set(NULL, NULL);
    void *p = slab_alloc(&s);
    assert_non_null(p);
    slab_free(&s, p);
    slab_fini(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(objects_are_distinct_and_come_back),
        cmocka_unit_test(out_of_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
