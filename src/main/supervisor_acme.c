// SPDX-License-Identifier: Apache-2.0
// The helper process that gets certificates (acme/acme.h): started where a site has `tls auto`, replaced when that changes or when it
// ends. Its notes go to the worker, and what it says of its work to `weir status`.
#include "main/supervisor_internal.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/mem.h"
#include "main/sandbox.h"

enum { RESTART_MS = 5000 };

static NORETURN void become_helper(struct supervisor *s, const struct acme_plan *plan, int channel)
{
    sigset_t none;
    struct dns_config dns;
    sigemptyset(&none);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    prctl(PR_SET_NAME, "weir acme", 0, 0, 0);
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGUSR1, SIG_IGN);
    sigprocmask(SIG_SETMASK, &none, NULL);
    close(s->signals);
    if (s->control >= 0)
        close(s->control);
    if (s->channel >= 0)
        close(s->channel);
    if (s->log_fd >= 0)
        close(s->log_fd);
    supervisor_close_listeners(s, 0);
    supervisor_use_error_log(s);
    generation_dns(s->gen, &dns);
    bool shut_in = sandbox_drop_privileges() && sandbox_limit_helper_calls();
    _exit(shut_in ? acme_run(plan, &dns, plan->folder, channel) : 1);
}

static void start(struct supervisor *s, const struct acme_plan *plan)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
        return;
    fcntl(pair[0], F_SETFL, O_NONBLOCK);
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        close(pair[0]);
        become_helper(s, plan, pair[1]);
    }
    close(pair[1]);
    if (pid < 0) {
        close(pair[0]);
        return;
    }
    s->acme.pid = pid;
    s->acme.channel = pair[0];
    s->acme.identity = plan->identity;
}

static void forget_states(struct supervisor *s)
{
    while (s->acme.states) {
        struct acme_state *next = s->acme.states->next;
        mem_free(s->acme.states);
        s->acme.states = next;
    }
}

void supervisor_acme_stop(struct supervisor *s)
{
    if (s->acme.pid)
        kill(s->acme.pid, SIGKILL);
    if (s->acme.channel >= 0)
        close(s->acme.channel);
    s->acme.channel = -1;
    s->acme.pid = 0; // reaped like any child
    forget_states(s);
}

void supervisor_acme_tend(struct supervisor *s)
{
    const struct acme_plan *plan = s->gen && s->ready && !s->ending ? generation_acme(s->gen) : NULL;
    if (s->ending || (s->acme.pid && s->ready && (!plan || plan->identity != s->acme.identity)))
        supervisor_acme_stop(s);
    if (plan && !s->acme.pid && supervisor_now_ms() >= s->acme.start_at_ms)
        start(s, plan);
}

void supervisor_acme_ended(struct supervisor *s)
{
    fprintf(stderr, "weir: the process that gets certificates has ended; another one is started\n");
    s->acme.pid = 0;
    supervisor_acme_stop(s);
    s->acme.start_at_ms = supervisor_now_ms() + RESTART_MS;
}

static void note_state(struct supervisor *s, struct span name, struct span text)
{
    struct acme_state *x = s->acme.states;
    unsigned n = 0;
    for (; x && !span_eq(span_str(x->name), name); x = x->next)
        n++;
    if (!x) {
        if (n >= ACME_STATES_MAX || !(x = (struct acme_state *)mem_calloc(1, sizeof *x)))
            return;
        snprintf(x->name, sizeof x->name, "%.*s", SPAN_ARG(name));
        x->next = s->acme.states;
        s->acme.states = x;
    }
    snprintf(x->text, sizeof x->text, "%.*s", SPAN_ARG(text));
    fprintf(stderr, "weir: certificate of %s: %s\n", x->name, x->text);
}

void supervisor_acme_note(struct supervisor *s)
{
    struct channel_msg m = {.type = CHANNEL_ACME};
    ssize_t n = recv(s->acme.channel, m.text, ACME_NOTE_MAX, 0);
    if (n <= 0) {
        close(s->acme.channel); // its end is told by SIGCHLD
        s->acme.channel = -1;
        return;
    }
    struct span rest = span_of(m.text, (size_t)n), word = span_cut(&rest, ' ');
    if (span_eq(word, SPAN("state"))) {
        struct span name = span_cut(&rest, ' ');
        note_state(s, name, rest);
    } else {
        (void)supervisor_tell(s, &m, -1);
    }
}

void supervisor_acme_worker_has(struct supervisor *s, const struct channel_msg *m)
{
    if (m->ok && s->acme.channel >= 0)
        (void)!send(s->acme.channel, m->text, strnlen(m->text, ACME_NOTE_MAX), MSG_NOSIGNAL | MSG_DONTWAIT);
}
