// SPDX-License-Identifier: Apache-2.0
// Helper threads for what blocks. One queue for all loops of the process.
#include <pthread.h>
#include <signal.h>
#include <stdio.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/chunk.h"
#include "base/spare.h"
#include "io/internal.h"

enum { HELPERS_MAX = 64, QUEUED_MAX = 1024 };

// On the stack of the fiber that waits for it.
struct job {
    struct loop_msg done;
    struct job *next;
    void (*fn)(void *arg);
    void *arg;
    struct loop *loop;
    struct fiber *fiber;
};

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t nonempty;
    struct job *first, **last;
    unsigned n_queued, n_threads;
    bool stopping;
    pthread_t thread[HELPERS_MAX];
} helpers = {
    .mutex = PTHREAD_MUTEX_INITIALIZER, .nonempty = PTHREAD_COND_INITIALIZER, .last = &helpers.first};

static struct job *job_next(void)
{
    pthread_mutex_lock(&helpers.mutex);
    while (!helpers.first && !helpers.stopping)
        pthread_cond_wait(&helpers.nonempty, &helpers.mutex);
    struct job *j = helpers.first;
    if (j) {
        helpers.first = j->next;
        if (!helpers.first)
            helpers.last = &helpers.first;
        helpers.n_queued--;
    }
    pthread_mutex_unlock(&helpers.mutex);
    return j;
}

static void *helper_main(void *arg)
{
    (void)arg;
    struct job *j;
    while ((j = job_next())) {
        j->fn(j->arg);
        loop_post(j->loop, &j->done);
    }
    chunk_thread_fini();
    spare_thread_fini();
    arena_thread_fini();
    return NULL;
}

enum err loop_helpers_start(unsigned n)
{
    CHECK(n > 0 && n <= HELPERS_MAX);
    pthread_mutex_lock(&helpers.mutex);
    enum err e = ERR_OK;
    // Signals are for the thread that asked for them.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    while (helpers.n_threads < n) {
        pthread_t *t = &helpers.thread[helpers.n_threads];
        if (pthread_create(t, NULL, helper_main, NULL) != 0) {
            e = helpers.n_threads ? ERR_OK : ERR_NO_MEMORY; // fewer do as well
            break;
        }
        char name[16];
        snprintf(name, sizeof(name), "weir-helper-%u", helpers.n_threads);
        pthread_setname_np(*t, name);
        helpers.n_threads++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_mutex_unlock(&helpers.mutex);
    return e;
}

void loop_helpers_stop(void)
{
    pthread_mutex_lock(&helpers.mutex);
    helpers.stopping = true;
    unsigned n = helpers.n_threads;
    pthread_cond_broadcast(&helpers.nonempty);
    pthread_mutex_unlock(&helpers.mutex);
    for (unsigned i = 0; i < n; i++)
        pthread_join(helpers.thread[i], NULL);
    pthread_mutex_lock(&helpers.mutex);
    helpers.stopping = false;
    helpers.n_threads = 0;
    pthread_mutex_unlock(&helpers.mutex);
}

static void on_done(struct loop_msg *m)
{
    struct job *j = container_of(m, struct job, done);
    fiber_end_wait_now(j->fiber, ERR_OK);
}

static bool enqueue(struct job *j)
{
    pthread_mutex_lock(&helpers.mutex);
    bool ok = helpers.n_threads && !helpers.stopping && helpers.n_queued < QUEUED_MAX;
    if (ok) {
        *helpers.last = j;
        helpers.last = &j->next;
        helpers.n_queued++;
        pthread_cond_signal(&helpers.nonempty);
    }
    pthread_mutex_unlock(&helpers.mutex);
    return ok;
}

enum err loop_offload(void (*fn)(void *arg), void *arg)
{
    CHECK(fiber_self() != NULL);
    if (sys_alloc_fails())
        return ERR_NO_MEMORY;
    uint64_t delay_ms;
    if (sys_offload_inline(&delay_ms)) {
        enum err e = fiber_wait(loop_now_ms() + delay_ms, false);
        CHECK(e == ERR_TIMEOUT);
        fn(arg);
        return ERR_OK;
    }
    struct job j = {.done.fn = on_done, .fn = fn, .arg = arg, .loop = loop_current, .fiber = fiber_self()};
    if (!enqueue(&j))
        return ERR_NO_MEMORY;
    return fiber_wait(DEADLINE_NONE, false);
}
