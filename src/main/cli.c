// SPDX-License-Identifier: Apache-2.0
// The command line: which command it is, and its options.
#include "main/cli.h"

#include <stdio.h>

#include "admin/metrics.h"
#include "main/cli_internal.h"

static const struct command commands[] = {
#define COMMAND(fn, word, n, usage, text, examples) {word, n, usage, text, examples, command_##fn},
#include "main/cli.tbl"
#undef COMMAND
};

static const struct command_option options[] = {
#define OPTION(word, values, field, commands, text)                                                          \
    {word, values, offsetof(struct options, field), commands, text},
#include "main/options.tbl"
#undef OPTION
};

const struct command *cli_commands(unsigned *ret_n)
{
    *ret_n = ARRAY_LEN(commands);
    return commands;
}

const struct command_option *cli_options(unsigned *ret_n)
{
    *ret_n = ARRAY_LEN(options);
    return options;
}

const struct command *cli_find(const char *word)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        if (strcmp(commands[i].word, word) == 0)
            return &commands[i];
    return NULL;
}

bool cli_knows(const struct command *c, const struct command_option *o)
{
    char name[32];
    snprintf(name, sizeof name, " %s ", c->word);
    return strstr(o->commands, name) != NULL;
}

int cli_usage(const char *command, const char *what)
{
    fprintf(stderr, "weir: %s\nusage: %s\n", what, cli_find(command)->usage);
    return BAD_USAGE;
}

static const struct command_option *find_option(const char *word, const struct command *c)
{
    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        if (strcmp(options[i].word, word) == 0 && cli_knows(c, &options[i]))
            return &options[i];
    return NULL;
}

static int unknown_option(const struct command *c, const char *word)
{
    const char *words[ARRAY_LEN(options)];
    unsigned n = 0;
    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        if (cli_knows(c, &options[i]))
            words[n++] = options[i].word;
    const char *near = conf_did_you_mean(span_str(word), words, n);
    fprintf(stderr, "weir: unknown option `%s`%s%s%s\nusage: %s\n", word, near ? "; did you mean `" : "",
            near ? near : "", near ? "`?" : "", c->usage);
    return BAD_USAGE;
}

static int bad(const struct command *c, const char *what, const char *word)
{
    fprintf(stderr, "weir: %s `%s`\nusage: %s\n", what, word, c->usage);
    return BAD_USAGE;
}

static unsigned n_values(const struct command_option *r)
{
    return !*r->values ? 0 : strchr(r->values, ' ') ? 2 : 1;
}

// -1: help was asked for and given.
static int parse_options(const struct command *c, int argc, char **argv, struct options *o)
{
    for (int i = 2; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0) {
            cli_help_one(c);
            return -1;
        }
        const struct command_option *r = find_option(argv[i], c);
        unsigned n = r ? n_values(r) : 0;
        if (!r && argv[i][0] == '-')
            return unknown_option(c, argv[i]);
        if (!r) {
            if (o->n_words >= c->n_words)
                return bad(c, "one word too many:", argv[i]);
            o->words[o->n_words++] = argv[i];
        } else if (n == 0) {
            *(bool *)((char *)o + r->offset) = true;
        } else if (i + (int)n >= argc) {
            return bad(c, "a value is missing behind", argv[i]);
        } else {
            const char **to = (const char **)(void *)((char *)o + r->offset);
            while (n--)
                *to++ = argv[++i];
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
    fprintf(stderr, "weir: there is no command `%s`%s%s%s; `weir help` lists them\n", word,
            near ? "; did you mean `" : "", near ? near : "", near ? "`?" : "");
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
    const struct command *c = cli_find(word);
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
