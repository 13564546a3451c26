// SPDX-License-Identifier: Apache-2.0
#include "main/commands.h"

#include <stdio.h>
#include <string.h>

#include "conf/conf.h"
#include "main/options.h"

struct command {
    const char *name, *arguments, *summary, *more;
    int (*run)(int argc, char **argv);
};

static const struct command commands[] = {
#define COMMAND(id, name, arguments, summary, more) {name, arguments, summary, more, command_##id},
#include "main/commands.tbl"
#undef COMMAND
};

static const struct command *find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

static int unknown(const char *name)
{
    const char *words[ARRAY_LEN(commands)];
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        words[i] = commands[i].name;
    const char *near = conf_did_you_mean(span_str(name), words, ARRAY_LEN(words));
    fprintf(stderr, "weir: unknown command `%s`", name);
    if (near)
        fprintf(stderr, "; did you mean `%s`?", near);
    fprintf(stderr, " (see `weir help`)\n");
    return EXIT_USAGE;
}

static void print_all(FILE *to)
{
    fprintf(to, "weir, a forward and a reverse proxy for HTTP\n\n");
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        fprintf(to, "  weir %-9s %s\n", commands[i].name, commands[i].summary);
    fprintf(to, "\n`weir help COMMAND` says more about one.\n");
}

static int print_one(const struct command *c)
{
    printf("weir %s%s%s\n\n%s\n%s", c->name, *c->arguments ? " " : "", c->arguments, c->summary, c->more);
    return EXIT_FINE;
}

static bool asks_for_help(int argc, char **argv)
{
    for (int i = 0; i < argc && strcmp(argv[i], "--") != 0; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)
            return true;
    return false;
}

int commands_main(int argc, char **argv)
{
    if (argc < 2) {
        print_all(stderr);
        return EXIT_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0)
        name = "help";
    else if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0)
        name = "version";
    const struct command *c = find(name);
    if (!c)
        return unknown(name);
    if (asks_for_help(argc - 2, argv + 2))
        return print_one(c);
    return c->run(argc - 2, argv + 2);
}

int command_help(int argc, char **argv)
{
    const char *name;
    unsigned n;
    if (!options_parse("help", argc, argv, NULL, 0, &name, 1, &n))
        return EXIT_USAGE;
    if (n == 0) {
        print_all(stdout);
        return EXIT_FINE;
    }
    const struct command *c = find(name);
    return c ? print_one(c) : unknown(name);
}

int command_version(int argc, char **argv)
{
    unsigned n;
    if (!options_parse("version", argc, argv, NULL, 0, NULL, 0, &n))
        return EXIT_USAGE;
    printf("weir %s\n", WEIR_VERSION);
    return EXIT_FINE;
}
