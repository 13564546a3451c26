// SPDX-License-Identifier: Apache-2.0
// The control socket's commands.
#include "main/supervisor_internal.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "main/control.h"
#include "proxy/ask.h"
#include "proxy/status.h"

// Passes a command on to the worker, which answers it. begun: the beginning of its answer is there already.
static bool pass_on(struct supervisor *s, int fd, const char *command, bool begun)
{
    struct channel_msg m = {.type = CHANNEL_ASK, .ok = begun};
    snprintf(m.text, sizeof m.text, "%s", command);
    if (!supervisor_tell(s, &m, fd)) // one that is starting answers once it serves
        return false;
    close(fd);
    return true;
}

static void status_text(struct supervisor *s, bool json, struct arena *a, struct span *ret)
{
    const struct status_facts f = {.pid = (int)getpid(), .worker = (int)s->worker, .threads = s->n_threads, .started_ms = s->started_ms};
    struct span out = status_begin(s->gen, &f, json, a);
    for (const struct acme_state *x = json ? NULL : s->acme.states; x; x = x->next)
        out = arena_join(a, out, arena_printf(a, "\ncertificate: %s: %s", x->name, x->text));
    out = arena_join(a, out, json ? SPAN(", \"certificates\": ") : SPAN("\n"));
    *ret = arena_join(a, out, generation_certificates(s->gen, a, json));
}

// The supervisor's part, then the worker's where there is one.
static void answer_status(struct supervisor *s, int fd, const char *command, bool json, struct span text, struct arena *a)
{
    int copy = s->worker ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
    if (copy < 0) {
        control_answer(fd, 0, json ? arena_join(a, text, SPAN("}\n")) : text);
        return;
    }
    control_answer(copy, 0, text);
    if (!pass_on(s, fd, command, true))
        control_answer(fd, CONTROL_NO_STATUS, json ? SPAN("}\n") : SPAN(""));
}

static void obey(struct supervisor *s, int fd, const char *command)
{
    struct arena a;
    struct span text;
    arena_init(&a, 0);
    if (strcmp(command, "reload") == 0) {
        supervisor_reload(s, fd);
    } else if (strcmp(command, "reload try") == 0) {
        supervisor_try_reload(s, fd);
    } else if (strcmp(command, "upgrade") == 0) {
        supervisor_upgrade(s, fd);
    } else if (strcmp(command, "drain") == 0 || strcmp(command, "stop") == 0) {
        control_answer(fd, 0, SPAN(""));
        if (command[0] == 'd')
            supervisor_drain(s);
        else
            supervisor_stop(s);
    } else if (strncmp(command, "status", 6) == 0) {
        bool json = strcmp(command, "status json") == 0;
        status_text(s, json, &a, &text);
        answer_status(s, fd, command, json, text, &a);
    } else if (!ask_knows(span_str(command))) {
        control_answer(fd, 2, SPAN("this weir does not know that command\n"));
    } else if (!pass_on(s, fd, command, false)) {
        control_answer(fd, 1, SPAN("no worker serves at the moment; one is being started\n"));
    }
    arena_fini(&a);
}

void supervisor_accept_control(struct supervisor *s)
{
    char line[CONTROL_COMMAND_MAX];
    int fd = accept4(s->control, NULL, NULL, SOCK_CLOEXEC);
    if (fd < 0)
        return;
    // The other end is the user's own command, which writes its line at once; it may not hold us up all the same.
    struct timeval t = {.tv_sec = 1};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof t);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof t);
    ssize_t n = read(fd, line, sizeof line - 1);
    char *end = n > 0 ? (char *)memchr(line, '\n', (size_t)n) : NULL;
    if (!end) {
        close(fd);
        return;
    }
    *end = '\0';
    obey(s, fd, line);
}

bool supervisor_open_control(struct supervisor *s)
{
    struct arena a;
    bool ok = true;
    arena_init(&a, 0);
    const char *path = control_path(generation_conf(s->gen), &a);
    if (path) {
        if (s->control < 0) // else it was handed over
            s->control = control_listen(path);
        ok = s->control >= 0;
        snprintf(s->control_path, sizeof s->control_path, "%s", path);
    }
    arena_fini(&a);
    return ok;
}
