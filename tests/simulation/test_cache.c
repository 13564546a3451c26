// SPDX-License-Identifier: Apache-2.0
// The cache in the whole proxy: clients ask for a few URLs at the same time, leave early, change what is there and purge, while the
// world does what its weather says. In any weather an answer is one that the origin gave for this URL and variant, octet for octet and
// whole, or a part of it that says so; or it is clearly broken. What is private reaches one client. What was changed, or purged, by the
// time that a client asks is not what it gets. And nothing is left over.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "cache/cache.h"
#include "proxy_world.h"
#include "strict.h"

enum {
    CLIENTS_MAX = 6,
    URLS = 6,
    REQUESTS_MAX = 8,
    SERIALS_MAX = 4000,
    CONTENT_MAX = 30000,
    WIRE_BYTES = 2 * CONTENT_MAX + 8192,
    PATIENCE_MS = 150 * 1000,
};
static const char *const proxy_address = "127.0.0.1:80", *const origin_address = "192.0.2.10:8080";
static const char conf[] = "log access json stdout\n"
                           "timeouts { header 5s; idle 20s; connect 2s; first-byte 5s; between-bytes 5s }\n"
                           "cache main { memory 256KiB }\n"
                           "pool app { server 192.0.2.10:8080 }\n"
                           "site * {\n    listen 127.0.0.1:80\n    cache main\n    route * -> pool app\n}\n";

// What the origin says with each URL.
static const char *const kinds[URLS] = {
    "Cache-Control: max-age=30\r\n",
    "Cache-Control: max-age=1, stale-if-error=20\r\n",
    "Cache-Control: private, max-age=30\r\n",
    "Cache-Control: max-age=30\r\nVary: X-V\r\n",
    "Cache-Control: max-age=1, stale-while-revalidate=20\r\n",
    "Cache-Control: max-age=1, must-revalidate\r\n",
};
enum { URL_PRIVATE = 2, URL_VARIES = 3 };

// An answer of the origin's.
struct answer {
    unsigned url, variant, version, seen;
    size_t length;
};
static struct answer answers[SERIALS_MAX];
static unsigned n_answers;
static unsigned versions[URLS]; // what the resource is at now
static unsigned least[URLS];    // older ones must not be seen by who asks from now on

struct wire {
    struct io io;
    size_t n;
    bool ended;
    enum err error;
    char p[WIRE_BYTES], content[WIRE_BYTES];
    struct strict_message m;
};

static struct io listener;
static struct fiber *clients[CLIENTS_MAX];
static unsigned n_clients, n_connections;
static bool done;
static enum weather weather_now;

static bool one_in(unsigned n)
{
    return scenario_rand(n) == 0;
}

// What a resource is at in one version and variant is the same octets each time: its entity tag is a strong one.
static unsigned tag_of(const struct answer *a)
{
    return (a->version * 2 + a->variant) * URLS + a->url;
}

static size_t length_of(unsigned tag)
{
    return tag * 2654435761u % (tag % 3 ? 2000 : CONTENT_MAX);
}

static char octet(unsigned tag, size_t at)
{
    return (char)(tag * 131 + at * 7 + (at >> 8) * 13);
}

static unsigned number_in(struct strict_text t)
{
    unsigned n = 0;
    for (size_t i = 0; i < t.n && i < 7; i++)
        n = t.p[i] >= '0' && t.p[i] <= '9' ? n * 10 + (unsigned)(t.p[i] - '0') : n;
    return n;
}

static unsigned number_of(const struct strict_message *m, const char *name)
{
    return number_in(strict_value(m, name));
}

// ---- Wires

static bool read_more(struct wire *w)
{
    size_t n = 0;
    if (w->ended || w->error)
        return false;
    EXPECT(w->n < sizeof w->p);
    w->error = io_recv(&w->io, w->p + w->n, sizeof w->p - w->n, deadline_in(PATIENCE_MS), &n);
    w->ended = w->error == ERR_EOF;
    if (w->ended)
        w->error = ERR_OK;
    w->n += n;
    return n > 0;
}

static void consume(struct wire *w, size_t n)
{
    memmove(w->p, w->p + n, w->n - n);
    w->n -= n;
}

static enum err send_all(struct io *io, const char *p, size_t n)
{
    size_t piece = one_in(4) ? 1 + (size_t)scenario_rand(2000) : n;
    while (n) {
        struct iovec v = {(void *)(uintptr_t)p, MIN(piece, n)};
        size_t sent;
        enum err e = io_sendv(io, &v, 1, false, deadline_in(PATIENCE_MS), &sent);
        if (e)
            return e;
        p += sent;
        n -= sent;
        if (n && one_in(10) && (e = fiber_sleep(scenario_rand(300))))
            return e;
    }
    return ERR_OK;
}

static socklen_t address_of(const char *text, struct sockaddr_storage *ret)
{
    struct addr a;
    EXPECT(addr_parse(span_str(text), NULL, &a));
    return addr_to_sockaddr(&a, ret);
}

// ---- The origin

static enum err send_answer(struct wire *w, unsigned url)
{
    char head[500];
    bool changes = strict_is(w->m.method, "POST"), to_head = strict_is(w->m.method, "HEAD");
    versions[url] += changes;
    EXPECT(n_answers < SERIALS_MAX);
    struct answer *a = &answers[n_answers++];
    *a = (struct answer){.url = url, .variant = url == URL_VARIES ? number_of(&w->m, "x-v") : 0, .version = versions[url]};
    unsigned tag = tag_of(a);
    struct strict_text sent = strict_value(&w->m, "if-none-match");
    bool same = !changes && sent.p && number_in(sent) == tag;
    a->length = length_of(tag);
    bool chunked = !same && one_in(3);
    size_t n = (size_t)snprintf(head, sizeof head, "HTTP/1.1 %s\r\n%sETag: \"%u\"\r\n%s", same ? "304 Same" : "200 Fine", kinds[url], tag,
                                chunked ? "Transfer-Encoding: chunked\r\n" : "");
    if (!same)
        n += (size_t)snprintf(head + n, sizeof head - n, "X-Serial: %u\r\n", n_answers);
    if (!same && !chunked)
        n += (size_t)snprintf(head + n, sizeof head - n, "Content-Length: %zu\r\n", a->length);
    n += (size_t)snprintf(head + n, sizeof head - n, "\r\n");
    enum err e = send_all(&w->io, head, n);
    if (e || same || to_head)
        return e;
    size_t length = a->length;
    char *own = (char *)mem_alloc(length + 64);
    EXPECT(own != NULL);
    n = chunked && length ? (size_t)snprintf(own, 20, "%zx\r\n", length) : 0;
    for (size_t i = 0; i < length; i++)
        own[n++] = octet(tag, i);
    if (chunked)
        n += (size_t)snprintf(own + n, 20, "%s0\r\n\r\n", length ? "\r\n" : "");
    e = send_all(&w->io, own, n);
    mem_free(own);
    return e;
}

static void origin_main(void *arg)
{
    struct wire *w = (struct wire *)arg;
    sim_spare_self();
    for (;;) {
        enum strict s = strict_request(w->p, w->n, w->content, &w->m);
        EXPECT(s != STRICT_BAD);
        if (s == STRICT_MORE && read_more(w))
            continue;
        if (s == STRICT_MORE)
            break;
        size_t n = w->m.len;
        EXPECT(w->m.target.n == 2 && w->m.target.p[1] >= '0' && w->m.target.p[1] < '0' + URLS);
        if (one_in(4) && fiber_sleep(scenario_rand(1500)))
            break;
        if (send_answer(w, (unsigned)(w->m.target.p[1] - '0'))) {
            io_close_reset(&w->io);
            break;
        }
        consume(w, n);
        if (weather_now != CALM && one_in(10))
            break;
    }
    io_close(&w->io);
    mem_free(w);
    n_connections--;
}

static void on_listener(struct io *l)
{
    bool before = sim_faults(false);
    for (int fd; io_accept_now(l, &fd, NULL) == ERR_OK;) {
        struct wire *w = (struct wire *)mem_calloc(1, sizeof *w);
        EXPECT(w && io_open(&w->io, fd) == ERR_OK);
        n_connections++;
        EXPECT(fiber_start(origin_main, w, NULL) == ERR_OK);
    }
    sim_faults(before);
}

// ---- Clients

struct ask {
    unsigned url, variant, least; // what was least when it was asked
    const char *method;
    size_t first, last; // of a range; last 0: none
};

// Content that is (so far) some answer to this, whole or from the range on.
static void check_content(const struct ask *q, const struct wire *w, bool whole)
{
    const struct strict_message *m = &w->m;
    unsigned serial = number_of(m, "x-serial");
    size_t from = m->status == 206 ? q->first : 0;
    EXPECT(serial >= 1 && serial <= n_answers);
    struct answer *a = &answers[serial - 1];
    EXPECT(a->url == q->url && a->variant == (q->url == URL_VARIES ? q->variant : 0));
    EXPECT(a->version >= q->least);
    for (size_t i = 0; i < m->content_len; i++)
        EXPECT(from + i < a->length && w->content[i] == octet(tag_of(a), from + i));
    if (!whole)
        return;
    bool empty = strcmp(q->method, "HEAD") == 0;
    EXPECT(m->content_len == (empty ? 0 : m->status == 206 ? MIN(q->last + 1, a->length) - from : a->length));
    if (q->url == URL_PRIVATE && !empty)
        EXPECT(++a->seen == 1);
}

// True: the connection goes on.
static bool read_answer(struct wire *w, const struct ask *q)
{
    for (;;) {
        enum strict s = strict_response(w->p, w->n, w->ended, q->method, w->content, &w->m);
        EXPECT(s != STRICT_BAD);
        const struct strict_message *m = &w->m;
        bool of_origin = m->head_len && strict_count(m, "x-serial");
        if (of_origin && (m->status == 200 || m->status == 206) && s != STRICT_BAD)
            check_content(q, w, s == STRICT_WHOLE);
        if (s == STRICT_WHOLE) {
            EXPECT(of_origin || m->status >= 400);
            EXPECT(weather_now != CALM || m->status < 400 || m->status == 416);
            bool changed = strcmp(q->method, "POST") == 0 && m->status == 200;
            if (changed)
                least[q->url] = MAX(least[q->url], answers[number_of(m, "x-serial") - 1].version);
            bool close = m->close;
            consume(w, m->len);
            return !close && !w->ended;
        }
        if (!read_more(w) && !(w->ended && m->head_len && m->framing == STRICT_UNTIL_END)) {
            EXPECT(weather_now != CALM);
            return false;
        }
    }
}

static bool ask(struct wire *w, const struct ask *q)
{
    char out[300], range[60] = "";
    if (q->last)
        snprintf(range, sizeof range, "Range: bytes=%zu-%zu\r\n", q->first, q->last);
    int n = snprintf(out, sizeof out, "%s /%u HTTP/1.1\r\nHost: a.test\r\nX-V: %u\r\n%s%s\r\n", q->method, q->url, q->variant, range,
                     strcmp(q->method, "POST") == 0 ? "Content-Length: 0\r\n" : "");
    return send_all(&w->io, out, (size_t)n) == ERR_OK;
}

static struct ask some_question(void)
{
    struct ask q = {.url = (unsigned)scenario_rand(URLS), .variant = (unsigned)scenario_rand(2), .method = "GET"};
    unsigned r = (unsigned)scenario_rand(12);
    q.method = r == 0 ? "POST" : r == 1 ? "HEAD" : "GET";
    if (r == 2 || r == 3) {
        q.first = (size_t)scenario_rand(1000);
        q.last = q.first + 1 + (size_t)scenario_rand(3000);
    }
    q.least = least[q.url];
    return q;
}

static void purge_all(void)
{
    struct cache *c = cache_find(SPAN("main"));
    for (unsigned i = 0; i < URLS; i++)
        versions[i]++;
    if (!c)
        return;
    (void)cache_purge(c, PURGE_ALL, SPAN_NONE, false);
    cache_close(c);
    for (unsigned i = 0; i < URLS; i++)
        least[i] = versions[i];
}

static void client_main(void *arg)
{
    struct sockaddr_storage ss;
    socklen_t len = address_of(proxy_address, &ss);
    bool open = false;
    (void)arg;
    sim_spare_self();
    struct wire *w = (struct wire *)mem_calloc(1, sizeof *w);
    EXPECT(w != NULL);
    for (unsigned n = 1 + (unsigned)scenario_rand(REQUESTS_MAX); n--;) {
        if (one_in(3) && fiber_sleep(scenario_rand(2500)))
            break;
        if (one_in(15))
            purge_all();
        if (!open) {
            *w = (struct wire){0};
            open = io_connect(&w->io, (struct sockaddr *)&ss, len, NULL, 0, deadline_in(PATIENCE_MS)) == ERR_OK;
            EXPECT(open || weather_now != CALM);
        }
        struct ask q = some_question();
        bool stays = open && ask(w, &q);
        if (stays && one_in(8)) { // it leaves before its answer, or in the middle of it
            (void)!fiber_sleep(scenario_rand(1000));
            stays = false;
        } else if (stays) {
            stays = read_answer(w, &q);
        }
        if (open && !stays)
            io_close(&w->io);
        open = open && stays;
    }
    if (open)
        io_close(&w->io);
    mem_free(w);
}

static void manager_main(void *arg)
{
    (void)arg;
    sim_spare_self();
    n_clients = 1 + (unsigned)scenario_rand(CLIENTS_MAX);
    for (unsigned i = 0; i < n_clients; i++)
        EXPECT(fiber_start(client_main, NULL, &clients[i]) == ERR_OK);
    for (unsigned i = 0; i < n_clients; i++)
        fiber_join(clients[i]);
    proxy_world_drain();
    io_close(&listener);
    done = true;
}

static void begin(uint64_t seed, enum weather weather)
{
    struct dns_sim_options names = {.seed = seed};
    struct sockaddr_storage ss;
    socklen_t len = address_of(origin_address, &ss);
    weather_now = weather;
    done = false;
    n_answers = n_connections = 0;
    for (unsigned i = 0; i < URLS; i++)
        versions[i] = least[i] = 1;
    proxy_world_begin(conf, &names, NULL);
    EXPECT(io_open(&listener, sim_listen((struct sockaddr *)&ss, len)) == ERR_OK);
    listener.on_event = on_listener;
    EXPECT(fiber_start(manager_main, NULL, NULL) == ERR_OK);
}

static bool is_done(void *arg)
{
    (void)arg;
    return done && fiber_live_count() == 0;
}

static void end(enum weather weather)
{
    (void)weather;
    EXPECT(n_connections == 0);
    proxy_world_end();
}

int main(void)
{
    static const struct scenario cache = {"cache", begin, is_done, end, 400, 1};
    proxy_world_prepare();
    cache_close(cache_open(&(struct cache_config){.name = SPAN("main"), .folder_fd = -1})); // a cache is for as long as its process
    return simulate(&cache);
}
