// SPDX-License-Identifier: Apache-2.0
// The simulator itself: the same seed gives the same world, and each fault shows as what the kernel would
// make of it.
#include "io_test.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

static struct sockaddr_in addr;
static struct io listener;

static int begin(void **state)
{
    (void)state;
    addr = (struct sockaddr_in){
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(7001)};
    return 0;
}

static int end(void **state)
{
    (void)state;
    sim_end();
    return 0;
}

static enum err dial(struct io *ret, uint64_t deadline)
{
    return io_connect(ret, (struct sockaddr *)&addr, sizeof(addr), NULL, 0, deadline);
}

static void open_listener(void)
{
    int fd = sim_listen((struct sockaddr *)&addr, sizeof(addr));
    assert_true(fd >= 0);
    assert_int_equal(sim_listen((struct sockaddr *)&addr, sizeof(addr)), -1); // taken
    assert_int_equal(io_open(&listener, fd), ERR_OK);
}

// ---- An echo server and clients, whatever the faults

enum { CLIENTS = 8, ECHO_BYTES = 3000 };
static unsigned n_echoed, n_failed;

static void echo_main(void *arg)
{
    struct io *io = (struct io *)arg;
    char buf[1024];
    size_t n, done, k;
    enum err e;
    while ((e = io_recv(io, buf, sizeof(buf), loop_now_ms() + 60000, &n)) == ERR_OK) {
        for (done = 0; done < n && !e; done += k) {
            struct iovec v = {buf + done, n - done};
            k = 0;
            e = io_sendv(io, &v, 1, false, loop_now_ms() + 60000, &k);
        }
        if (e)
            break;
    }
    io_close(io);
    mem_free(io);
}

static void on_listener(struct io *l)
{
    int fd;
    enum err e;
    while ((e = io_accept_now(l, &fd, NULL)) == ERR_OK || e == ERR_IO) {
        if (e)
            continue;
        struct io *io = (struct io *)mem_alloc(sizeof(*io));
        if (!io) {
            struct io gone;
            if (io_open(&gone, fd) == ERR_OK)
                io_close_reset(&gone);
            continue;
        }
        if (io_open(io, fd)) {
            mem_free(io);
        } else if (fiber_start(echo_main, io, NULL)) {
            io_close_reset(io);
            mem_free(io);
        }
    }
}

static enum err exchange(struct io *io)
{
    static const char text[ECHO_BYTES] = {1, 2, 3};
    size_t sent = 0, have = 0, n;
    char buf[ECHO_BYTES];
    enum err e = ERR_OK;
    // All of it comes back before more goes: with buffers so small, both would end up waiting to send.
    while (have < ECHO_BYTES && !e) {
        struct iovec v = {(void *)(uintptr_t)(text + sent), MIN(ECHO_BYTES - sent, (size_t)500)};
        e = io_sendv(io, &v, 1, false, loop_now_ms() + 60000, &n);
        sent += e ? 0 : n;
        while (have < sent && !e) {
            e = io_recv(io, buf + have, sent - have, loop_now_ms() + 60000, &n);
            have += e ? 0 : n;
        }
    }
    if (!e)
        assert_memory_equal(buf, text, ECHO_BYTES);
    return e;
}

static void client_main(void *arg)
{
    (void)arg;
    struct io io;
    enum err e = dial(&io, loop_now_ms() + 30000);
    if (!e) {
        e = exchange(&io);
        io_close(&io);
    }
    if (e)
        n_failed++;
    else
        n_echoed++;
}

static void retry_accept(struct timer *t)
{
    on_listener(&listener); // what a lack of descriptors left in the queue
    timer_set(t, loop_now_ms() + 100);
}

static bool all_done(void *arg)
{
    (void)arg;
    return n_echoed + n_failed == CLIENTS;
}

// Returns the trace of the world.
static uint64_t world(const struct sim_options *o)
{
    n_echoed = n_failed = 0;
    int64_t before = mem_live_count();
    sim_begin(o);
    sim_faults(false);
    struct loop *l;
    assert_int_equal(loop_new(&l), ERR_OK);
    open_listener();
    listener.on_event = on_listener;
    struct timer retry;
    timer_init(&retry, retry_accept);
    timer_set(&retry, loop_now_ms() + 100);
    sim_faults(true);
    for (unsigned i = 0; i < CLIENTS; i++) {
        if (fiber_start(client_main, NULL, NULL))
            n_failed++;
    }
    assert_true(loop_run_until(l, all_done, NULL));
    assert_true(loop_run_until(l, nobody_left, NULL));
    sim_faults(false);
    timer_cancel(&retry);
    io_close(&listener);
    assert_int_equal(io_live_count(), 0);
    uint64_t trace = sim_trace();
    loop_free(l);
    assert_int_equal(sim_open_fds(), 0);
    assert_int_equal(mem_live_count(), before);
    return trace;
}

static const struct sim_options rough = {
    .short_io_pm = 200,
    .delay_pm = 100,
    .delay_max_ms = 50,
    .cut_pm = 10,
    .refuse_pm = 50,
    .blackhole_pm = 50,
    .fd_fail_pm = 50,
    .alloc_fail_pm = 20,
    .socket_buffer = 700,
};

static void test_the_same_seed_gives_the_same_world(void **state)
{
    (void)state;
    uint64_t different = 0, last = 0;
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct sim_options o = rough;
        o.seed = seed;
        uint64_t trace = world(&o);
        unsigned echoed = n_echoed;
        assert_true(world(&o) == trace);
        assert_int_equal(n_echoed, echoed);
        different += trace != last;
        last = trace;
    }
    assert_int_equal(different, 40);
}

static void test_without_faults_all_succeed(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 20; seed++) {
        struct sim_options o = {.seed = seed,
                                .short_io_pm = 300,
                                .delay_pm = 300,
                                .delay_max_ms = 20,
                                .socket_buffer = 64 + seed * 50};
        world(&o);
        assert_int_equal(n_echoed, CLIENTS);
    }
}

static void test_each_fault_happens(void **state)
{
    (void)state;
    struct sim_options o[] = {{.cut_pm = 50},
                              {.refuse_pm = 500},
                              {.blackhole_pm = 500},
                              {.fd_fail_pm = 500},
                              {.alloc_fail_pm = 500}};
    for (unsigned i = 0; i < ARRAY_LEN(o); i++) {
        unsigned failed = 0, echoed = 0;
        for (o[i].seed = 1; o[i].seed <= 20; o[i].seed++) {
            world(&o[i]);
            failed += n_failed;
            echoed += n_echoed;
        }
        assert_true(failed > 0);
        assert_true(echoed > 0);
    }
}

static void test_every_allocation_and_every_call_fails_once(void **state)
{
    (void)state;
    struct sim_options o = {.seed = 5, .socket_buffer = 1000};
    world(&o);
    assert_int_equal(n_echoed, CLIENTS);
    uint64_t allocs = sim_alloc_count(), calls = sim_syscall_count();
    assert_true(allocs >= 2 * CLIENTS); // a fiber and an io for each
    assert_true(calls > 100);
    for (uint64_t i = 1; i <= allocs; i++) {
        struct sim_options f = o;
        f.alloc_fail_at = i;
        world(&f);
        assert_true(n_failed <= 1);
    }
    for (uint64_t i = 1; i <= calls; i += 3) {
        struct sim_options f = o;
        f.syscall_fail_at = i;
        world(&f);
        assert_true(n_failed <= 1);
    }
}

// ---- Single faults

static void in_world(const struct sim_options *o, void (*fn)(void))
{
    sim_begin(o);
    run_on_fiber(fn);
    assert_int_equal(sim_open_fds(), 0);
}

static void blackhole(void)
{
    struct io a;
    uint64_t begin_ms = loop_now_ms();
    assert_int_equal(dial(&a, begin_ms + 5000), ERR_CONNECT_TIMEOUT);
    assert_int_equal(loop_now_ms(), begin_ms + 5000);               // the clock jumped there
    assert_int_equal(dial(&a, DEADLINE_NONE), ERR_CONNECT_TIMEOUT); // the kernel's own patience
    assert_true(loop_now_ms() >= begin_ms + 5000 + 127000);
}

static void test_blackhole(void **state)
{
    (void)state;
    in_world(&(struct sim_options){.seed = 1, .blackhole_pm = 1000}, blackhole);
}

static void no_descriptor(void)
{
    struct io a;
    assert_int_equal(dial(&a, DEADLINE_NONE), ERR_NO_FILES);
}

static void test_no_descriptor(void **state)
{
    (void)state;
    in_world(&(struct sim_options){.seed = 1, .fd_fail_pm = 1000}, no_descriptor);
}

static void spared_main(void *arg)
{
    char *p = (char *)mem_alloc(10);
    assert_null(p);
    sim_spare_self();
    p = (char *)mem_alloc(10);
    assert_non_null(p);
    mem_free(p);
    *(bool *)arg = true;
}

static void no_memory(void)
{
    bool ran = false;
    struct fiber *f;
    sim_faults(true);
    assert_int_equal(fiber_start(spared_main, &ran, NULL), ERR_NO_MEMORY);
    assert_int_equal(loop_offload(spared_main, &ran), ERR_NO_MEMORY);
    assert_false(ran);
    sim_faults(false);
    assert_int_equal(fiber_start(spared_main, &ran, &f), ERR_OK);
    sim_faults(true);
    fiber_join(f);
    assert_true(ran);
}

static void test_no_memory_and_who_is_spared(void **state)
{
    (void)state;
    sim_begin(&(struct sim_options){.seed = 1, .alloc_fail_pm = 1000});
    struct loop *l;
    sim_faults(false);
    assert_int_equal(loop_new(&l), ERR_OK);
    struct run r = {no_memory, false};
    assert_int_equal(fiber_start(run_main, &r, NULL), ERR_OK);
    assert_true(loop_run_until(l, run_ended, &r));
    loop_free(l);
}

static bool never(void *arg)
{
    (void)arg;
    return false;
}

static void parked_main(void *arg)
{
    *(enum err *)arg = fiber_park(DEADLINE_NONE);
}

static void test_a_world_where_nothing_can_happen_ends(void **state)
{
    (void)state;
    sim_begin(&(struct sim_options){.seed = 1});
    struct loop *l;
    assert_int_equal(loop_new(&l), ERR_OK);
    enum err e = ERR_INTERNAL;
    struct fiber *f;
    assert_int_equal(fiber_start(parked_main, &e, &f), ERR_OK);
    assert_false(loop_run_until(l, never, NULL));
    loop_run(l); // returns too
    fiber_cancel(f, ERR_SHUTDOWN);
    assert_false(loop_run_until(l, never, NULL));
    assert_int_equal(e, ERR_SHUTDOWN);
    fiber_join(f);
    loop_free(l);
}

static void days(void)
{
    uint64_t wall = loop_wall_ms(), begin_us = loop_clock_us();
    assert_int_equal(fiber_sleep(40u * 24 * 3600 * 1000),
                     ERR_OK); // farther than one wait of the poller can go
    assert_int_equal(loop_wall_ms() - wall, 40u * 24 * 3600 * 1000);
    assert_true((loop_clock_us() - begin_us + 999) / 1000 >= (uint64_t)40 * 24 * 3600 * 1000);
}

static void test_time_jumps(void **state)
{
    (void)state;
    in_world(&(struct sim_options){.seed = 1}, days);
}

static void talk_over_pair(void)
{
    int fd[2];
    struct io a, b;
    sim_pair(fd);
    assert_int_equal(io_open(&a, fd[0]), ERR_OK);
    assert_int_equal(io_open(&b, fd[1]), ERR_OK);
    struct iovec v = {(void *)(uintptr_t) "ping", 4};
    size_t n;
    char buf[8];
    assert_int_equal(io_sendv(&a, &v, 1, false, DEADLINE_NONE, &n), ERR_OK);
    assert_int_equal(n, 4);
    assert_int_equal(io_unacked(&a), 4);
    assert_int_equal(io_recv(&b, buf, sizeof(buf), DEADLINE_NONE, &n), ERR_OK);
    assert_int_equal(n, 4);
    assert_memory_equal(buf, "ping", 4);
    assert_int_equal(io_unacked(&a), 0);
    io_close(&a);
    assert_int_equal(io_recv(&b, buf, sizeof(buf), DEADLINE_NONE, &n), ERR_EOF);
    io_close(&b);
}

static void test_pair(void **state)
{
    (void)state;
    in_world(&(struct sim_options){.seed = 1}, talk_over_pair);
}

static void test_a_loop_that_cannot_be_had(void **state)
{
    (void)state;
    static const struct {
        struct sim_options o;
        enum err e;
    } cases[] = {{{.alloc_fail_at = 1}, ERR_NO_MEMORY},
                 {{.syscall_fail_at = 1}, ERR_NO_FILES},
                 {{.syscall_fail_at = 2}, ERR_NO_FILES}};
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        sim_begin(&cases[i].o);
        struct loop *l;
        assert_int_equal(loop_new(&l), cases[i].e);
        assert_null(loop_self());
        assert_int_equal(sim_open_fds(), 0);
    }
}

// ---- Addresses of each family

static struct sockaddr_storage family_addr, family_from;

static void talk_over_family(void)
{
    struct io l, a, b;
    struct sockaddr_storage got;
    int fd;
    enum err e;
    assert_int_equal(io_open(&l, sim_listen((struct sockaddr *)&family_addr, sizeof(family_addr))), ERR_OK);
    const struct sockaddr *from = family_from.ss_family ? (struct sockaddr *)&family_from : NULL;
    assert_int_equal(io_connect(&a, (struct sockaddr *)&family_addr, sizeof(family_addr), from,
                                sizeof(family_from), DEADLINE_NONE),
                     ERR_OK);
    while ((e = io_accept_now(&l, &fd, &got)) == ERR_AGAIN)
        assert_int_equal(io_wait_readable(&l, DEADLINE_NONE), ERR_OK);
    assert_int_equal(e, ERR_OK);
    assert_int_equal(io_open(&b, fd), ERR_OK);
    assert_int_equal(got.ss_family, family_addr.ss_family);
    if (from)
        assert_memory_equal(&got, &family_from, sizeof(got));
    assert_int_equal(io_peer_address(&a, &got), ERR_OK);
    assert_memory_equal(&got, &family_addr, sizeof(got));
    struct iovec v = {(void *)(uintptr_t) "x", 1};
    size_t n;
    char c;
    assert_int_equal(io_sendv(&a, &v, 1, false, DEADLINE_NONE, &n), ERR_OK);
    assert_int_equal(io_recv(&b, &c, 1, DEADLINE_NONE, &n), ERR_OK);
    assert_int_equal(c, 'x');
    io_close(&a);
    io_close(&b);
    // To another port or path there is nobody.
    ((struct sockaddr_in *)&family_addr)->sin_port ^= 1; // the same place in each family; in a path, a letter
    assert_int_equal(
        io_connect(&a, (struct sockaddr *)&family_addr, sizeof(family_addr), NULL, 0, DEADLINE_NONE),
        ERR_CONNECT_REFUSED);
    io_close(&l);
}

static void test_address_families(void **state)
{
    (void)state;
    const struct sim_options o = {.seed = 1};
    memset(&family_addr, 0, sizeof(family_addr));
    memset(&family_from, 0, sizeof(family_from));
    struct sockaddr_in *in = (struct sockaddr_in *)&family_from;
    *in = (struct sockaddr_in){
        .sin_family = AF_INET, .sin_port = htons(99), .sin_addr.s_addr = htonl(0x7f000009)};
    memcpy(&family_addr, &addr, sizeof(addr));
    in_world(&o, talk_over_family);

    memset(&family_from, 0, sizeof(family_from));
    struct sockaddr_in6 in6 = {
        .sin6_family = AF_INET6, .sin6_port = htons(7002), .sin6_addr = IN6ADDR_LOOPBACK_INIT};
    memset(&family_addr, 0, sizeof(family_addr));
    memcpy(&family_addr, &in6, sizeof(in6));
    in_world(&o, talk_over_family);

    struct sockaddr_un un = {.sun_family = AF_UNIX, .sun_path = "/run/somewhere"};
    memset(&family_addr, 0, sizeof(family_addr));
    memcpy(&family_addr, &un, sizeof(un));
    in_world(&o, talk_over_family);
}

// ---- Crowds

enum { CROWD = 300 }; // more than the backlog holds
static unsigned n_in;
static enum err crowd_end[CROWD];

static void crowd_main(void *arg)
{
    struct io io;
    char c;
    size_t n;
    assert_int_equal(dial(&io, DEADLINE_NONE), ERR_OK);
    n_in++;
    crowd_end[(uintptr_t)arg] = io_recv(&io, &c, 1, DEADLINE_NONE, &n);
    io_close(&io);
}

static void crowd(void)
{
    static struct io accepted[CROWD];
    struct fiber *f[CROWD];
    unsigned n_accepted = 0;
    n_in = 0;
    open_listener();
    for (unsigned i = 0; i < CROWD; i++)
        assert_int_equal(fiber_start(crowd_main, (void *)(uintptr_t)i, &f[i]), ERR_OK);
    assert_int_equal(fiber_sleep(500), ERR_OK);
    assert_true(n_in < CROWD); // the backlog is full; the others try again
    while (n_in < CROWD) {
        int fd;
        while (n_accepted < CROWD - 10 && io_accept_now(&listener, &fd, NULL) == ERR_OK)
            assert_int_equal(io_open(&accepted[n_accepted++], fd), ERR_OK);
        assert_int_equal(fiber_sleep(100), ERR_OK);
    }
    for (unsigned i = 0; i < n_accepted; i++)
        io_close(&accepted[i]);
    io_close(&listener); // whom it did not accept it resets
    unsigned ended = 0, reset = 0;
    for (unsigned i = 0; i < CROWD; i++) {
        fiber_join(f[i]);
        ended += crowd_end[i] == ERR_EOF;
        reset += crowd_end[i] == ERR_RESET;
    }
    assert_true(n_accepted < CROWD);
    assert_int_equal(ended, n_accepted);
    assert_int_equal(reset, CROWD - n_accepted);
}

static void test_crowd(void **state)
{
    (void)state;
    in_world(&(struct sim_options){.seed = 1}, crowd);
}

static void many_segments(void)
{
    enum { SEGMENTS = 20000 };
    int fd[2];
    struct io a, b;
    sim_pair(fd);
    assert_int_equal(io_open(&a, fd[0]), ERR_OK);
    assert_int_equal(io_open(&b, fd[1]), ERR_OK);
    size_t n, have = 0;
    for (unsigned i = 0; i < SEGMENTS; i++) {
        char c = (char)i;
        struct iovec v = {&c, 1};
        assert_int_equal(io_sendv_now(&a, &v, 1, false, &n), ERR_OK);
    }
    while (have < SEGMENTS) {
        char buf[1000];
        assert_int_equal(io_recv(&b, buf, sizeof(buf), DEADLINE_NONE, &n), ERR_OK);
        for (size_t i = 0; i < n; i++)
            assert_int_equal(buf[i], (char)(have + i));
        have += n;
    }
    io_close(&a);
    io_close(&b);
}

static void test_many_segments_under_way(void **state)
{
    (void)state;
    in_world(&(struct sim_options){.seed = 1, .delay_pm = 1000, .delay_max_ms = 10000}, many_segments);
}

// ---- The price of a kept-alive exchange through a relay

enum { EXCHANGES = 100 };
static struct io relay_client, relay_upstream, actor_client, actor_origin;

static void once(struct io *io, bool send, size_t want)
{
    char buf[2048] = {0};
    struct iovec v = {buf, want};
    size_t n;
    if (send)
        assert_int_equal(io_sendv(io, &v, 1, false, DEADLINE_NONE, &n), ERR_OK);
    else
        assert_int_equal(io_recv(io, buf, sizeof(buf), DEADLINE_NONE, &n), ERR_OK);
    assert_int_equal(n, want);
}

static void origin_main(void *arg)
{
    (void)arg;
    sim_spare_self();
    for (unsigned i = 0; i < EXCHANGES; i++) {
        once(&actor_origin, false, 300);
        once(&actor_origin, true, 1200);
    }
}

static void client_of_relay_main(void *arg)
{
    (void)arg;
    sim_spare_self();
    for (unsigned i = 0; i < EXCHANGES; i++) {
        once(&actor_client, true, 300);
        once(&actor_client, false, 1200);
    }
}

static void relay_budget(void)
{
    int front[2], back[2];
    struct fiber *client, *origin;
    sim_pair(front);
    sim_pair(back);
    assert_int_equal(io_open(&actor_client, front[0]), ERR_OK);
    assert_int_equal(io_open(&relay_client, front[1]), ERR_OK);
    assert_int_equal(io_open(&relay_upstream, back[0]), ERR_OK);
    assert_int_equal(io_open(&actor_origin, back[1]), ERR_OK);
    assert_int_equal(fiber_start(client_of_relay_main, NULL, &client), ERR_OK);
    assert_int_equal(fiber_start(origin_main, NULL, &origin), ERR_OK);
    assert_int_equal(fiber_sleep(1), ERR_OK); // both wait, and the first request is there
    struct sim_calls before = sim_calls();
    for (unsigned i = 0; i < EXCHANGES; i++) {
        once(&relay_client, false, 300);
        once(&relay_upstream, true, 300);
        once(&relay_upstream, false, 1200);
        once(&relay_client, true, 1200);
    }
    struct sim_calls after = sim_calls();
    // No receive that finds nothing, but for the first on a connection that was new.
    assert_in_range(after.recv - before.recv, 2 * EXCHANGES, 2 * EXCHANGES + 1);
    assert_int_equal(after.send - before.send, 2 * EXCHANGES);
    assert_int_equal(after.poll_add, before.poll_add);
    assert_int_equal(after.other, before.other);
    fiber_join(client);
    fiber_join(origin);
    io_close(&actor_client);
    io_close(&relay_client);
    io_close(&relay_upstream);
    io_close(&actor_origin);
}

static void test_a_relayed_exchange_costs_two_receives_and_two_sends(void **state)
{
    (void)state;
    in_world(&(struct sim_options){.seed = 3}, relay_budget);
}

static void short_write(void)
{
    int fd[2];
    struct io a, b;
    char buf[150];
    struct iovec v = {buf, 150};
    size_t n;
    memset(buf, 0, sizeof(buf));
    sim_pair(fd);
    assert_int_equal(io_open(&a, fd[0]), ERR_OK);
    assert_int_equal(io_open(&b, fd[1]), ERR_OK);
    assert_int_equal(io_sendv(&a, &v, 1, false, DEADLINE_NONE, &n), ERR_OK);
    assert_int_equal(n, 100);
    unsigned sends = sim_calls().send;
    assert_int_equal(io_sendv_now(&a, &v, 1, false, &n), ERR_AGAIN);
    assert_int_equal(sim_calls().send, sends); // known without asking
    assert_int_equal(io_recv(&b, buf, 150, DEADLINE_NONE, &n), ERR_OK);
    assert_int_equal(n, 100);
    unsigned recvs = sim_calls().recv;
    assert_int_equal(io_recv_now(&b, buf, 150, &n), ERR_AGAIN);
    assert_int_equal(sim_calls().recv, recvs);
    assert_int_equal(io_sendv(&a, &v, 1, false, DEADLINE_NONE, &n), ERR_OK);
    assert_int_equal(n, 100);
    assert_int_equal(sim_calls().send, sends + 1);
    io_close(&a);
    io_close(&b);
}

static void test_short_means_full_or_drained(void **state)
{
    (void)state;
    in_world(&(struct sim_options){.seed = 1, .socket_buffer = 100}, short_write);
}

static void test_randomness_follows_the_seed(void **state)
{
    (void)state;
    unsigned char r[3][64];
    for (unsigned i = 0; i < 3; i++) {
        sim_begin(&(struct sim_options){.seed = i / 2});
        loop_random(r[i], sizeof(r[i]));
    }
    assert_memory_equal(r[0], r[1], sizeof(r[0]));
    assert_memory_not_equal(r[0], r[2], sizeof(r[0]));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_the_same_seed_gives_the_same_world, begin, end),
        cmocka_unit_test_setup_teardown(test_without_faults_all_succeed, begin, end),
        cmocka_unit_test_setup_teardown(test_each_fault_happens, begin, end),
        cmocka_unit_test_setup_teardown(test_every_allocation_and_every_call_fails_once, begin, end),
        cmocka_unit_test_setup_teardown(test_blackhole, begin, end),
        cmocka_unit_test_setup_teardown(test_no_descriptor, begin, end),
        cmocka_unit_test_setup_teardown(test_no_memory_and_who_is_spared, begin, end),
        cmocka_unit_test_setup_teardown(test_a_world_where_nothing_can_happen_ends, begin, end),
        cmocka_unit_test_setup_teardown(test_time_jumps, begin, end),
        cmocka_unit_test_setup_teardown(test_pair, begin, end),
        cmocka_unit_test_setup_teardown(test_a_loop_that_cannot_be_had, begin, end),
        cmocka_unit_test_setup_teardown(test_address_families, begin, end),
        cmocka_unit_test_setup_teardown(test_crowd, begin, end),
        cmocka_unit_test_setup_teardown(test_many_segments_under_way, begin, end),
        cmocka_unit_test_setup_teardown(test_a_relayed_exchange_costs_two_receives_and_two_sends, begin, end),
        cmocka_unit_test_setup_teardown(test_short_means_full_or_drained, begin, end),
        cmocka_unit_test_setup_teardown(test_randomness_follows_the_seed, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
