// SPDX-License-Identifier: Apache-2.0
// Starting workers, replacing those that end, and the watchdog.
#include "main/supervisor_internal.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "admin/metrics.h"
#include "base/mem.h"

enum {
    TICK_LATE_MS = 600,      // a later tick says that we did not run ourselves: no time passed for the watchdog
    HANG_TICKS = 8,          // two seconds without a heartbeat
    STACK_TICKS = 4,         // one more for its stack to come into the log
    START_TICKS = 20,        // five seconds in which a worker does not come to serve
    RESTART_SOON_MS = 1000,  // a worker that dies younger than this is restarted with growing pauses
    RESTART_PAUSE_MAX_MS = 2000,
};

static NORETURN void become_worker(struct supervisor *s, int channel)
{
    sigset_t none;
    sigemptyset(&none);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    // A Ctrl-C reaches the whole group; what it means is the supervisor's to say.
    signal(SIGINT, SIG_IGN);
    signal(SIGTERM, SIG_IGN);
    signal(SIGHUP, SIG_IGN);
    signal(SIGUSR1, SIG_IGN);
    signal(SIGCHLD, SIG_DFL);
    sigprocmask(SIG_SETMASK, &none, NULL);
    close(s->signals);
    if (s->control >= 0)
        close(s->control);
    supervisor_drop_handover(s);
    supervisor_use_error_log(s);
    if (s->acme.channel >= 0)
        close(s->acme.channel);
    struct worker_start w = {.gen = s->gen, .listeners = s->listeners, .n_listeners = s->n_listeners, .n_threads = s->n_threads,
                             .channel = channel, .log_fd = s->log_fd, .beats = s->beats};
    int status = worker_run(&w);
    mem_free(s->listeners);
    metrics_fini();
    arena_thread_fini();
    exit(status);
}

bool supervisor_start_worker(struct supervisor *s)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
        return false;
    s->ready = false;
    s->silent_ticks = 0;
    s->worker_started_ms = supervisor_now_ms();
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        close(pair[0]);
        become_worker(s, pair[1]);
    }
    close(pair[1]);
    if (pid < 0) {
        close(pair[0]);
        return false;
    }
    s->worker = pid;
    s->channel = pair[0];
    return true;
}

bool supervisor_tell(struct supervisor *s, const struct channel_msg *m, int fd)
{
    return s->channel >= 0 && outbox_put(&s->outbox, m, fd) && outbox_flush(&s->outbox, s->channel);
}

static void worker_ended(struct supervisor *s, int wait_status)
{
    if (s->channel >= 0)
        close(s->channel);
    s->channel = -1;
    s->worker = 0;
    outbox_clear(&s->outbox);
    if (s->next.gen) {
        s->reload_again = s->next.asker < 0 && !s->next.again;
        s->reload_wanted |= s->reload_again;
        supervisor_reject(s, SPAN("the worker ended before the new configuration was in force\n"));
    }
    if (s->ending)
        return;
    if (s->handover.active)
        supervisor_go_back(s, "its worker ended before it served");
    bool young = supervisor_now_ms() - s->worker_started_ms < RESTART_SOON_MS;
    if (WIFSIGNALED(wait_status))
        fprintf(stderr, "weir: the worker was ended by signal %d; starting another\n", WTERMSIG(wait_status));
    else
        fprintf(stderr, "weir: the worker ended with status %d; starting another\n", WEXITSTATUS(wait_status));
    if (!s->said_ready && young && WIFEXITED(wait_status)) {
        s->ending = true; // it cannot even start
        s->status = 1;
        return;
    }
    s->restart_pause_ms = young ? MIN(MAX(s->restart_pause_ms * 2, 50u), (unsigned)RESTART_PAUSE_MAX_MS) : 0;
    s->restart_at_ms = supervisor_now_ms() + s->restart_pause_ms;
}

void supervisor_reap(struct supervisor *s)
{
    int wait_status;
    for (pid_t pid; (pid = waitpid(-1, &wait_status, WNOHANG)) > 0;)
        if (pid == s->worker)
            worker_ended(s, wait_status);
        else if (pid == s->old_worker)
            s->old_worker = 0;
        else if (pid == s->acme.pid)
            supervisor_acme_ended(s);
}

// A thread that has given no sign since the last look, or -1.
static int silent_thread(struct supervisor *s)
{
    int silent = -1;
    for (unsigned i = 0; i < s->n_threads; i++) {
        uint64_t beat = atomic_load_explicit(&s->beats->threads[i].turns, memory_order_relaxed);
        if (beat == s->seen[i])
            silent = (int)i;
        s->seen[i] = beat;
    }
    return silent;
}

// The thread itself is asked, so that the stack in the log is the one that hangs.
static void ask_for_stack(struct supervisor *s, int thread)
{
    fprintf(stderr, "weir: the worker's thread %d does not answer any more; the worker is replaced\n", thread);
    (void)tgkill(s->worker, atomic_load_explicit(&s->beats->threads[thread].tid, memory_order_relaxed), SIGABRT);
}

// Only time in which we ran ourselves counts: a suspended machine, or a stopped process group, is no hang.
void supervisor_watch(struct supervisor *s)
{
    supervisor_watch_old_worker(s);
    uint64_t now = supervisor_now_ms(), passed = now - s->last_tick_ms;
    if (passed < TICK_MS)
        return;
    s->last_tick_ms = now;
    if (!s->worker || passed > TICK_LATE_MS) {
        s->silent_ticks = 0;
        return;
    }
    int thread = s->ready ? silent_thread(s) : -1;
    s->silent_ticks = thread >= 0 || !s->ready ? s->silent_ticks + 1 : 0;
    if (s->ready && s->silent_ticks == HANG_TICKS)
        ask_for_stack(s, thread);
    if (s->silent_ticks >= (s->ready ? HANG_TICKS + STACK_TICKS : START_TICKS)) {
        if (!s->ready)
            fprintf(stderr, "weir: the worker does not come to serve; it is replaced\n");
        kill(s->worker, SIGKILL);
        s->silent_ticks = 0;
    }
}
