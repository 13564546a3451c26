// SPDX-License-Identifier: Apache-2.0
#include "proxy_test.h"

#include <pthread.h>

#include "../io/io_test.h"
#include "base/ascii.h"
#include "proxy/request_id.h"

enum { THREADS = 4, EACH = 5000 };

static char ids[THREADS * EACH][REQUEST_ID_BYTES];

static void make_ids(char (*out)[REQUEST_ID_BYTES])
{
    struct arena a;
    arena_init(&a, 0);
    for (unsigned i = 0; i < EACH; i++) {
        struct span id = request_id_make(&a);
        if (id.len == REQUEST_ID_BYTES)
            memcpy(out[i], id.ptr, REQUEST_ID_BYTES);
    }
    arena_fini(&a);
    arena_thread_fini();
}

static void *thread_main(void *arg)
{
    struct loop *l;
    if (loop_new(&l) == ERR_OK) { // where randomness comes from
        make_ids((char(*)[REQUEST_ID_BYTES])arg);
        loop_free(l);
    }
    return NULL;
}

static int by_bytes(const void *a, const void *b)
{
    return memcmp(a, b, REQUEST_ID_BYTES);
}

static void unique(void **state)
{
    (void)state;
    pthread_t t[THREADS];
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&t[i], NULL, thread_main, ids[i * EACH]), 0);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(t[i], NULL);
    unsigned digits[16] = {0};
    for (unsigned i = 0; i < THREADS * EACH; i++)
        for (unsigned k = 0; k < REQUEST_ID_BYTES; k++) {
            int v = ascii_hex((unsigned char)ids[i][k]);
            assert_true(v >= 0 && !(ids[i][k] >= 'A' && ids[i][k] <= 'F'));
            digits[v]++;
        }
    for (unsigned i = 0; i < 16; i++) // 40,000 each, give or take 200
        assert_in_range(digits[i], 38000, 42000);
    qsort(ids, THREADS * EACH, REQUEST_ID_BYTES, by_bytes);
    for (unsigned i = 1; i < THREADS * EACH; i++)
        assert_memory_not_equal(ids[i - 1], ids[i], REQUEST_ID_BYTES);
}

// One tells nothing of the next: about half of the bits differ in each position.
static void neighbours_differ(void)
{
    struct arena a;
    arena_init(&a, 0);
    unsigned changed[REQUEST_ID_BYTES] = {0};
    struct span last = request_id_make(&a);
    for (unsigned i = 0; i < 1000; i++) {
        struct span id = request_id_make(&a);
        for (unsigned k = 0; k < REQUEST_ID_BYTES; k++)
            changed[k] += id.ptr[k] != last.ptr[k];
        last = id;
    }
    for (unsigned k = 0; k < REQUEST_ID_BYTES; k++) // 937, give or take 8
        assert_in_range(changed[k], 880, 990);
    arena_fini(&a);
    arena_thread_fini();
}

static void unguessable(void **state)
{
    (void)state;
    on_fiber(neighbours_differ);
}

static void given(void **state)
{
    (void)state;
    static char text[REQUEST_ID_MAX_BYTES + 1];
    memset(text, 'a', sizeof text);
    assert_true(request_id_is_valid(SPAN("f00d-BAR_1.2~")));
    assert_true(request_id_is_valid(span_of(text, REQUEST_ID_MAX_BYTES)));
    assert_false(request_id_is_valid(span_of(text, REQUEST_ID_MAX_BYTES + 1)));
    static const char *const bad[] = {"",    "a b", "a\"b",        "a,b",  "a\r\nb",
                                      "a/b", "<a>", "caf\xc3\xa9", "a\x7f"};
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(request_id_is_valid(span_str(bad[i])));
}

static bool always(void *arg)
{
    (void)arg;
    return true;
}

static void without_memory(void)
{
    struct arena a;
    arena_init(&a, 0);
    arena_thread_fini();
    mem_fail_set(always, NULL);
    struct span id = request_id_make(&a);
    mem_fail_set(NULL, NULL);
    assert_null(id.ptr);
    arena_fini(&a);
}

static void memory_runs_out(void **state)
{
    (void)state;
    on_fiber(without_memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unique),
        cmocka_unit_test(unguessable),
        cmocka_unit_test(given),
        cmocka_unit_test(memory_runs_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
