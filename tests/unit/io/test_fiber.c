// SPDX-License-Identifier: Apache-2.0
#include "io_test.h"

#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/sanitize.h"
#include "io/internal.h"

// What happened, a letter each.
static char seen[64];
static size_t n_seen;

static void note(char c)
{
    assert_true(n_seen < sizeof(seen) - 1);
    seen[n_seen++] = c;
    seen[n_seen] = '\0';
}

// Also begins a world for the tests that make their loop themselves.
static int forget(void **state)
{
    (void)state;
#ifdef WEIR_IO_SIM
    struct sim_options o = {.seed = 1};
    sim_begin(&o);
#endif
    n_seen = 0;
    seen[0] = '\0';
    return 0;
}

static void note_main(void *arg)
{
    note(*(const char *)arg);
}

static void note_yield_main(void *arg)
{
    const char *s = (const char *)arg;
    note(s[0]);
    fiber_yield();
    note(s[1]);
}

static void start_order(void)
{
    note('a');
    assert_int_equal(fiber_start(note_main, (void *)"b", NULL), ERR_OK);
    note('c'); // b is queued
    fiber_yield();
    note('d');
}

static void test_start_runs_at_once_on_the_loop(void **state)
{
    (void)state;
    struct loop *l;
    assert_int_equal(loop_new(&l), ERR_OK);
    assert_null(fiber_self());
    note('1');
    assert_int_equal(fiber_start(note_main, (void *)"2", NULL), ERR_OK);
    note('3');
    assert_string_equal(seen, "123");
    assert_int_equal(fiber_live_count(), 0);
    loop_free(l);
}

static void test_start_from_a_fiber_is_queued(void **state)
{
    (void)state;
    on_fiber(start_order);
    assert_string_equal(seen, "acbd");
}

static void yield_order(void)
{
    assert_int_equal(fiber_start(note_yield_main, (void *)"ax", NULL), ERR_OK);
    assert_int_equal(fiber_start(note_yield_main, (void *)"by", NULL), ERR_OK);
    note('0');
    fiber_yield();
    note('1');
    fiber_yield();
    note('2');
}

static void test_yield_lets_all_others_run(void **state)
{
    (void)state;
    on_fiber(yield_order);
    assert_string_equal(seen, "0ab1xy2");
}

static void yield_is_a_turn(void)
{
    for (unsigned i = 0; i < 3; i++) {
        uint64_t turns = loop_turns(loop_self());
        fiber_yield();
        assert_int_equal(loop_turns(loop_self()), turns + 1);
    }
}

static void test_yield_lets_the_events_run(void **state)
{
    (void)state;
    on_fiber(yield_is_a_turn);
}

// ---- Parking

static enum err park_result;

static void park_main(void *arg)
{
    const uint64_t *deadline = (const uint64_t *)arg;
    park_result = fiber_park(*deadline);
    note('p');
}

static void park_and_wake(void)
{
    uint64_t none = DEADLINE_NONE;
    struct fiber *f;
    assert_int_equal(fiber_start(park_main, &none, &f), ERR_OK);
    fiber_yield(); // it parks
    assert_string_equal(seen, "");
    fiber_wake(f);
    assert_string_equal(seen, ""); // later in this turn
    fiber_join(f);
    assert_string_equal(seen, "p");
    assert_int_equal(park_result, ERR_OK);
}

static void test_park_and_wake(void **state)
{
    (void)state;
    on_fiber(park_and_wake);
}

static void token(void)
{
    fiber_wake(fiber_self());
    fiber_wake(fiber_self()); // one is remembered
    assert_int_equal(fiber_park(loop_now_ms() + 1), ERR_OK);
    assert_int_equal(fiber_park(loop_now_ms() + 1), ERR_TIMEOUT);
    assert_int_equal(fiber_park(loop_now_ms()), ERR_TIMEOUT); // past already
    fiber_wake(fiber_self());
    assert_int_equal(fiber_park(0), ERR_OK);
}

static void test_a_wake_before_the_park_counts_once(void **state)
{
    (void)state;
    on_fiber(token);
}

static void sleeper_main(void *arg)
{
    enum err *e = (enum err *)arg;
    *e = fiber_sleep(5);
    note('s');
    assert_int_equal(fiber_park(0), ERR_OK); // the wake that came during the sleep
}

static void wake_sleeper(void)
{
    struct fiber *f;
    enum err e = ERR_INTERNAL;
    uint64_t begin = loop_now_ms();
    assert_int_equal(fiber_start(sleeper_main, &e, &f), ERR_OK);
    fiber_yield();
    fiber_wake(f);
    fiber_yield();
    fiber_yield();
    fiber_join(f);
    assert_int_equal(e, ERR_OK);
    assert_true(loop_now_ms() >= begin + 5);
}

static void test_wake_does_not_end_a_sleep(void **state)
{
    (void)state;
    on_fiber(wake_sleeper);
    assert_string_equal(seen, "s");
}

// ---- Cancellation

static void cancelled_main(void *arg)
{
    enum err *e = (enum err *)arg;
    e[0] = fiber_park(DEADLINE_NONE);
    e[1] = fiber_park(DEADLINE_NONE);
    e[2] = fiber_sleep(60000);
    fiber_uncancel();
    e[3] = fiber_sleep(1);
    e[4] = fiber_canceled(fiber_self());
}

static void cancel(void)
{
    enum err e[5];
    memset(e, 0xff, sizeof(e));
    struct fiber *f;
    assert_int_equal(fiber_start(cancelled_main, e, &f), ERR_OK);
    fiber_yield();
    assert_int_equal(fiber_canceled(f), ERR_OK);
    fiber_cancel(f, ERR_SHUTDOWN);
    fiber_cancel(f, ERR_CANCELED); // the first counts
    assert_int_equal(fiber_canceled(f), ERR_SHUTDOWN);
    fiber_wake(f); // too late to change its result
    fiber_join(f);
    assert_int_equal(e[0], ERR_SHUTDOWN);
    assert_int_equal(e[1], ERR_SHUTDOWN);
    assert_int_equal(e[2], ERR_SHUTDOWN);
    assert_int_equal(e[3], ERR_OK);
    assert_int_equal(e[4], ERR_OK);
}

static void test_cancel_fails_every_wait(void **state)
{
    (void)state;
    on_fiber(cancel);
}

static void join_ignores_cancel_main(void *arg)
{
    struct fiber **f = (struct fiber **)arg;
    fiber_join(*f);
    note('j');
    assert_int_equal(fiber_sleep(1), ERR_CANCELED);
}

static void join_cancel(void)
{
    struct fiber *inner, *outer;
    uint64_t soon = loop_now_ms() + 3;
    assert_int_equal(fiber_start(park_main, &soon, &inner), ERR_OK);
    assert_int_equal(fiber_start(join_ignores_cancel_main, &inner, &outer), ERR_OK);
    fiber_yield();
    fiber_cancel(outer, ERR_CANCELED);
    fiber_join(outer);
    assert_int_equal(park_result, ERR_TIMEOUT);
}

static void test_join_is_not_cancelable(void **state)
{
    (void)state;
    on_fiber(join_cancel);
    assert_string_equal(seen, "pj");
}

static void join_ended(void)
{
    struct fiber *f;
    assert_int_equal(fiber_start(note_main, (void *)"e", &f), ERR_OK);
    fiber_yield();
    assert_string_equal(seen, "e");
    assert_int_equal(fiber_live_count(), 1);
    fiber_cancel(f, ERR_CANCELED); // does nothing
    assert_int_equal(fiber_canceled(f), ERR_OK);
    fiber_join(f);
}

static void test_join_of_an_ended_fiber(void **state)
{
    (void)state;
    on_fiber(join_ended);
}

// ---- Many

#ifdef WEIR_TSAN
enum { MANY = 500 }; // ThreadSanitizer has a limit of its own
#else
enum { MANY = 10000 };
#endif

static unsigned sum;

static void many_main(void *arg)
{
    // Registers and stack must come back as they were.
    volatile unsigned keep[16];
    unsigned id = (unsigned)(uintptr_t)arg;
    for (unsigned i = 0; i < 16; i++)
        keep[i] = id * 16 + i;
    double d = id * 0.5;
    for (unsigned round = 0; round < 3; round++) {
        if (id % 3 == round)
            assert_int_equal(fiber_sleep(1 + id % 7), ERR_OK);
        else
            fiber_yield();
    }
    for (unsigned i = 0; i < 16; i++)
        assert_int_equal(keep[i], id * 16 + i);
    assert_true(d == id * 0.5);
    sum += id;
}

static void many(void)
{
    static struct fiber *f[MANY];
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(fiber_start(many_main, (void *)(uintptr_t)i, &f[i]), ERR_OK);
    assert_int_equal(fiber_live_count(), MANY + 1);
    for (unsigned i = 0; i < MANY; i++)
        fiber_join(f[i]);
    assert_int_equal(fiber_live_count(), 1);
}

static void test_many(void **state)
{
    (void)state;
    sum = 0;
    on_fiber(many);
    assert_int_equal(sum, MANY * (MANY - 1) / 2);
}

// ---- Stacks

static unsigned dig(volatile char *above, unsigned depth)
{
    volatile char frame[1024];
    frame[0] = 1;
    if (above)
        frame[0] = above[0];
    return depth ? dig(frame, depth - 1) + (unsigned)frame[0] : (unsigned)frame[0];
}

static void dig_main(void *arg)
{
    unsigned kib = *(unsigned *)arg;
    sum = dig(NULL, kib);
}

static void test_a_stack_holds_32_kib(void **state)
{
    (void)state;
    struct loop *l;
    assert_int_equal(loop_new(&l), ERR_OK);
    unsigned kib = 32;
    assert_int_equal(fiber_start(dig_main, &kib, NULL), ERR_OK);
    assert_int_equal(sum, 33);
    loop_free(l);
}

// Runs fn in a child process, which it must not survive.
static void expect_death(void (*fn)(void))
{
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        struct rlimit no_core = {0, 0};
        setrlimit(RLIMIT_CORE, &no_core);
        signal(SIGSEGV, SIG_DFL); // cmocka and the sanitizers catch it
        fn();
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGSEGV);
}

static void overflow(void)
{
    struct loop *l;
    unsigned kib = 4096;
    if (loop_new(&l) || fiber_start(dig_main, &kib, NULL))
        return;
}

static struct fiber_stack guarded[3];

static void write_below(void)
{
    for (unsigned i = 0; i < 3; i++)
        ((volatile char *)guarded[i].low)[-1] = 1;
}

static void write_middle_below(void)
{
    ((volatile char *)guarded[1].low)[-4096] = 1;
}

static void test_overflow_dies_at_the_guard(void **state)
{
    (void)state;
    expect_death(overflow);
    // Neighbours in memory: what is below one stack is the guard, not the next stack's top.
    struct stack_pool p = {0};
    for (unsigned i = 0; i < 3; i++)
        assert_true(stack_take(&p, &guarded[i]));
    expect_death(write_below);
    expect_death(write_middle_below);
    for (unsigned i = 0; i < 3; i++)
        stack_give(&p, guarded[i]);
    stack_pool_fini(&p);
}

static void test_stacks_are_kept_up_to_a_limit(void **state)
{
    (void)state;
    enum { N = FIBER_STACKS_KEPT + 20 };
    static struct fiber_stack s[N];
    struct stack_pool p = {0};
    for (unsigned i = 0; i < N; i++) {
        assert_true(stack_take(&p, &s[i]));
        assert_int_equal((uintptr_t)s[i].top % 64, 0);
        assert_true(s[i].top - s[i].low > FIBER_STACK_BYTES - 4096);
        s[i].low[0] = 1; // the whole of it is writable
        s[i].top[-1] = 1;
    }
    for (unsigned i = 0; i < N; i++)
        stack_give(&p, s[i]);
    assert_int_equal(p.n, FIBER_STACKS_KEPT);
    struct fiber_stack again;
    assert_true(stack_take(&p, &again));
    assert_ptr_equal(again.low, s[FIBER_STACKS_KEPT - 1].low); // last in, first out
    assert_ptr_equal(again.top, s[FIBER_STACKS_KEPT - 1].top);
    stack_give(&p, again);
    stack_pool_fini(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_start_runs_at_once_on_the_loop, forget),
        cmocka_unit_test_setup(test_start_from_a_fiber_is_queued, forget),
        cmocka_unit_test_setup(test_yield_lets_all_others_run, forget),
        cmocka_unit_test_setup(test_yield_lets_the_events_run, forget),
        cmocka_unit_test_setup(test_park_and_wake, forget),
        cmocka_unit_test_setup(test_a_wake_before_the_park_counts_once, forget),
        cmocka_unit_test_setup(test_wake_does_not_end_a_sleep, forget),
        cmocka_unit_test_setup(test_cancel_fails_every_wait, forget),
        cmocka_unit_test_setup(test_join_is_not_cancelable, forget),
        cmocka_unit_test_setup(test_join_of_an_ended_fiber, forget),
        cmocka_unit_test_setup(test_many, forget),
        cmocka_unit_test_setup(test_a_stack_holds_32_kib, forget),
        cmocka_unit_test_setup(test_overflow_dies_at_the_guard, forget),
        cmocka_unit_test_setup(test_stacks_are_kept_up_to_a_limit, forget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
