// SPDX-License-Identifier: Apache-2.0
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "admin/history.h"
#include "admin/metrics.h"

static int begin(void **state)
{
    (void)state;
    return metrics_init(2) || history_start(2);
}

static int end(void **state)
{
    (void)state;
    history_stop();
    metrics_fini();
    return 0;
}

static struct span text_of(char *buffer, size_t size, unsigned n, size_t len)
{
    int used = snprintf(buffer, size, "record %u ", n);
    memset(buffer + used, 'x', size - (size_t)used);
    return span_of(buffer, len);
}

static void put(unsigned n, size_t len)
{
    static char buffer[HISTORY_RECORD_MAX_BYTES + 1];
    char id[16];
    snprintf(id, sizeof id, "id%u", n);
    history_put(span_str(id), text_of(buffer, sizeof buffer, n, len));
}

static bool kept(unsigned n, size_t len)
{
    static char buffer[HISTORY_RECORD_MAX_BYTES + 1];
    struct arena a;
    char id[16];
    arena_init(&a, 0);
    snprintf(id, sizeof id, "id%u", n);
    struct span found = history_find(span_str(id), &a);
    bool whole = found.ptr && span_eq(found, text_of(buffer, sizeof buffer, n, len));
    assert_true(whole || !found.ptr);
    arena_fini(&a);
    return whole;
}

static void the_newest_are_kept_whole(void **state)
{
    (void)state;
    metrics_thread_init(0);
    // Of a length that never divides the ring's, so that records lie across its end.
    const size_t len = 1009;
    const unsigned n = 3 * HISTORY_BYTES / 1009;
    for (unsigned i = 0; i < n; i++)
        put(i, len);
    for (unsigned i = 0; i < 4000; i++)
        assert_true(kept(n - 1 - i, len));
    assert_false(kept(0, len));
}

static void threads_are_looked_through(void **state)
{
    (void)state;
    metrics_thread_init(0);
    put(1, 100);
    metrics_thread_init(1);
    put(2, 100);
    assert_true(kept(1, 100));
    assert_true(kept(2, 100));
    put(1, 200); // the same id again, on another thread: one of them is found
    assert_true(kept(1, 100) || kept(1, 200));
}

static void an_id_again_is_the_newer_one(void **state)
{
    (void)state;
    metrics_thread_init(0);
    put(7, 50);
    put(8, 50);
    put(7, 60);
    struct arena a;
    arena_init(&a, 0);
    assert_int_equal(history_find(SPAN("id7"), &a).len, 60);
    arena_fini(&a);
}

static void what_is_too_large_is_left_out(void **state)
{
    (void)state;
    metrics_thread_init(0);
    put(9, HISTORY_RECORD_MAX_BYTES + 1);
    assert_false(kept(9, HISTORY_RECORD_MAX_BYTES + 1));
    put(10, HISTORY_RECORD_MAX_BYTES);
    assert_true(kept(10, HISTORY_RECORD_MAX_BYTES));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_newest_are_kept_whole, begin, end),
        cmocka_unit_test_setup_teardown(threads_are_looked_through, begin, end),
        cmocka_unit_test_setup_teardown(an_id_again_is_the_newer_one, begin, end),
        cmocka_unit_test_setup_teardown(what_is_too_large_is_left_out, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
