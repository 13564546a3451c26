// SPDX-License-Identifier: Apache-2.0
// `purge` and `why`.
#include <stdio.h>

#include "main/cli_internal.h"
#include "main/control.h"

// Words of the control socket are separated by spaces and end with the line.
static bool is_word(const char *s)
{
    return s && *s && !strpbrk(s, " \r\n") && strlen(s) < CONTROL_COMMAND_MAX / 2;
}

static int ask_about(const struct options *o, const char *command, const char *what)
{
    struct arena a;
    arena_init(&a, 0);
    struct span line =
        arena_printf(&a, "%s%s%s%s", command, what ? " " : "", what ? what : "", o->json ? " json" : "");
    int status = line.ptr ? cli_ask(o, line.ptr) : FAILED;
    arena_fini(&a);
    return status;
}

int command_purge(const struct options *o)
{
    const char *url = o->n_words ? o->words[0] : NULL;
    unsigned n = !!url + !!o->prefix + !!o->tag + o->all;
    const char *what = url ? url : o->prefix ? o->prefix : o->tag;
    if (n != 1 || (what && !is_word(what))) {
        fprintf(stderr, "weir: purge wants one of URL, --prefix URL, --tag TAG and --all\n");
        return BAD_USAGE;
    }
    const char *const commands[][2] = {{"purge url", "purge soft url"},
                                       {"purge prefix", "purge soft prefix"},
                                       {"purge tag", "purge soft tag"},
                                       {"purge all", "purge soft all"}};
    return ask_about(o, commands[url ? 0 : o->prefix ? 1 : o->tag ? 2 : 3][o->soft], what);
}

int command_why(const struct options *o)
{
    if (!o->n_words || !is_word(o->words[0])) {
        fprintf(stderr, "weir: why wants a URL\n");
        return BAD_USAGE;
    }
    return ask_about(o, "why", o->words[0]);
}
