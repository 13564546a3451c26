// SPDX-License-Identifier: Apache-2.0
#include "main/cli.h"

#include <jansson.h>
#include <stdio.h>

#include "admin/metrics.h"
#include "base/mem.h"
#include "main/cli_internal.h"
#include "main/control.h"
#include "main/supervisor.h"


static const struct command {
    const char *word;
    unsigned n_words; // at most, besides options
    const char *usage, *text;
    int (*run)(const struct options *o);
} commands[] = {
#define COMMAND(fn, word, n, usage, text) {word, n, usage, text, command_##fn},
#include "main/cli.tbl"
#undef COMMAND
};

static const struct command *find(const char *word)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        if (strcmp(commands[i].word, word) == 0)
            return &commands[i];
    return NULL;
}

static void print(struct span s)
{
    fwrite(s.ptr ? s.ptr : "", 1, s.len, stdout);
}

// ---- Configurations

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
    if (o->to && o->tls[0])
        return arena_printf(a, "pool app {\n    server %s\n}\nsite * {\n    listen %s tls\n    tls cert \"%s\" key \"%s\"\n    route * -> pool app\n}\n", o->to, o->from ? o->from : "127.0.0.1:8443", o->tls[0], o->tls[1]);
    if (o->to)
        return arena_printf(a, "pool app {\n    server %s\n}\nsite * {\n    listen %s\n    route * -> pool app\n}\n", o->to, o->from ? o->from : "127.0.0.1:8080");
    return arena_printf(a, "proxy %s {\n    policy {\n        default allow\n    }\n}\n", o->listen ? o->listen : "127.0.0.1:3128");
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
    struct span findings = conf_diags_json(w->diags), tree = g ? conf_json(generation_conf(g), &w->arena) : SPAN("null\n");
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
        fprintf(stderr, "weir: explain wants a question: %s\n", find("explain")->usage);
        return BAD_USAGE;
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

// ---- Commands to a weir that runs

const char *cli_socket(const struct options *o, struct workbench *w)
{
    if (o->socket)
        return o->socket;
    struct conf *c = conf_load(&w->src, cli_file(o), w->diags);
    const char *path = c ? control_path(c, &w->arena) : NULL;
    if (!c)
        cli_report(w->diags);
    else if (!path)
        fprintf(stderr, "weir: %s has no `admin unix:PATH`, so there is no control socket\n", cli_file(o));
    conf_unref(c);
    return path;
}

int cli_ask(const struct options *o, const char *command)
{
    struct workbench w;
    const char *path = workbench_init(&w) ? cli_socket(o, &w) : NULL;
    int status = path ? control_ask(path, command) : BAD_USAGE;
    workbench_fini(&w);
    return status;
}

int command_reload(const struct options *o)
{
    return cli_ask(o, "reload");
}

int command_upgrade(const struct options *o)
{
    return cli_ask(o, "upgrade");
}

int command_drain(const struct options *o)
{
    return cli_ask(o, "drain");
}

int command_stop(const struct options *o)
{
    return cli_ask(o, "stop");
}

int command_tap(const struct options *o)
{
    struct arena a;
    arena_init(&a, 0);
    struct span filter = o->n_words ? span_str(o->words[0]) : SPAN("");
    struct span command = arena_printf(&a, filter.len ? "tap %.*s%s" : "tap%.*s%s", SPAN_ARG(filter), o->json ? " json" : "");
    int status = BAD_USAGE;
    if (span_find(filter, '\n') < filter.len || filter.len > CONTROL_COMMAND_MAX / 2)
        fprintf(stderr, "weir: a filter is one line of conditions with `;` between them, for instance 'path /api/*; method POST'\n");
    else
        status = command.ptr ? cli_ask(o, command.ptr) : FAILED;
    arena_fini(&a);
    return status;
}

int command_status(const struct options *o)
{
    return cli_ask(o, o->json ? "status json" : "status");
}

int command_server(const struct options *o)
{
    struct arena a;
    int status = BAD_USAGE;
    bool whole = o->n_words == 3;
    for (unsigned i = 0; i < o->n_words; i++) // words are told apart by spaces on their way
        whole &= o->words[i][0] && !strpbrk(o->words[i], " \n") && strlen(o->words[i]) < CONTROL_COMMAND_MAX / 4;
    if (!whole) {
        fprintf(stderr, "usage: %s\n", find("server")->usage);
        return status;
    }
    arena_init(&a, 0);
    struct span command = arena_printf(&a, "server %s %s %s", o->words[0], o->words[1], o->words[2]);
    status = command.ptr ? cli_ask(o, command.ptr) : FAILED;
    arena_fini(&a);
    return status;
}

int command_version(const struct options *o)
{
    (void)o;
    printf("weir %s\n", WEIR_VERSION);
    return OK;
}

static void help_one(const struct command *c)
{
    printf("%s\n    %s\n", c->usage, c->text);
}

int command_help(const struct options *o)
{
    if (o->n_words && strcmp(o->words[0], "configuration") == 0) {
        struct arena a;
        arena_init(&a, 0);
        print(conf_reference(&a));
        arena_fini(&a);
        return OK;
    }
    const struct command *c = o->n_words ? find(o->words[0]) : NULL;
    if (o->n_words && !c) {
        fprintf(stderr, "weir: there is no command `%s`\n", o->words[0]);
        return BAD_USAGE;
    }
    if (c) {
        help_one(c);
        return OK;
    }
    printf("weir: a forward and a reverse HTTP proxy\n\n");
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        printf("  %-9s %s\n", commands[i].word, commands[i].text);
    printf("\n`weir help COMMAND` says how each is used.\n");
    return OK;
}

// ---- The command line

struct option_row {
    const char *word, *commands; // the commands that know it, with spaces around
    bool flag;                   // it has no value
    bool two;                    // it has two
    size_t offset;               // in struct options
};
static const struct option_row rows[] = {
    {"-c", " run check fmt explain reload upgrade drain stop status server tap top doctor purge why ", false, false, offsetof(struct options, file)},
    {"-s", " explain reload upgrade drain stop status server tap top purge why ", false, false, offsetof(struct options, socket)},
    {"--to", " reverse ", false, false, offsetof(struct options, to)},
    {"--from", " reverse ", false, false, offsetof(struct options, from)},
    {"--listen", " forward ", false, false, offsetof(struct options, listen)},
    {"--json", " check status explain tap purge ", true, false, offsetof(struct options, json)},
    {"--prefix", " purge ", false, false, offsetof(struct options, prefix)},
    {"--tag", " purge ", false, false, offsetof(struct options, tag)},
    {"--all", " purge ", true, false, offsetof(struct options, all)},
    {"--soft", " purge ", true, false, offsetof(struct options, soft)},
    {"--write", " fmt ", true, false, offsetof(struct options, write)},
    {"--print", " reverse forward ", true, false, offsetof(struct options, print)},
    {"--tls", " reverse ", false, true, offsetof(struct options, tls)},
};

static const struct option_row *find_option(const char *word, const struct command *c)
{
    char name[32];
    snprintf(name, sizeof name, " %s ", c->word);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (strcmp(rows[i].word, word) == 0 && strstr(rows[i].commands, name))
            return &rows[i];
    return NULL;
}

static int bad(const struct command *c, const char *what, const char *word)
{
    fprintf(stderr, "weir: %s `%s`\nusage: %s\n", what, word, c->usage);
    return BAD_USAGE;
}

// -1: help was asked for and given.
static int parse_options(const struct command *c, int argc, char **argv, struct options *o)
{
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            help_one(c);
            return -1;
        }
        const struct option_row *r = find_option(argv[i], c);
        if (!r && argv[i][0] == '-')
            return bad(c, "unknown option", argv[i]);
        if (!r) {
            if (o->n_words >= c->n_words)
                return bad(c, "one word too many:", argv[i]);
            o->words[o->n_words++] = argv[i];
        } else if (r->flag) {
            *(bool *)((char *)o + r->offset) = true;
        } else if (i + (r->two ? 2 : 1) >= argc) {
            return bad(c, "a value is missing behind", argv[i]);
        } else {
            const char **to = (const char **)(void *)((char *)o + r->offset);
            to[0] = argv[++i];
            if (r->two)
                to[1] = argv[++i];
        }
    }
    return OK;
}

static int unknown_command(const char *word)
{
    const char *words[ARRAY_LEN(commands)];
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        words[i] = commands[i].word;
    const char *near = conf_did_you_mean(span_str(word), words, ARRAY_LEN(words));
    fprintf(stderr, "weir: there is no command `%s`%s%s%s; `weir help` lists them\n", word, near ? "; did you mean `" : "", near ? near : "",
            near ? "`?" : "");
    return BAD_USAGE;
}

int cli_main(int argc, char **argv)
{
    if (argc < 2) {
        command_help(&(struct options){0});
        return BAD_USAGE;
    }
    bool help = strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0;
    const char *word = help ? "help" : strcmp(argv[1], "--version") == 0 ? "version" : argv[1];
    const struct command *c = find(word);
    if (!c)
        return unknown_command(word);
    struct options o = {0};
    int status = parse_options(c, argc, argv, &o);
    if (status)
        return status < 0 ? OK : status;
    status = c->run(&o);
    metrics_fini();
    arena_thread_fini();
    return status;
}
