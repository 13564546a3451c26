// SPDX-License-Identifier: Apache-2.0
// Operations on sockets. The same tests run on the kernel's sockets and in the simulator (WEIR_IO_SIM).
#define SIM_SEEDS 20
#include "io_test.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/un.h>
#include <unistd.h>

#include "io/internal.h"

// ---- A listener and connected pairs

static struct sockaddr_in listen_addr;
static struct io listener;

static uint64_t soon(void)
{
    return loop_now_ms() + 20000; // far more than anything here takes
}

static void listen_begin(void)
{
    listen_addr = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
#ifdef WEIR_IO_SIM
    listen_addr.sin_port = htons(7000);
    int fd = sim_listen((struct sockaddr *)&listen_addr, sizeof(listen_addr));
    assert_true(fd >= 0);
#else
    socklen_t len = sizeof(listen_addr);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&listen_addr, len), 0);
    assert_int_equal(listen(fd, 64), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&listen_addr, &len), 0);
#endif
    assert_int_equal(io_open(&listener, fd), ERR_OK);
}

static enum err dial(struct io *ret, uint64_t deadline)
{
    return io_connect(ret, (struct sockaddr *)&listen_addr, sizeof(listen_addr), NULL, 0, deadline);
}

static void accept_one(struct io *ret, struct sockaddr_storage *ret_peer)
{
    int fd;
    enum err e;
    while ((e = io_accept_now(&listener, &fd, ret_peer)) == ERR_AGAIN)
        assert_int_equal(io_wait_readable(&listener, soon()), ERR_OK);
    assert_int_equal(e, ERR_OK);
    assert_int_equal(io_open(ret, fd), ERR_OK);
}

static void pair(struct io *ret_a, struct io *ret_b)
{
    listen_begin();
    assert_int_equal(dial(ret_a, soon()), ERR_OK);
    accept_one(ret_b, NULL);
    io_close(&listener);
}

static struct iovec text_iov(const char *s)
{
    return (struct iovec){(void *)(uintptr_t)s, strlen(s)};
}

static void send_vectors(struct io *io, struct iovec *v, unsigned n_v)
{
    while (n_v) {
        size_t n;
        assert_int_equal(io_sendv(io, v, n_v, false, soon(), &n), ERR_OK);
        for (; n_v && n >= v->iov_len; v++, n_v--)
            n -= v->iov_len;
        if (n_v)
            *v = (struct iovec){(char *)v->iov_base + n, v->iov_len - n};
    }
}

static void send_text(struct io *io, const char *s)
{
    struct iovec v = text_iov(s);
    send_vectors(io, &v, 1);
}

static void expect_text(struct io *io, const char *s)
{
    char buf[256];
    size_t have = 0, want = strlen(s);
    while (have < want) {
        size_t n;
        assert_int_equal(io_recv(io, buf + have, want - have, soon(), &n), ERR_OK);
        assert_true(n > 0);
        have += n;
    }
    assert_memory_equal(buf, s, want);
}

static void expect_end(struct io *io, enum err how)
{
    char c;
    size_t n = 77;
    assert_int_equal(io_recv(io, &c, 1, soon(), &n), how);
    assert_int_equal(n, 77);                               // untouched
    assert_int_equal(io_recv(io, &c, 1, soon(), &n), how); // and again
}

// ---- Connecting

static void connect_and_talk(void)
{
    struct io a, b;
    struct sockaddr_storage peer, x;
    listen_begin();
    assert_int_equal(dial(&a, soon()), ERR_OK);
    accept_one(&b, &peer);
    int fd;
    assert_int_equal(io_accept_now(&listener, &fd, NULL), ERR_AGAIN);
    assert_int_equal(io_live_count(), 3);

    assert_int_equal(io_local_address(&a, &x), ERR_OK);
    assert_memory_equal(&x, &peer, sizeof(struct sockaddr_in));
    assert_int_equal(io_peer_address(&b, &x), ERR_OK);
    assert_memory_equal(&x, &peer, sizeof(struct sockaddr_in));
    assert_int_equal(io_peer_address(&a, &x), ERR_OK);
    assert_memory_equal(&x, &listen_addr, sizeof(struct sockaddr_in));
    assert_int_equal(io_local_address(&b, &x), ERR_OK);
    assert_memory_equal(&x, &listen_addr, sizeof(struct sockaddr_in));

    send_text(&a, "question");
    expect_text(&b, "question");
    send_text(&b, "answer");
    expect_text(&a, "answer");
    io_shutdown_write(&a);
    expect_end(&b, ERR_EOF);
    send_text(&b, "still works");
    expect_text(&a, "still works");
    io_close(&b);
    expect_end(&a, ERR_EOF);
    io_close(&a);
    io_close(&a); // nothing
    assert_int_equal(a.fd, -1);
    io_close(&listener);
}

static void test_connect_and_talk(void **state)
{
    (void)state;
    on_fiber(connect_and_talk);
}

static void refused(void)
{
    struct io a = {.fd = 1234};
    listen_begin();
    io_close(&listener);
    assert_int_equal(dial(&a, soon()), ERR_CONNECT_REFUSED);
    assert_int_equal(a.fd, 1234);
}

static void test_refused(void **state)
{
    (void)state;
    on_fiber(refused);
}

// ---- Waiting: deadline, cancellation

static void deadlines(void)
{
    struct io a, b;
    char c;
    size_t n;
    pair(&a, &b);
    uint64_t begin = loop_now_ms();
    assert_int_equal(io_recv_now(&b, &c, 1, &n), ERR_AGAIN); // new, so it is asked
    assert_int_equal(io_recv(&a, &c, 1, begin + 5, &n), ERR_TIMEOUT);
    assert_true(loop_now_ms() >= begin + 5);
    assert_int_equal(io_recv(&a, &c, 1, begin, &n), ERR_TIMEOUT); // past
    assert_int_equal(io_recv_now(&a, &c, 1, &n), ERR_AGAIN);
    send_text(&b, "x");
    assert_int_equal(io_wait_readable(&a, soon()), ERR_OK);
    // What is there is given even where the deadline is past.
    assert_int_equal(io_recv(&a, &c, 1, begin, &n), ERR_OK);
    assert_null(a.reader);
    io_close(&a);
    io_close(&b);
}

static void test_deadlines(void **state)
{
    (void)state;
    on_fiber(deadlines);
}

struct reading {
    struct io *io;
    enum err result, again;
};

static void reading_main(void *arg)
{
    struct reading *r = (struct reading *)arg;
    char c;
    size_t n;
    r->result = io_recv(r->io, &c, 1, DEADLINE_NONE, &n);
    r->again = io_recv(r->io, &c, 1, DEADLINE_NONE, &n);
}

static void cancel_a_read(void)
{
    struct io a, b;
    pair(&a, &b);
    struct reading r = {&a, ERR_OK, ERR_OK};
    struct fiber *f;
    assert_int_equal(fiber_start(reading_main, &r, &f), ERR_OK);
    fiber_yield();
    assert_ptr_equal(a.reader, f);
    fiber_wake(f); // not what it waits for
    fiber_yield();
    assert_ptr_equal(a.reader, f);
    fiber_cancel(f, ERR_SHUTDOWN);
    fiber_join(f);
    assert_int_equal(r.result, ERR_SHUTDOWN);
    assert_int_equal(r.again, ERR_SHUTDOWN);
    assert_null(a.reader);
    io_close(&a);
    io_close(&b);
}

static void test_cancel_a_read(void **state)
{
    (void)state;
    on_fiber(cancel_a_read);
}

// ---- The end of a connection

static void half_close_is_no_break(void)
{
    struct io a, b;
    pair(&a, &b);
    io_watch(&a, fiber_self());
    send_text(&b, "last words");
    io_shutdown_write(&b);
    while (!(a.state & IO_PEER_ENDED))
        assert_int_equal(fiber_sleep(1), ERR_OK);
    assert_false(a.state & IO_BROKEN);
    expect_text(&a, "last words"); // a short read, and yet the end is seen
    expect_end(&a, ERR_EOF);
    send_text(&a, "after");
    expect_text(&b, "after");
    io_watch(&a, NULL);
    // Both directions end in order: no break either.
    io_shutdown_write(&a);
    expect_end(&b, ERR_EOF);
    assert_int_equal(fiber_sleep(2), ERR_OK);
    assert_false(a.state & IO_BROKEN);
    assert_false(b.state & IO_BROKEN);
    io_close(&a);
    io_close(&b);
}

static void test_half_close_is_no_break(void **state)
{
    (void)state;
    on_fiber(half_close_is_no_break);
}

static void reset_cancels(void)
{
    struct io a, b;
    pair(&a, &b);
    io_watch(&a, fiber_self());
    io_close_reset(&b);
    assert_int_equal(fiber_park(soon()), ERR_CANCELED);
    fiber_uncancel();
    assert_true(a.state & IO_BROKEN);
    assert_null(a.watcher);
    expect_end(&a, ERR_RESET);
    size_t n;
    struct iovec v = text_iov("x");
    assert_int_equal(io_sendv(&a, &v, 1, false, soon(), &n), ERR_RESET);
    // Watching what is broken already says so at once.
    io_watch(&a, fiber_self());
    assert_int_equal(fiber_canceled(fiber_self()), ERR_CANCELED);
    fiber_uncancel();
    io_close(&a);
}

static void test_reset_cancels_the_watcher(void **state)
{
    (void)state;
    on_fiber(reset_cancels);
}

static void reset_wakes_reader_main(void *arg)
{
    expect_end((struct io *)arg, ERR_RESET);
}

static void reset_wakes_writer_main(void *arg)
{
    static char block[65536];
    struct iovec v = {block, sizeof(block)};
    enum err e;
    size_t n;
    while ((e = io_sendv((struct io *)arg, &v, 1, false, soon(), &n)) == ERR_OK) {
    }
    assert_int_equal(e, ERR_RESET);
}

static void reset_wakes_both(void)
{
    struct io a, b;
    struct fiber *r, *w;
    pair(&a, &b);
    assert_int_equal(fiber_start(reset_wakes_reader_main, &a, &r), ERR_OK);
    assert_int_equal(fiber_start(reset_wakes_writer_main, &a, &w), ERR_OK);
    while (!a.reader || !a.writer)
        assert_int_equal(fiber_sleep(1), ERR_OK);
    io_close_reset(&b);
    fiber_join(r);
    fiber_join(w);
    io_close(&a);
}

static void test_reset_wakes_reader_and_writer(void **state)
{
    (void)state;
    on_fiber(reset_wakes_both);
}

// A send that is told of the reset takes the error away from the receive: the end must not look orderly then.
static void reset_seen_by_send(void)
{
    struct io a, b;
    pair(&a, &b);
    send_text(&b, "partial");
    send_text(&a, "unread at b");
    assert_int_equal(io_wait_readable(&b, soon()), ERR_OK);
    io_close(&b); // with unread bytes: a reset
    struct iovec v = text_iov("x");
    size_t n;
    enum err e;
    while ((e = io_sendv(&a, &v, 1, false, soon(), &n)) == ERR_OK) {
    }
    assert_int_equal(e, ERR_RESET);
    char buf[64];
    while ((e = io_recv(&a, buf, sizeof(buf), soon(), &n)) == ERR_OK) {
    }
    assert_int_equal(e, ERR_RESET);
    io_close(&a);
}

static void test_reset_seen_by_send(void **state)
{
    (void)state;
    on_fiber(reset_seen_by_send);
}

// ---- Much at once

enum { BULK_BYTES = 6 * 1024 * 1024 + 123 };

static char bulk_at(size_t i)
{
    return (char)(i * 2654435761u >> 24);
}

struct receiving {
    struct io *io;
    size_t have;
    enum err end;
};

static void receiving_main(void *arg)
{
    struct receiving *r = (struct receiving *)arg;
    static char buf[100000];
    size_t n;
    while ((r->end = io_recv(r->io, buf, sizeof(buf), soon(), &n)) == ERR_OK) {
        for (size_t i = 0; i < n; i += 97)
            assert_int_equal(buf[i], bulk_at(r->have + i));
        r->have += n;
    }
}

static void fill(struct chunkq *q, size_t n)
{
    chunkq_init(q);
    for (size_t at = 0; at < n;) {
        struct chunk *c = chunk_new(CHUNK_SMALL_BYTES);
        assert_non_null(c);
        c->used = (uint32_t)MIN((size_t)c->cap, n - at);
        for (uint32_t i = 0; i < c->used; i++)
            c->data[i] = bulk_at(at + i);
        assert_int_equal(chunkq_append(q, c, c->data, c->used), ERR_OK);
        at += c->used;
        chunk_unref(c);
    }
}

static void bulk(void)
{
    struct io a, b;
    pair(&a, &b);
    struct chunkq q;
    fill(&q, BULK_BYTES);
    struct receiving r = {&b, 0, ERR_OK};
    struct fiber *f;
    assert_int_equal(fiber_start(receiving_main, &r, &f), ERR_OK);
    assert_int_equal(io_send_queue(&a, &q, 20000), ERR_OK);
    assert_int_equal(q.bytes, 0);
    io_shutdown_write(&a);
    fiber_join(f);
    assert_int_equal(r.end, ERR_EOF);
    assert_int_equal(r.have, BULK_BYTES);
    while (io_unacked(&a)) // the end itself may be on its way
        assert_int_equal(fiber_sleep(1), ERR_OK);
    chunkq_fini(&q);
    io_close(&a);
    io_close(&b);
}

static void test_bulk(void **state)
{
    (void)state;
    on_fiber(bulk);
}

static void stall(void)
{
    struct io a, b;
    pair(&a, &b);
    struct chunkq q;
    fill(&q, 32 * 1024 * 1024);
    assert_int_equal(io_send_queue(&a, &q, 20), ERR_TIMEOUT); // nobody reads
    assert_true(q.bytes > 0 && q.bytes < 32 * 1024 * 1024);
    assert_true(io_unacked(&a) <= 32 * 1024 * 1024 - q.bytes);
    struct iovec v = text_iov("x");
    size_t n;
    assert_int_equal(io_sendv_now(&a, &v, 1, false, &n), ERR_AGAIN);
    assert_null(a.writer);
    chunkq_fini(&q);
    io_close(&a);
    io_close(&b);
}

static void test_a_send_that_stalls_times_out(void **state)
{
    (void)state;
    on_fiber(stall);
}

static void vectors(void)
{
    struct io a, b;
    pair(&a, &b);
    struct iovec v[4] = {text_iov("one "), {NULL, 0}, text_iov("two "), text_iov("three")};
    size_t n;
    send_vectors(&a, v, 4);
    assert_int_equal(io_sendv(&a, v, 0, false, soon(), &n), ERR_OK);
    assert_int_equal(n, 0);
    expect_text(&b, "one two three");
    io_close(&a);
    io_close(&b);
}

static void test_vectors(void **state)
{
    (void)state;
    on_fiber(vectors);
}

// Two that never wait must not keep a third from its deadline.
static bool feeding;

static void feeder_main(void *arg)
{
    static char block[16384];
    struct iovec v = {block, sizeof(block)};
    size_t n;
    while (feeding)
        assert_int_equal(io_sendv((struct io *)arg, &v, 1, false, soon(), &n), ERR_OK);
    io_shutdown_write((struct io *)arg);
}

static void eater_main(void *arg)
{
    static char block[16384];
    size_t n;
    enum err e;
    while ((e = io_recv((struct io *)arg, block, sizeof(block), soon(), &n)) == ERR_OK) {
    }
    assert_int_equal(e, ERR_EOF);
}

static void fairness(void)
{
    struct io a, b;
    struct fiber *x, *y;
    pair(&a, &b);
    feeding = true;
    assert_int_equal(fiber_start(feeder_main, &a, &x), ERR_OK);
    assert_int_equal(fiber_start(eater_main, &b, &y), ERR_OK);
    assert_int_equal(fiber_sleep(10), ERR_OK);
    feeding = false;
    fiber_join(x);
    fiber_join(y);
    io_close(&a);
    io_close(&b);
}

static void test_fairness(void **state)
{
    (void)state;
    on_fiber(fairness);
}

// Nor one that never has to wait.
static void fairness_alone(void)
{
    struct io a, b;
    pair(&a, &b);
    uint64_t turns = loop_turns(loop_self());
    char c;
    size_t n;
    for (unsigned i = 0; i < 1000; i++) {
        struct iovec v = text_iov("x");
        assert_int_equal(io_sendv(&a, &v, 1, false, soon(), &n), ERR_OK);
        assert_int_equal(io_recv(&b, &c, 1, soon(), &n), ERR_OK);
    }
    assert_true(loop_turns(loop_self()) >= turns + 10);
    io_close(&a);
    io_close(&b);
}

static void test_fairness_alone(void **state)
{
    (void)state;
    on_fiber(fairness_alone);
}

// ---- Events without a fiber

struct conn {
    struct io io;
    unsigned events;
    struct conn *other;
    bool close_other;
};

static void on_conn(struct io *io)
{
    struct conn *c = container_of(io, struct conn, io);
    assert_null(fiber_self());
    c->events++;
    if (c->close_other)
        io_close(&c->other->io);
}

static void count_events(void)
{
    struct io a;
    struct conn c = {.events = 0};
    pair(&a, &c.io);
    c.io.on_event = on_conn;
    assert_int_equal(fiber_sleep(5), ERR_OK);
    assert_int_equal(c.events, 0); // that it can be written is no news
    send_text(&a, "x");
    while (c.events == 0)
        assert_int_equal(fiber_sleep(1), ERR_OK);
    expect_text(&c.io, "x");
    unsigned before = c.events;
    io_close(&a);
    while (c.events == before)
        assert_int_equal(fiber_sleep(1), ERR_OK);
    expect_end(&c.io, ERR_EOF);
    io_close(&c.io);
}

static void test_on_event(void **state)
{
    (void)state;
    on_fiber(count_events);
}

// Both become readable in one batch; whichever is first closes the other, whose event must then go nowhere,
// even though its descriptor and its memory serve a new connection at once.
static struct conn first, second;
static struct io reopened_end;
static unsigned reopened;

static void on_reopened(struct io *io)
{
    (void)io;
    reopened++;
}

static void on_close_and_reopen(struct io *io)
{
    struct conn *c = container_of(io, struct conn, io);
    c->events++;
    struct conn *o = c->other;
    int fd = o->io.fd;
    io_close(&o->io);
    int p[2];
#ifdef WEIR_IO_SIM
    sim_pair(p);
#else
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, p), 0);
#endif
    assert_int_equal(p[0], fd);
    assert_int_equal(io_open(&o->io, p[0]), ERR_OK);
    o->io.on_event = on_reopened;
    assert_int_equal(io_open(&reopened_end, p[1]), ERR_OK);
    c->io.on_event = NULL;
}

static void stale(void)
{
    struct io a, b;
    first = (struct conn){.other = &second};
    second = (struct conn){.other = &first};
    listen_begin(); // open throughout, so that no lower descriptor is free
    assert_int_equal(dial(&a, soon()), ERR_OK);
    accept_one(&first.io, NULL);
    assert_int_equal(dial(&b, soon()), ERR_OK);
    accept_one(&second.io, NULL);
    // Both have been reported as new before this.
    assert_int_equal(fiber_sleep(5), ERR_OK);
    first.io.on_event = second.io.on_event = on_close_and_reopen;
    send_text(&a, "x");
    send_text(&b, "y");
    assert_int_equal(fiber_sleep(5), ERR_OK);
    assert_int_equal(first.events + second.events, 1);
    assert_int_equal(reopened, 0);
    io_close(&reopened_end);
    io_close(&listener);
    io_close(&first.io);
    io_close(&second.io);
    io_close(&a);
    io_close(&b);
}

static void test_stale_events_go_nowhere(void **state)
{
    (void)state;
    reopened = 0;
    on_fiber(stale);
}

static void release(void)
{
    struct io a, b, c;
    pair(&a, &b);
    int fd = io_release(&b);
    assert_int_equal(b.fd, -1);
    assert_int_equal(io_live_count(), 1);
    send_text(&a, "later");
    assert_int_equal(fiber_sleep(2), ERR_OK);
    assert_int_equal(io_open(&c, fd), ERR_OK);
    expect_text(&c, "later");
    io_close(&a);
    io_close(&c);
}

static void test_release(void **state)
{
    (void)state;
    on_fiber(release);
}

static void move(void)
{
    struct io a, b, c;
    pair(&a, &b);
    send_text(&a, "before");
    expect_text(&b, "before");
    io_move(&c, &b);
    assert_int_equal(b.fd, -1);
    io_close(&b); // nothing
    send_text(&a, "after");
    expect_text(&c, "after");
    io_close(&a);
    io_close(&c);
}

static void test_move(void **state)
{
    (void)state;
    on_fiber(move);
}

// ---- Files

static int temp_file(size_t n)
{
    int fd = memfd_create("test", MFD_CLOEXEC);
    assert_true(fd >= 0);
    for (size_t at = 0; at < n;) {
        char buf[4096];
        size_t k = MIN(sizeof(buf), n - at);
        for (size_t i = 0; i < k; i++)
            buf[i] = bulk_at(at + i);
        assert_int_equal(pwrite(fd, buf, k, (off_t)at), k);
        at += k;
    }
    return fd;
}

static void preads(void)
{
    int fd = temp_file(10000);
    static char buf[20000];
    size_t n, have = 0;
    do {
        assert_int_equal(io_file_pread(fd, buf + have, sizeof(buf) - have, have, &n), ERR_OK);
        have += n;
    } while (n);
    assert_int_equal(have, 10000);
    for (size_t i = 0; i < have; i++)
        assert_int_equal(buf[i], bulk_at(i));
    assert_int_equal(io_file_pread(-1, buf, 1, 0, &n), ERR_IO);
    close(fd);
}

static void test_pread(void **state)
{
    (void)state;
#ifndef WEIR_IO_SIM
    assert_int_equal(loop_helpers_start(1), ERR_OK);
#endif
    on_fiber(preads);
#ifndef WEIR_IO_SIM
    loop_helpers_stop();
#endif
}

static void sendfiles(void)
{
    enum { FROM = 1000, FILE_BYTES = FROM + BULK_BYTES };
    int fd = temp_file(FILE_BYTES);
    struct io a, b;
    pair(&a, &b);
    struct receiving r = {&b, FROM, ERR_OK};
    struct fiber *f;
    assert_int_equal(fiber_start(receiving_main, &r, &f), ERR_OK);
    assert_int_equal(io_sendfile(&a, fd, FROM, BULK_BYTES / 2, 20000), ERR_OK);
    // One byte more than there is.
    uint64_t rest = BULK_BYTES - BULK_BYTES / 2;
    assert_int_equal(io_sendfile(&a, fd, FROM + BULK_BYTES / 2, rest + 1, 20000), ERR_EOF);
    io_shutdown_write(&a);
    fiber_join(f);
    assert_int_equal(r.have, FILE_BYTES);
    io_close(&a);
    io_close(&b);
    close(fd);
}

static void test_sendfile(void **state)
{
    (void)state;
    on_fiber(sendfiles);
}

// ---- Splice

static struct io relay_in, relay_out;

static void relay_main(void *arg)
{
    (void)arg;
    struct io_pipe *p = io_pipe_get();
    assert_non_null(p);
    enum err e;
    size_t n;
    while ((e = io_splice_in(&relay_in, p, 1 << 20, soon(), &n)) == ERR_OK) {
        assert_int_equal(p->held, n);
        assert_int_equal(io_splice_out(p, &relay_out, false, 20000), ERR_OK);
        assert_int_equal(p->held, 0);
    }
    assert_int_equal(e, ERR_EOF);
    io_pipe_put(p);
    assert_ptr_equal(io_pipe_get(), p); // from the pool
    io_pipe_put(p);
    io_shutdown_write(&relay_out);
}

static void splice_through(void)
{
    struct io a, b;
    struct fiber *f, *g;
    struct io_pipe *p = io_pipe_get();
    if (!p)
        return; // a world of small buffers
    io_pipe_put(p);
    pair(&a, &relay_in);
    pair(&relay_out, &b);
    struct chunkq q;
    fill(&q, BULK_BYTES);
    struct receiving r = {&b, 0, ERR_OK};
    assert_int_equal(fiber_start(relay_main, NULL, &g), ERR_OK);
    assert_int_equal(fiber_start(receiving_main, &r, &f), ERR_OK);
    assert_int_equal(io_send_queue(&a, &q, 20000), ERR_OK);
    io_shutdown_write(&a);
    fiber_join(g);
    fiber_join(f);
    assert_int_equal(r.have, BULK_BYTES);
    // To a peer that is gone: an error, no signal. What is inside the pipe makes it unfit for the pool.
    p = io_pipe_get();
    size_t n;
    send_text(&b, "lost");
    assert_int_equal(io_splice_in(&relay_out, p, 100, soon(), &n), ERR_OK);
    io_close_reset(&a);
    enum err e = ERR_OK;
    while (!e && p->held)
        e = io_wait_writable(&relay_in, soon()) ? ERR_INTERNAL
            : relay_in.state & IO_BROKEN ? io_splice_out(p, &relay_in, false, 20000)
                                         : fiber_sleep(1);
    assert_int_equal(e, ERR_RESET);
    assert_int_equal(p->held, n);
    io_pipe_put(p);
    p = io_pipe_get();
    assert_int_equal(p->held, 0);
    io_pipe_put(p);
    io_close(&b);
    io_close(&relay_in);
    io_close(&relay_out);
    chunkq_fini(&q);
}

static void test_splice(void **state)
{
    (void)state;
    on_fiber(splice_through);
}

#ifndef WEIR_IO_SIM

static void splice_waits_end(void)
{
    struct io a, b;
    size_t n;
    pair(&a, &b);
    struct io_pipe *p = io_pipe_get();
    assert_int_equal(io_splice_in(&a, p, 100, loop_now_ms() + 5, &n), ERR_TIMEOUT);
    fiber_cancel(fiber_self(), ERR_SHUTDOWN);
    assert_int_equal(io_splice_in(&a, p, 100, soon(), &n), ERR_SHUTDOWN);
    fiber_uncancel();
    // Nobody reads: what is in the pipe stays there.
    enum err e = ERR_OK;
    while (!e) {
        char block[4096] = {0};
        assert_int_equal(write(p->w, block, sizeof(block)), sizeof(block));
        p->held = sizeof(block);
        e = io_splice_out(p, &a, true, 20);
    }
    assert_int_equal(e, ERR_TIMEOUT);
    assert_true(p->held > 0);
    int fd = temp_file(4096);
    assert_int_equal(io_sendfile(&a, fd, 0, 4096, 20), ERR_TIMEOUT);
    io_close_reset(&b);
    assert_int_equal(io_splice_out(p, &a, true, 20000), ERR_RESET);
    assert_int_equal(io_sendfile(&a, fd, 0, 4096, 20000), ERR_RESET);
    struct io_pipe *q = io_pipe_get();
    assert_int_equal(io_splice_in(&a, q, 100, soon(), &n), ERR_RESET);
    assert_int_equal(io_splice_in(&a, q, 100, soon(), &n), ERR_RESET);
    io_pipe_put(q);
    io_pipe_put(p);
    io_close(&a);
    close(fd);
}

static void test_splice_waits_end(void **state)
{
    (void)state;
    on_fiber(splice_waits_end);
}

// ---- What only the kernel has

static void no_sockets(void)
{
    struct io a;
    int p[2], fd;
    char c;
    size_t n;
    // A regular file cannot be waited for.
    fd = temp_file(1);
    assert_int_equal(io_open(&a, fd), ERR_IO);
    assert_int_equal(a.fd, -1);
    assert_int_equal(fcntl(fd, F_GETFD), -1); // closed
    assert_int_equal(io_open(&a, -1), ERR_IO);
    assert_int_equal(pipe(p), 0);
    assert_int_equal(io_open(&a, p[0]), ERR_OK);
    assert_int_equal(io_recv_now(&a, &c, 1, &n), ERR_IO);
    io_close(&a);
    close(p[1]);
    // A listener that was shut down gives nothing any more, and does not let its owner turn in circles.
    listen_begin();
    assert_int_equal(shutdown(listener.fd, SHUT_RDWR), 0);
    assert_int_equal(io_accept_now(&listener, &fd, NULL), ERR_AGAIN);
    struct sockaddr_storage x;
    assert_int_equal(io_peer_address(&listener, &x), ERR_RESET);
    io_close(&listener);
}

static void test_what_is_no_socket(void **state)
{
    (void)state;
    on_fiber(no_sockets);
}

static int nodelay_of(const struct io *io)
{
    int on = 0;
    socklen_t len = sizeof(on);
    assert_int_equal(getsockopt(io->fd, IPPROTO_TCP, TCP_NODELAY, &on, &len), 0);
    return on;
}

static void nodelay(void)
{
    struct io a[4], b[4];
    listen_begin();
    for (unsigned i = 0; i < 2; i++)
        assert_int_equal(dial(&a[i], soon()), ERR_OK);
    for (unsigned i = 0; i < 2; i++)
        accept_one(&b[i], NULL); // were waiting before the listener was set
    int fd;
    assert_int_equal(io_accept_now(&listener, &fd, NULL), ERR_AGAIN);
    for (unsigned i = 2; i < 4; i++) {
        assert_int_equal(dial(&a[i], soon()), ERR_OK);
        accept_one(&b[i], NULL); // inherit it
    }
    for (unsigned i = 0; i < 4; i++) {
        assert_int_not_equal(nodelay_of(&a[i]), 0);
        assert_int_not_equal(nodelay_of(&b[i]), 0);
        io_close(&a[i]);
        io_close(&b[i]);
    }
    io_close(&listener);
}

static void test_nodelay(void **state)
{
    (void)state;
    on_fiber(nodelay);
}

static void shared_listener(void)
{
    listen_begin();
    int fd, number = listener.fd, elsewhere = dup(listener.fd); // as in the process that handed it over
    assert_int_equal(io_accept_now(&listener, &fd, NULL), ERR_AGAIN);
    io_close(&listener);
    // The poller knows a registration by socket and number: both are put together again.
    assert_int_equal(dup2(elsewhere, number), number);
    struct epoll_event ev = {0};
    assert_int_equal(epoll_ctl(loop_self()->poll_fd, EPOLL_CTL_MOD, number, &ev), -1);
    assert_int_equal(errno, ENOENT);
    close(number);
    close(elsewhere);
}

static void test_closing_a_shared_listener(void **state)
{
    (void)state;
    on_fiber(shared_listener);
}

static void unix_socket(void)
{
    // An abstract address: no file, gone with the socket.
    struct sockaddr_un u = {.sun_family = AF_UNIX};
    int n = snprintf(u.sun_path + 1, sizeof(u.sun_path) - 1, "weir-test-%d", (int)getpid());
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + (size_t)n);
    struct io a, b, c;
    assert_int_equal(io_connect(&a, (struct sockaddr *)&u, len, NULL, 0, soon()), ERR_CONNECT_REFUSED);
    int fd = socket(AF_UNIX, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&u, len), 0);
    assert_int_equal(listen(fd, 0), 0);
    assert_int_equal(io_open(&listener, fd), ERR_OK);
    assert_int_equal(io_connect(&a, (struct sockaddr *)&u, len, NULL, 0, soon()), ERR_OK);
    // The backlog is full now: the kernel says so instead of letting one wait.
    assert_int_equal(io_connect(&c, (struct sockaddr *)&u, len, NULL, 0, loop_now_ms() + 15),
                     ERR_CONNECT_TIMEOUT);
    accept_one(&b, NULL);
    send_text(&a, "over a path");
    expect_text(&b, "over a path");
    io_watch(&b, fiber_self());
    io_close(&a); // both directions at once, unlike TCP
    assert_int_equal(fiber_park(soon()), ERR_CANCELED);
    fiber_uncancel();
    expect_end(&b, ERR_EOF);
    io_close(&b);
    io_close(&listener);
    struct sockaddr_un none = {.sun_family = AF_UNIX, .sun_path = "/nonexistent/weir"};
    assert_int_equal(io_connect(&a, (struct sockaddr *)&none, sizeof(none), NULL, 0, soon()),
                     ERR_CONNECT_FAILED);
}

static void test_unix_socket(void **state)
{
    (void)state;
    on_fiber(unix_socket);
}

static void no_files(void)
{
    struct io a, b;
    listen_begin();
    struct rlimit before, now;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(dial(&a, soon()), ERR_OK);
    assert_int_equal(io_wait_readable(&listener, soon()), ERR_OK);
    now = before;
    now.rlim_cur = (rlim_t)a.fd + 1; // none beyond those that are open
    for (int fd = 3; fd < a.fd; fd++)
        assert_true(fcntl(fd, F_GETFD) >= 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
    int fd = 77;
    enum err accepted = io_accept_now(&listener, &fd, NULL), dialled = dial(&b, soon());
    struct io_pipe *p = io_pipe_get();
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(accepted, ERR_NO_FILES);
    assert_int_equal(fd, 77);
    assert_int_equal(dialled, ERR_NO_FILES);
    assert_null(p);
    accept_one(&b, NULL); // it was not lost
    io_close(&a);
    io_close(&b);
    io_close(&listener);
}

static void test_no_files(void **state)
{
    (void)state;
    on_fiber(no_files);
}

static void bind_to(void)
{
    struct io a, b;
    struct sockaddr_in from = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000002)};
    struct sockaddr_storage peer;
    listen_begin();
    assert_int_equal(io_connect(&a, (struct sockaddr *)&listen_addr, sizeof(listen_addr),
                                (struct sockaddr *)&from, sizeof(from), soon()),
                     ERR_OK);
    accept_one(&b, &peer);
    assert_int_equal(((struct sockaddr_in *)(void *)&peer)->sin_addr.s_addr, from.sin_addr.s_addr);
    io_close(&a);
    io_close(&b);
    io_close(&listener);
    from.sin_addr.s_addr = htonl(0xc0000201); // 192.0.2.1 is nobody's
    assert_int_equal(io_connect(&a, (struct sockaddr *)&listen_addr, sizeof(listen_addr),
                                (struct sockaddr *)&from, sizeof(from), soon()),
                     ERR_CONNECT_FAILED);
}

static void test_bind_to(void **state)
{
    (void)state;
    on_fiber(bind_to);
}

#endif

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connect_and_talk),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_deadlines),
        cmocka_unit_test(test_cancel_a_read),
        cmocka_unit_test(test_half_close_is_no_break),
        cmocka_unit_test(test_reset_cancels_the_watcher),
        cmocka_unit_test(test_reset_wakes_reader_and_writer),
        cmocka_unit_test(test_reset_seen_by_send),
        cmocka_unit_test(test_bulk),
        cmocka_unit_test(test_a_send_that_stalls_times_out),
        cmocka_unit_test(test_vectors),
        cmocka_unit_test(test_fairness),
        cmocka_unit_test(test_fairness_alone),
        cmocka_unit_test(test_on_event),
        cmocka_unit_test(test_stale_events_go_nowhere),
        cmocka_unit_test(test_release),
        cmocka_unit_test(test_move),
        cmocka_unit_test(test_pread),
        cmocka_unit_test(test_sendfile),
        cmocka_unit_test(test_splice),
#ifndef WEIR_IO_SIM
        cmocka_unit_test(test_splice_waits_end),
        cmocka_unit_test(test_what_is_no_socket),
        cmocka_unit_test(test_nodelay),
        cmocka_unit_test(test_closing_a_shared_listener),
        cmocka_unit_test(test_unix_socket),
        cmocka_unit_test(test_no_files),
        cmocka_unit_test(test_bind_to),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
