// SPDX-License-Identifier: Apache-2.0
// What the files of the commands share.
#ifndef WEIR_MAIN_CLI_INTERNAL_H
#define WEIR_MAIN_CLI_INTERNAL_H

#include "conf/conf.h"
#include "proxy/service.h"

enum { OK = 0, FAILED = 1, BAD_USAGE = 2, CLI_WORDS_MAX = 4 };

struct options {
    const char *file, *socket, *to, *from, *listen, *prefix, *tag, *name, *out;
    const char *tls[2]; // certificate and key
    bool json, write, print, all, soft, cache, dry_run;
    const char *words[CLI_WORDS_MAX]; // arguments that are no options
    unsigned n_words;
};

/// The commands, one for each row: they give the exit status.
#define COMMAND(fn, word, n, usage, text, examples) int command_##fn(const struct options *o);
#include "main/cli.tbl"
#undef COMMAND

struct command {
    const char *word;
    unsigned n_words; // at most, besides options
    const char *usage, *text;
    const char *examples; // a line each
    int (*run)(const struct options *o);
};
struct command_option {
    const char *word;
    const char *values;   // names of its values: none, one, or two with a space between
    size_t offset;        // in struct options
    const char *commands; // those that know it, with spaces around
    const char *text;
};
const struct command *cli_commands(unsigned *ret_n);
const struct command_option *cli_options(unsigned *ret_n);
/// NULL where there is none of this name.
const struct command *cli_find(const char *word);
bool cli_knows(const struct command *c, const struct command_option *o);
/// Says what is wrong and how the command is used; gives BAD_USAGE.
int cli_usage(const char *command, const char *what);
void cli_help_one(const struct command *c);

/// What a command works with: files, memory and a place for mistakes.
struct workbench {
    struct conf_source src;
    struct arena arena;
    struct conf_diags *diags;
};
/// False when memory is out; workbench_fini is to be called all the same.
bool workbench_init(struct workbench *w);
void workbench_fini(struct workbench *w);
/// Loads (a file, or where it has one the text), compiles and runs the tests. NULL with what is wrong in the diagnostics.
struct generation *workbench_compile(struct workbench *w, const char *file, struct span text);

/// The findings on stderr; BAD_USAGE where an error is among them.
int cli_report(struct conf_diags *d);
/// The configuration's file: -c, or weir.conf.
const char *cli_file(const struct options *o);
/// The control socket: -s, or the configuration's `admin` statement. NULL after a sentence.
const char *cli_socket(const struct options *o, struct workbench *w);
/// Sends a line to it and prints the answer.
int cli_ask(const struct options *o, const char *command);

#endif
