// SPDX-License-Identifier: Apache-2.0
// What a peer sends on a connection of HTTP/2, on either side of us, in a simulated world: nothing crashes, every connection ends, and
// nothing is left of it. The first byte: bit 0 which side, bit 1 whether our own preface goes before, the rest where the input is cut.
#include "fuzz.h"

#include "base/mem.h"
#include "io/sim.h"
#include "session/client.h"
#include "session/h2.h"
#include "session/upstream.h"

static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0"; // and the terminator: SETTINGS without any
static const char settings_frame[9] = {0, 0, 0, 4};
#define LIMITS {.line_bytes = 8192, .fields = 128, .fields_bytes = 32768}
static const struct h1_limits limits = LIMITS;
static bool over;

struct peer {
    const char *data;
    size_t size, cut;
    bool greet, server;
    int fd;
};

static void send_all(struct io *io, const char *p, size_t n)
{
    while (n) {
        struct iovec v = {(void *)(uintptr_t)p, n};
        size_t k;
        if (io_sendv(io, &v, 1, false, deadline_in(1000), &k))
            return;
        p += k;
        n -= k;
    }
}

// The other side: sends the input in two pieces, and takes what comes.
static void peer_main(void *arg)
{
    struct peer *p = (struct peer *)arg;
    struct io io;
    char sink[4096];
    size_t n;
    CHECK(!io_open(&io, p->fd));
    if (p->greet && p->server)
        send_all(&io, settings_frame, sizeof settings_frame);
    else if (p->greet)
        send_all(&io, preface, sizeof preface);
    if (p->server)
        (void)!fiber_sleep(5); // or no request would have come yet
    send_all(&io, p->data, p->cut);
    (void)!fiber_sleep(1);
    send_all(&io, p->data + p->cut, p->size - p->cut);
    (void)!fiber_sleep(50);
    io_shutdown_write(&io);
    while (!io_recv(&io, sink, sizeof sink, deadline_in(5000), &n)) {
    }
    io_close(&io);
}

// ---- As a server

static void serve(struct client_conn *c, struct client_stream *s, struct request *req, struct arena *a)
{
    (void)c;
    CHECK(req->method_text.len && req->version == HTTP_2);
    CHECK(req->method == METHOD_CONNECT || req->form == TARGET_ASTERISK || (req->path.len && req->path.ptr[0] == '/'));
    for (uint32_t i = 0; i < req->fields.n; i++)
        CHECK(http_is_token(req->fields.v[i].name) && http_is_field_value(req->fields.v[i].value));
    s->ops->watch(s, fiber_self());
    struct response r = {.status = req->method == METHOD_CONNECT ? 200 : 103, .version = HTTP_1_1, .framing = {FRAMING_CHUNKED, 0}};
    fields_init(&r.fields, a);
    struct chunkq q;
    chunkq_init(&q);
    enum err e = r.status == 103 ? s->ops->send_interim(s, &r) : ERR_OK;
    r.status = 200;
    if (!e)
        e = s->ops->send_head(s, &r, &q, false);
    while (!e) {
        e = s->ops->read(s, &q, 1024, deadline_in(3000));
        if (!e)
            e = s->ops->send(s, &q, false, NULL);
    }
    if (e == ERR_EOF)
        (void)!s->ops->send(s, &q, true, s->trailers.n ? &s->trailers : NULL);
    chunkq_fini(&q);
    s->ops->watch(s, NULL);
}

static void refuse(struct client_conn *c, struct client_stream *s, struct request *req, struct arena *a, enum err e)
{
    (void)c, (void)req;
    CHECK(e);
    struct response r = {.status = 400, .version = HTTP_1_1};
    fields_init(&r.fields, a);
    struct chunkq none;
    chunkq_init(&none);
    if (!s->broken)
        (void)!s->ops->send_head(s, &r, &none, true);
    chunkq_fini(&none);
}

static void closed(struct client_conn *c)
{
    (void)c;
    over = true;
}

static void be_server(int fd)
{
    static const struct client_hooks hooks = {.serve = serve, .refuse = refuse, .closed = closed};
    static const struct client_settings settings = {
        .header_ms = 1000, .idle_ms = 1000, .between_ms = 1000, .handshake_ms = 1000, .limits = LIMITS, .scheme = SPAN_INIT("http"), .h2c = true};
    static struct client_conn c;
    memset(&c, 0, sizeof c);
    c.hooks = &hooks;
    c.settings = &settings;
    list_init(&c.node);
    CHECK(!client_start(&c, fd));
}

// ---- As a client

static void on_finish(struct upstream_conn *u, bool reusable)
{
    CHECK(!reusable);
    upstream_close(u);
    over = true;
}

static void ask(struct upstream_conn *u, struct arena *a, const char *method, enum http_method m)
{
    struct upstream_stream *s = upstream_begin(u, a, &limits, 1000);
    if (!s)
        return;
    struct request req = {.method = m, .method_text = span_str(method), .target = SPAN("/x"), .version = HTTP_1_1};
    struct response r = {0};
    struct chunkq q;
    fields_init(&req.fields, a);
    chunkq_init(&q);
    enum err e = fields_add(&req.fields, FIELD_HOST, SPAN("a.test"));
    if (!e)
        e = s->ops->send_head(s, &req, &q, true);
    for (unsigned i = 0; !e && i < 20 && r.status < 200; i++)
        e = s->ops->read_head(s, a, deadline_in(2000), &r);
    CHECK(e || (r.status >= 100 && r.status < 1000));
    while (!e && !s->response_complete) {
        e = s->ops->read(s, &q, 4096, deadline_in(2000));
        chunkq_clear(&q);
    }
    chunkq_fini(&q);
    s->ops->finish(s);
}

static void be_client(void *arg)
{
    static struct upstream_conn u;
    struct arena a;
    memset(&u, 0, sizeof u);
    CHECK(!io_open(&u.t.io, *(int *)arg));
    upstream_init(&u);
    u.on_finish = on_finish;
    arena_init(&a, 1 << 20);
    CHECK(!upstream_h2_start(&u, 1000));
    enum err e = upstream_h2_greet(&u, deadline_in(1000));
    if (e) {
        on_finish(&u, false);
    } else {
        ask(&u, &a, "GET", METHOD_GET);
        if (!over)
            ask(&u, &a, "HEAD", METHOD_HEAD);
    }
    arena_fini(&a);
}

static bool is_over(void *arg)
{
    (void)arg;
    return over && fiber_live_count() == 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0)
        return 0;
    struct loop *l;
    struct sim_options o = {.seed = 1};
    int fd[2];
    int64_t before = mem_live_count();
    struct peer p = {.data = (const char *)data + 1, .size = size - 1, .greet = data[0] & 2, .server = data[0] & 1};
    p.cut = p.size ? (size_t)(data[0] >> 2) * p.size / 64 : 0;
    over = false;
    sim_begin(&o);
    CHECK(!loop_new(&l));
    sim_pair(fd);
    p.fd = fd[1];
    CHECK(!fiber_start(peer_main, &p, NULL));
    if (data[0] & 1)
        CHECK(!fiber_start(be_client, &fd[0], NULL));
    else
        be_server(fd[0]);
    CHECK(loop_run_until(l, is_over, NULL));
    CHECK(io_live_count() == 0);
    h2_thread_fini();
    loop_free(l);
    CHECK(chunk_live_count() == 0 && mem_live_count() == before);
    sim_end();
    return 0;
}
