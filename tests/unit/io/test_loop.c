// SPDX-License-Identifier: Apache-2.0
// Messages between threads, helper threads, and the loop's own life. Also run under ThreadSanitizer.
#include "io_test.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/sanitize.h"

// ---- Posts from several threads

enum { THREADS = 4, POSTS = 2000 };

struct post {
    struct loop_msg msg;
    unsigned thread, i;
};
static struct post posts[THREADS][POSTS];
static struct loop *target;
static unsigned n_posts, next_of[THREADS];

static void on_post(struct loop_msg *m)
{
    const struct post *p = container_of(m, struct post, msg);
    assert_int_equal(p->i, next_of[p->thread]); // in order from each thread
    next_of[p->thread]++;
    n_posts++;
    assert_ptr_equal(loop_self(), target);
    assert_null(fiber_self());
}

static void *poster_main(void *arg)
{
    unsigned thread = (unsigned)(uintptr_t)arg;
    for (unsigned i = 0; i < POSTS; i++) {
        posts[thread][i] = (struct post){{NULL, on_post}, thread, i};
        loop_post(target, &posts[thread][i].msg);
    }
    return NULL;
}

static bool all_posted(void *arg)
{
    (void)arg;
    return n_posts == THREADS * POSTS;
}

static void test_posts_from_threads(void **state)
{
    (void)state;
    assert_int_equal(loop_new(&target), ERR_OK);
    pthread_t t[THREADS];
    for (unsigned i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&t[i], NULL, poster_main, (void *)(uintptr_t)i), 0);
    // No timer, no descriptor: only the posts themselves end the sleep.
    assert_true(loop_run_until(target, all_posted, NULL));
    loop_free(target);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(t[i], NULL);
}

// A loop in another thread that answers each message to the loop that sent it.
static struct loop *here;
static _Atomic(struct loop *) there;
static unsigned rounds;

struct ping {
    struct loop_msg msg;
    bool stop;
};

static void on_pong(struct loop_msg *m);

static void on_ping(struct loop_msg *m)
{
    struct ping *p = container_of(m, struct ping, msg);
    if (p->stop)
        loop_stop(loop_self());
    m->fn = on_pong;
    loop_post(here, m);
}

static void on_pong(struct loop_msg *m)
{
    struct ping *p = container_of(m, struct ping, msg);
    if (p->stop) {
        loop_stop(here);
        return;
    }
    p->stop = ++rounds == 1000;
    m->fn = on_ping;
    loop_post(there, m);
}

static void *there_main(void *arg)
{
    (void)arg;
    struct loop *l;
    assert_int_equal(loop_new(&l), ERR_OK);
    atomic_store(&there, l);
    loop_run(l);
    assert_true(loop_turns(l) > 0);
    loop_free(l);
    return NULL;
}

static void test_two_loops_talk(void **state)
{
    (void)state;
    assert_int_equal(loop_new(&here), ERR_OK);
    pthread_t t;
    assert_int_equal(pthread_create(&t, NULL, there_main, NULL), 0);
    while (!atomic_load(&there))
        sched_yield();
    struct ping p = {{NULL, on_ping}, false};
    loop_post(there, &p.msg);
    loop_run(here);
    assert_int_equal(rounds, 1000);
    pthread_join(t, NULL);
    loop_free(here);
}

static unsigned own_posts;
static void on_own(struct loop_msg *m)
{
    if (++own_posts < 3)
        loop_post(loop_self(), m); // runs in the next turn
    else
        loop_stop(loop_self());
}

static void test_post_to_oneself(void **state)
{
    (void)state;
    struct loop *l;
    assert_int_equal(loop_new(&l), ERR_OK);
    struct loop_msg m = {NULL, on_own};
    loop_post(l, &m);
    loop_run(l);
    assert_int_equal(own_posts, 3);
    loop_free(l);
}

// ---- Offload

static pthread_t loop_thread;
static unsigned n_offloaded; // changed on the loop only

static void square(void *arg)
{
    uint64_t *v = (uint64_t *)arg;
    assert_false(pthread_equal(pthread_self(), loop_thread));
    assert_null(loop_self());
    *v *= *v;
}

static void offload_main(void *arg)
{
    uint64_t base = (uintptr_t)arg;
    for (unsigned i = 0; i < 20; i++) { // in all, more than the queue holds
        uint64_t v = base + i;
        assert_int_equal(loop_offload(square, &v), ERR_OK);
        assert_int_equal(v, (base + i) * (base + i));
    }
    n_offloaded++;
}

static void offloads(void)
{
    enum { FIBERS = 100 };
    struct fiber *f[FIBERS];
    loop_thread = pthread_self();
    for (unsigned i = 0; i < FIBERS; i++)
        assert_int_equal(fiber_start(offload_main, (void *)(uintptr_t)(i * 10), &f[i]), ERR_OK);
    fiber_yield();
    for (unsigned i = 0; i < FIBERS; i++)
        fiber_cancel(f[i], ERR_CANCELED); // an offload does not care: its argument is on the stack
    for (unsigned i = 0; i < FIBERS; i++)
        fiber_join(f[i]);
    assert_int_equal(n_offloaded, FIBERS);
}

static void test_offload(void **state)
{
    (void)state;
    assert_int_equal(loop_helpers_start(3), ERR_OK);
    assert_int_equal(loop_helpers_start(3), ERR_OK); // idempotent
    on_fiber(offloads);
    loop_helpers_stop();
}

static void unanswered(void *arg)
{
    (void)arg;
    fail();
}

static void offload_without_helpers(void)
{
    assert_int_equal(loop_offload(unanswered, NULL), ERR_NO_MEMORY);
}

static void test_offload_without_helpers_is_refused(void **state)
{
    (void)state;
    on_fiber(offload_without_helpers);
}

// ---- Clocks and randomness

static void clocks(void)
{
    uint64_t ms = loop_now_ms(), us = loop_clock_us(), wall = loop_wall_ms();
    assert_true(us / 1000 >= ms);
    assert_true(wall > 1700000000000u);
    assert_int_equal(loop_wall_ms(), wall); // of this turn
    assert_true(deadline_in(0) == DEADLINE_NONE && deadline_in(UINT64_MAX) == DEADLINE_NONE);
    assert_int_equal(deadline_in(7), ms + 7);
    uint64_t turns = loop_turns(loop_self());
    assert_int_equal(fiber_sleep(3), ERR_OK);
    assert_true(loop_now_ms() >= ms + 3);
    assert_true(loop_turns(loop_self()) > turns);
}

static void test_clocks(void **state)
{
    (void)state;
    on_fiber(clocks);
}

static void randomness(void)
{
    static unsigned char r[2000][16], big[8192];
    for (unsigned i = 0; i < 2000; i++)
        loop_random(r[i], 16);
    for (unsigned i = 1; i < 2000; i++)
        assert_memory_not_equal(r[i], r[i - 1], 16);
    loop_random(big, sizeof(big));
    unsigned count[256] = {0};
    for (unsigned i = 0; i < sizeof(big); i++)
        count[big[i]]++;
    for (unsigned i = 0; i < 256; i++)
        assert_true(count[i] > 0); // fails once in 10^11 runs
}

static void test_randomness(void **state)
{
    (void)state;
    on_fiber(randomness);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_posts_from_threads),
        cmocka_unit_test(test_two_loops_talk),
        cmocka_unit_test(test_post_to_oneself),
        cmocka_unit_test(test_offload),
        cmocka_unit_test(test_offload_without_helpers_is_refused),
        cmocka_unit_test(test_clocks),
        cmocka_unit_test(test_randomness),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
