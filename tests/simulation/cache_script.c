// SPDX-License-Identifier: Apache-2.0
// One client and one origin on both sides of a proxy with a cache, in the simulator, by a script: what is asked, what the origin says
// to it and how much time goes by come from stdin, what came of it goes to stdout. A test in Python compares that with its model.
//
//   W SEED                          a world begins
//   A MS                            time goes by
//   R STATUS [NAME: VALUE]...       what the origin says from now on; status 0: it closes the connection
//   Q METHOD TARGET [NAME: VALUE]...  a request; the answer is a line of its own
//   E                               the world ends; a line `.` is its answer
// Words are parted by tabs. `@-5@` in a value is the date of five seconds ago. An answer: status, content, Age, Cache-Status, how many
// requests the origin saw, and of the last one method, If-None-Match and whether there was If-Modified-Since.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/mem.h"
#include "cache/cache.h"
#include "proxy_world.h"
#include "strict.h"

enum { STEPS_MAX = 200, WORDS_MAX = 24, LINE_BYTES = 4096, WIRE_BYTES = 16384, QUIET_MS = 50 };

struct step {
    char kind;
    unsigned n;
    const char *words[WORDS_MAX];
    char text[LINE_BYTES];
};
static struct step steps[STEPS_MAX];
static unsigned n_steps;

static const char *const proxy_address = "127.0.0.1:80", *const origin_address = "192.0.2.10:8080";
static const char conf[] = "log access json stdout\n"
                           "cache main { memory 4MiB }\n"
                           "pool app { server 192.0.2.10:8080 }\n"
                           "site * {\n    listen 127.0.0.1:80\n    cache main\n    route * -> pool app\n}\n";

struct wire {
    struct io io;
    size_t n;
    bool ended;
    char p[WIRE_BYTES], content[WIRE_BYTES];
    struct strict_message m;
};

static struct io listener;
static bool done;
static const struct step *says; // the origin
static unsigned n_answers, n_seen;
static char seen[200];

static const char *word(const struct step *s, unsigned i)
{
    return i < s->n ? s->words[i] : "";
}

// ---- Messages

static size_t put_date(char *out, size_t room, int64_t offset_s)
{
    time_t t = (time_t)((int64_t)(loop_wall_ms() / 1000) + offset_s);
    struct tm tm;
    return gmtime_r(&t, &tm) ? strftime(out, room, "%a, %d %b %Y %H:%M:%S GMT", &tm) : 0;
}

static size_t put_field(char *out, size_t room, const char *line)
{
    const char *at = strstr(line, ": @"), *end = at ? strchr(at + 3, '@') : NULL;
    if (!end)
        return (size_t)snprintf(out, room, "%s\r\n", line);
    size_t n = (size_t)snprintf(out, room, "%.*s: ", (int)(at - line), line);
    n += put_date(out + n, room - n, strtol(at + 3, NULL, 10));
    return n + (size_t)snprintf(out + n, room - n, "%s\r\n", end + 1);
}

static const char *field_of(const struct step *s, const char *name)
{
    size_t n = strlen(name);
    for (unsigned i = 1; i < s->n; i++)
        if (strncmp(s->words[i], name, n) == 0 && s->words[i][n] == ':')
            return s->words[i] + n + 2;
    return NULL;
}

static enum err send_all(struct io *io, const char *p, size_t n)
{
    while (n) {
        struct iovec v = {(void *)(uintptr_t)p, n};
        size_t sent;
        enum err e = io_sendv(io, &v, 1, false, deadline_in(10000), &sent);
        if (e)
            return e;
        p += sent;
        n -= sent;
    }
    return ERR_OK;
}

static bool read_more(struct wire *w)
{
    size_t n;
    EXPECT(w->n < sizeof w->p);
    enum err e = io_recv(&w->io, w->p + w->n, sizeof w->p - w->n, deadline_in(600 * 1000), &n);
    w->ended = e == ERR_EOF;
    w->n += e ? 0 : n;
    return e == ERR_OK;
}

static void consume(struct wire *w, size_t n)
{
    memmove(w->p, w->p + n, w->n - n);
    w->n -= n;
}

// ---- The origin

static bool is_not_modified(const struct strict_message *m)
{
    struct strict_text tag = strict_value(m, "if-none-match");
    const char *mine = field_of(says, "ETag");
    if (tag.p)
        return mine && strict_is(tag, mine);
    return strict_count(m, "if-modified-since") && field_of(says, "Last-Modified");
}

static enum err answer(struct wire *w)
{
    char out[LINE_BYTES], body[32];
    bool not_modified = strcmp(word(says, 0), "200") == 0 && strict_is(w->m.method, "GET") && is_not_modified(&w->m);
    bool to_head = strict_is(w->m.method, "HEAD");
    size_t n = (size_t)snprintf(out, sizeof out, "HTTP/1.1 %s Said\r\n", not_modified ? "304" : word(says, 0));
    for (unsigned i = 1; i < says->n; i++)
        n += put_field(out + n, sizeof out - n, says->words[i]);
    snprintf(body, sizeof body, "answer %04u", not_modified || to_head ? 0 : ++n_answers);
    if (!not_modified)
        n += (size_t)snprintf(out + n, sizeof out - n, "Content-Length: %zu\r\n", strlen(body));
    n += (size_t)snprintf(out + n, sizeof out - n, "\r\n%s", not_modified || to_head ? "" : body);
    return send_all(&w->io, out, n);
}

static void note(const struct strict_message *m)
{
    struct strict_text tag = strict_value(m, "if-none-match");
    n_seen++;
    snprintf(seen, sizeof seen, "%.*s\t%.*s\t%d", (int)m->method.n, m->method.p, (int)tag.n, tag.p ? tag.p : "", strict_count(m, "if-modified-since") > 0);
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
        note(&w->m);
        size_t n = w->m.len;
        if (strcmp(word(says, 0), "0") == 0 || answer(w))
            break;
        consume(w, n);
    }
    io_close(&w->io);
    mem_free(w);
}

static void on_listener(struct io *l)
{
    for (int fd; io_accept_now(l, &fd, NULL) == ERR_OK;) {
        struct wire *w = (struct wire *)mem_calloc(1, sizeof *w);
        EXPECT(w && io_open(&w->io, fd) == ERR_OK);
        EXPECT(fiber_start(origin_main, w, NULL) == ERR_OK);
    }
}

static socklen_t address_of(const char *text, struct sockaddr_storage *ret)
{
    struct addr a;
    EXPECT(addr_parse(span_str(text), NULL, &a));
    return addr_to_sockaddr(&a, ret);
}

// ---- The client

static void show_field(const struct strict_message *m, const char *name)
{
    struct strict_text v = strict_value(m, name);
    printf("\t%.*s", (int)v.n, v.p ? v.p : "");
}

static void ask(struct wire *w, const struct step *q)
{
    char out[LINE_BYTES];
    struct sockaddr_storage ss;
    bool has_content = strcmp(word(q, 0), "POST") == 0;
    socklen_t len = address_of(proxy_address, &ss);
    *w = (struct wire){0};
    EXPECT(io_connect(&w->io, (struct sockaddr *)&ss, len, NULL, 0, deadline_in(10000)) == ERR_OK);
    n_seen = 0;
    snprintf(seen, sizeof seen, "\t\t");
    size_t n = (size_t)snprintf(out, sizeof out, "%s %s HTTP/1.1\r\nHost: a.test\r\n%s", word(q, 0), word(q, 1), has_content ? "Content-Length: 1\r\n" : "");
    for (unsigned i = 2; i < q->n; i++)
        n += put_field(out + n, sizeof out - n, q->words[i]);
    n += (size_t)snprintf(out + n, sizeof out - n, "\r\n%s", has_content ? "z" : "");
    EXPECT(send_all(&w->io, out, n) == ERR_OK);
    enum strict s;
    while ((s = strict_response(w->p, w->n, w->ended, word(q, 0), w->content, &w->m)) == STRICT_MORE && !w->ended)
        (void)read_more(w);
    EXPECT(s == STRICT_WHOLE);
    printf("%u\t%.*s", w->m.status, w->m.status < 400 || w->m.content_len < 20 ? (int)w->m.content_len : 0, w->content);
    show_field(&w->m, "age");
    show_field(&w->m, "cache-status");
    io_close(&w->io);
    EXPECT(fiber_sleep(QUIET_MS) == ERR_OK); // what goes on behind the answer
    printf("\t%u\t%s\n", n_seen, seen);
}

static void script_main(void *arg)
{
    static struct wire w;
    (void)arg;
    sim_spare_self();
    for (unsigned i = 0; i < n_steps; i++) {
        if (steps[i].kind == 'A')
            EXPECT(fiber_sleep(strtoull(word(&steps[i], 0), NULL, 10)) == ERR_OK);
        else if (steps[i].kind == 'R')
            says = &steps[i];
        else
            ask(&w, &steps[i]);
    }
    proxy_world_drain();
    io_close(&listener);
    done = true;
}

static bool is_done(void *arg)
{
    (void)arg;
    return done && fiber_live_count() == 0;
}

static void run(uint64_t seed)
{
    struct sim_options o = {.seed = seed};
    struct dns_sim_options names = {.seed = seed};
    struct sockaddr_storage ss;
    struct loop *l;
    int64_t mem_before = mem_live_count(), chunks_before = chunk_live_count();
    done = false;
    n_answers = 0;
    sim_begin(&o);
    EXPECT(loop_new(&l) == ERR_OK);
    socklen_t len = address_of(origin_address, &ss);
    EXPECT(io_open(&listener, sim_listen((struct sockaddr *)&ss, len)) == ERR_OK);
    listener.on_event = on_listener;
    proxy_world_begin(conf, &names, NULL);
    EXPECT(fiber_start(script_main, NULL, NULL) == ERR_OK);
    EXPECT(loop_run_until(l, is_done, NULL));
    proxy_world_end();
    EXPECT(loop_run_until(l, is_done, NULL) && io_live_count() == 0);
    loop_free(l);
    EXPECT(sim_open_fds() == 0 && chunk_live_count() == chunks_before && mem_live_count() == mem_before);
    sim_end();
}

static struct step *parse(struct step *s, const char *line)
{
    char *rest = s->text, *w;
    snprintf(s->text, sizeof s->text, "%.*s", (int)strcspn(line, "\n"), line);
    s->kind = *rest;
    s->n = 0;
    (void)strsep(&rest, "\t");
    while (s->n < WORDS_MAX && (w = strsep(&rest, "\t")))
        s->words[s->n++] = w;
    return s;
}

int main(void)
{
    static char line[LINE_BYTES];
    uint64_t seed = 1;
    proxy_world_prepare();
    cache_close(cache_open(&(struct cache_config){.name = SPAN("main"), .folder_fd = -1})); // a cache is for as long as its process
    while (fgets(line, sizeof line, stdin)) {
        EXPECT(n_steps < STEPS_MAX);
        const struct step *s = parse(&steps[n_steps], line);
        if (s->kind == 'W') {
            seed = strtoull(word(s, 0), NULL, 10);
            n_steps = 0;
        } else if (s->kind == 'E') {
            run(seed);
            printf(".\n");
            fflush(stdout);
            n_steps = 0;
        } else {
            n_steps++;
        }
    }
    return 0;
}
