// SPDX-License-Identifier: Apache-2.0
#include "proxy/ask.h"

#include <stdarg.h>

#include "admin/metrics.h"
#include "proxy/generation.h"

#define ASK(fn, word, text) static void ask_##fn(struct ask *k);
#include "proxy/ask.tbl"
#undef ASK

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
static void ask_status(struct ask *k)
{
    long long open = (long long)metrics_total(METRIC_CONNECTIONS_OPEN), accepted = (long long)metrics_total(METRIC_CONNECTIONS),
              requests = (long long)metrics_total(METRIC_REQUESTS);
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

void ask_answer(const struct generation *g, struct span line, struct arena *a, int *ret_status, struct span *ret_text)
{
    struct ask k = {.gen = g, .arena = a, .out = SPAN("")};
    size_t i;
    bool known = command_of(line, &i);
    for (struct span rest = line; rest.len && k.n_words < ASK_WORDS_MAX;) {
        struct span word = span_cut(&rest, ' ');
        if (rest.len == 0 && k.n_words && span_eq(word, SPAN("json")))
            k.json = true;
        else
            k.words[k.n_words++] = word;
    }
    if (known) {
        commands[i].answer(&k);
    } else {
        k.status = 2;
        ask_say(&k, "this weir does not know that command\n");
    }
    *ret_status = k.status;
    *ret_text = k.out;
}
