// SPDX-License-Identifier: Apache-2.0
// What weir says of itself: help and version, from the tables of commands (cli.tbl) and options
// (options.tbl).
#include <stdio.h>

#include "main/cli_internal.h"
#include "proxy/api.h"

int command_version(const struct options *o)
{
    (void)o;
    printf("weir %s\n", WEIR_VERSION);
    return OK;
}

// Each line of text behind an indent.
static void print_lines(const char *indent, const char *text)
{
    for (struct span rest = span_str(text); rest.len;) {
        struct span line = span_cut(&rest, '\n');
        printf("%s%.*s\n", indent, SPAN_ARG(line));
    }
}

// "-c FILE"
static struct span option_shape(const struct command_option *r, char *buffer, size_t size)
{
    int n = snprintf(buffer, size, "%s%s%s", r->word, *r->values ? " " : "", r->values);
    return span_of(buffer, (size_t)n);
}

void cli_help_one(const struct command *c)
{
    unsigned n, shown = 0;
    const struct command_option *rows = cli_options(&n);
    printf("%s\n    %s\n", c->usage, c->text);
    for (unsigned i = 0; i < n; i++) {
        char shape[64];
        if (cli_knows(c, &rows[i]))
            printf("%s    %-16.*s %s\n", shown++ ? "" : "\noptions:\n",
                   SPAN_ARG(option_shape(&rows[i], shape, sizeof shape)), rows[i].text);
    }
    printf("\nexamples:\n");
    print_lines("    ", c->examples);
}

static void help_all(void)
{
    unsigned n;
    const struct command *commands = cli_commands(&n);
    printf("weir: a forward and a reverse HTTP proxy\n\n");
    for (unsigned i = 0; i < n; i++)
        printf("  %-13s %s\n", commands[i].word, commands[i].text);
    printf("\n`weir help COMMAND` says how each is used.\n");
}

static void help_generated(struct span (*write)(struct arena *a))
{
    struct arena a;
    arena_init(&a, 0);
    struct span text = write(&a);
    fwrite(text.ptr ? text.ptr : "", 1, text.len, stdout);
    arena_fini(&a);
}

int command_help(const struct options *o)
{
    const struct command *c = o->n_words ? cli_find(o->words[0]) : NULL;
    if (!o->n_words)
        help_all();
    else if (c)
        cli_help_one(c);
    else if (strcmp(o->words[0], "configuration") == 0)
        help_generated(conf_reference);
    else if (strcmp(o->words[0], "openapi") == 0)
        help_generated(api_document);
    else {
        fprintf(stderr, "weir: there is no command `%s`; `weir help` lists them\n", o->words[0]);
        return BAD_USAGE;
    }
    return OK;
}
