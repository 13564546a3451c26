// SPDX-License-Identifier: Apache-2.0
// How servers are chosen, what ejects them, what retries may cost, and who shares what over reloads.
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
// cmocka wants the four above
#include <cmocka.h>

#include "balance/health.h"
#include "balance/pool.h"
#include "balance/registry.h"

struct made {
    struct arena arena;
    struct conf *conf;
    struct pool *pool;
};

// A pool from the statements of its block.
static void make(struct made *m, const char *statements)
{
    char text[8192];
    snprintf(text, sizeof text, "pool p {\n%s\n}\nsite * { route * -> pool p }\n", statements);
    struct conf_diags *d = conf_diags_new();
    assert_non_null(d);
    arena_init(&m->arena, 0);
    m->conf = conf_load_text(span_str(text), "t.conf", d);
    m->pool = m->conf ? pool_new(m->conf, conf_child(conf_root(m->conf), CONF_POOL), SPAN_NONE, &m->arena, d) : NULL;
    if (!m->pool)
        print_message("%.*s", SPAN_ARG(conf_diags_text(d)));
    assert_non_null(m->pool);
    conf_diags_free(d);
}

static void unmake(struct made *m)
{
    pool_free(m->pool);
    conf_unref(m->conf);
    arena_fini(&m->arena);
}

#define SERVERS_3 "server 10.0.0.1:1\nserver 10.0.0.2:1\nserver 10.0.0.3:1 weight 2\n"

// Which server, by the last number of its address; 0: none.
static unsigned take(struct pool *p, struct pick *k, struct target *t)
{
    struct pick fresh = {.no_wait = true};
    return pool_acquire(p, k ? k : &fresh, t) ? 0 : t->member->addr.v4[3];
}

static unsigned take_and_leave(struct pool *p, struct pick *k)
{
    struct target t;
    unsigned n = take(p, k, &t);
    if (n)
        pool_release(p, &t);
    return n;
}

static void round_robin_is_smooth(void **state)
{
    (void)state;
    struct made m;
    make(&m, SERVERS_3 "balance round-robin");
    unsigned seen[4] = {0}, before = 0, twice = 0;
    for (unsigned i = 0; i < 400; i++) {
        unsigned n = take_and_leave(m.pool, NULL);
        seen[n]++;
        twice += n == before;
        before = n;
    }
    assert_int_equal(seen[1], 100);
    assert_int_equal(seen[2], 100);
    assert_int_equal(seen[3], 200);
    assert_true(twice <= 100); // of weights 1:1:2 the heavy one comes twice in a row once a round at most
    unmake(&m);
}

static void least_requests_goes_by_weight(void **state)
{
    (void)state;
    struct made m;
    struct target t[12];
    make(&m, SERVERS_3 "balance least-requests");
    unsigned load[4] = {0};
    for (unsigned i = 0; i < 12; i++)
        load[take(m.pool, NULL, &t[i])]++;
    assert_int_equal(load[1], 3);
    assert_int_equal(load[2], 3);
    assert_int_equal(load[3], 6);
    for (unsigned i = 0; i < 12; i++)
        pool_release(m.pool, &t[i]);
    unmake(&m);
}

static void p2c_keeps_away_from_slow_servers(void **state)
{
    (void)state;
    struct made m;
    make(&m, "server 10.0.0.1:1\nserver 10.0.0.2:1\nserver 10.0.0.3:1\nserver 10.0.0.4:1");
    unsigned seen[5] = {0};
    for (unsigned i = 0; i < 400; i++) {
        struct target t;
        unsigned n = take(m.pool, NULL, &t);
        seen[n]++;
        pool_report(m.pool, &t, OUTCOME_OK, n == 2 ? 500000 : 1000);
        pool_release(m.pool, &t);
    }
    assert_true(seen[2] >= 1 && seen[2] < 20);
    assert_true(seen[1] > 60 && seen[3] > 60 && seen[4] > 60);
    unmake(&m);
}

static void latency_rises_at_once_and_falls_slowly(void **state)
{
    (void)state;
    struct member m = {0};
    member_note_latency(&m, 1000, 1000);
    assert_int_equal(member_latency_us(&m, 1000), 1000);
    member_note_latency(&m, 9000, 1000);
    assert_int_equal(member_latency_us(&m, 1000), 9000);
    member_note_latency(&m, 1000, 1100);
    assert_in_range(member_latency_us(&m, 1100), 8000, 9000);
    assert_in_range(member_latency_us(&m, 61000), 1000, 2000); // what nobody measured for long is forgotten
}

static void a_key_moves_only_when_its_server_leaves(void **state)
{
    (void)state;
    enum { KEYS = 4000, N = 10 };
    static unsigned home[KEYS];
    char text[1024];
    int n = snprintf(text, sizeof text, "balance hash path\n");
    for (int i = 1; i <= N; i++)
        n += snprintf(text + n, sizeof text - (size_t)n, "server 10.0.0.%d:1\n", i);
    struct made m;
    make(&m, text);
    unsigned share[N + 1] = {0};
    for (unsigned i = 0; i < KEYS; i++) {
        struct pick k = {.has_key = true, .key = hash_fast(span_of((const char *)&i, sizeof i)), .no_wait = true};
        share[home[i] = take_and_leave(m.pool, &k)]++;
    }
    for (unsigned i = 1; i <= N; i++)
        assert_in_range(share[i], KEYS / N / 2, KEYS / N * 2);
    const struct targets *t = pool_targets(m.pool);
    member_set_flags(t->tiers[TIER_MAIN].v[3].member, MEMBER_DOWN, 0);
    unsigned gone = t->tiers[TIER_MAIN].v[3].member->addr.v4[3], moved = 0;
    for (unsigned i = 0; i < KEYS; i++) {
        struct pick k = {.has_key = true, .key = hash_fast(span_of((const char *)&i, sizeof i)), .no_wait = true};
        unsigned now = take_and_leave(m.pool, &k);
        assert_int_not_equal(now, gone);
        assert_true(now == home[i] || home[i] == gone);
        moved += now != home[i];
    }
    assert_true(moved * 100 <= KEYS * (100 / N + 5)); // 1/n and 5 %
    member_set_flags(t->tiers[TIER_MAIN].v[3].member, 0, MEMBER_DOWN);
    for (unsigned i = 0; i < KEYS; i += 7) {
        struct pick k = {.has_key = true, .key = hash_fast(span_of((const char *)&i, sizeof i)), .no_wait = true};
        assert_int_equal(take_and_leave(m.pool, &k), home[i]);
    }
    unmake(&m);
}

static void a_popular_key_does_not_drown_its_server(void **state)
{
    (void)state;
    enum { REQUESTS = 200 };
    struct made m;
    struct target t[REQUESTS];
    make(&m, "server 10.0.0.1:1\nserver 10.0.0.2:1\nserver 10.0.0.3:1\nserver 10.0.0.4:1\nbalance hash path");
    unsigned load[5] = {0}, most = 0;
    for (unsigned i = 0; i < REQUESTS; i++) {
        struct pick k = {.has_key = true, .key = 12345, .no_wait = true};
        load[take(m.pool, &k, &t[i])]++;
    }
    for (unsigned i = 1; i < 5; i++)
        most = MAX(most, load[i]);
    assert_in_range(most, REQUESTS / 4, REQUESTS / 4 * 5 / 4 + 2);
    for (unsigned i = 0; i < REQUESTS; i++)
        pool_release(m.pool, &t[i]);
    unmake(&m);
}

static void backups_wait_for_their_turn(void **state)
{
    (void)state;
    struct made m;
    make(&m, "server 10.0.0.1:1\nserver 10.0.0.2:1 backup");
    assert_int_equal(take_and_leave(m.pool, NULL), 1);
    struct member *main_ = pool_targets(m.pool)->tiers[TIER_MAIN].v[0].member, *spare = pool_targets(m.pool)->tiers[TIER_MAIN + 1].v[0].member;
    member_set_flags(main_, MEMBER_DOWN, 0);
    assert_int_equal(take_and_leave(m.pool, NULL), 2);
    member_set_flags(spare, MEMBER_DOWN, 0);
    assert_int_equal(take_and_leave(m.pool, NULL), 1); // nobody is well: whoever is there
    member_set_flags(main_, MEMBER_DISABLED, 0);
    assert_int_equal(take_and_leave(m.pool, NULL), 2);
    member_set_flags(spare, MEMBER_DISABLED, 0);
    assert_int_equal(take_and_leave(m.pool, NULL), 0);
    unmake(&m);
}

static void what_was_tried_is_passed_over(void **state)
{
    (void)state;
    struct made m;
    struct target t;
    make(&m, SERVERS_3 "balance round-robin");
    struct pick k = {.no_wait = true};
    unsigned seen = 0;
    for (unsigned i = 0; i < 3; i++) {
        unsigned n = take(m.pool, &k, &t);
        assert_true(n && !(seen >> n & 1));
        seen |= 1u << n;
        k.tried[k.n_tried++] = t.member;
        pool_release(m.pool, &t);
    }
    assert_int_equal(take(m.pool, &k, &t), 0);
    unmake(&m);
}

static void errors_in_a_row_eject_but_not_more_than_half(void **state)
{
    (void)state;
    struct made m;
    struct target t;
    make(&m, "server 10.0.0.1:1\nserver 10.0.0.2:1\nserver 10.0.0.3:1\nbalance round-robin\neject after 2 errors for 60s");
    for (unsigned i = 0; i < 30; i++) {
        take(m.pool, NULL, &t);
        pool_report(m.pool, &t, OUTCOME_FAILED, 0);
        pool_release(m.pool, &t);
    }
    unsigned ejected = 0;
    for (unsigned i = 0; i < 3; i++)
        ejected += (member_flags(pool_targets(m.pool)->tiers[TIER_MAIN].v[i].member) & MEMBER_EJECTED) != 0;
    assert_int_equal(ejected, 1);
    unmake(&m);
}

static void a_success_between_errors_forgives_them(void **state)
{
    (void)state;
    struct made m;
    struct target t;
    make(&m, "server 10.0.0.1:1\nserver 10.0.0.2:1 backup\neject after 2 errors for 60s");
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(take(m.pool, NULL, &t), 1);
        pool_report(m.pool, &t, i % 2 ? OUTCOME_OK : OUTCOME_FAILED, 1);
        pool_release(m.pool, &t);
    }
    unmake(&m);
}

static void the_limit_of_a_server_holds(void **state)
{
    (void)state;
    struct made m;
    struct target t[5];
    make(&m, "server 10.0.0.1:1\nserver 10.0.0.2:1\nmax-requests 2");
    for (unsigned i = 0; i < 4; i++)
        assert_int_not_equal(take(m.pool, NULL, &t[i]), 0);
    struct pick k = {.no_wait = true};
    assert_int_equal(pool_acquire(m.pool, &k, &t[4]), ERR_QUEUE_FULL);
    unsigned freed = t[1].member->addr.v4[3];
    pool_release(m.pool, &t[1]);
    assert_int_equal(take(m.pool, NULL, &t[1]), freed);
    for (unsigned i = 0; i < 4; i++)
        pool_release(m.pool, &t[i]);
    unmake(&m);
}

static void what_is_known_lives_on_over_a_reload(void **state)
{
    (void)state;
    struct made old, new_;
    struct target t;
    make(&old, "server 10.0.0.1:1\nserver 10.0.0.2:1");
    struct member *m = pool_targets(old.pool)->tiers[TIER_MAIN].v[0].member;
    member_set_flags(m, MEMBER_DOWN, 0);
    server_shared_order(old.pool->servers[1].shared, MEMBER_DISABLED);
    make(&new_, "server 10.0.0.2:1\nserver 10.0.0.1:1\nserver 10.0.0.3:1");
    unmake(&old);
    const struct tier *now = &pool_targets(new_.pool)->tiers[TIER_MAIN];
    assert_ptr_equal(now->v[1].member, m);
    assert_true(member_flags(m) & MEMBER_DOWN);
    assert_true(member_flags(now->v[0].member) & MEMBER_DISABLED);
    for (unsigned i = 0; i < 20; i++)
        assert_int_equal(take_and_leave(new_.pool, NULL), 3);
    // A request, and then a connection of it, may outlive the last configuration that knew its server.
    assert_int_equal(take(new_.pool, NULL, &t), 3);
    struct pool *pool = new_.pool;
    targets_unref(atomic_exchange(&pool->targets, NULL));
    member_connected(t.member);
    member_leave(t.member);
    member_disconnected(t.member);
    unmake(&new_);
}

static void one_that_came_back_takes_its_part_by_and_by(void **state)
{
    (void)state;
    struct made m;
    make(&m, "server 10.0.0.1:1\nserver 10.0.0.2:1\nbalance round-robin\nslow-start 1000s");
    struct member *back = pool_targets(m.pool)->tiers[TIER_MAIN].v[0].member;
    health_came_back(m.pool, back, loop_now_ms());
    unsigned seen[3] = {0};
    for (unsigned i = 0; i < 1000; i++)
        seen[take_and_leave(m.pool, NULL)]++;
    assert_in_range(seen[1], 20, 250); // a tenth of the usual, in the beginning
    atomic_store(&back->slow_from_ms, loop_now_ms() - 1000 * 1000);
    seen[1] = 0;
    for (unsigned i = 0; i < 100; i++)
        seen[take_and_leave(m.pool, NULL)]++;
    assert_int_equal(seen[1], 50);
    assert_int_equal(member_flags(back), 0);
    unmake(&m);
}

static void retries_have_a_budget(void **state)
{
    (void)state;
    struct budget b = {0};
    unsigned retries = 0;
    for (unsigned i = 0; i < 1000; i++) {
        budget_note_request(&b, 5000 + i);
        while (budget_take(&b, 2000, 5000 + i))
            retries++;
    }
    assert_int_equal(retries, 200);
    assert_true(budget_take(&b, 2000, 60000)); // what is long past counts no more, and a few are always possible
}

static void a_session_is_found_by_its_token_alone(void **state)
{
    (void)state;
    struct made m;
    make(&m, SERVERS_3 "sticky cookie s");
    const struct targets *t = pool_targets(m.pool);
    for (unsigned i = 0; i < 3; i++) {
        char token[STICKY_TOKEN_BYTES];
        const struct target *c = &t->tiers[TIER_MAIN].v[i];
        sticky_token(m.pool, c->server, &c->member->addr, token);
        assert_ptr_equal(sticky_find(t, span_of(token, sizeof token)), c);
        struct pick k = {.session = span_of(token, sizeof token), .no_wait = true};
        for (unsigned n = 0; n < 10; n++)
            assert_int_equal(take_and_leave(m.pool, &k), c->member->addr.v4[3]);
        assert_null(sticky_find(t, span_of(token, sizeof token - 1)));
        token[5] ^= 1;
        assert_null(sticky_find(t, span_of(token, sizeof token)));
    }
    unmake(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(round_robin_is_smooth),
        cmocka_unit_test(least_requests_goes_by_weight),
        cmocka_unit_test(p2c_keeps_away_from_slow_servers),
        cmocka_unit_test(latency_rises_at_once_and_falls_slowly),
        cmocka_unit_test(a_key_moves_only_when_its_server_leaves),
        cmocka_unit_test(a_popular_key_does_not_drown_its_server),
        cmocka_unit_test(backups_wait_for_their_turn),
        cmocka_unit_test(what_was_tried_is_passed_over),
        cmocka_unit_test(errors_in_a_row_eject_but_not_more_than_half),
        cmocka_unit_test(a_success_between_errors_forgives_them),
        cmocka_unit_test(the_limit_of_a_server_holds),
        cmocka_unit_test(what_is_known_lives_on_over_a_reload),
        cmocka_unit_test(one_that_came_back_takes_its_part_by_and_by),
        cmocka_unit_test(retries_have_a_budget),
        cmocka_unit_test(a_session_is_found_by_its_token_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
