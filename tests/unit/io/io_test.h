// SPDX-License-Identifier: Apache-2.0
// A loop for each test, and a fiber that the test runs on. After it nothing may be left.
#ifndef WEIR_TESTS_IO_TEST_H
#define WEIR_TESTS_IO_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/mem.h"
#include "io/io.h"
#ifdef WEIR_IO_SIM
#include "io/sim.h"
#endif

struct run {
    void (*fn)(void);
    bool ended;
};

static inline void run_main(void *arg)
{
    struct run *r = (struct run *)arg;
    r->fn();
    r->ended = true;
}

static inline bool run_ended(void *arg)
{
    return ((struct run *)arg)->ended;
}

static inline bool nobody_left(void *arg)
{
    (void)arg;
    return fiber_live_count() == 0;
}

static inline void run_on_fiber(void (*fn)(void))
{
    int64_t before = mem_live_count();
    struct loop *l;
    assert_int_equal(loop_new(&l), ERR_OK);
    struct run r = {fn, false};
    assert_int_equal(fiber_start(run_main, &r, NULL), ERR_OK);
    assert_true(loop_run_until(l, run_ended, &r));
    assert_true(loop_run_until(l, nobody_left, NULL));
    assert_int_equal(io_live_count(), 0);
    loop_free(l);
    assert_int_equal(mem_live_count(), before);
}

#ifdef WEIR_IO_SIM
#ifndef SIM_SEEDS
#define SIM_SEEDS 1
#endif
/// Runs fn on a fiber of a new loop, until all fibers have ended; in several worlds that are late and give
/// little at a time, but break nothing.
static inline void on_fiber(void (*fn)(void))
{
    for (uint64_t seed = 0; seed < SIM_SEEDS; seed++) {
        struct sim_options o = {.seed = seed};
        if (seed > 0)
            o.short_io_pm = o.delay_pm = 200, o.delay_max_ms = 3,
            o.socket_buffer = (size_t)1 << (4 + seed % 16);
        sim_begin(&o);
        run_on_fiber(fn);
        assert_int_equal(sim_open_fds(), 0);
        sim_end();
    }
}
#else
/// Runs fn on a fiber of a new loop, until all fibers have ended.
static inline void on_fiber(void (*fn)(void))
{
    run_on_fiber(fn);
}
#endif

#endif
