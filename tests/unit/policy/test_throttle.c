// SPDX-License-Identifier: Apache-2.0
// Rates and counts by key: exact amounts, from a clock that the test owns.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base/macros.h"
#include "policy/throttle.h"

static const uint64_t second = 1000000000;
static struct throttle_table *t;

static int setup(void **state)
{
    (void)state;
    t = throttle_table_new();
    return t ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    throttle_table_free(t);
    return 0;
}

static struct throttle_key key(uint64_t owner, const char *text)
{
    struct throttle_key k;
    throttle_key_set(&k, owner, 't', span_str(text));
    return k;
}

static unsigned take(const struct throttle_key *k, unsigned tries, uint64_t interval, uint32_t burst, uint64_t now)
{
    unsigned n = 0;
    while (tries--)
        n += throttle_take(t, k, interval, burst, now, NULL);
    return n;
}

static void test_burst_and_refill(void **state)
{
    (void)state;
    struct throttle_key k = key(1, "a");
    uint64_t now = 77 * second, wait = 0;
    assert_int_equal(take(&k, 50, second / 10, 20, now), 20);
    assert_false(throttle_take(t, &k, second / 10, 20, now, &wait));
    assert_int_equal(wait, second / 10);
    assert_int_equal(take(&k, 50, second / 10, 20, now + second / 10 - 1), 0);
    assert_int_equal(take(&k, 50, second / 10, 20, now + second / 10), 1);
    assert_int_equal(take(&k, 50, second / 10, 20, now + second), 9);
    // However long it rests, no more than the burst comes at once.
    assert_int_equal(take(&k, 500, second / 10, 20, now + 1000 * second), 20);
}

static void test_what_is_refused_costs_nothing(void **state)
{
    (void)state;
    struct throttle_key k = key(1, "hammer");
    assert_int_equal(take(&k, 1000, second, 1, second), 1);
    assert_int_equal(take(&k, 1, second, 1, 2 * second), 1);
}

static void test_extremes(void **state)
{
    (void)state;
    struct throttle_key k = key(1, "extreme");
    // One an hour with the largest burst, at the far end of the clock: nothing wraps.
    uint64_t now = UINT64_MAX / 4;
    assert_int_equal(take(&k, 3, 3600 * second, THROTTLE_BURST_MAX, now), 3);
    struct throttle_key one = key(2, "one");
    assert_int_equal(take(&one, 3, 3600 * second, 1, now), 1);
    // A clock that stands at nought, and one that goes back.
    struct throttle_key zero = key(3, "zero");
    assert_int_equal(take(&zero, 3, second, 2, 0), 2);
    assert_int_equal(take(&one, 1, 3600 * second, 1, now - second), 0);
}

static void test_keys_are_apart(void **state)
{
    (void)state;
    struct throttle_key k[] = {key(1, "a"), key(1, "b"), key(2, "a"), key(1, ""), key(1, "aa")};
    for (size_t i = 0; i < ARRAY_LEN(k); i++)
        assert_int_equal(take(&k[i], 5, second, 3, second), 3);
    struct throttle_key address;
    throttle_key_set(&address, 1, '4', span_str("a"));
    assert_int_equal(take(&address, 5, second, 3, second), 3);
}

static void test_long_keys(void **state)
{
    (void)state;
    char a[300], b[300];
    memset(a, 'x', sizeof a);
    memset(b, 'x', sizeof b);
    b[299] = 'y';
    for (size_t len = THROTTLE_KEY_BYTES - 2; len <= 300; len++) {
        struct throttle_key ka, kb, shorter;
        throttle_key_set(&ka, len, 't', span_of(a, len));
        throttle_key_set(&kb, len, 't', span_of(b + 300 - len, len));
        throttle_key_set(&shorter, len, 't', span_of(a, len - 1));
        assert_true(throttle_key_eq(&ka, &ka));
        assert_false(throttle_key_eq(&ka, &kb));
        assert_false(throttle_key_eq(&ka, &shorter));
    }
}

static void test_held(void **state)
{
    (void)state;
    struct throttle_key k = key(9, "a"), other = key(9, "b");
    struct throttle_slot *s[3], *no = NULL;
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(throttle_enter(t, &k, 3, &s[i]), THROTTLE_ENTERED);
    assert_int_equal(throttle_enter(t, &k, 3, &no), THROTTLE_FULL);
    assert_null(no);
    struct throttle_slot *o;
    assert_int_equal(throttle_enter(t, &other, 3, &o), THROTTLE_ENTERED);
    throttle_leave(t, s[1]);
    assert_int_equal(throttle_enter(t, &k, 3, &s[1]), THROTTLE_ENTERED);
    assert_int_equal(throttle_enter(t, &k, 3, &no), THROTTLE_FULL);
    // A limit that has become smaller refuses until enough have gone; one of a rate has the key for itself.
    assert_int_equal(throttle_enter(t, &k, 1, &no), THROTTLE_FULL);
    assert_int_equal(take(&k, 2, second, 1, second), 1);
    for (unsigned i = 0; i < 3; i++)
        throttle_leave(t, s[i]);
    throttle_leave(t, o);
    assert_int_equal(throttle_enter(t, &k, 1, &s[0]), THROTTLE_ENTERED);
    throttle_leave(t, s[0]);
}

// A million strangers leave the table as large as it is, and what is held in it is not forgotten.
static void test_a_flood_of_keys(void **state)
{
    (void)state;
    enum { STRANGERS = 600000 };
    struct throttle_key k = key(5, "held"), stranger;
    struct throttle_slot *s, *no;
    assert_int_equal(throttle_enter(t, &k, 1, &s), THROTTLE_ENTERED);
    unsigned passed = 0;
    for (unsigned i = 0; i < STRANGERS; i++) {
        throttle_key_set(&stranger, 5, '4', span_of((const char *)&i, sizeof i));
        passed += throttle_take(t, &stranger, second, 1, second, NULL);
    }
    assert_int_equal(passed, STRANGERS);
    assert_int_equal(throttle_enter(t, &k, 1, &no), THROTTLE_FULL);
    throttle_leave(t, s);
}

// Where every slot is held, one more key passes uncounted instead of being refused.
static void test_a_table_full_of_held_keys(void **state)
{
    (void)state;
    struct throttle_key k;
    struct throttle_slot *s;
    bool uncounted = false;
    for (unsigned i = 0; i < 1000000 && !uncounted; i++) {
        throttle_key_set(&k, 6, '4', span_of((const char *)&i, sizeof i));
        enum throttle_entry e = throttle_enter(t, &k, 1, &s);
        assert_int_not_equal(e, THROTTLE_FULL);
        uncounted = e == THROTTLE_UNCOUNTED;
    }
    assert_true(uncounted);
}

// Whatever is charged is paid for at its rate, in order, and an hour of rest saves nothing up.
static void charges_add_up(void **state)
{
    (void)state;
    struct throttle_key a = key(1, "ann"), b = key(1, "bob");
    assert_int_equal(throttle_charge(t, &a, second / 4, 10 * second), second / 4);
    assert_int_equal(throttle_charge(t, &a, second / 4, 10 * second), second / 2);
    assert_int_equal(throttle_charge(t, &b, second, 10 * second), second);
    assert_int_equal(throttle_charge(t, &a, 0, 10 * second + second / 4), second / 4);
    assert_int_equal(throttle_charge(t, &a, second / 8, 3600 * second), second / 8);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(charges_add_up, setup, teardown),
        TEST(test_burst_and_refill), TEST(test_what_is_refused_costs_nothing), TEST(test_extremes),        TEST(test_keys_are_apart),
        TEST(test_long_keys),        TEST(test_held),                          TEST(test_a_flood_of_keys), TEST(test_a_table_full_of_held_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
