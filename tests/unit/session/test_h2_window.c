// SPDX-License-Identifier: Apache-2.0
// Receive windows: they grow with what arrives within a round trip, and shrink while the thread holds much.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "session/h2_window.h"

enum { MUCH_BYTES = 80 * 1024 * 1024 };

struct end {
    nghttp2_session *ng;
    uint8_t ping[8]; // the last one that came
    bool pinged;
};

static int on_frame(nghttp2_session *ng, const nghttp2_frame *f, void *arg)
{
    struct end *e = (struct end *)arg;
    (void)ng;
    if (f->hd.type == NGHTTP2_PING && !(f->hd.flags & NGHTTP2_FLAG_ACK)) {
        memcpy(e->ping, f->ping.opaque_data, sizeof e->ping);
        e->pinged = true;
    }
    return 0;
}

static void pump(struct end *from, struct end *to)
{
    const uint8_t *bytes;
    for (ssize_t n; (n = nghttp2_session_mem_send(from->ng, &bytes)) > 0;)
        assert_int_equal(nghttp2_session_mem_recv(to->ng, bytes, (size_t)n), n);
}

struct pair {
    struct end client, server;
    struct h2_link link; // the server's
    int32_t stream;
};

static void pair_open(struct pair *p)
{
    static nghttp2_nv nv[] = {{(uint8_t *)":method", (uint8_t *)"POST", 7, 4, 0},
                              {(uint8_t *)":scheme", (uint8_t *)"http", 7, 4, 0},
                              {(uint8_t *)":authority", (uint8_t *)"a", 10, 1, 0},
                              {(uint8_t *)":path", (uint8_t *)"/", 5, 1, 0}};
    nghttp2_session_callbacks *cb;
    nghttp2_option *o;
    memset(p, 0, sizeof *p);
    nghttp2_session_callbacks_new(&cb);
    nghttp2_session_callbacks_set_on_frame_recv_callback(cb, on_frame);
    nghttp2_option_new(&o);
    nghttp2_option_set_no_auto_window_update(o, 1);
    nghttp2_option_set_no_closed_streams(o, 1);
    assert_int_equal(nghttp2_session_client_new(&p->client.ng, cb, &p->client), 0);
    assert_int_equal(nghttp2_session_server_new2(&p->server.ng, cb, &p->server, o), 0);
    nghttp2_option_del(o);
    nghttp2_session_callbacks_del(cb);
    p->link.ng = p->server.ng;
    h2_window_begin(&p->link, false);
    nghttp2_submit_settings(p->server.ng, NGHTTP2_FLAG_NONE, NULL, 0);
    nghttp2_submit_settings(p->client.ng, NGHTTP2_FLAG_NONE, NULL, 0);
    p->stream = nghttp2_submit_headers(p->client.ng, NGHTTP2_FLAG_NONE, -1, NULL, nv, 4, NULL);
    assert_true(p->stream > 0);
    pump(&p->client, &p->server);
    pump(&p->server, &p->client);
    pump(&p->client, &p->server);
}

static void pair_close(struct pair *p)
{
    nghttp2_session_del(p->client.ng);
    nghttp2_session_del(p->server.ng);
}

static int32_t window(const struct pair *p)
{
    return nghttp2_session_get_effective_local_window_size(p->server.ng);
}

static int32_t stream_window(const struct pair *p)
{
    return nghttp2_session_get_stream_effective_local_window_size(p->server.ng, p->stream);
}

// n bytes come, as much again within a round trip, where one is measured, and it ends.
static void turn(struct pair *p, size_t n)
{
    h2_window_came(&p->link, p->stream, n);
    h2_window_came(&p->link, p->stream, n);
    pump(&p->server, &p->client);
    if (p->client.pinged) {
        p->client.pinged = false;
        assert_true(h2_window_pong(&p->link, p->client.ping));
    }
}

static void took(struct pair *p, size_t n)
{
    p->link.state = H2_OPEN + 1; // what is taken is counted and not given back: nothing of it has really come
    h2_window_took(&p->link, p->stream, n);
    p->link.state = H2_OPEN;
}

static void windows_grow_with_the_path(void **state)
{
    (void)state;
    struct pair p;
    pair_open(&p);
    assert_int_equal(window(&p), H2_WINDOW_BYTES);
    for (unsigned i = 0; i < 12; i++) {
        size_t n = p.link.window;
        turn(&p, n);
        took(&p, 2 * n);
    }
    assert_int_equal(window(&p), H2_WINDOW_MAX_BYTES);
    assert_int_equal(stream_window(&p), H2_WINDOW_STREAM_MAX_BYTES);
    pair_close(&p);
}

static void little_on_the_way_grows_nothing(void **state)
{
    (void)state;
    struct pair p;
    pair_open(&p);
    for (unsigned i = 0; i < 100; i++) {
        turn(&p, H2_WINDOW_BYTES / 10);
        took(&p, H2_WINDOW_BYTES / 10 * 2);
    }
    assert_int_equal(window(&p), H2_WINDOW_BYTES);
    assert_true(stream_window(&p) <= H2_WINDOW_STREAM_BYTES);
    pair_close(&p);
}

static void windows_shrink_while_much_is_held(void **state)
{
    (void)state;
    struct pair p;
    pair_open(&p);
    for (unsigned i = 0; i < 12; i++) {
        size_t n = p.link.window;
        turn(&p, n);
        took(&p, 2 * n);
    }
    assert_int_equal(window(&p), H2_WINDOW_MAX_BYTES);
    turn(&p, MUCH_BYTES);
    assert_int_equal(window(&p), H2_WINDOW_BYTES);
    assert_int_equal(stream_window(&p), H2_WINDOW_STREAM_BYTES);
    for (unsigned i = 0; i < 5; i++)
        turn(&p, H2_WINDOW_BYTES);
    assert_int_equal(window(&p), H2_WINDOW_BYTES);
    took(&p, 2 * (MUCH_BYTES + 5 * (size_t)H2_WINDOW_BYTES));
    for (unsigned i = 0; i < 12; i++) { // and grow again
        size_t n = p.link.window;
        turn(&p, n);
        took(&p, 2 * n);
    }
    assert_int_equal(window(&p), H2_WINDOW_MAX_BYTES);
    pair_close(&p);
}

static void pings_of_others_are_none_of_ours(void **state)
{
    (void)state;
    struct pair p;
    pair_open(&p);
    assert_false(h2_window_pong(&p.link, (const uint8_t *)"somebody"));
    pair_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(windows_grow_with_the_path),
        cmocka_unit_test(little_on_the_way_grows_nothing),
        cmocka_unit_test(windows_shrink_while_much_is_held),
        cmocka_unit_test(pings_of_others_are_none_of_ours),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
