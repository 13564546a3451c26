// SPDX-License-Identifier: Apache-2.0
// Commands to a weir that runs, over its control socket.
#include <stdio.h>

#include "main/cli_internal.h"
#include "main/control.h"

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
    return cli_ask(o, o->dry_run ? "reload try" : "reload");
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
    struct span command =
        arena_printf(&a, filter.len ? "tap %.*s%s" : "tap%.*s%s", SPAN_ARG(filter), o->json ? " json" : "");
    int status = BAD_USAGE;
    if (span_find(filter, '\n') < filter.len || filter.len > CONTROL_COMMAND_MAX / 2)
        fprintf(stderr, "weir: a filter is one line of conditions with `;` between them, for instance 'path "
                        "/api/*; method POST'\n");
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
    int status;
    bool whole = o->n_words == 3;
    for (unsigned i = 0; i < o->n_words; i++) // words are told apart by spaces on their way
        whole &=
            o->words[i][0] && !strpbrk(o->words[i], " \n") && strlen(o->words[i]) < CONTROL_COMMAND_MAX / 4;
    if (!whole)
        return cli_usage("server", "server wants a pool, one of its servers, and what to do");
    arena_init(&a, 0);
    struct span command = arena_printf(&a, "server %s %s %s", o->words[0], o->words[1], o->words[2]);
    status = command.ptr ? cli_ask(o, command.ptr) : FAILED;
    arena_fini(&a);
    return status;
}
