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

/// Runs fn on a fiber of a new loop, until all fibers have ended.
static inline void on_fiber(void (*fn)(void))
{
    int64_t before = mem_live_count();
#ifdef WEIR_IO_SIM
    if (!loop_self()) {
        struct sim_options o = {.seed = 1};
        sim_begin(&o);
    }
#endif
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

#endif
