// SPDX-License-Identifier: Apache-2.0
#include "main/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "base/hash.h"
#include "base/mem.h"
#include "main/crash.h"
#include "main/supervisor_internal.h"

enum { DRAIN_MAX_MS = 60000, START_RETRY_MS = 2000 };

uint64_t supervisor_now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

// ---- Ending

// sd_notify(3), which is one datagram.
void supervisor_notify_systemd(const char *state)
{
    const char *path = getenv("NOTIFY_SOCKET");
    struct sockaddr_un sa = {.sun_family = AF_UNIX};
    if (!path || strlen(path) >= sizeof sa.sun_path)
        return;
    memcpy(sa.sun_path, path, strlen(path));
    socklen_t len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(path));
    if (sa.sun_path[0] == '@')
        sa.sun_path[0] = '\0';
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return;
    (void)sendto(fd, state, strlen(state), MSG_NOSIGNAL, (const struct sockaddr *)&sa, len);
    close(fd);
}

void supervisor_drain(struct supervisor *s)
{
    struct channel_msg m = {.type = CHANNEL_DRAIN};
    if (s->ending)
        return;
    s->ending = true;
    s->end_by_ms = supervisor_now_ms() + DRAIN_MAX_MS;
    supervisor_notify_systemd("STOPPING=1");
    supervisor_close_listeners(s, 0);
    if (s->worker && !supervisor_tell(s, &m, -1))
        kill(s->worker, SIGKILL);
}

void supervisor_stop(struct supervisor *s)
{
    s->ending = true;
    s->end_by_ms = supervisor_now_ms();
}

// ---- The loop

static void say_listening(struct supervisor *s)
{
    for (unsigned i = 0; i < s->n_listeners; i++) {
        char text[ADDR_TEXT_MAX];
        if (i && addr_eq(&s->listeners[i].addr, &s->listeners[i - 1].addr))
            continue;
        addr_format(&s->listeners[i].addr, text);
        fprintf(stderr, "weir: listening on %s\n", text);
    }
}

static void on_signals(struct supervisor *s)
{
    struct signalfd_siginfo i;
    while (read(s->signals, &i, sizeof i) == (ssize_t)sizeof i) {
        switch (i.ssi_signo) {
        case SIGCHLD:
            supervisor_reap(s);
            break;
        case SIGHUP:
            supervisor_reload(s, -1);
            break;
        case SIGTERM:
            supervisor_drain(s);
            break;
        case SIGINT:
            supervisor_stop(s);
            break;
        case SIGUSR1:
            supervisor_reopen_logs(s);
            break;
        default:
            break;
        }
    }
}

static void on_channel(struct supervisor *s)
{
    struct channel_msg m;
    int fd;
    if (!channel_receive(s->channel, &m, &fd)) {
        close(s->channel); // the worker is dying; its end is told by SIGCHLD
        s->channel = -1;
        return;
    }
    if (m.type == CHANNEL_OFFER || m.type == CHANNEL_COMMAND) {
        m.text[sizeof m.text - 1] = '\0';
        if (m.type == CHANNEL_OFFER)
            supervisor_take_offer(s, fd);
        else
            supervisor_obey_worker(s, m.text, fd);
        return;
    }
    if (fd >= 0)
        close(fd); // a worker has no other one to give
    if (m.type == CHANNEL_ACME) {
        m.text[sizeof m.text - 1] = '\0';
        supervisor_acme_worker_has(s, &m);
    } else if (m.type == CHANNEL_DONE) {
        supervisor_reload_done(s, &m);
    } else if (m.type == CHANNEL_READY) {
        s->ready = true;
        s->silent_ticks = 0;
        if (!s->said_ready) {
            say_listening(s);
            supervisor_notify_systemd("READY=1");
            supervisor_use_error_log(s); // what is wrong with a start stays where it was begun
        }
        s->said_ready = true;
        supervisor_took_over(s);
    }
}

static void run_loop(struct supervisor *s)
{
    while (!s->ending || s->worker || s->old_worker) {
        if (s->ending && supervisor_now_ms() >= s->end_by_ms) {
            if (s->worker)
                kill(s->worker, SIGKILL);
            if (s->old_worker)
                kill(s->old_worker, SIGKILL);
            s->end_by_ms = UINT64_MAX;
        }
        if (!s->worker && !s->ending && supervisor_now_ms() >= s->restart_at_ms && !supervisor_start_worker(s))
            s->restart_at_ms = supervisor_now_ms() + START_RETRY_MS;
        struct pollfd p[4] = {{s->signals, POLLIN, 0}, {s->channel, (short)(s->outbox.first ? POLLIN | POLLOUT : POLLIN), 0}, {s->control, POLLIN, 0},
                              {s->acme.channel, POLLIN, 0}};
        int timeout = !s->worker ? 20 : s->ending ? 50 : TICK_MS;
        if (poll(p, 4, timeout) < 0 && errno != EINTR)
            break;
        if (p[1].revents & ~POLLOUT)
            on_channel(s);
        else if (p[1].revents && !outbox_flush(&s->outbox, s->channel))
            kill(s->worker, SIGKILL);
        if (p[0].revents)
            on_signals(s);
        if (p[3].revents && s->acme.channel == p[3].fd)
            supervisor_acme_note(s);
        if (p[2].revents & POLLIN)
            supervisor_accept_control(s);
        if (s->reload_wanted && s->channel >= 0 && !s->next.gen && !s->ending) {
            s->reload_wanted = false;
            supervisor_reload(s, -1);
        }
        supervisor_look_at_files(s);
        supervisor_acme_tend(s);
        supervisor_watch(s);
    }
}

// ---- Start

static bool take_signals(struct supervisor *s)
{
    static const int wanted[] = {SIGCHLD, SIGHUP, SIGTERM, SIGINT, SIGUSR1};
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
        sigaddset(&set, wanted[i]);
    sigprocmask(SIG_BLOCK, &set, NULL);
    signal(SIGPIPE, SIG_IGN);
    s->signals = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return s->signals >= 0;
}

static void raise_file_limit(void)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) == 0 && r.rlim_cur < r.rlim_max) {
        r.rlim_cur = r.rlim_max;
        setrlimit(RLIMIT_NOFILE, &r);
    }
}

// Whether weir can run at all with the descriptors that it may have. (Whether they will do for all clients of the limits: `weir doctor`.)
static bool has_enough_files(const struct supervisor *s)
{
    enum { OF_PROCESS = 24, OF_THREAD = 4 };
    struct rlimit r;
    unsigned n;
    (void)generation_listeners(s->gen, &n);
    unsigned long long needed = OF_PROCESS + (unsigned long long)s->n_threads * (OF_THREAD + n);
    if (getrlimit(RLIMIT_NOFILE, &r) || r.rlim_cur == RLIM_INFINITY)
        return true;
    unsigned long long have = r.rlim_cur;
    if (have < needed) {
        fprintf(stderr, "weir: Only %llu files may be open, and %u threads with %u listeners need %llu at the least: raise the limit (ulimit -n, or LimitNOFILE= of the unit) or lower `threads`.\n",
                have, s->n_threads, n, needed);
        return false;
    }
    return true;
}

// Listeners, log and control socket: what was handed over, and what is missing.
static int open_all(struct supervisor *s)
{
    char error[LISTEN_ERROR_MAX];
    if (!supervisor_open_missing(s, s->gen, error)) {
        fprintf(stderr, "weir: %s\n", error);
        return 1;
    }
    if (s->log_fd < 0)
        s->log_fd = supervisor_open_log(s, s->gen);
    if ((s->log_fd < 0 && generation_access_log(s->gen).ptr) || !supervisor_open_error_log(s))
        return 1;
    return supervisor_open_control(s) && take_signals(s) ? 0 : 1;
}

static int begin(struct supervisor *s)
{
    struct conf_diags *d = conf_diags_new();
    s->gen = d ? supervisor_load(s, NULL, true, d) : NULL;
    struct span text = d ? conf_diags_text(d) : SPAN("out of memory\n");
    fprintf(stderr, "%.*s", SPAN_ARG(text));
    conf_diags_free(d);
    if (!s->gen)
        return 2;
    s->number++;
    s->n_threads = supervisor_count_threads(generation_conf(s->gen));
    return has_enough_files(s) ? open_all(s) : 1;
}

// The same, with the version before us to go back to.
static int begin_or_go_back(struct supervisor *s)
{
    if (!supervisor_take_over(s))
        return 1;
    int status = begin(s);
    if (status && s->handover.active)
        supervisor_go_back(s, "it cannot start");
    return status;
}

static void end(struct supervisor *s)
{
    if (s->next.gen)
        supervisor_reject(s, SPAN("weir ends\n"));
    if (s->control >= 0) {
        close(s->control);
        unlink(s->control_path);
    }
    supervisor_acme_stop(s);
    supervisor_close_listeners(s, 0);
    outbox_clear(&s->outbox);
    supervisor_keep_log(s, -1);
    if (s->error_fd >= 0)
        close(s->error_fd);
    close(s->own_stderr);
    generation_unref(s->gen);
    mem_free(s->listeners);
}

int supervisor_run(const char *file, struct span text)
{
    static struct supervisor s;
    s = (struct supervisor){.file = file, .text = text, .channel = -1, .offer = -1, .signals = -1, .control = -1, .log_fd = -1, .error_fd = -1, .own_stderr = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0), .acme.channel = -1};
    s.beats_fd = memfd_create("weir-heartbeats", MFD_CLOEXEC);
    s.listeners = (struct listen_fd *)mem_calloc(LISTENERS_MAX, sizeof *s.listeners);
    bool room = s.beats_fd >= 0 && ftruncate(s.beats_fd, sizeof *s.beats) == 0;
    s.beats = room ? (struct heartbeats *)mmap(NULL, sizeof *s.beats, PROT_READ | PROT_WRITE, MAP_SHARED, s.beats_fd, 0) : (struct heartbeats *)MAP_FAILED;
    if (!s.listeners || s.beats == MAP_FAILED) {
        fprintf(stderr, "weir: out of memory\n");
        return 1;
    }
    s.started_ms = s.last_tick_ms = supervisor_now_ms();
    raise_file_limit();
    crash_prepare();
    FILE *f = fopen("/dev/urandom", "re");
    if (!f || fread(&hash_process_key, sizeof hash_process_key, 1, f) != 1)
        fprintf(stderr, "weir: no random bytes from the system\n");
    if (f)
        fclose(f);
    s.status = begin_or_go_back(&s);
    if (s.status == 0) {
        supervisor_adopt_worker(&s);
        run_loop(&s);
    }
    end(&s);
    return s.status;
}
