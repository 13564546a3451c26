// SPDX-License-Identifier: Apache-2.0
// `completion`: what a shell needs to complete commands and options, from the tables of both.
#include <stdio.h>

#include "main/cli_internal.h"

// Text between single quotes, as all three shells read it: a quote in it is closed, escaped and opened again.
// What stands in special gets a backslash.
static void put_inside(const char *s, const char *special)
{
    for (; *s; s++) {
        if (*s == '\'')
            fputs("'\\''", stdout);
        else if (strchr(special, *s))
            printf("\\%c", *s);
        else
            putchar(*s);
    }
}

static bool is_path(const char *name)
{
    return strcmp(name, "FILE") == 0 || strcmp(name, "SOCKET") == 0 || strcmp(name, "FOLDER") == 0 || strcmp(name, "CERT KEY") == 0;
}

static void bash(const struct command *commands, unsigned n, const struct command_option *options,
                 unsigned n_options)
{
    fputs("# bash completion for weir, made by `weir completion bash`\n"
          "_weir()\n{\n    local word=${COMP_WORDS[COMP_CWORD]} before=${COMP_WORDS[COMP_CWORD - 1]} "
          "offered=\n    case $before in\n        ",
          stdout);
    for (unsigned i = 0, k = 0; i < n_options; i++)
        if (is_path(options[i].values))
            printf("%s%s", k++ ? " | " : "", options[i].word);
    fputs(") COMPREPLY=($(compgen -f -- \"$word\")); return ;;\n    esac\n    if ((COMP_CWORD == 1)); then\n "
          "       offered='",
          stdout);
    for (unsigned i = 0; i < n; i++)
        printf("%s%s", i ? " " : "", commands[i].word);
    fputs("'\n    else\n        case ${COMP_WORDS[1]} in\n", stdout);
    for (unsigned i = 0; i < n; i++) {
        printf("            %s) offered='", commands[i].word);
        for (unsigned k = 0; k < n_options; k++)
            if (cli_knows(&commands[i], &options[k]))
                printf("%s ", options[k].word);
        fputs("--help' ;;\n", stdout);
    }
    fputs("        esac\n    fi\n    COMPREPLY=($(compgen -W \"$offered\" -- \"$word\"))\n}\ncomplete -F "
          "_weir weir\n",
          stdout);
}

static void zsh_option(const struct command_option *o)
{
    printf(" \\\n            '%s[", o->word);
    put_inside(o->text, "[]:\\");
    putchar(']');
    const char *how = is_path(o->values) ? "_files" : "";
    for (struct span rest = span_str(o->values); rest.len;) {
        struct span name = span_cut(&rest, ' ');
        putchar(':');
        for (size_t i = 0; i < name.len; i++)
            printf(name.ptr[i] == ':' ? "\\:" : "%c", name.ptr[i]);
        printf(":%s", how);
    }
    putchar('\'');
}

static void zsh(const struct command *commands, unsigned n, const struct command_option *options,
                unsigned n_options)
{
    fputs("#compdef weir\n# zsh completion for weir, made by `weir completion zsh`\n_weir()\n{\n    local -a "
          "offered\n    offered=(\n",
          stdout);
    for (unsigned i = 0; i < n; i++) {
        printf("        '%s:", commands[i].word);
        put_inside(commands[i].text, "\\");
        fputs("'\n", stdout);
    }
    fputs("    )\n    if ((CURRENT == 2)); then\n        _describe command offered\n        return\n    fi\n "
          "   case $words[2] in\n",
          stdout);
    for (unsigned i = 0; i < n; i++) {
        printf("        %s) _arguments", commands[i].word);
        for (unsigned k = 0; k < n_options; k++)
            if (cli_knows(&commands[i], &options[k]))
                zsh_option(&options[k]);
        fputs(" \\\n            '--help[How it is used.]' ;;\n", stdout);
    }
    fputs("    esac\n}\n_weir \"$@\"\n", stdout);
}

static void fish(const struct command *commands, unsigned n, const struct command_option *options,
                 unsigned n_options)
{
    fputs("# fish completion for weir, made by `weir completion fish`\ncomplete -c weir -f\n", stdout);
    for (unsigned i = 0; i < n; i++) {
        printf("complete -c weir -n __fish_use_subcommand -a %s -d '", commands[i].word);
        put_inside(commands[i].text, "\\");
        fputs("'\n", stdout);
    }
    for (unsigned k = 0; k < n_options; k++) {
        const struct command_option *o = &options[k];
        bool is_short = o->word[1] != '-';
        printf("complete -c weir -n '__fish_seen_subcommand_from%.*s' -%c %s%s -d '",
               (int)strlen(o->commands) - 1, o->commands, is_short ? 's' : 'l', o->word + (is_short ? 1 : 2),
               !*o->values          ? ""
               : is_path(o->values) ? " -r -F"
                                    : " -x");
        put_inside(o->text, "\\");
        fputs("'\n", stdout);
    }
}

int command_completion(const struct options *o)
{
    static const struct {
        const char *shell;
        void (*print)(const struct command *commands, unsigned n, const struct command_option *options,
                      unsigned n_options);
    } shells[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};
    unsigned n, n_options;
    const struct command *commands = cli_commands(&n);
    const struct command_option *options = cli_options(&n_options);
    for (size_t i = 0; o->n_words && i < ARRAY_LEN(shells); i++)
        if (strcmp(o->words[0], shells[i].shell) == 0) {
            shells[i].print(commands, n, options, n_options);
            return OK;
        }
    return cli_usage("completion", "completion wants one of bash, zsh and fish");
}
