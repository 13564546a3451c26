// SPDX-License-Identifier: Apache-2.0
#include "admin/log.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "admin/log_destination.h"
#include "admin/metrics.h"
#include "base/mem.h"

enum {
    FIRST_BYTES = 64 * 1024,
    GATHER_NS = 20 * 1000 * 1000
}; // lines that come soon after the first go in one write

static struct {
    pthread_mutex_t lock;
    pthread_cond_t wake;
    pthread_t thread;
    char *queue, *writing;
    size_t n, cap, writing_cap;
    int fd;
    bool running, stop;
} w = {.lock = PTHREAD_MUTEX_INITIALIZER, .wake = PTHREAD_COND_INITIALIZER, .fd = -1};

static _Atomic int level_min = LOG_INFO;

static void *writer(void *arg)
{
    (void)arg;
    pthread_mutex_lock(&w.lock);
    for (;;) {
        while (w.n == 0 && !w.stop)
            pthread_cond_wait(&w.wake, &w.lock);
        if (w.n == 0)
            break;
        if (!w.stop) {
            pthread_mutex_unlock(&w.lock);
            nanosleep(&(struct timespec){0, GATHER_NS}, NULL);
            pthread_mutex_lock(&w.lock);
        }
        char *p = w.queue;
        size_t n = w.n, cap = w.cap;
        w.queue = w.writing;
        w.cap = w.writing_cap;
        w.n = 0;
        w.writing = p;
        w.writing_cap = cap;
        int fd = w.fd;
        pthread_mutex_unlock(&w.lock);
        unsigned lost = log_destination_write(fd, span_of(p, n));
        if (lost)
            metrics_add(METRIC_LOG_DROPPED, lost);
        pthread_mutex_lock(&w.lock);
    }
    pthread_mutex_unlock(&w.lock);
    return NULL;
}

bool log_start(int access_fd)
{
    w.fd = access_fd;
    w.stop = false;
    w.running = pthread_create(&w.thread, NULL, writer, NULL) == 0;
    return w.running;
}

void log_stop(void)
{
    if (!w.running)
        return;
    pthread_mutex_lock(&w.lock);
    w.stop = true;
    pthread_cond_signal(&w.wake);
    pthread_mutex_unlock(&w.lock);
    pthread_join(w.thread, NULL);
    w.running = false;
    mem_free(w.queue);
    mem_free(w.writing);
    w.queue = w.writing = NULL;
    w.cap = w.writing_cap = 0;
}

void log_set_fd(int access_fd)
{
    pthread_mutex_lock(&w.lock);
    w.fd = access_fd;
    pthread_mutex_unlock(&w.lock);
}

static void (*sink_fn)(void *, struct span);
static void *sink_arg;

void log_sink_set(void (*sink)(void *arg, struct span line), void *arg)
{
    sink_fn = sink;
    sink_arg = arg;
}

void log_access(struct span line)
{
    if (unlikely(sink_fn != NULL)) {
        sink_fn(sink_arg, line);
        return;
    }
    if (!w.running)
        return;
    pthread_mutex_lock(&w.lock);
    bool was_empty = w.n == 0, fits = w.n + line.len <= LOG_QUEUE_MAX_BYTES;
    if (fits && w.n + line.len > w.cap) {
        size_t cap = MAX(MAX(w.cap * 2, (size_t)FIRST_BYTES), w.n + line.len);
        char *p = (char *)mem_realloc(w.queue, cap);
        if (p) {
            w.queue = p;
            w.cap = cap;
        }
        fits = p != NULL;
    }
    if (fits) {
        memcpy(w.queue + w.n, line.ptr, line.len);
        w.n += line.len;
    } else {
        metrics_add(METRIC_LOG_DROPPED, 1);
    }
    if (was_empty && fits)
        pthread_cond_signal(&w.wake);
    pthread_mutex_unlock(&w.lock);
}

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&level_min, (int)level, memory_order_relaxed);
}

void log_error(enum log_level level, const char *fmt, ...)
{
    static const char *const names[] = {"debug", "info", "warn", "error"};
    char text[1024];
    if ((int)level < atomic_load_explicit(&level_min, memory_order_relaxed))
        return;
    va_list ap;
    va_start(ap, fmt);
    vsnprintf(text, sizeof text, fmt, ap);
    va_end(ap);
    fprintf(stderr, "weir: %s: %s\n", names[level], text);
}
