// SPDX-License-Identifier: Apache-2.0
// What fibers hold that wait for long: their frames, and not what deeper calls left below them.
#include "io_test.h"

#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { MANY = 200, FEW = 20, DEEP_BYTES = 32 * 1024, FRAME_WORDS = 200 };
static struct sockaddr_in addr;
static struct io listener, accepted[MANY];
static unsigned n_accepted, n_whole, n_told;
static const char *deep_at[MANY];

static void on_listener(struct io *l)
{
    int fd;
    while (io_accept_now(l, &fd, NULL) == ERR_OK)
        assert_int_equal(io_open(&accepted[n_accepted++], fd), ERR_OK);
}

static __attribute__((noinline)) void go_deep(unsigned i)
{
    volatile char below[DEEP_BYTES];
    for (size_t at = 0; at < sizeof below; at++)
        below[at] = (char)at;
    deep_at[i] = (const char *)(uintptr_t)below;
}

static size_t resident_pages(unsigned i)
{
    uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE), from = ((uintptr_t)deep_at[i] + page) & ~(page - 1);
    unsigned char here[DEEP_BYTES / 4096];
    size_t n = 0, pages = (DEEP_BYTES - 8192) / page;
    assert_int_equal(mincore((void *)from, pages * page, here), 0);
    for (size_t k = 0; k < pages; k++)
        n += here[k] & 1;
    return n;
}

static void note(void *arg)
{
    (void)arg;
    n_told++;
}

static void waiter_main(void *arg)
{
    unsigned i = (unsigned)(uintptr_t)arg;
    volatile unsigned frame[FRAME_WORDS];
    struct io io;
    char byte;
    size_t n;
    for (unsigned k = 0; k < FRAME_WORDS; k++)
        frame[k] = i + k;
    assert_int_equal(io_connect(&io, (struct sockaddr *)&addr, sizeof addr, NULL, 0, DEADLINE_NONE), ERR_OK);
    go_deep(i);
    fiber_on_long_wait(note, NULL);
    assert_int_equal(io_recv(&io, &byte, 1, DEADLINE_NONE, &n), ERR_EOF);
    fiber_on_long_wait(NULL, NULL);
    go_deep(i); // the pages come again
    io_close(&io);
    bool whole = true;
    for (unsigned k = 0; k < FRAME_WORDS; k++)
        whole &= frame[k] == i + k;
    n_whole += whole;
}

static void wait_together(unsigned n, uint64_t ms, bool trimmed)
{
    n_accepted = n_whole = n_told = 0;
    addr = (struct sockaddr_in){
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(7001)};
    int fd = sim_listen((struct sockaddr *)&addr, sizeof addr);
    assert_int_equal(io_open(&listener, fd), ERR_OK);
    listener.on_event = on_listener;
    on_listener(&listener);
    for (unsigned i = 0; i < n; i++) {
        assert_int_equal(fiber_start(waiter_main, (void *)(uintptr_t)i, NULL), ERR_OK);
        if (i % 50 == 49)
            assert_int_equal(fiber_sleep(1), ERR_OK); // the backlog is not for all of them
    }
    assert_int_equal(fiber_sleep(ms), ERR_OK);
    assert_int_equal(n_accepted, n);
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(resident_pages(i) == 0, trimmed);
    assert_int_equal(n_told, trimmed ? n : 0);
    io_close(&listener);
    for (unsigned i = 0; i < n; i++)
        io_close(&accepted[i]);
    while (fiber_live_count() > 1)
        assert_int_equal(fiber_sleep(10), ERR_OK);
    assert_int_equal(n_whole, n);
    assert_int_equal(n_told, trimmed ? n : 0); // once a wait
}

static void many_for_long(void)
{
    wait_together(MANY, 5000, true);
}

static void many_for_a_moment(void)
{
    wait_together(MANY, 300, false);
}

static void few_for_long(void)
{
    wait_together(FEW, 5000, false);
}

static void test_who_waits_for_long_keeps_frames_only(void **state)
{
    (void)state;
    on_fiber(many_for_long);
}

static void test_a_moment_costs_nothing(void **state)
{
    (void)state;
    on_fiber(many_for_a_moment);
}

static void test_few_are_left_alone(void **state)
{
    (void)state;
    on_fiber(few_for_long);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_who_waits_for_long_keeps_frames_only),
        cmocka_unit_test(test_a_moment_costs_nothing),
        cmocka_unit_test(test_few_are_left_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
