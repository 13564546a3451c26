// SPDX-License-Identifier: Apache-2.0
// What a fiber costs: from its start to its end without a wait; and waking the next and waiting oneself (a
// switch to the loop and one back), in rings of 2 to 10,000 fibers, without and with a deadline.
#include <stdio.h>
#include <stdlib.h>

#include "io/io.h"

enum { TOTAL = 10 * 1000 * 1000, FIBERS_MAX = 10000 };

static struct fiber *ring[FIBERS_MAX];
static unsigned n_ring, n_rounds;
static uint64_t patience_ms;

static void ring_main(void *arg)
{
    unsigned next = ((unsigned)(uintptr_t)arg + 1) % n_ring;
    for (unsigned i = 0; i < n_rounds; i++) {
        if (fiber_park(deadline_in(patience_ms)))
            abort();
        fiber_wake(ring[next]);
    }
}

static void empty_main(void *arg)
{
    ++*(unsigned *)arg;
}

static void joiner_main(void *arg)
{
    (void)arg;
    fiber_wake(ring[0]);
    for (unsigned i = 0; i < n_ring; i++)
        fiber_join(ring[i]);
}

static bool nobody_left(void *arg)
{
    (void)arg;
    return fiber_live_count() == 0;
}

static void report(const char *what, unsigned n_fibers, uint64_t begin_us, double n)
{
    printf("%-36s %6u fibers %7.1f ns\n", what, n_fibers, (double)(loop_clock_us() - begin_us) * 1000 / n);
}

static void start(void (*fn)(void *), void *arg, struct fiber **ret)
{
    if (fiber_start(fn, arg, ret))
        abort();
}

static void run_ring(struct loop *l, const char *what, unsigned n)
{
    n_ring = n;
    n_rounds = TOTAL / n;
    for (unsigned i = 0; i < n; i++)
        start(ring_main, (void *)(uintptr_t)i, &ring[i]);
    uint64_t begin = loop_clock_us();
    start(joiner_main, NULL, NULL);
    if (!loop_run_until(l, nobody_left, NULL))
        abort();
    report(what, n, begin, (double)n_rounds * n);
}

int main(void)
{
    static const unsigned sizes[] = {2, 100, FIBERS_MAX};
    struct loop *l;
    if (loop_new(&l))
        return 1;
    uint64_t begin = loop_clock_us();
    unsigned count = 0;
    for (unsigned i = 0; i < TOTAL; i++)
        start(empty_main, &count, NULL);
    report("start and end", 1, begin, TOTAL);
    for (unsigned k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
        patience_ms = 0;
        run_ring(l, "wake, wait", sizes[k]);
        patience_ms = 10000;
        run_ring(l, "wake, wait with a deadline", sizes[k]);
    }
    loop_free(l);
    return 0;
}
