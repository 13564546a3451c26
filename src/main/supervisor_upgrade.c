// SPDX-License-Identifier: Apache-2.0
// `weir upgrade`: another binary in this process's place. The supervisor executes it with its listeners and what else outlives it; the
// worker serves on meanwhile and drains once the new one serves. Where the new one does not get so far, the old binary is executed again
// and takes its worker back. The process, and so what a service manager or a terminal knows of it, stays the same.
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/num.h"
#include "base/secret.h"
#include "main/control.h"
#include "main/supervisor_internal.h"

enum {
    HANDOVER_MAX_BYTES = 512 << 20,
    CHECK_WAIT_MS = 10000, // for the new binary's look at the configuration
    OLD_DRAIN_MAX_MS = 60000,
};
static const char variable[] = "WEIR_HANDOVER"; // the descriptor of what is handed over

// What one supervisor tells the next: a line each, then the bytes that they announce.
static const char version_line[] = "weir-handover 1";

// ---- Handing over

static bool put(int fd, const void *p, size_t n)
{
    return write(fd, p, n) == (ssize_t)n;
}

static bool keep_over_exec(int fd)
{
    return fd < 0 || fcntl(fd, F_SETFD, 0) == 0;
}

static bool write_listeners(const struct supervisor *s, int fd)
{
    for (unsigned i = 0; i < s->n_listeners; i++) {
        char text[ADDR_TEXT_MAX];
        addr_format(&s->listeners[i].addr, text);
        if (dprintf(fd, "listener %d %u %s\n", s->listeners[i].fd, s->listeners[i].thread, text) < 0 || !keep_over_exec(s->listeners[i].fd))
            return false;
    }
    return true;
}

// The message that tells the present worker to drain, as its own version understands it.
static bool write_drain(int fd)
{
    const struct channel_msg m = {.type = CHANNEL_DRAIN};
    return dprintf(fd, "drain %zu\n", sizeof m) > 0 && put(fd, &m, sizeof m);
}

static bool write_bundle(const struct supervisor *s, int fd)
{
    struct arena a;
    struct span packed = SPAN_NONE;
    arena_init(&a, 0);
    bool ok = conf_source_pack(conf_files(generation_conf(s->gen)), &a, &packed) && dprintf(fd, "configuration %zu\n", packed.len) > 0 &&
              put(fd, packed.ptr, packed.len);
    secret_wipe((void *)(uintptr_t)packed.ptr, packed.len);
    arena_fini(&a);
    return ok;
}

// A memfd with all of it; -1 where that failed. self: the present binary. back: the one who reads takes the worker back.
static int write_handover(const struct supervisor *s, int asker, int self, bool back)
{
    int fd = memfd_create("weir-handover", 0);
    const struct handover *h = &s->handover;
    bool on = h->active; // on the way back, what we were given goes on
    bool ok = fd >= 0 &&
              dprintf(fd, "%s\nback %d\nworker %d\nchannel %d\ncontrol %d\nlog %d\nbeats %d\nnumber %llu\nthreads %u\nasker %d\nself %d\n", version_line, back,
                      (int)(on ? h->worker : s->worker), on ? h->channel : s->channel, s->control, s->log_fd, on ? h->beats_fd : s->beats_fd,
                      (unsigned long long)s->number, on ? h->n_threads : s->n_threads, asker, self) > 0 &&
              write_listeners(s, fd) && write_drain(fd) && write_bundle(s, fd);
    const int kept[] = {on ? h->channel : s->channel, s->control, s->log_fd, on ? h->beats_fd : s->beats_fd, asker, self, fd};
    for (size_t i = 0; i < ARRAY_LEN(kept) && ok; i++)
        ok = keep_over_exec(kept[i]);
    if (!ok && fd >= 0)
        close(fd);
    return ok ? fd : -1;
}

static void execute(const struct supervisor *s, int binary, int handover)
{
    char number[16];
    snprintf(number, sizeof number, "%d", handover);
    setenv(variable, number, 1);
    fflush(NULL);
    char *argv[] = {(char *)(uintptr_t) "weir", (char *)(uintptr_t) "run", (char *)(uintptr_t) "-c", (char *)(uintptr_t)s->file, NULL};
    fexecve(binary, argv, environ);
}

// ---- The new binary on trial

// Whether the new binary finds the configuration sound; what it says against it goes to our stderr and into *ret.
static bool finds_sound(const char *binary, const char *file, struct arena *a, struct span *ret)
{
    int out[2], status = -1;
    char text[2048];
    size_t n = 0;
    if (pipe2(out, O_CLOEXEC))
        return false;
    pid_t pid = fork();
    if (pid == 0) {
        dup2(out[1], STDERR_FILENO);
        dup2(out[1], STDOUT_FILENO);
        execl(binary, "weir", "check", "-c", file, (char *)NULL);
        _exit(126);
    }
    close(out[1]);
    uint64_t end = supervisor_now_ms() + CHECK_WAIT_MS;
    fcntl(out[0], F_SETFL, O_NONBLOCK);
    while (pid > 0 && waitpid(pid, &status, WNOHANG) == 0) {
        if (supervisor_now_ms() > end)
            kill(pid, SIGKILL);
        struct timespec t = {0, 5 * 1000 * 1000};
        nanosleep(&t, NULL);
        ssize_t r = read(out[0], text + n, sizeof text - n);
        n += r > 0 ? (size_t)r : 0;
    }
    ssize_t r = read(out[0], text + n, sizeof text - n);
    n += r > 0 ? (size_t)r : 0;
    close(out[0]);
    if (pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0)
        return true;
    *ret = arena_printf(a, "%s cannot take over:\n%.*s", binary, (int)n, text);
    return false;
}

// Where a binary of another version is to be put: the path that this one was started from.
static bool own_path(char path[PATH_MAX])
{
    static const char gone[] = " (deleted)"; // what the kernel says behind a file that was replaced
    ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 1);
    if (n <= 0)
        return false;
    path[n] = '\0';
    if (span_ends(span_of(path, (size_t)n), span_str(gone)))
        path[(size_t)n - strlen(gone)] = '\0';
    return true;
}

void supervisor_upgrade(struct supervisor *s, int asker)
{
    char path[PATH_MAX];
    struct arena a;
    struct span why = SPAN("weir cannot tell where its binary is\n");
    arena_init(&a, 0);
    if (!s->ready || s->next.gen || s->ending || s->handover.active) {
        why = SPAN("a worker is being started, or a reload or an upgrade is under way: try again\n");
    } else if (own_path(path) && finds_sound(path, s->file, &a, &why)) {
        int binary = open(path, O_RDONLY | O_CLOEXEC), self = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
        int handover = binary >= 0 && self >= 0 ? write_handover(s, asker, self, false) : -1;
        if (handover >= 0) {
            supervisor_acme_stop(s); // its channel would be lost
            execute(s, binary, handover); // does not come back where it goes well
        }
        why = arena_printf(&a, "%s cannot be executed: %s\n", path, strerror(errno));
        const int open_now[] = {binary, self, handover};
        for (size_t i = 0; i < ARRAY_LEN(open_now); i++)
            if (open_now[i] >= 0)
                close(open_now[i]);
        unsetenv(variable);
    }
    control_answer(asker, 1, why.ptr ? why : SPAN("out of memory\n"));
    arena_fini(&a);
}

// ---- Taking over

static bool number_of(struct span *rest, struct span word, uint64_t max, uint64_t *ret)
{
    struct span line = span_cut(rest, '\n');
    struct span key = span_cut(&line, ' ');
    return span_eq(key, word) && num_parse_dec(line, max, ret);
}

static bool fd_of(struct span *rest, struct span word, int *ret)
{
    struct span line = span_cut(rest, '\n');
    struct span key = span_cut(&line, ' ');
    uint64_t v;
    if (!span_eq(key, word))
        return false;
    if (span_eq(line, SPAN("-1"))) {
        *ret = -1;
        return true;
    }
    if (!num_parse_dec(line, INT_MAX, &v) || fcntl((int)v, F_SETFD, FD_CLOEXEC))
        return false;
    *ret = (int)v;
    return true;
}

static bool read_listener(struct supervisor *s, struct span line)
{
    uint64_t fd, thread;
    struct span fd_text = span_cut(&line, ' '), thread_text = span_cut(&line, ' ');
    struct listen_fd *l = &s->listeners[s->n_listeners];
    if (s->n_listeners == LISTENERS_MAX || !num_parse_dec(fd_text, INT_MAX, &fd) || !num_parse_dec(thread_text, WORKER_THREADS_MAX, &thread) ||
        fcntl((int)fd, F_SETFD, FD_CLOEXEC))
        return false;
    *l = (struct listen_fd){.fd = (int)fd, .thread = (unsigned)thread};
    if (span_starts(line, SPAN("unix:"))) {
        snprintf(l->path, sizeof l->path, "%.*s", SPAN_ARG(span_skip(line, 5)));
        l->addr.family = AF_UNIX;
        l->addr.path = l->path;
    } else if (!addr_parse(line, &s->handover.arena, &l->addr)) {
        return false;
    }
    s->n_listeners++;
    return true;
}

// Bytes that a line announced; a NULL pointer where there are not so many.
static struct span announced(struct span *rest, struct span word)
{
    uint64_t n;
    if (!number_of(rest, word, HANDOVER_MAX_BYTES, &n) || n > rest->len)
        return SPAN_NONE;
    struct span s = span_first(*rest, (size_t)n);
    *rest = span_skip(*rest, (size_t)n);
    return s;
}

static bool parse(struct supervisor *s, struct span rest)
{
    struct handover *h = &s->handover;
    uint64_t back, worker, number, threads;
    if (!span_eq(span_cut(&rest, '\n'), span_str(version_line)) || !number_of(&rest, SPAN("back"), 1, &back) ||
        !number_of(&rest, SPAN("worker"), INT_MAX, &worker) || !fd_of(&rest, SPAN("channel"), &h->channel) ||
        !fd_of(&rest, SPAN("control"), &s->control) || !fd_of(&rest, SPAN("log"), &s->log_fd) || !fd_of(&rest, SPAN("beats"), &h->beats_fd) ||
        !number_of(&rest, SPAN("number"), UINT64_MAX, &number) || !number_of(&rest, SPAN("threads"), WORKER_THREADS_MAX, &threads) ||
        !fd_of(&rest, SPAN("asker"), &h->asker) || !fd_of(&rest, SPAN("self"), &h->previous))
        return false;
    h->back = back;
    h->worker = (pid_t)worker;
    h->n_threads = (unsigned)threads;
    s->number = number;
    while (span_starts(rest, SPAN("listener ")))
        if (!read_listener(s, span_skip(span_cut(&rest, '\n'), 9)))
            return false;
    h->drain = announced(&rest, SPAN("drain"));
    h->bundle = announced(&rest, SPAN("configuration"));
    return h->drain.ptr && h->bundle.ptr;
}

static bool read_all(int fd, struct arena *a, struct span *ret)
{
    struct stat st;
    if (fstat(fd, &st) || st.st_size <= 0 || st.st_size > HANDOVER_MAX_BYTES)
        return false;
    char *p = arena_bytes(a, (size_t)st.st_size + 1);
    *ret = span_of(p, (size_t)st.st_size);
    return p && pread(fd, p, ret->len, 0) == (ssize_t)ret->len;
}

bool supervisor_take_over(struct supervisor *s)
{
    const char *value = getenv(variable);
    uint64_t fd;
    struct span text;
    if (!value || !num_parse_dec(span_str(value), INT_MAX, &fd))
        return true;
    unsetenv(variable);
    arena_init(&s->handover.arena, 0);
    s->handover.active = read_all((int)fd, &s->handover.arena, &text) && parse(s, text);
    close((int)fd);
    if (!s->handover.active)
        fprintf(stderr, "weir: what the weir before this one handed over cannot be read\n");
    return s->handover.active;
}

// ---- The outcome

void supervisor_go_back(struct supervisor *s, const char *why)
{
    struct handover *h = &s->handover;
    fprintf(stderr, "weir: this version does not take over (%s); the one before goes on\n", why);
    if (h->asker >= 0)
        control_answer(h->asker, 1, SPAN("the new version did not come to serve, and the one before goes on; the log says why\n"));
    h->asker = -1;
    if (s->worker)
        kill(s->worker, SIGKILL);
    int fd = h->back ? -1 : write_handover(s, -1, h->previous, true);
    if (fd >= 0)
        execute(s, h->previous, fd);
    fprintf(stderr, "weir: the one before cannot be executed: %s\n", strerror(errno));
    exit(1); // the worker ends with us; a service manager starts anew
}

// The old binary again: its worker served all the while.
static void take_worker_back(struct supervisor *s)
{
    struct handover *h = &s->handover;
    struct heartbeats *beats = (struct heartbeats *)mmap(NULL, sizeof *beats, PROT_READ | PROT_WRITE, MAP_SHARED, h->beats_fd, 0);
    s->worker = h->worker;
    s->channel = h->channel;
    s->n_threads = h->n_threads;
    s->ready = s->said_ready = true;
    s->worker_started_ms = supervisor_now_ms();
    if (beats != MAP_FAILED) {
        munmap(s->beats, sizeof *s->beats);
        close(s->beats_fd);
        s->beats = beats;
        s->beats_fd = h->beats_fd;
    }
    close(h->previous);
    arena_fini(&h->arena);
    *h = (struct handover){.active = false};
}

void supervisor_drop_handover(struct supervisor *s)
{
    struct handover *h = &s->handover;
    if (!h->active)
        return;
    const int theirs[] = {h->channel, h->beats_fd, h->previous, h->asker};
    for (size_t i = 0; i < ARRAY_LEN(theirs); i++)
        if (theirs[i] >= 0)
            close(theirs[i]);
    secret_wipe((void *)(uintptr_t)h->bundle.ptr, h->bundle.len);
    arena_fini(&h->arena);
    *h = (struct handover){.active = false};
}

bool supervisor_adopt_worker(struct supervisor *s)
{
    if (!s->handover.active || !s->handover.back)
        return false;
    take_worker_back(s);
    return true;
}

void supervisor_took_over(struct supervisor *s)
{
    struct handover *h = &s->handover;
    if (!h->active)
        return;
    if (h->asker >= 0)
        control_answer(h->asker, 0, SPAN("upgraded to weir " WEIR_VERSION "\n"));
    (void)send(h->channel, h->drain.ptr, h->drain.len, MSG_NOSIGNAL);
    s->old_worker = h->worker;
    s->old_worker_end_ms = supervisor_now_ms() + OLD_DRAIN_MAX_MS;
    h->asker = -1; // closed with the answer
    supervisor_drop_handover(s);
    fprintf(stderr, "weir: version %s took over; the worker of the one before drains\n", WEIR_VERSION);
}

void supervisor_watch_old_worker(struct supervisor *s)
{
    if (s->old_worker && supervisor_now_ms() >= s->old_worker_end_ms) {
        kill(s->old_worker, SIGKILL);
        s->old_worker_end_ms = UINT64_MAX;
    }
}
