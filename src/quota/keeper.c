// SPDX-License-Identifier: Apache-2.0
#include "quota/quota.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <time.h>

#include "base/mem.h"
#include "quota/store.h"

enum { BATCH = 1024, FORGET_EVERY_S = 3600 };

static struct {
    pthread_mutex_t lock; // of stop and wake
    pthread_cond_t wake;
    pthread_t thread;
    struct quota_store *store;
    bool running, stop;
} k = {.lock = PTHREAD_MUTEX_INITIALIZER};

// ---- Saving

// Takes what is unsaved of the entries, and gives it back to them where it could not be saved.
static bool save_batch(struct quota_entry **v, unsigned n, bool *ret_anew)
{
    static struct quota_saving savings[BATCH]; // one thread at a time
    for (unsigned i = 0; i < n; i++)
        savings[i] = (struct quota_saving){&v[i]->key,
                                           atomic_exchange_explicit(&v[i]->unsaved, 0, memory_order_relaxed)};
    bool ok = quota_store_save(k.store, savings, n, ret_anew);
    for (unsigned i = 0; i < n; i++) {
        if (!ok)
            atomic_fetch_add_explicit(&v[i]->unsaved, savings[i].bytes, memory_order_relaxed);
        quota_release(v[i]);
    }
    return ok;
}

static void save_all(void)
{
    static struct quota_entry *v[BATCH];
    unsigned n, begun = 0; // begun: how often anew
    bool anew = false;
    do {
        n = quota_collect_unsaved(v, BATCH, anew);
        if (n && !save_batch(v, n, &anew) && (!anew || ++begun > 1))
            return; // said already; the next time is soon
    } while (n == BATCH || anew);
}

static void *writer(void *arg)
{
    (void)arg;
    int64_t forgotten_s = 0;
    bool stop = false;
    while (!stop) {
        struct timespec until, now;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_sec += QUOTA_SAVE_MS / 1000;
        pthread_mutex_lock(&k.lock);
        while (!k.stop && !pthread_cond_timedwait(&k.wake, &k.lock, &until))
            ;
        stop = k.stop;
        pthread_mutex_unlock(&k.lock);
        save_all();
        clock_gettime(CLOCK_MONOTONIC, &now);
        if (!stop && now.tv_sec >= forgotten_s) {
            forgotten_s = now.tv_sec + FORGET_EVERY_S;
            quota_store_forget(k.store, (int64_t)time(NULL) - QUOTA_FORGET_S);
        }
    }
    return NULL;
}

// ---- Beginning and end

static bool start(void)
{
    sigset_t all, before;
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(&k.wake, &attr);
    pthread_condattr_destroy(&attr);
    k.stop = false;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool ok = pthread_create(&k.thread, NULL, writer, NULL) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return ok;
}

bool quota_open(int folder_fd, void (*say)(const char *text))
{
    if (folder_fd < 0 || k.running)
        return true;
    int own = fcntl(folder_fd, F_DUPFD_CLOEXEC, 0);
    k.store = own >= 0 ? quota_store_open(own, say) : NULL;
    k.running = k.store && start();
    if (k.store && !k.running) {
        say("the quotas' database: no thread can be started");
        quota_store_close(k.store);
        k.store = NULL;
    }
    return k.running;
}

bool quota_is_open(void)
{
    return k.running;
}

void quota_end(void)
{
    if (!k.running)
        return;
    pthread_mutex_lock(&k.lock);
    k.stop = true;
    pthread_cond_signal(&k.wake);
    pthread_mutex_unlock(&k.lock);
    pthread_join(k.thread, NULL);
}

void quota_close(void)
{
    quota_end();
    if (k.running) {
        pthread_cond_destroy(&k.wake);
        quota_store_close(k.store);
    }
    k.running = false;
    k.store = NULL;
    quota_table_clear();
}

struct quota_entry *quota_load(const struct quota_key *key)
{
    struct quota_entry *e = quota_find(key);
    return e ? e : quota_insert(key, k.running ? quota_store_read(k.store, key) : 0);
}
