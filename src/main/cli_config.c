// SPDX-License-Identifier: Apache-2.0
// Commands that work on a configuration: run, the quick modes, check, fmt, explain.
#include <jansson.h>
#include <stdio.h>

#include "admin/metrics.h"
#include "main/cli_internal.h"
#include "main/control.h"
#include "main/supervisor.h"

static void print(struct span s)
{
    fwrite(s.ptr ? s.ptr : "", 1, s.len, stdout);
}

bool workbench_init(struct workbench *w)
{
    conf_source_init(&w->src, true);
    arena_init(&w->arena, 0);
    w->diags = conf_diags_new();
    return w->diags != NULL;
}

void workbench_fini(struct workbench *w)
{
    conf_diags_free(w->diags);
    arena_fini(&w->arena);
    conf_source_fini(&w->src);
}

// What the quick modes stand for.
static struct span quick_text(struct arena *a, const struct options *o)
{
    const char *cache = o->cache ? "cache main {\n    memory 64MiB\n}\n" : "",
               *use = o->cache ? "    cache main\n" : "";
    if (!o->to)
        return arena_printf(a, "%sproxy %s {\n%s    policy {\n        default allow\n    }\n}\n", cache,
                            o->listen ? o->listen : "127.0.0.1:3128", use);
    struct span tls =
        o->tls[0] ? arena_printf(a, "    tls cert \"%s\" key \"%s\"\n", o->tls[0], o->tls[1]) : SPAN("");
    const char *from = o->from ? o->from : o->tls[0] ? "127.0.0.1:8443" : "127.0.0.1:8080";
    return arena_printf(
        a, "%spool app {\n    server %s\n}\nsite * {\n    listen %s%s\n%.*s%s    route * -> pool app\n}\n",
        cache, o->to, from, o->tls[0] ? " tls" : "", SPAN_ARG(tls), use);
}

int cli_report(struct conf_diags *d)
{
    struct span text = conf_diags_text(d);
    fwrite(text.ptr ? text.ptr : "", 1, text.len, stderr);
    return conf_diags_errors(d) ? BAD_USAGE : OK;
}

// The findings, and the whole configuration where it is sound.
static int report_json(struct workbench *w, const struct generation *g)
{
    struct span findings = conf_diags_json(w->diags),
                tree = g ? conf_json(generation_conf(g), &w->arena) : SPAN("null\n");
    printf("{\"findings\": %.*s, \"configuration\": %.*s}\n", SPAN_ARG(findings), SPAN_ARG(tree));
    return conf_diags_errors(w->diags) ? BAD_USAGE : OK;
}

const char *cli_file(const struct options *o)
{
    return o->file ? o->file : "weir.conf";
}

struct generation *workbench_compile(struct workbench *w, const char *file, struct span text)
{
    struct conf *c = text.ptr ? conf_load_text(text, "quick", w->diags) : conf_load(&w->src, file, w->diags);
    struct generation *g = c ? generation_new(c, w->diags, 1) : NULL;
    if (g && !generation_run_tests(g, w->diags)) {
        generation_unref(g);
        g = NULL;
    }
    conf_unref(c);
    return g;
}

int command_run(const struct options *o)
{
    return supervisor_run(cli_file(o), SPAN_NONE);
}

static int quick(const struct options *o)
{
    struct workbench w;
    int status = FAILED;
    if (metrics_init(METRICS_THREADS_MAX)) // its numbers are made before the threads are counted
        return FAILED;
    if (workbench_init(&w)) {
        struct span text = quick_text(&w.arena, o);
        struct generation *g = workbench_compile(&w, NULL, text);
        status = g ? OK : BAD_USAGE;
        if (!g)
            cli_report(w.diags);
        generation_unref(g);
        if (status == OK && o->print)
            print(text);
        else if (status == OK)
            status = supervisor_run(NULL, text);
    }
    workbench_fini(&w);
    return status;
}

int command_reverse(const struct options *o)
{
    if (o->to)
        return quick(o);
    fprintf(stderr, "weir: reverse wants --to HOST:PORT, the server to stand in front of\n");
    return BAD_USAGE;
}

int command_forward(const struct options *o)
{
    return quick(o);
}

int command_check(const struct options *o)
{
    struct workbench w;
    int status = FAILED;
    if (workbench_init(&w)) {
        struct generation *g = workbench_compile(&w, cli_file(o), SPAN_NONE);
        status = o->json ? report_json(&w, g) : cli_report(w.diags);
        generation_unref(g);
    }
    workbench_fini(&w);
    return status;
}

static int write_back(const char *path, struct span text, struct arena *a)
{
    const char *tmp = arena_printf(a, "%s.new", path).ptr;
    FILE *f = tmp ? fopen(tmp, "we") : NULL;
    bool ok = f && fwrite(text.ptr, 1, text.len, f) == text.len;
    ok = f && fclose(f) == 0 && ok && rename(tmp, path) == 0;
    if (!ok)
        perror(path);
    return ok ? OK : FAILED;
}

int command_fmt(const struct options *o)
{
    struct workbench w;
    struct span text, out = SPAN_NONE;
    const char *why;
    int status = BAD_USAGE;
    if (!workbench_init(&w))
        status = FAILED;
    else if (!conf_source_read(&w.src, cli_file(o), &text, &why))
        fprintf(stderr, "weir: %s cannot be read: %s\n", cli_file(o), why);
    else if (!conf_fmt(text, cli_file(o), w.diags, &w.arena, &out))
        cli_report(w.diags);
    else if (o->write)
        status = write_back(cli_file(o), out, &w.arena);
    else {
        print(out);
        status = OK;
    }
    workbench_fini(&w);
    return status;
}

static void print_member(const char *indent, const char *key, json_t *v)
{
    if (json_is_string(v))
        printf("%s%-22s %s\n", indent, key, json_string_value(v));
    else if (json_is_integer(v))
        printf("%s%-22s %lld\n", indent, key, (long long)json_integer_value(v));
    else if (json_is_real(v))
        printf("%s%-22s %.3f\n", indent, key, json_real_value(v));
}

static void print_record(const char *text)
{
    json_t *record = json_loads(text, 0, NULL), *v, *inner;
    const char *key, *name;
    json_object_foreach(record, key, v)
    {
        print_member("", key, v);
        if (!json_is_object(v))
            continue;
        printf("%s\n", key);
        json_object_foreach(v, name, inner) print_member("  ", name, inner);
    }
    json_decref(record);
}

// A request that happened, by its id: one line for each thing that is known of it.
static int explain_id(const struct options *o)
{
    struct workbench w;
    int status = FAILED;
    const char *path = workbench_init(&w) ? cli_socket(o, &w) : NULL;
    struct span command = arena_printf(&w.arena, "explain %s", o->words[0]);
    const char *answer = path && command.ptr ? control_fetch(path, command.ptr, &w.arena, &status) : NULL;
    if (answer && status)
        fprintf(stderr, "weir: %s", answer);
    else if (answer && o->json)
        printf("%s", answer);
    else if (answer)
        print_record(answer);
    workbench_fini(&w);
    return path ? status : BAD_USAGE;
}

int command_explain(const struct options *o)
{
    struct workbench w;
    struct span text;
    int status = BAD_USAGE;
    if (!o->n_words) {
        return cli_usage("explain", "explain wants a question");
    }
    if (span_find(span_str(o->words[0]), ' ') == strlen(o->words[0]))
        return explain_id(o);
    if (workbench_init(&w)) {
        struct generation *g = workbench_compile(&w, cli_file(o), SPAN_NONE);
        if (!g)
            cli_report(w.diags);
        else if (generation_explain(g, span_str(o->words[0]), &w.arena, &text)) {
            print(text);
            status = OK;
        } else
            fprintf(stderr, "weir: %.*s\n", SPAN_ARG(text));
        generation_unref(g);
    }
    workbench_fini(&w);
    return status;
}
