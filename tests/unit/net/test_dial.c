// SPDX-License-Identifier: Apache-2.0
// Dialling in the simulated world, where time jumps and a listener with a full backlog answers nobody.
#include "net_test.h"

#include "../io/io_test.h"
#include "net/dial.h"

enum { BACKLOG = 128, PATIENCE_MS = 5000 };

static struct io listeners[8];
static struct io fillers[BACKLOG];
static unsigned n_listeners, n_fillers;

static void listen_at(const struct addr *a)
{
    struct sockaddr_storage ss;
    socklen_t len = addr_to_sockaddr(a, &ss);
    int fd = sim_listen((struct sockaddr *)&ss, len);
    assert_true(fd >= 0);
    assert_int_equal(io_open(&listeners[n_listeners++], fd), ERR_OK);
}

/// A server that never answers a connection.
static void blackhole_at(const struct addr *a)
{
    struct sockaddr_storage ss;
    socklen_t len = addr_to_sockaddr(a, &ss);
    listen_at(a);
    for (n_fillers = 0; n_fillers < BACKLOG; n_fillers++)
        assert_int_equal(io_connect(&fillers[n_fillers], (struct sockaddr *)&ss, len, NULL, 0, DEADLINE_NONE),
                         ERR_OK);
}

static void take_down(void)
{
    while (n_fillers)
        io_close(&fillers[--n_fillers]);
    while (n_listeners)
        io_close(&listeners[--n_listeners]);
}

static unsigned sim_call_count(void)
{
    return (unsigned)sim_syscall_count();
}

static enum err dial_addrs(const struct addr *addrs, unsigned n, struct addr *ret_used, uint64_t *ret_ms)
{
    struct dial_request r = {.addrs = addrs, .n = n};
    struct io io;
    uint64_t before = loop_now_ms();
    enum err e = dial(&r, deadline_in(PATIENCE_MS), &io, ret_used);
    *ret_ms = loop_now_ms() - before;
    if (!e) {
        struct sockaddr_storage ss;
        struct addr peer;
        assert_int_equal(io_peer_address(&io, &ss), ERR_OK);
        assert_true(addr_from_sockaddr((struct sockaddr *)&ss, sizeof(ss), &peer));
        assert_true(addr_eq(&peer, ret_used));
        io_close(&io);
    }
    assert_int_equal(io_live_count(), n_listeners + n_fillers); // the losers are closed
    assert_int_equal(fiber_live_count(), 1);
    return e;
}

static void one_address(void)
{
    struct addr a = at_port("192.0.2.1", 80), nobody = at_port("192.0.2.2", 80), used;
    listen_at(&a);
    uint64_t ms;
    assert_int_equal(dial_addrs(&a, 1, &used, &ms), ERR_OK);
    assert_int_equal(dial_addrs(&nobody, 1, &used, &ms), ERR_CONNECT_REFUSED);
    // One address costs what io_connect costs.
    struct sockaddr_storage ss;
    socklen_t len = addr_to_sockaddr(&a, &ss);
    struct io io;
    unsigned n0 = sim_call_count();
    assert_int_equal(io_connect(&io, (struct sockaddr *)&ss, len, NULL, 0, DEADLINE_NONE), ERR_OK);
    unsigned plain = sim_call_count() - n0;
    io_close(&io);
    struct dial_request r = {.addrs = &a, .n = 1};
    n0 = sim_call_count();
    assert_int_equal(dial(&r, DEADLINE_NONE, &io, NULL), ERR_OK);
    assert_int_equal(sim_call_count() - n0, plain);
    io_close(&io);
    take_down();
}

static void no_address(void)
{
    struct dial_request r = {.n = 0};
    struct io io;
    struct addr un = ADDR_NONE;
    assert_int_equal(dial(&r, DEADLINE_NONE, &io, NULL), ERR_CONNECT_FAILED);
    r = (struct dial_request){.addrs = &un, .n = 1};
    assert_int_equal(dial(&r, DEADLINE_NONE, &io, NULL), ERR_CONNECT_FAILED);
}

static void first_one_wins(void)
{
    struct addr addrs[] = {at_port("2001:db8::1", 80), at_port("192.0.2.1", 80)}, used;
    listen_at(&addrs[0]);
    listen_at(&addrs[1]);
    uint64_t ms;
    assert_int_equal(dial_addrs(addrs, 2, &used, &ms), ERR_OK);
    assert_true(addr_eq(&used, &addrs[0]));
    assert_true(ms < DIAL_ATTEMPT_DELAY_MS);
    take_down();
}

static void second_family_after_250_ms(void)
{
    struct addr addrs[] = {at_port("2001:db8::1", 80), at_port("2001:db8::2", 80), at_port("192.0.2.1", 80)},
                used;
    blackhole_at(&addrs[0]);
    listen_at(&addrs[1]);
    listen_at(&addrs[2]);
    uint64_t ms;
    assert_int_equal(dial_addrs(addrs, 3, &used, &ms), ERR_OK);
    assert_true(addr_eq(&used, &addrs[2])); // and not the first family's second
    assert_in_range(ms, DIAL_ATTEMPT_DELAY_MS, DIAL_ATTEMPT_DELAY_MS + 20);
    take_down();
}

static void refusal_is_not_waited_for(void)
{
    struct addr addrs[] = {at_port("2001:db8::1", 80), at_port("192.0.2.1", 80), at_port("2001:db8::2", 80)},
                used;
    listen_at(&addrs[2]);
    uint64_t ms;
    assert_int_equal(dial_addrs(addrs, 3, &used, &ms), ERR_OK);
    assert_true(addr_eq(&used, &addrs[2]));
    assert_true(ms < DIAL_ATTEMPT_DELAY_MS);
    take_down();
}

static void all_refuse(void)
{
    struct addr addrs[] = {at_port("2001:db8::1", 80), at_port("192.0.2.1", 80)}, used;
    uint64_t ms;
    assert_int_equal(dial_addrs(addrs, 2, &used, &ms), ERR_CONNECT_REFUSED);
    assert_true(ms < DIAL_ATTEMPT_DELAY_MS);
}

static void deadline_ends_it(void)
{
    struct addr addrs[] = {at_port("2001:db8::1", 80), at_port("2001:db8::1", 80)}, used;
    blackhole_at(&addrs[0]);
    uint64_t ms;
    assert_int_equal(dial_addrs(addrs, 2, &used, &ms), ERR_CONNECT_TIMEOUT);
    assert_in_range(ms, PATIENCE_MS, PATIENCE_MS + 20);
    take_down();
}

struct canceled_dial {
    const struct addr *addrs;
    enum err err;
};

static void dial_to_be_canceled(void *arg)
{
    struct canceled_dial *c = (struct canceled_dial *)arg;
    struct dial_request r = {.addrs = c->addrs, .n = 2};
    struct io io;
    c->err = dial(&r, DEADLINE_NONE, &io, NULL);
}

static void cancellation(void)
{
    struct addr addrs[] = {at_port("2001:db8::1", 80), at_port("2001:db8::1", 80)};
    blackhole_at(&addrs[0]);
    struct canceled_dial c = {addrs, ERR_OK};
    struct fiber *f;
    assert_int_equal(fiber_start(dial_to_be_canceled, &c, &f), ERR_OK);
    assert_int_equal(fiber_sleep(400), ERR_OK); // two attempts are under way
    fiber_cancel(f, ERR_CANCELED);
    fiber_join(f);
    assert_int_equal(c.err, ERR_CANCELED);
    assert_int_equal(fiber_live_count(), 1);
    take_down();
}

struct checker {
    const struct addr *denied;
    enum err err;
    unsigned n;
};

static enum err check(void *arg, const struct addr *a)
{
    struct checker *c = (struct checker *)arg;
    c->n++;
    return !c->denied || addr_eq(a, c->denied) ? c->err : ERR_OK;
}

static void checked_addresses(void)
{
    struct addr addrs[] = {at_port("2001:db8::1", 80), at_port("192.0.2.1", 80)}, used;
    listen_at(&addrs[0]);
    listen_at(&addrs[1]);
    struct checker c = {&addrs[0], ERR_EGRESS_DENIED, 0};
    struct dial_request r = {.addrs = addrs, .n = 2, .check = check, .check_arg = &c};
    struct io io;
    assert_int_equal(dial(&r, DEADLINE_NONE, &io, &used), ERR_OK);
    assert_true(addr_eq(&used, &addrs[1]));
    assert_int_equal(c.n, 2);
    io_close(&io);
    c = (struct checker){NULL, ERR_LOOP, 0};
    assert_int_equal(dial(&r, DEADLINE_NONE, &io, &used), ERR_LOOP);
    // What one may not reach is not hidden by what cannot be reached.
    take_down();
    c = (struct checker){&addrs[0], ERR_EGRESS_DENIED, 0};
    assert_int_equal(dial(&r, DEADLINE_NONE, &io, &used), ERR_CONNECT_REFUSED);
}

static void bound_address(void)
{
    struct addr a = at_port("192.0.2.1", 80), from = at_port("192.0.2.77", 0);
    listen_at(&a);
    struct dial_request r = {.addrs = &a, .n = 1, .bind_v4 = &from};
    struct io io;
    assert_int_equal(dial(&r, DEADLINE_NONE, &io, NULL), ERR_OK);
    struct sockaddr_storage ss;
    struct addr local;
    assert_int_equal(io_local_address(&io, &ss), ERR_OK);
    assert_true(addr_from_sockaddr((struct sockaddr *)&ss, sizeof(ss), &local));
    assert_true(addr_eq_ip(&local, &from));
    io_close(&io);
    take_down();
}

/// Sixteen addresses that do not answer and one more that is not tried.
static void many_addresses(void)
{
    struct addr addrs[DIAL_ADDRS_MAX + 1], used;
    for (unsigned i = 0; i < ARRAY_LEN(addrs); i++)
        addrs[i] = at_port("192.0.2.9", 80);
    blackhole_at(&addrs[0]);
    addrs[DIAL_ADDRS_MAX] = at_port("192.0.2.10", 80);
    listen_at(&addrs[DIAL_ADDRS_MAX]);
    uint64_t ms;
    assert_int_equal(dial_addrs(addrs, ARRAY_LEN(addrs), &used, &ms), ERR_CONNECT_TIMEOUT);
    // The last of the sixteen does answer, after fifteen delays.
    addrs[DIAL_ADDRS_MAX - 1] = addrs[DIAL_ADDRS_MAX];
    assert_int_equal(dial_addrs(addrs, DIAL_ADDRS_MAX, &used, &ms), ERR_OK);
    assert_in_range(ms, 15 * DIAL_ATTEMPT_DELAY_MS, 15 * DIAL_ATTEMPT_DELAY_MS + 50);
    take_down();
}

#define SCENARIO(fn)                                                                                         \
    static void test_##fn(void **state)                                                                      \
    {                                                                                                        \
        (void)state;                                                                                         \
        on_fiber(fn);                                                                                        \
    }
SCENARIO(one_address)
SCENARIO(no_address)
SCENARIO(first_one_wins)
SCENARIO(second_family_after_250_ms)
SCENARIO(refusal_is_not_waited_for)
SCENARIO(all_refuse)
SCENARIO(deadline_ends_it)
SCENARIO(cancellation)
SCENARIO(checked_addresses)
SCENARIO(bound_address)
SCENARIO(many_addresses)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_address),
        cmocka_unit_test(test_no_address),
        cmocka_unit_test(test_first_one_wins),
        cmocka_unit_test(test_second_family_after_250_ms),
        cmocka_unit_test(test_refusal_is_not_waited_for),
        cmocka_unit_test(test_all_refuse),
        cmocka_unit_test(test_deadline_ends_it),
        cmocka_unit_test(test_cancellation),
        cmocka_unit_test(test_checked_addresses),
        cmocka_unit_test(test_bound_address),
        cmocka_unit_test(test_many_addresses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
