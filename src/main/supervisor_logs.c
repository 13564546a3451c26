// SPDX-License-Identifier: Apache-2.0
// The logs' files: opened here, where privileges are, and handed to the worker. What the supervisor, its
// worker and its helper say on stderr is the error log.
#include "main/supervisor_internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "admin/log_destination.h"

// -1 with a sentence on stderr.
static int open_destination(const struct supervisor *s, const struct generation *g, struct span name,
                            const char *what)
{
    struct arena a;
    arena_init(&a, 0);
    bool whole = log_destination_is_known(name) || (name.len && name.ptr[0] == '/');
    char *path =
        whole ? arena_cstr(&a, name)
              : arena_cstr(&a, arena_printf(&a, "%s/%.*s", conf_folder(generation_conf(g)), SPAN_ARG(name)));
    int fd = span_eq(name, SPAN("stderr")) ? fcntl(s->own_stderr, F_DUPFD_CLOEXEC, 0)
             : path                        ? log_destination_open(path)
                                           : -1;
    if (fd < 0)
        fprintf(stderr, "weir: the %s log %.*s cannot be opened: %s\n", what, SPAN_ARG(name),
                strerror(errno));
    arena_fini(&a);
    return fd;
}

// ---- The access log

int supervisor_open_log(const struct supervisor *s, const struct generation *g)
{
    struct span name = generation_access_log(g);
    return name.ptr ? open_destination(s, g, name, "access") : -1;
}

void supervisor_keep_log(struct supervisor *s, int fd)
{
    if (s->log_fd >= 0)
        close(s->log_fd);
    s->log_fd = fd;
}

// ---- The error log

bool supervisor_open_error_log(struct supervisor *s)
{
    struct span name = generation_error_log(s->gen);
    int fd = open_destination(s, s->gen, name, "error");
    if (fd < 0)
        return false;
    if (s->error_fd >= 0)
        close(s->error_fd);
    s->error_fd = fd;
    return true;
}

void supervisor_use_error_log(const struct supervisor *s)
{
    fflush(stderr);
    if (s->error_fd >= 0)
        (void)dup2(s->error_fd, STDERR_FILENO);
}

void supervisor_set_error_log(struct supervisor *s)
{
    struct channel_msg m = {.type = CHANNEL_ERROR_LOG};
    if (s->handover.active || !supervisor_open_error_log(s))
        return;
    (void)supervisor_tell(s, &m, s->error_fd);
    supervisor_use_error_log(s);
}

void supervisor_reopen_logs(struct supervisor *s)
{
    struct channel_msg m = {.type = CHANNEL_LOG};
    int fd = supervisor_open_log(s, s->gen);
    if (fd >= 0) {
        (void)supervisor_tell(s, &m, fd);
        supervisor_keep_log(s, fd);
    }
    supervisor_set_error_log(s);
}
