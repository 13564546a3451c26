// SPDX-License-Identifier: Apache-2.0
#include "main/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "admin/log.h"
#include "admin/metrics.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/num.h"
#include "main/control.h"
#include "main/diff.h"
#include "main/worker.h"
#include "net/listen.h"
#include "proxy/escape.h"

enum {
    TICK_MS = 250,
    TICK_LATE_MS = 600,      // a later tick says that we did not run ourselves: no time passed for the watchdog
    HANG_TICKS = 8,          // two seconds without a heartbeat
    START_TICKS = 20,        // five seconds in which a worker does not come to serve
    RESTART_SOON_MS = 1000,  // a worker that dies younger than this is restarted with growing pauses
    RESTART_PAUSE_MAX_MS = 2000,
    DRAIN_MAX_MS = 60000,
    LISTENERS_MAX = 4096,
    NAME_TEXT_MAX = 512,     // of a site or pool in the status, escaped; the rest is left out
};

// A configuration that the worker was sent and has not put into force yet. Until it says so, the one before is the last good one.
struct proposal {
    struct generation *gen; // NULL: there is none
    struct conf_source source;
    unsigned first_listener; // the supervisor's from here on are new with it
    int log_fd;              // of its access log where that is another one, or -1
    int asker;               // the control connection that waits for the outcome, or -1
    bool again;              // a worker ended over it already: it may have been the configuration's doing
    struct span change;      // what it changes
};

struct supervisor {
    const char *file;
    struct span text;          // quick mode
    struct conf_source source; // of the generation in force
    struct generation *gen;
    uint64_t number;
    unsigned n_threads;
    struct listen_fd *listeners;
    unsigned n_listeners;
    struct heartbeats *beats;
    uint64_t seen[WORKER_THREADS_MAX];
    unsigned silent_ticks;
    pid_t worker;
    uint64_t worker_started_ms, restart_at_ms;
    unsigned restart_pause_ms;
    bool ready, said_ready, ending;
    uint64_t end_by_ms;
    int channel, signals, control, log_fd;
    char control_path[ADDR_PATH_MAX + 1];
    struct proposal next;
    bool reload_wanted, reload_again; // a SIGHUP came when none could be begun, or its worker ended
    uint64_t last_tick_ms, started_ms;
    int status;
};

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

// ---- Configurations

static struct generation *load(struct supervisor *s, struct conf_source *src, struct conf_diags *d)
{
    struct span ignored;
    const char *why;
    // The worker cannot read these itself.
    (void)conf_source_read(src, "/etc/hosts", &ignored, &why);
    (void)conf_source_read(src, "/etc/resolv.conf", &ignored, &why);
    struct conf *c = s->file ? conf_load(src, s->file, d) : conf_load_text(s->text, "quick", d);
    struct generation *g = c ? generation_new(c, d, s->number + 1) : NULL;
    conf_unref(c);
    if (g && !generation_run_tests(g, d)) {
        generation_unref(g);
        g = NULL;
    }
    return g;
}

static unsigned count_threads(const struct conf *c)
{
    const struct conf_stmt *t = conf_child(conf_root(c), CONF_THREADS);
    uint64_t n;
    cpu_set_t set;
    if (t && num_parse_dec(t->args[0].text, WORKER_THREADS_MAX, &n) && n)
        return (unsigned)n;
    return sched_getaffinity(0, sizeof set, &set) ? 1 : (unsigned)MIN(CPU_COUNT(&set), (int)WORKER_THREADS_MAX);
}

// ---- Listeners

static void add_listener(struct listen_fd *v, unsigned *n, const struct addr *a, unsigned thread, int fd)
{
    struct listen_fd *l = &v[(*n)++];
    *l = (struct listen_fd){.addr = *a, .thread = thread, .fd = fd};
    if (a->family == AF_UNIX) {
        snprintf(l->path, sizeof l->path, "%s", a->path);
        l->addr.path = l->path;
    }
}

// Opens what the specification wants at one address: a socket for each thread that serves it, or none.
static bool open_address(const struct listener_spec *spec, unsigned n_threads, struct listen_fd *v, unsigned *n, char error[LISTEN_ERROR_MAX])
{
    bool shared = spec->addr.family != AF_UNIX && !spec->admin && n_threads > 1;
    struct listen_options o = {.client_speaks = true, .reuse_port = shared};
    unsigned wanted = shared ? n_threads : 1;
    int fds[WORKER_THREADS_MAX];
    if (*n + wanted > LISTENERS_MAX) {
        snprintf(error, LISTEN_ERROR_MAX, "more than %d listening sockets (one for each thread and address): lower `threads`", LISTENERS_MAX);
        return false;
    }
    if (!listen_open_group(&spec->addr, &o, fds, wanted, error))
        return false;
    for (unsigned t = 0; t < wanted; t++)
        add_listener(v, n, &spec->addr, t, fds[t]);
    return true;
}

static bool has_address(const struct listen_fd *v, unsigned n, const struct addr *a)
{
    for (unsigned i = 0; i < n; i++)
        if (addr_eq(&v[i].addr, a))
            return true;
    return false;
}

// Adds what the generation wants and is not there. On failure what was added is closed again.
static bool open_missing(struct supervisor *s, const struct generation *g, char error[LISTEN_ERROR_MAX])
{
    unsigned n_specs, before = s->n_listeners;
    const struct listener_spec *specs = generation_listeners(g, &n_specs);
    for (unsigned i = 0; i < n_specs; i++) {
        if (has_address(s->listeners, s->n_listeners, &specs[i].addr) || open_address(&specs[i], s->n_threads, s->listeners, &s->n_listeners, error))
            continue;
        while (s->n_listeners > before)
            close(s->listeners[--s->n_listeners].fd);
        return false;
    }
    return true;
}

static void close_unwanted(struct supervisor *s)
{
    unsigned n_specs, kept = 0;
    const struct listener_spec *specs = generation_listeners(s->gen, &n_specs);
    for (unsigned i = 0; i < s->n_listeners; i++) {
        bool wanted = false;
        for (unsigned k = 0; k < n_specs; k++)
            wanted |= addr_eq(&specs[k].addr, &s->listeners[i].addr);
        if (!wanted) {
            close(s->listeners[i].fd);
            continue;
        }
        if (kept != i) {
            s->listeners[kept] = s->listeners[i];
            if (s->listeners[kept].addr.family == AF_UNIX)
                s->listeners[kept].addr.path = s->listeners[kept].path;
        }
        kept++;
    }
    s->n_listeners = kept;
}

// ---- The worker

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
    struct worker_start w = {.gen = s->gen, .listeners = s->listeners, .n_listeners = s->n_listeners, .n_threads = s->n_threads,
                             .channel = channel, .log_fd = s->log_fd, .beats = s->beats};
    int status = worker_run(&w);
    conf_source_fini(&s->source);
    mem_free(s->listeners);
    metrics_fini();
    arena_thread_fini();
    exit(status);
}

static bool start_worker(struct supervisor *s)
{
    int pair[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair))
        return false;
    s->ready = false;
    s->silent_ticks = 0;
    s->worker_started_ms = now_ms();
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

// sd_notify(3), which is one datagram.
static void notify_systemd(const char *state)
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

static void reject(struct supervisor *s, struct span why);

static void worker_ended(struct supervisor *s, int wait_status)
{
    if (s->channel >= 0)
        close(s->channel);
    s->channel = -1;
    s->worker = 0;
    if (s->next.gen) {
        s->reload_again = s->next.asker < 0 && !s->next.again;
        s->reload_wanted |= s->reload_again;
        reject(s, SPAN("the worker ended before the new configuration was in force\n"));
    }
    if (s->ending)
        return;
    bool young = now_ms() - s->worker_started_ms < RESTART_SOON_MS;
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
    s->restart_at_ms = now_ms() + s->restart_pause_ms;
}

static void reap(struct supervisor *s)
{
    int wait_status;
    for (pid_t pid; (pid = waitpid(-1, &wait_status, WNOHANG)) > 0;)
        if (pid == s->worker)
            worker_ended(s, wait_status);
}

// ---- The log

static int open_log(const struct generation *g)
{
    struct span dest = generation_access_log(g);
    struct arena a;
    if (!dest.ptr)
        return -1;
    arena_init(&a, 0);
    bool bare = span_eq(dest, SPAN("stdout")) || span_eq(dest, SPAN("stderr")) || (dest.len && dest.ptr[0] == '/');
    char *path = bare ? arena_cstr(&a, dest) : arena_cstr(&a, arena_printf(&a, "%s/%.*s", conf_folder(generation_conf(g)), SPAN_ARG(dest)));
    int fd = path ? log_open(path) : -1;
    if (fd < 0)
        fprintf(stderr, "weir: the access log %.*s cannot be opened: %s\n", SPAN_ARG(dest), strerror(errno));
    arena_fini(&a);
    return fd;
}

// What workers to come write to.
static void keep_log(struct supervisor *s, int fd)
{
    if (s->log_fd >= 0)
        close(s->log_fd);
    s->log_fd = fd;
}

static void reopen_log(struct supervisor *s)
{
    struct channel_msg m = {.type = CHANNEL_LOG};
    int fd = open_log(s->gen);
    if (fd < 0)
        return;
    if (s->channel >= 0)
        (void)channel_send(s->channel, &m, fd);
    keep_log(s, fd);
}

// ---- Reload

static void answer(int fd, int status, struct span text)
{
    char head[16];
    int n = snprintf(head, sizeof head, "%d\n", status);
    if (write(fd, head, (size_t)n) == n && text.len)
        (void)!write(fd, text.ptr, text.len);
    close(fd);
}

static int bundle_fd(struct supervisor *s, const struct conf_source *src)
{
    struct arena a;
    struct span packed;
    arena_init(&a, 0);
    int fd = memfd_create("weir-configuration", MFD_CLOEXEC);
    if (fd >= 0 && (!conf_source_pack(src, &a, &packed) || write(fd, packed.ptr, packed.len) != (ssize_t)packed.len)) {
        close(fd);
        fd = -1;
    }
    arena_fini(&a);
    (void)s;
    return fd;
}

static bool send_proposal(struct supervisor *s)
{
    for (unsigned i = s->next.first_listener; i < s->n_listeners; i++) {
        struct channel_msg m = {.type = CHANNEL_LISTENER, .listener = s->listeners[i]};
        if (!channel_send(s->channel, &m, s->listeners[i].fd))
            return false;
    }
    struct channel_msg log = {.type = CHANNEL_LOG, .number = s->number + 1};
    if (s->next.log_fd >= 0 && !channel_send(s->channel, &log, s->next.log_fd))
        return false;
    struct channel_msg m = {.type = CHANNEL_RELOAD, .number = s->number + 1};
    snprintf(m.text, sizeof m.text, "%s", s->file);
    int fd = bundle_fd(s, &s->next.source);
    bool ok = fd >= 0 && channel_send(s->channel, &m, fd);
    if (fd >= 0)
        close(fd);
    return ok;
}

// The reasons go to the log, and to who asked.
static void refuse_reload(int asker, int status, struct span why)
{
    fprintf(stderr, "weir: the configuration in force stays:\n%.*s", SPAN_ARG(why));
    if (asker >= 0)
        answer(asker, status, why);
}

// Takes back what was opened for a configuration that does not come into force.
static void reject(struct supervisor *s, struct span why)
{
    struct proposal *p = &s->next;
    refuse_reload(p->asker, 1, why);
    while (s->n_listeners > p->first_listener)
        close(s->listeners[--s->n_listeners].fd);
    if (p->log_fd >= 0)
        close(p->log_fd);
    generation_unref(p->gen);
    conf_source_fini(&p->source);
    p->gen = NULL;
}

static bool same_log(const struct generation *a, const struct generation *b)
{
    struct span x = generation_access_log(a), y = generation_access_log(b);
    return !x.ptr == !y.ptr && span_eq(x, y);
}

// The number of threads is the worker's for life.
static struct span note_threads(const struct supervisor *s, const struct generation *g, struct arena *a)
{
    if (count_threads(generation_conf(g)) == s->n_threads)
        return SPAN("");
    return arena_printf(a, "the number of threads stays %u until weir is started anew\n", s->n_threads);
}

// Opens what the new configuration needs. False with the reason; nothing is open then.
static bool prepare(struct supervisor *s, struct proposal *p, struct span *ret_why)
{
    char error[LISTEN_ERROR_MAX];
    struct arena *a = &p->source.arena;
    p->first_listener = s->n_listeners;
    p->log_fd = -1;
    if (generation_access_log(p->gen).ptr && !same_log(s->gen, p->gen)) {
        p->log_fd = open_log(p->gen);
        if (p->log_fd < 0) {
            *ret_why = SPAN("the access log cannot be opened\n");
            return false;
        }
    }
    if (!open_missing(s, p->gen, error)) {
        *ret_why = arena_printf(a, "%s\n", error);
        if (p->log_fd >= 0)
            close(p->log_fd);
        return false;
    }
    p->change = arena_join(a, conf_diff(generation_conf(s->gen), generation_conf(p->gen), a), note_threads(s, p->gen, a));
    return true;
}

// Reads the configuration; sends it to the worker where it is sound. The outcome is told by reload_done or reject.
static void propose(struct supervisor *s, int asker)
{
    struct proposal p = {.asker = asker, .again = s->reload_again};
    struct span why;
    s->reload_again = false;
    conf_source_init(&p.source, true);
    struct conf_diags *d = conf_diags_new();
    p.gen = d ? load(s, &p.source, d) : NULL;
    if (p.gen && prepare(s, &p, &why)) {
        s->next = p;
        if (!send_proposal(s))
            reject(s, SPAN("the worker does not take the new configuration\n"));
    } else {
        refuse_reload(asker, 2, p.gen ? why : d ? conf_diags_text(d) : SPAN("out of memory\n"));
        generation_unref(p.gen);
        conf_source_fini(&p.source);
    }
    conf_diags_free(d);
}

static void reload(struct supervisor *s, int asker)
{
    bool busy = s->channel < 0 || s->next.gen;
    if (s->file && !busy) {
        propose(s, asker);
        return;
    }
    s->reload_wanted |= s->file && asker < 0; // a signal has nobody who could ask again
    if (asker >= 0)
        answer(asker, 1, s->file ? SPAN("another reload is under way, or the worker is being restarted\n") : SPAN("there is no configuration file\n"));
}

static void adopt(struct supervisor *s)
{
    struct proposal *p = &s->next;
    generation_unref(s->gen);
    conf_source_fini(&s->source);
    s->gen = p->gen;
    s->source = p->source;
    s->number++;
    p->gen = NULL;
    close_unwanted(s);
    if (p->log_fd >= 0)
        keep_log(s, p->log_fd);
}

static void reload_done(struct supervisor *s, struct channel_msg *m)
{
    if (!s->next.gen)
        return;
    if (m->ok) {
        adopt(s); // before who asked hears of it
        fprintf(stderr, "weir: generation %llu is in force\n%.*s", (unsigned long long)m->number, SPAN_ARG(s->next.change));
        if (s->next.asker >= 0)
            answer(s->next.asker, 0, s->next.change);
    } else {
        m->text[sizeof m->text - 1] = '\0'; // the worker is not trusted with our memory
        struct span why = span_str(m->text);
        reject(s, why.len ? why : SPAN("the worker could not put it into force\n"));
    }
}

// ---- Ending

static void begin_drain(struct supervisor *s)
{
    struct channel_msg m = {.type = CHANNEL_DRAIN};
    if (s->ending)
        return;
    s->ending = true;
    s->end_by_ms = now_ms() + DRAIN_MAX_MS;
    notify_systemd("STOPPING=1");
    for (unsigned i = 0; i < s->n_listeners; i++)
        close(s->listeners[i].fd);
    s->n_listeners = 0;
    if (s->worker && !channel_send(s->channel, &m, -1))
        kill(s->worker, SIGKILL);
}

static void stop_now(struct supervisor *s)
{
    s->ending = true;
    s->end_by_ms = now_ms();
}

// ---- Control

static void status_text(struct supervisor *s, bool json, struct arena *a, struct span *ret)
{
    const struct conf_stmt *root = conf_root(generation_conf(s->gen));
    struct span out = json ? arena_printf(a, "{\"version\": \"%s\", \"pid\": %d, \"worker\": %d, \"generation\": %llu, \"threads\": %u, \"uptime_s\": %llu", WEIR_VERSION, (int)getpid(),
                                          (int)s->worker, (unsigned long long)s->number, s->n_threads, (unsigned long long)(now_ms() - s->started_ms) / 1000)
                           : arena_printf(a, "weir %s, process %d, worker %d, generation %llu, %u threads, up %llu s\n", WEIR_VERSION, (int)getpid(), (int)s->worker,
                                          (unsigned long long)s->number, s->n_threads, (unsigned long long)(now_ms() - s->started_ms) / 1000);
    static const struct {
        enum conf_id id;
        const char *plural;
    } kinds[] = {{CONF_SITE, "sites"}, {CONF_POOL, "pools"}, {CONF_PROXY, "proxies"}};
    for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
        bool first = true;
        out = arena_join(a, out, arena_printf(a, json ? ", \"%s\": [" : "%s:", kinds[k].plural));
        for (const struct conf_stmt *x = conf_child(root, kinds[k].id); x; x = conf_next(x)) {
            char name[NAME_TEXT_MAX];
            struct span n = json ? span_of(name, escape_json(x->args[0].text, name, sizeof name)) : x->args[0].text;
            out = arena_join(a, out, arena_printf(a, json ? "%s\"%.*s\"" : "%s %.*s", json && !first ? ", " : "", SPAN_ARG(n)));
            first = false;
        }
        out = arena_join(a, out, json ? SPAN("]") : SPAN("\n"));
    }
    out = arena_join(a, out, json ? SPAN(", \"listeners\": [") : SPAN("listeners:"));
    for (unsigned i = 0; i < s->n_listeners; i++) {
        char text[ADDR_TEXT_MAX];
        if (i && addr_eq(&s->listeners[i].addr, &s->listeners[i - 1].addr))
            continue;
        addr_format(&s->listeners[i].addr, text);
        out = arena_join(a, out, arena_printf(a, json ? "%s\"%s\"" : "%s %s", json && i ? ", " : "", text));
    }
    *ret = arena_join(a, out, json ? SPAN("]}\n") : SPAN("\n"));
}

static void obey(struct supervisor *s, int fd, const char *command)
{
    struct arena a;
    struct span text;
    arena_init(&a, 0);
    if (strcmp(command, "reload") == 0) {
        reload(s, fd);
    } else if (strcmp(command, "drain") == 0 || strcmp(command, "stop") == 0) {
        answer(fd, 0, SPAN(""));
        if (command[0] == 'd')
            begin_drain(s);
        else
            stop_now(s);
    } else if (strncmp(command, "status", 6) == 0) {
        status_text(s, strcmp(command, "status json") == 0, &a, &text);
        answer(fd, 0, text);
    } else {
        answer(fd, 2, SPAN("this weir does not know that command\n"));
    }
    arena_fini(&a);
}

static void accept_control(struct supervisor *s)
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

// ---- The loop

static void on_signals(struct supervisor *s)
{
    struct signalfd_siginfo i;
    while (read(s->signals, &i, sizeof i) == (ssize_t)sizeof i) {
        switch (i.ssi_signo) {
        case SIGCHLD:
            reap(s);
            break;
        case SIGHUP:
            reload(s, -1);
            break;
        case SIGTERM:
            begin_drain(s);
            break;
        case SIGINT:
            stop_now(s);
            break;
        case SIGUSR1:
            reopen_log(s);
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
    if (m.type == CHANNEL_DONE) {
        reload_done(s, &m);
    } else if (m.type == CHANNEL_READY) {
        s->ready = true;
        s->silent_ticks = 0;
        if (!s->said_ready) {
            say_listening(s);
            notify_systemd("READY=1");
        }
        s->said_ready = true;
    }
}

// Only time in which we ran ourselves counts: a suspended machine, or a stopped process group, is no hang.
static void watch(struct supervisor *s)
{
    uint64_t now = now_ms(), passed = now - s->last_tick_ms;
    if (passed < TICK_MS)
        return;
    s->last_tick_ms = now;
    if (!s->worker || passed > TICK_LATE_MS) {
        s->silent_ticks = 0;
        return;
    }
    bool hangs = !s->ready;
    for (unsigned i = 0; s->ready && i < s->n_threads; i++) {
        uint64_t beat = atomic_load_explicit(&s->beats->turns[i], memory_order_relaxed);
        hangs |= beat == s->seen[i];
        s->seen[i] = beat;
    }
    s->silent_ticks = hangs ? s->silent_ticks + 1 : 0;
    if (s->silent_ticks == (s->ready ? HANG_TICKS : START_TICKS)) {
        fprintf(stderr, "weir: the worker does not answer any more; it is replaced\n");
        kill(s->worker, SIGKILL);
    }
}

static void run_loop(struct supervisor *s)
{
    while (!s->ending || s->worker) {
        if (s->ending && now_ms() >= s->end_by_ms) {
            if (s->worker)
                kill(s->worker, SIGKILL);
            s->end_by_ms = UINT64_MAX;
        }
        if (!s->worker && !s->ending && now_ms() >= s->restart_at_ms && !start_worker(s))
            s->restart_at_ms = now_ms() + RESTART_PAUSE_MAX_MS;
        struct pollfd p[3] = {{s->signals, POLLIN, 0}, {s->channel, POLLIN, 0}, {s->control, POLLIN, 0}};
        int timeout = !s->worker ? 20 : s->ending ? 50 : TICK_MS;
        if (poll(p, 3, timeout) < 0 && errno != EINTR)
            break;
        if (p[1].revents)
            on_channel(s);
        if (p[0].revents)
            on_signals(s);
        if (p[2].revents & POLLIN)
            accept_control(s);
        if (s->reload_wanted && s->channel >= 0 && !s->next.gen && !s->ending) {
            s->reload_wanted = false;
            reload(s, -1);
        }
        watch(s);
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

static bool open_control(struct supervisor *s)
{
    struct arena a;
    bool ok = true;
    arena_init(&a, 0);
    const char *path = control_path(generation_conf(s->gen), &a);
    if (path) {
        s->control = control_listen(path);
        ok = s->control >= 0;
        snprintf(s->control_path, sizeof s->control_path, "%s", path);
    }
    arena_fini(&a);
    return ok;
}

static int begin(struct supervisor *s)
{
    char error[LISTEN_ERROR_MAX];
    struct conf_diags *d = conf_diags_new();
    s->gen = d ? load(s, &s->source, d) : NULL;
    struct span text = d ? conf_diags_text(d) : SPAN("out of memory\n");
    fprintf(stderr, "%.*s", SPAN_ARG(text));
    conf_diags_free(d);
    if (!s->gen)
        return 2;
    s->number = 1;
    s->n_threads = count_threads(generation_conf(s->gen));
    if (!open_missing(s, s->gen, error)) {
        fprintf(stderr, "weir: %s\n", error);
        return 1;
    }
    s->log_fd = open_log(s->gen);
    if (s->log_fd < 0 && generation_access_log(s->gen).ptr)
        return 1;
    if (!open_control(s) || !take_signals(s))
        return 1;
    return 0;
}

static void end(struct supervisor *s)
{
    if (s->next.gen)
        reject(s, SPAN("weir ends\n"));
    if (s->control >= 0) {
        close(s->control);
        unlink(s->control_path);
    }
    for (unsigned i = 0; i < s->n_listeners; i++)
        close(s->listeners[i].fd);
    if (s->log_fd >= 0)
        close(s->log_fd);
    generation_unref(s->gen);
    conf_source_fini(&s->source);
    mem_free(s->listeners);
}

int supervisor_run(const char *file, struct span text)
{
    static struct supervisor s;
    s = (struct supervisor){.file = file, .text = text, .channel = -1, .signals = -1, .control = -1, .log_fd = -1};
    s.listeners = (struct listen_fd *)mem_calloc(LISTENERS_MAX, sizeof *s.listeners);
    s.beats = (struct heartbeats *)mmap(NULL, sizeof *s.beats, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (!s.listeners || s.beats == MAP_FAILED) {
        fprintf(stderr, "weir: out of memory\n");
        return 1;
    }
    conf_source_init(&s.source, true);
    s.started_ms = s.last_tick_ms = now_ms();
    raise_file_limit();
    FILE *f = fopen("/dev/urandom", "re");
    if (!f || fread(&hash_process_key, sizeof hash_process_key, 1, f) != 1)
        fprintf(stderr, "weir: no random bytes from the system\n");
    if (f)
        fclose(f);
    s.status = begin(&s);
    if (s.status == 0)
        run_loop(&s);
    end(&s);
    return s.status;
}
