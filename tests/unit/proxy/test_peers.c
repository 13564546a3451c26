// SPDX-License-Identifier: Apache-2.0
// Counting by address where the table is crowded: who goes leaves nothing behind for who comes.
#include "proxy_test.h"

#include "proxy/peers.h"

enum { ADDRESSES = 40000, NEWCOMERS = 20000 }; // of 49,152 that have room

static struct addr numbered(unsigned i)
{
    return addr_v4(10, (uint8_t)(i >> 16), (uint8_t)(i >> 8), (uint8_t)i, 0);
}

static void counts_each_address(void **state)
{
    struct peer_counts *p = peers_shared();
    struct addr a = numbered(1), b = numbered(2);
    (void)state;
    assert_non_null(p);
    assert_true(peers_enter(p, &a, 2));
    assert_true(peers_enter(p, &a, 2));
    assert_false(peers_enter(p, &a, 2));
    assert_true(peers_enter(p, &b, 1));
    assert_int_equal(peers_total(p), 3);
    peers_leave(p, &a);
    assert_true(peers_enter(p, &a, 2));
    peers_leave(p, &a);
    peers_leave(p, &a);
    peers_leave(p, &b);
    assert_int_equal(peers_total(p), 0);
}

// Those that go move others to other places; nobody's count may stay at the old ones.
static void a_crowd_that_goes_leaves_no_count(void **state)
{
    struct peer_counts *p = peers_handshaking();
    (void)state;
    assert_non_null(p);
    for (unsigned i = 0; i < ADDRESSES; i++) {
        struct addr a = numbered(i);
        assert_true(peers_enter(p, &a, 1));
    }
    for (unsigned i = 0; i < ADDRESSES; i += 2) {
        struct addr a = numbered(i);
        peers_leave(p, &a);
    }
    for (unsigned i = 0; i < NEWCOMERS; i++) {
        struct addr a = numbered(ADDRESSES + i);
        assert_true(peers_enter(p, &a, 1));
    }
    for (unsigned i = 1; i < ADDRESSES; i += 2) { // who stayed is still counted
        struct addr a = numbered(i);
        assert_false(peers_enter(p, &a, 1));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(counts_each_address), cmocka_unit_test(a_crowd_that_goes_leaves_no_count)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
