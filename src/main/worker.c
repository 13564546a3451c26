// SPDX-License-Identifier: Apache-2.0
#include "main/worker.h"

#include <fcntl.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "admin/history.h"
#include "admin/log.h"
#include "admin/metrics.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/secret.h"
#include "cache/cache.h"
#include "io/loop.h"
#include "main/control.h"
#include "main/crash.h"
#include "main/sandbox.h"
#include "main/worker_door.h"
#include "quota/quota.h"
#include "proxy/ask.h"
#include "proxy/status.h"
#include "proxy/tap.h"
#include "tls/acme_challenge.h"

enum { HELPERS = 4, BEAT_MS = 200, PENDING_MAX = 4096, FOLDERS_MAX = 4096 };

struct worker;

struct thread {
    struct worker *worker;
    unsigned index;
    pthread_t id;
    struct loop *loop;
    struct service *service;
    struct timer beat;
    struct loop_msg msg;
    sem_t answered;
};

struct worker {
    const struct worker_start *start;
    struct generation *gen;
    struct thread threads[WORKER_THREADS_MAX];
    unsigned n_threads;
    struct listen_fd pending[PENDING_MAX]; // for the next generation
    unsigned n_pending;
    int folders[FOLDERS_MAX]; // for the next generation too, in the order of its bundle
    unsigned n_folders;
    int log_fd, pending_log_fd;
};

static void on_beat(struct timer *t)
{
    struct thread *th = container_of(t, struct thread, beat);
    loop_beat(th->loop);
    timer_set(t, loop_now_ms() + BEAT_MS);
}

static void add_listeners(struct thread *t, struct listen_fd *v, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        if (v[i].thread != t->index || v[i].fd < 0)
            continue;
        if (!service_add_listener(t->service, v[i].fd, &v[i].addr))
            log_error(LOG_ERROR, "thread %u cannot listen", t->index);
        v[i].fd = -1;
    }
}

static void *thread_main(void *arg)
{
    struct thread *t = (struct thread *)arg;
    struct worker *w = t->worker;
    char name[16];
    snprintf(name, sizeof name, "weir/%u", t->index);
    prctl(PR_SET_NAME, name, 0, 0, 0);
    atomic_store_explicit(&w->start->beats->threads[t->index].tid, (int)gettid(), memory_order_relaxed);
    void *crash_stack = crash_stack_new();
    if (loop_new(&t->loop) || !(t->service = service_new(w->gen, t->index))) {
        log_error(LOG_ERROR, "thread %u cannot start: out of memory or of descriptors", t->index);
        exit(1);
    }
    loop_beat_at(t->loop, &w->start->beats->threads[t->index].turns);
    timer_init(&t->beat, on_beat);
    timer_set(&t->beat, loop_now_ms());
    add_listeners(t, w->start->listeners, w->start->n_listeners);
    sem_post(&t->answered);
    loop_run(t->loop);
    timer_cancel(&t->beat);
    service_free(t->service);
    loop_free(t->loop);
    crash_stack_free(crash_stack);
    return NULL;
}

// ---- Messages to the threads

static void on_generation(struct loop_msg *m)
{
    struct thread *t = container_of(m, struct thread, msg);
    service_set_generation(t->service, t->worker->gen);
    add_listeners(t, t->worker->pending, t->worker->n_pending);
    sem_post(&t->answered);
}

static void on_drained(void *arg)
{
    struct thread *t = (struct thread *)arg;
    sem_post(&t->answered);
}

static void on_stop(struct loop_msg *m)
{
    loop_stop(container_of(m, struct thread, msg)->loop);
}

static void on_drain(struct loop_msg *m)
{
    struct thread *t = container_of(m, struct thread, msg);
    service_drain(t->service, on_drained, t);
}

static void tell_all(struct worker *w, void (*fn)(struct loop_msg *m))
{
    for (unsigned i = 0; i < w->n_threads; i++) {
        w->threads[i].msg = (struct loop_msg){.fn = fn};
        loop_post(w->threads[i].loop, &w->threads[i].msg);
    }
}

static void wait_all(struct worker *w)
{
    for (unsigned i = 0; i < w->n_threads; i++)
        while (sem_wait(&w->threads[i].answered))
            ;
}

// ---- The cache's folders

enum { FOLDER_WAIT_MS = 400 }; // for an index; the rest of a long one comes while we serve

static void folder_failed(const char *name, const char *folder, const char *why)
{
    log_error(LOG_WARN, "cache %s goes on without its folder %s: %s", name, folder, why);
}

// ---- The quotas' store

static void say_quota(const char *text)
{
    log_error(LOG_ERROR, "%s", text);
}

// Where it cannot be opened, counting goes on in memory.
static void open_quotas(const struct generation *g)
{
    (void)quota_open(generation_quota_folder(g), say_quota);
}

// ---- Reload

static bool read_bundle(int fd, struct arena *a, struct span *ret)
{
    struct stat st;
    if (fstat(fd, &st) || st.st_size > (512 << 20))
        return false;
    size_t n = 0, size = (size_t)st.st_size;
    char *p = arena_bytes(a, size + 1);
    while (p && n < size) {
        ssize_t r = pread(fd, p + n, size - n, (off_t)n);
        if (r <= 0)
            return false;
        n += (size_t)r;
    }
    *ret = span_of(p, size);
    return p != NULL;
}

// The files go with the configuration, which is asked for them as long as it lives. NULL: out of memory, or no bundle.
static struct conf_source *source_of(struct worker *w, int fd)
{
    struct arena a;
    struct span packed = SPAN_NONE;
    struct conf_source *src = (struct conf_source *)mem_alloc(sizeof *src);
    if (!src)
        return NULL;
    arena_init(&a, 0);
    conf_source_init(src, false);
    bool ok = read_bundle(fd, &a, &packed) && conf_source_unpack(src, packed);
    secret_wipe((void *)(uintptr_t)packed.ptr, packed.len);
    arena_fini(&a);
    for (unsigned i = 0; i < w->n_folders; i++)
        conf_source_give_folder(src, w->folders[i]);
    w->n_folders = 0;
    if (ok)
        return src;
    conf_source_fini(src);
    mem_free(src);
    return NULL;
}

// On failure the message's text is the reason.
static struct generation *build(struct worker *w, const struct channel_msg *m, int fd, struct channel_msg *answer)
{
    struct conf_source *src = source_of(w, fd);
    struct conf_diags *d = conf_diags_new();
    struct conf *c = d && src ? conf_load(src, m->text, d) : NULL;
    struct generation *g = NULL;
    if (c) {
        conf_own_files(c);
        g = generation_new(c, d, m->number);
        conf_unref(c);
    } else if (src) {
        conf_source_fini(src);
        mem_free(src);
    }
    if (!g && d)
        snprintf(answer->text, sizeof answer->text, "%.*s", SPAN_ARG(conf_diags_text(d)));
    conf_diags_free(d);
    return g;
}

// The writer may be in the middle of a line: the new file takes the old one's number, so that none is closed under it.
static void change_log(struct worker *w, int fd)
{
    if (w->log_fd < 0) {
        w->log_fd = fd;
        log_set_fd(fd);
        return;
    }
    if (dup3(fd, w->log_fd, O_CLOEXEC) < 0)
        log_error(LOG_ERROR, "the access log cannot be changed");
    close(fd);
}

static void reload(struct worker *w, const struct channel_msg *m, int fd)
{
    struct channel_msg answer = {.type = CHANNEL_DONE, .number = m->number};
    struct generation *g = build(w, m, fd, &answer);
    close(fd);
    if (g) {
        generation_unref(w->gen);
        w->gen = g;
        cache_open_folders(FOLDER_WAIT_MS, folder_failed);
        open_quotas(g);
        if (w->pending_log_fd >= 0)
            change_log(w, w->pending_log_fd);
        w->pending_log_fd = -1;
        tell_all(w, on_generation);
        wait_all(w);
        metrics_set_generation(m->number);
        log_set_level(generation_error_level(g));
    }
    for (unsigned i = 0; i < w->n_pending; i++)
        if (w->pending[i].fd >= 0)
            close(w->pending[i].fd);
    w->n_pending = 0;
    if (w->pending_log_fd >= 0)
        close(w->pending_log_fd);
    w->pending_log_fd = -1;
    answer.ok = g != NULL;
    channel_send(w->start->channel, &answer, -1);
}

// ---- Commands

static void answer(struct worker *w, const struct channel_msg *m, int fd)
{
    struct arena a;
    struct span text;
    int status;
    arena_init(&a, 0);
    if (ask_answer(w->gen, span_str(m->text), fd, &a, &status, &text))
        control_answer(fd, m->ok ? CONTROL_NO_STATUS : status, text);
    arena_fini(&a);
}

// A challenge of an ACME authority, or its end.
static void take_challenge(struct worker *w, struct channel_msg *m)
{
    m->text[sizeof m->text - 1] = '\0';
    struct span proof = span_str(m->text), word = span_cut(&proof, ' '), name = span_cut(&proof, ' '), token = span_cut(&proof, ' ');
    m->ok = true;
    if (span_eq(word, SPAN("set")))
        m->ok = acme_challenge_set(name, token, proof);
    else
        acme_challenge_clear(name, token);
    channel_send(w->start->channel, m, -1);
}

// ---- Life

static void drain(struct worker *w)
{
    tell_all(w, on_drain);
    wait_all(w);
    // Until the last one is done all loops turn: to the watchdog a thread without a heartbeat hangs.
    tell_all(w, on_stop);
    for (unsigned i = 0; i < w->n_threads; i++)
        pthread_join(w->threads[i].id, NULL);
}

// The supervisor's orders, until it is gone or says to end. True: drained in order.
static bool obey(struct worker *w)
{
    struct channel_msg m;
    int fd;
    while (channel_receive(w->start->channel, &m, &fd)) {
        switch (m.type) {
        case CHANNEL_LISTENER:
            if (w->n_pending < PENDING_MAX) {
                w->pending[w->n_pending] = m.listener;
                w->pending[w->n_pending].fd = fd;
                if (m.listener.addr.family == AF_UNIX)
                    w->pending[w->n_pending].addr.path = w->pending[w->n_pending].path;
                w->n_pending++;
            } else {
                close(fd);
            }
            break;
        case CHANNEL_FOLDER:
            if (w->n_folders < FOLDERS_MAX)
                w->folders[w->n_folders++] = fd;
            else
                close(fd);
            break;
        case CHANNEL_RELOAD:
            reload(w, &m, fd);
            break;
        case CHANNEL_LOG:
            if (m.number)
                w->pending_log_fd = fd;
            else
                change_log(w, fd);
            break;
        case CHANNEL_ERROR_LOG:
            (void)dup3(fd, STDERR_FILENO, 0);
            close(fd);
            break;
        case CHANNEL_ASK:
            answer(w, &m, fd);
            break;
        case CHANNEL_ACME:
            take_challenge(w, &m);
            break;
        case CHANNEL_DRAIN:
            drain(w);
            return true;
        default:
            break;
        }
    }
    return false;
}

static bool start_threads(struct worker *w)
{
    for (unsigned i = 0; i < w->n_threads; i++) {
        struct thread *t = &w->threads[i];
        t->worker = w;
        t->index = i;
        sem_init(&t->answered, 0, 0);
        if (pthread_create(&t->id, NULL, thread_main, t)) {
            log_error(LOG_ERROR, "no thread can be started");
            return false;
        }
    }
    wait_all(w);
    return true;
}

// What the first generation serves from folders or keeps in them; those of later ones must not lie where nobody has business (sandbox.h).
static bool limit_files(const struct generation *g)
{
    static int folders[FOLDERS_MAX];
    unsigned n = 0;
    const struct conf_source *src = conf_files(generation_conf(g));
    for (const struct conf_folder *f = src ? src->folders : NULL; f && n < FOLDERS_MAX; f = f->next)
        if (f->fd >= 0)
            folders[n++] = f->fd;
    return sandbox_limit_files(folders, n);
}

int worker_run(const struct worker_start *s)
{
    struct worker *w = (struct worker *)mem_calloc(1, sizeof *w);
    if (!w)
        return 1;
    w->start = s;
    w->gen = s->gen;
    w->n_threads = s->n_threads;
    w->log_fd = s->log_fd;
    w->pending_log_fd = -1;
    prctl(PR_SET_NAME, "weir worker", 0, 0, 0);
    crash_catch();
    const struct status_facts facts = {.pid = (int)getppid(), .worker = (int)getpid(), .threads = s->n_threads, .started_ms = status_now_ms()};
    status_set_facts(&facts);
    worker_door_open(s->channel);
    metrics_process_open();
    metrics_set_generation(generation_number(s->gen));
    log_set_level(generation_error_level(s->gen));
    if (!sandbox_drop_privileges() || !limit_files(s->gen) || !sandbox_limit_calls() || loop_helpers_start(HELPERS) ||
        !log_start(s->log_fd) || history_start(w->n_threads)) // a later configuration may have a log where this one has none
        return 1;
    cache_open_folders(FOLDER_WAIT_MS, folder_failed);
    open_quotas(s->gen);
    if (!start_threads(w))
        return 1;
    struct channel_msg ready = {.type = CHANNEL_READY, .ok = true};
    channel_send(s->channel, &ready, -1);
    if (!obey(w)) {
        quota_end();
        log_stop();
        _exit(0); // the supervisor is gone: nobody waits for what is under way
    }
    log_stop();
    loop_helpers_stop();
    tap_close_all();
    history_stop();
    generation_unref(w->gen);
    quota_close();
    cache_close_folders();
    mem_free(w);
    return 0;
}
