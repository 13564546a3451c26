// SPDX-License-Identifier: Apache-2.0
#include "proxy/tap.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "proxy/decide.h"

struct tap {
    int fd;
    bool json;
    uint64_t missed; // lines, since the last one that went
    char *rest;      // of a line that went in part; mem_alloc'd
    size_t n_rest;
    struct arena arena;
    struct conf *conf;
    struct condition_cleanup *cleanups;
    const struct condition_set *when;
};

_Atomic unsigned tap_count;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct tap *taps[TAPS_MAX];

static void tap_free(struct tap *t)
{
    if (!t)
        return;
    condition_context_free(t->cleanups);
    conf_unref(t->conf);
    arena_fini(&t->arena);
    mem_free(t->rest);
    mem_free(t);
}

// The filter stands in a configuration of its own, so that it is read like any `when`.
static const struct conf_stmt *read_filter(struct tap *t, struct span filter, struct conf_diags *d)
{
    const struct span parts[] = {SPAN("site * {\n    deny when {\n"), filter, SPAN("\n}\n    route * -> respond 200\n}\n")};
    struct span text = arena_concat(&t->arena, parts, ARRAY_LEN(parts));
    t->conf = text.ptr ? conf_load_text(text, "filter", d) : NULL;
    const struct conf_stmt *deny = t->conf ? conf_child(conf_child(conf_root(t->conf), CONF_SITE), CONF_DENY) : NULL;
    return deny ? deny->when : NULL;
}

static bool compile(struct tap *t, struct span filter, struct conf_diags *d)
{
    const struct conf_stmt *when = filter.len ? read_filter(t, filter, d) : NULL;
    if (filter.len && (!when || conf_diags_errors(d)))
        return false;
    struct condition_context k = {.conf = t->conf, .diags = d, .arena = &t->arena};
    t->when = condition_set_new(&k, when);
    t->cleanups = k.cleanups;
    return t->when && !conf_diags_errors(d);
}

static void close_tap(unsigned i)
{
    close(taps[i]->fd);
    tap_free(taps[i]);
    taps[i] = NULL;
    atomic_fetch_sub(&tap_count, 1);
}

static bool has_left(const struct tap *t)
{
    char c;
    return recv(t->fd, &c, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

static bool install(struct tap *t)
{
    bool ok = false;
    pthread_mutex_lock(&lock);
    for (unsigned i = 0; i < TAPS_MAX && !ok; i++) {
        if (taps[i] && has_left(taps[i]))
            close_tap(i);
        if (!taps[i]) {
            (void)send(t->fd, "0\n", 2, MSG_DONTWAIT | MSG_NOSIGNAL); // the command's status; its answer goes on
            taps[i] = t;
            atomic_fetch_add(&tap_count, 1);
            ok = true;
        }
    }
    pthread_mutex_unlock(&lock);
    return ok;
}

struct span tap_open(int fd, struct span filter, bool json, struct arena *a)
{
    struct tap *t = (struct tap *)mem_calloc(1, sizeof *t);
    struct conf_diags *d = conf_diags_new();
    struct span why = SPAN_NONE, copy;
    if (t) {
        arena_init(&t->arena, 0);
        t->fd = fd;
        t->json = json;
        t->rest = (char *)mem_alloc(ACCESS_LINE_MAX_BYTES);
    }
    if (!t || !t->rest || !d)
        why = SPAN("out of memory\n");
    else if (!compile(t, filter, d))
        why = arena_dup(a, conf_diags_text(d), &copy) ? copy : SPAN("out of memory\n");
    else if (!install(t))
        why = SPAN("too many taps are open already\n");
    if (d)
        conf_diags_free(d);
    if (why.ptr)
        tap_free(t);
    return why;
}

// Sends what the connection takes now and keeps the rest of a line that was begun. *ret_begun: some of it went. False: nobody is
// there any more.
static bool put(struct tap *t, struct span s, bool *ret_begun)
{
    ssize_t n = send(t->fd, s.ptr, s.len, MSG_DONTWAIT | MSG_NOSIGNAL);
    *ret_begun = n > 0;
    if (n < 0)
        return errno == EAGAIN || errno == EINTR;
    t->n_rest = s.len - (size_t)n;
    memmove(t->rest, s.ptr + n, t->n_rest);
    return true;
}

static bool show(struct tap *t, struct span line)
{
    char note[96];
    bool begun = true;
    if (t->n_rest && !put(t, span_of(t->rest, t->n_rest), &begun))
        return false;
    if (t->missed && !t->n_rest) {
        int n = snprintf(note, sizeof note, t->json ? "{\"missed\":%llu}\n" : "(%llu lines were missed here)\n", (unsigned long long)t->missed);
        if (!put(t, span_of(note, (size_t)n), &begun))
            return false;
        t->missed = begun ? 0 : t->missed;
    }
    begun = false;
    if (!t->n_rest && !t->missed && !put(t, line, &begun))
        return false;
    t->missed += !begun;
    return true;
}

void tap_show(struct exchange *x, const struct access_record *r, char line[ACCESS_LINE_MAX_BYTES])
{
    struct condition_input in;
    struct response_facts answer;
    if (decide_input_at_end(x, &answer, &in))
        return;
    pthread_mutex_lock(&lock);
    for (unsigned i = 0; i < TAPS_MAX; i++) {
        struct tap *t = taps[i];
        if (!t || !condition_set_match(t->when, &in))
            continue;
        if (!show(t, span_of(line, t->json ? access_log_json(r, line) : access_log_brief(r, line))))
            close_tap(i);
    }
    pthread_mutex_unlock(&lock);
}

void tap_close_all(void)
{
    pthread_mutex_lock(&lock);
    for (unsigned i = 0; i < TAPS_MAX; i++)
        if (taps[i])
            close_tap(i);
    pthread_mutex_unlock(&lock);
}
