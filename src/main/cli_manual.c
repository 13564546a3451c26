// SPDX-License-Identifier: Apache-2.0
// `manual`: weir(1) and weir.conf(5) in roff (man(7)), from the tables of commands, options and statements.
#include <stdio.h>

#include "main/cli_internal.h"

// Text of the manual: what roff would take for its own is escaped, also a dot or a quote at a line's
// beginning.
static void put(const char *s)
{
    for (bool start = true; *s; s++) {
        if (start && (*s == '.' || *s == '\''))
            fputs("\\&", stdout);
        if (*s == '\\')
            fputs("\\e", stdout);
        else if (*s == '-')
            fputs("\\-", stdout);
        else
            putchar(*s);
        start = *s == '\n';
    }
}

static void bold(const char *s)
{
    fputs("\\fB", stdout);
    put(s);
    fputs("\\fR", stdout);
}

static void head(const char *title, unsigned section, const char *name, const char *what)
{
    printf(".TH %s %u \"\" \"weir %s\" \"\"\n.SH NAME\n%s \\- %s\n", title, section, WEIR_VERSION, name,
           what);
}

static void option(const struct command_option *o)
{
    fputs(".TP\n", stdout);
    bold(o->word);
    if (*o->values) {
        fputs(" \\fI", stdout);
        put(o->values);
        fputs("\\fR", stdout);
    }
    putchar('\n');
    put(o->text);
    putchar('\n');
}

static void command(const struct command *c)
{
    unsigned n;
    const struct command_option *options = cli_options(&n);
    printf(".SS %s\n", c->word);
    fputs(".B ", stdout);
    put(c->usage);
    fputs("\n.PP\n", stdout);
    put(c->text);
    putchar('\n');
    for (unsigned i = 0; i < n; i++)
        if (cli_knows(c, &options[i]))
            option(&options[i]);
    fputs(".PP\n.nf\n.RS\n", stdout);
    put(c->examples);
    fputs("\n.RE\n.fi\n", stdout);
}

static void weir_1(void)
{
    unsigned n;
    const struct command *commands = cli_commands(&n);
    head("WEIR", 1, "weir", "a forward and a reverse HTTP proxy");
    fputs(".SH SYNOPSIS\n.B weir\n.I command\n.RI [ option ...]\n.SH DESCRIPTION\n", stdout);
    put("weir stands in front of servers (reverse proxy) and between people and the Internet (forward "
        "proxy). Its configuration is described in "
        "weir.conf(5). SIGHUP reloads it, SIGTERM completes what is under way and ends, SIGINT ends at once, "
        "SIGUSR1 reopens the log files.\n");
    fputs(".SH COMMANDS\n", stdout);
    for (unsigned i = 0; i < n; i++)
        command(&commands[i]);
    fputs(".SH EXIT STATUS\n", stdout);
    put("0: fine; 1: a failure at run time; 2: bad usage or configuration.\n");
    fputs(".SH SEE ALSO\n.BR weir.conf (5)\n", stdout);
}

static void statement(const struct conf_row *r)
{
    fputs(".TP\n", stdout);
    bold(r->word);
    if (*r->args) {
        putchar(' ');
        put(r->args);
    }
    fputs(r->flags & CONF_WHEN ? " [when { }]" : "", stdout);
    fputs(r->block ? " { }\n" : "\n", stdout);
    put(r->doc);
    if (*r->def) {
        fputs(" Default: ", stdout);
        put(r->def);
        putchar('.');
    }
    putchar('\n');
}

static void block(unsigned where, const struct conf_row *rows, unsigned n)
{
    bool any = false;
    for (unsigned i = 0; i < n; i++) {
        if (!(rows[i].where & where))
            continue;
        if (!any)
            printf(".SS In %s\n", conf_block_name(where));
        any = true;
        statement(&rows[i]);
    }
}

static void weir_conf_5(void)
{
    unsigned n;
    const struct conf_row *rows = conf_rows(&n);
    head("WEIR.CONF", 5, "weir.conf", "the configuration of weir");
    fputs(".SH DESCRIPTION\n", stdout);
    put("A statement is a word, its arguments, and for some a block in braces; it ends with its line, a `;` "
        "or the block. `\\` at a line's end continues it, "
        "`#` begins a comment. An argument is a bare word or stands in double quotes. ${NAME} and "
        "${NAME:-default} take a variable of the environment, "
        "file:PATH reads a secret from a file. Order is as written: of routes and rules, the first that "
        "matches counts. Where a value has a unit it must be "
        "there (10s, 64KiB, 50/s). Relative paths are of the file's folder.\n");
    fputs(".PP\n", stdout);
    put("Arguments below: dur a duration, size, int:MIN:MAX a number in a range, =a|b one of these words, "
        "name, word and text words; ? may be missing, "
        "+ one or more, * any number, [word type] an option.\n");
    fputs(".SH STATEMENTS\n", stdout);
    for (unsigned bit = 0; bit < 32; bit++)
        block(1u << bit, rows, n);
    fputs(".SH SEE ALSO\n.BR weir (1)\n", stdout);
}

int command_manual(const struct options *o)
{
    if (o->n_words && strcmp(o->words[0], "weir") == 0)
        weir_1();
    else if (o->n_words && strcmp(o->words[0], "weir.conf") == 0)
        weir_conf_5();
    else
        return cli_usage("manual", "manual wants one of weir and weir.conf");
    return OK;
}
