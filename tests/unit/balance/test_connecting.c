// SPDX-License-Identifier: Apache-2.0
// Who waits for a connection to a server (`max-connections`), gets it, gives up, or is called off.
#include "../io/io_test.h"

#include "balance/connecting.h"
#include "balance/registry.h"

struct seeker {
    struct member *member;
    struct fiber *fiber;
    uint64_t deadline;
    enum err err;
    bool ended;
};

static unsigned open_at(const struct member *m)
{
    return atomic_load(&m->connections);
}

static void seek(void *arg)
{
    struct seeker *s = (struct seeker *)arg;
    s->err = member_connect(s->member, 1, s->deadline);
    s->ended = true;
}

static void seek_begin(struct seeker *s, struct member *m, uint64_t deadline)
{
    *s = (struct seeker){.member = m, .deadline = deadline};
    assert_int_equal(fiber_start(seek, s, &s->fiber), ERR_OK);
    fiber_yield(); // it waits
    assert_false(s->ended);
    assert_int_equal(queue_length(&m->connecting), 1);
    assert_true(member_calls(m));
}

static struct member *taken(struct server_shared **s)
{
    const struct addr a = addr_v4(10, 0, 0, 1, 80);
    *s = server_shared_get(SPAN("p"), SPAN("10.0.0.1:80"));
    assert_non_null(*s);
    struct member *m = member_get(*s, &a);
    assert_non_null(m);
    assert_int_equal(member_connect(m, 1, DEADLINE_NONE), ERR_OK);
    assert_int_equal(open_at(m), 1);
    return m;
}

static void drop(struct server_shared *s, struct member *m)
{
    assert_int_equal(open_at(m), 0);
    assert_int_equal(queue_length(&m->connecting), 0);
    member_unref(m);
    server_shared_unref(s);
}

static void whose_turn_it_is_gets_what_is_closed(void)
{
    struct server_shared *s;
    struct seeker a;
    struct member *m = taken(&s);
    seek_begin(&a, m, DEADLINE_NONE);
    member_disconnected(m);
    assert_int_equal(open_at(m), 1); // it is the other's at once
    fiber_join(a.fiber);
    assert_int_equal(a.err, ERR_OK);
    assert_false(member_calls(m));
    member_disconnected(m);
    drop(s, m);
}

static void waiting_has_an_end(void)
{
    struct server_shared *s;
    struct seeker a;
    struct member *m = taken(&s);
    seek_begin(&a, m, loop_now_ms() + 20);
    fiber_join(a.fiber);
    assert_int_equal(a.err, ERR_QUEUE_TIMEOUT);
    assert_int_equal(open_at(m), 1);
    member_disconnected(m);
    drop(s, m);
}

static void who_is_called_off_leaves_the_line(void)
{
    struct server_shared *s;
    struct seeker a;
    struct member *m = taken(&s);
    seek_begin(&a, m, DEADLINE_NONE);
    fiber_cancel(a.fiber, ERR_CANCELED);
    fiber_join(a.fiber);
    assert_int_equal(a.err, ERR_CANCELED);
    assert_int_equal(open_at(m), 1);
    member_disconnected(m);
    drop(s, m);
}

static void who_is_called_off_after_it_was_given_one_gives_it_back(void)
{
    struct server_shared *s;
    struct seeker a;
    struct member *m = taken(&s);
    seek_begin(&a, m, DEADLINE_NONE);
    member_disconnected(m);
    fiber_cancel(a.fiber, ERR_CANCELED);
    fiber_join(a.fiber);
    if (!a.err)
        member_disconnected(m);
    drop(s, m);
}

static void test_whose_turn_it_is_gets_what_is_closed(void **state)
{
    (void)state;
    on_fiber(whose_turn_it_is_gets_what_is_closed);
}

static void test_waiting_has_an_end(void **state)
{
    (void)state;
    on_fiber(waiting_has_an_end);
}

static void test_who_is_called_off_leaves_the_line(void **state)
{
    (void)state;
    on_fiber(who_is_called_off_leaves_the_line);
}

static void test_who_is_called_off_after_it_was_given_one_gives_it_back(void **state)
{
    (void)state;
    on_fiber(who_is_called_off_after_it_was_given_one_gives_it_back);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whose_turn_it_is_gets_what_is_closed),
        cmocka_unit_test(test_waiting_has_an_end),
        cmocka_unit_test(test_who_is_called_off_leaves_the_line),
        cmocka_unit_test(test_who_is_called_off_after_it_was_given_one_gives_it_back),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
