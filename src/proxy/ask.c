// SPDX-License-Identifier: Apache-2.0
#include "proxy/ask.h"

#include <pthread.h>
#include <stdarg.h>

#include "admin/history.h"
#include "admin/metrics.h"
#include "proxy/cache_metrics.h"
#include "proxy/pool_metrics.h"
#include "proxy/generation.h"
#include "proxy/tap.h"

static const struct {
    struct span word;
    void (*answer)(struct ask *k);
} commands[] = {
#define ASK(fn, word, text) {SPAN_INIT(word), ask_##fn},
#include "proxy/ask.tbl"
#undef ASK
};

void ask_say(struct ask *k, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    struct span s = arena_vprintf(k->arena, fmt, ap);
    va_end(ap);
    struct span out = s.ptr ? arena_join(k->arena, k->out, s) : SPAN_NONE;
    if (out.ptr)
        k->out = out;
    else
        k->status = 1;
}

// The supervisor has written the beginning: its JSON object is open.
void ask_status(struct ask *k)
{
    long long open = (long long)metrics_total(METRIC_CONNECTIONS_OPEN), accepted = (long long)metrics_total(METRIC_CONNECTIONS),
              requests = (long long)metrics_total(METRIC_REQUESTS);
    ask_say_pools(k);
    if (k->json)
        ask_say(k, ", \"connections\": {\"open\": %lld, \"accepted\": %lld}, \"requests\": %lld}\n", open, accepted, requests);
    else
        ask_say(k, "connections: %lld open, %lld accepted\nrequests: %lld\n", open, accepted, requests);
}

static bool command_of(struct span line, size_t *ret)
{
    struct span word = span_cut(&line, ' ');
    for (size_t i = 0; i < ARRAY_LEN(commands); i++) {
        if (span_eq(commands[i].word, word)) {
            *ret = i;
            return true;
        }
    }
    return false;
}

bool ask_knows(struct span line)
{
    size_t i;
    return command_of(line, &i);
}

bool ask_answer(const struct generation *g, struct span line, int fd, struct arena *a, int *ret_status, struct span *ret_text)
{
    static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
    struct ask k = {.gen = g, .arena = a, .out = SPAN(""), .fd = fd};
    size_t i;
    bool known = command_of(line, &i);
    if (span_ends(line, SPAN(" json"))) {
        k.json = true;
        line = span_first(line, line.len - 5);
    }
    k.rest = line;
    (void)span_cut(&k.rest, ' ');
    for (struct span rest = line; rest.len && k.n_words < ASK_WORDS_MAX;)
        k.words[k.n_words++] = span_cut(&rest, ' ');
    if (known) {
        pthread_mutex_lock(&one_at_a_time); // the control socket's, or the API's
        commands[i].answer(&k);
        pthread_mutex_unlock(&one_at_a_time);
    } else {
        k.status = 2;
        ask_say(&k, "this weir does not know that command\n");
    }
    *ret_status = k.status;
    *ret_text = k.out;
    return k.fd >= 0;
}

// ---- Requests that were

void ask_explain(struct ask *k)
{
    struct span line = k->n_words == 2 ? history_find(k->words[1], k->arena) : SPAN_NONE;
    if (line.ptr) {
        k->out = line;
        return;
    }
    k->status = 1;
    ask_say(k, "no request with this id is remembered: the last 10,000 or so are\n");
}

void ask_tap(struct ask *k)
{
    struct span why = tap_open(k->fd, k->rest, k->json, k->arena);
    if (why.ptr) {
        k->status = 2;
        k->out = why;
    } else {
        k->fd = -1;
    }
}

void ask_metrics(struct ask *k)
{
    struct chunkq q;
    chunkq_init(&q);
    cache_metrics_update();
    generation_put_metrics(k->gen);
    enum err e = metrics_write(&q);
    char *p = e ? NULL : arena_bytes(k->arena, q.bytes + 1);
    if (p) {
        k->out = span_of(p, q.bytes);
        (void)chunkq_peek(&q, p, q.bytes);
    } else {
        k->status = 1;
        ask_say(k, "out of memory\n");
    }
    chunkq_fini(&q);
}
