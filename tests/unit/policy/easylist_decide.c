// SPDX-License-Identifier: Apache-2.0
// easylist_decide CONF: answers for each line `URL TAB SEC-FETCH-DEST TAB REFERER` of the standard input whether the list `l` of the
// configuration has it: `no`, or `yes FILE:LINE`, and the query that is left. For tests that compare it with other readings of the
// same rules. With a number as second argument it asks everything so many times and tells the time that one question took.
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "conf/conf.h"
#include "http/uri.h"
#include "policy/list.h"

enum { LINE_BYTES = 65536, QUESTIONS_MAX = 200000 };

struct question {
    struct request req;
    struct uri uri;
};

static bool parse(char *line, struct arena *a, struct question *q)
{
    struct span s, rest;
    line[strcspn(line, "\n")] = '\0';
    if (!arena_dup(a, span_str(line), &rest))
        return false;
    s = span_cut(&rest, '\t');
    struct span dest = span_cut(&rest, '\t'), referer = rest;
    if (uri_parse_absolute(s, a, &q->uri))
        return false;
    q->req = (struct request){.method = METHOD_GET, .method_text = SPAN("GET"), .scheme = q->uri.scheme, .authority = q->uri.authority, .path = q->uri.path, .query = q->uri.query};
    fields_init(&q->req.fields, a);
    return (!dest.len || !fields_add(&q->req.fields, FIELD_SEC_FETCH_DEST, dest)) && (!referer.len || !fields_add(&q->req.fields, FIELD_REFERER, referer));
}

static enum match ask(const struct list *l, const struct question *q, struct arena *a, struct list_hit *hit, struct span *ret_query)
{
    struct request_view *view = NULL;
    struct condition_input in = {.req = &q->req, .path = q->uri.path, .path_loose = q->uri.path, .arena = a, .view = &view};
    enum match m = list_match(l, &in, hit);
    if (ret_query && list_clean_query(l, &in, q->uri.query, ret_query))
        exit(1);
    return m;
}

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static double cpu_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec / 1e3;
}

static void measure(const struct list *l, const struct question *v, size_t n, unsigned times)
{
    struct arena a;
    arena_init(&a, 0);
    double t0 = cpu_us();
    for (unsigned k = 0; k < times; k++) {
        for (size_t i = 0; i < n; i++) {
            struct list_hit hit;
            (void)!ask(l, &v[i], &a, &hit, NULL);
            arena_reset(&a);
        }
    }
    printf("%zu questions, %.3f us each\n", n, (cpu_us() - t0) / (double)n / times);
    arena_fini(&a);
}

static void answer(const struct list *l, const struct question *q)
{
    struct arena a;
    struct list_hit hit;
    struct span query = SPAN_NONE;
    arena_init(&a, 0);
    enum match m = ask(l, q, &a, &hit, &query);
    printf("%s %.*s\t%.*s\n", m == MATCH_NO ? "no" : "yes", m == MATCH_NO ? 1 : (int)hit.source.len, m == MATCH_NO ? "-" : hit.source.ptr, SPAN_ARG(query));
    arena_fini(&a);
}

int main(int argc, char **argv)
{
    static char line[LINE_BYTES];
    struct conf_source src;
    struct conf_diags *d = conf_diags_new();
    struct arena a;
    conf_source_init(&src, true);
    arena_init(&a, 0);
    double t0 = now_us();
    struct conf *c = argc > 1 && d ? conf_load(&src, argv[1], d) : NULL;
    struct condition_context k = {.conf = c, .diags = d, .arena = &a};
    struct conf_value name = {.text = SPAN("l")};
    const struct list *l = c ? list_named(&k, &name) : NULL;
    struct question *v = (struct question *)calloc(QUESTIONS_MAX, sizeof *v);
    size_t n = 0;
    if (!l || !v)
        return 1;
    double read_ms = (now_us() - t0) / 1000;
    while (n < QUESTIONS_MAX && fgets(line, sizeof line, stdin))
        if (parse(line, &a, &v[n]))
            n++;
        else
            return 2;
    if (argc > 2) {
        printf("read in %.0f ms\n", read_ms);
        measure(l, v, n, (unsigned)atoi(argv[2]));
    }
    for (size_t i = 0; argc <= 2 && i < n; i++)
        answer(l, &v[i]);
    free(v);
    condition_context_free(k.cleanups);
    conf_unref(c);
    conf_diags_free(d);
    conf_source_fini(&src);
    arena_fini(&a);
    arena_thread_fini();
    return 0;
}
