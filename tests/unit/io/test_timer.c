// SPDX-License-Identifier: Apache-2.0
// The wheel against a model that looks at every timer.
#include "io_test.h"

#include <string.h>

#include "io/internal.h"

enum { N = 300 };
static struct timer timers[N];
static bool model_set[N];
static uint64_t model_due[N];
static uint64_t rng;

static uint64_t rand64(void)
{
    // xorshift64*: the same numbers everywhere
    rng ^= rng >> 12;
    rng ^= rng << 25;
    rng ^= rng >> 27;
    return rng * 2685821657736338717u;
}

// Differences of every magnitude: each level of the wheel, and the ends of its slots.
static uint64_t rand_delta(unsigned max_bits)
{
    uint64_t d = rand64() >> (64 - 1 - rand64() % max_bits);
    return rand64() % 4 == 0 ? (d | 63) + rand64() % 3 : d;
}

static uint64_t model_next(void)
{
    uint64_t next = UINT64_MAX;
    for (unsigned i = 0; i < N; i++) {
        if (model_set[i])
            next = MIN(next, model_due[i]);
    }
    return next;
}

static void advance_and_compare(struct wheel *w, uint64_t to)
{
    uint64_t since = w->now;
    struct list due;
    list_init(&due);
    wheel_advance(w, to, &due);
    bool fired[N] = {false};
    uint64_t before = 0;
    while (!list_empty(&due)) {
        struct timer *t = container_of(due.next, struct timer, node);
        list_remove(&t->node);
        unsigned i = (unsigned)(t - timers);
        assert_true(i < N && !fired[i]);
        fired[i] = true;
        assert_true(t->due_ms == model_due[i]);
        // In order of time, but for those that were past when they were set.
        if (t->due_ms > since)
            assert_true(t->due_ms >= before);
        before = MAX(before, t->due_ms);
    }
    for (unsigned i = 0; i < N; i++) {
        assert_int_equal(fired[i], model_set[i] && model_due[i] <= to);
        if (fired[i])
            model_set[i] = false;
        assert_int_equal(timer_is_set(&timers[i]), model_set[i]);
    }
}

static void run_model(uint64_t seed, uint64_t start, unsigned max_bits)
{
    static struct wheel w;
    rng = seed * 2 + 1;
    uint64_t now = start;
    wheel_init(&w, now);
    memset(model_set, 0, sizeof(model_set));
    for (unsigned i = 0; i < N; i++)
        timer_init(&timers[i], NULL);
    for (unsigned step = 0; step < 3000; step++) {
        unsigned i = (unsigned)(rand64() % N);
        switch (rand64() % 8) {
        case 0: // in the past
            model_due[i] = now - MIN(now, rand64() % 100);
            model_set[i] = true;
            wheel_set(&w, &timers[i], model_due[i]);
            break;
        case 1:
        case 2:
        case 3:
        case 4:
            model_due[i] = now + rand_delta(max_bits);
            model_set[i] = true;
            wheel_set(&w, &timers[i], model_due[i]);
            break;
        case 5:
            model_set[i] = false;
            timer_cancel(&timers[i]);
            break;
        case 6: { // as the loop does: to where the wheel says
            uint64_t next = wheel_next(&w), truth = model_next();
            assert_int_equal(next == UINT64_MAX, truth == UINT64_MAX);
            assert_true(next <= truth || truth < now);
            if (next != UINT64_MAX)
                now = MAX(now, next);
            advance_and_compare(&w, now);
            break;
        }
        default:
            now += rand_delta(max_bits);
            advance_and_compare(&w, now);
        }
    }
    // What the loop does when nothing else happens must come to every timer, in few steps.
    for (unsigned steps = 0; model_next() != UINT64_MAX; steps++) {
        assert_true(steps < N * WHEEL_LEVELS * 2);
        now = MAX(now, wheel_next(&w));
        advance_and_compare(&w, now);
    }
    assert_true(wheel_next(&w) == UINT64_MAX);
}

static void test_wheel_against_model(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        run_model(seed, 0, 12);
        run_model(seed, 123456789, 20);
        run_model(seed, (uint64_t)1 << 40, 40);
        run_model(seed, 63 * 64 * 64, 7);
    }
}

static void test_wheel_holds_the_farthest_future(void **state)
{
    (void)state;
    static struct wheel w;
    wheel_init(&w, 5);
    struct timer t;
    timer_init(&t, NULL);
    wheel_set(&w, &t, UINT64_MAX - 1);
    struct list due;
    list_init(&due);
    unsigned steps = 0;
    while (list_empty(&due)) {
        assert_true(++steps <= WHEEL_LEVELS);
        wheel_advance(&w, wheel_next(&w), &due);
    }
    assert_true(w.now == UINT64_MAX - 1);
    list_remove(&t.node);
}

// ---- Timers on a loop

static struct timer a, b, c;
static char order[16];
static unsigned n_order;

static void on_a(struct timer *t)
{
    assert_ptr_equal(t, &a);
    order[n_order++] = 'a';
    timer_cancel(&b);             // due in the same turn
    timer_set(&a, loop_now_ms()); // past: not before the next turn
    if (n_order >= 3)
        timer_cancel(&a);
}

static void on_b(struct timer *t)
{
    (void)t;
    order[n_order++] = 'b';
}

static bool c_fired;
static void on_c(struct timer *t)
{
    (void)t;
    c_fired = true;
}

static bool is_c_fired(void *arg)
{
    (void)arg;
    return c_fired;
}

static void test_timers_on_a_loop(void **state)
{
    (void)state;
    struct loop *l;
    assert_int_equal(loop_new(&l), ERR_OK);
    timer_init(&a, on_a);
    timer_init(&b, on_b);
    timer_init(&c, on_c);
    uint64_t begin = loop_now_ms();
    timer_set(&a, begin + 2);
    timer_set(&b, begin + 2);
    timer_set(&c, begin + 100000);
    timer_set(&c, begin + 20); // moved
    assert_true(timer_is_set(&c));
    assert_true(loop_run_until(l, is_c_fired, NULL));
    assert_true(loop_now_ms() >= begin + 20);
    assert_false(timer_is_set(&a) || timer_is_set(&b) || timer_is_set(&c));
    order[n_order] = '\0';
    assert_string_equal(order, "aaa");
    loop_free(l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_wheel_against_model),
        cmocka_unit_test(test_wheel_holds_the_farthest_future),
        cmocka_unit_test(test_timers_on_a_loop),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
