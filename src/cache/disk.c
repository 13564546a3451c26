// SPDX-License-Identifier: Apache-2.0
#include "cache/disk_internal.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

#include "base/check.h"
#include "base/mem.h"
#include "io/loop.h"

enum {
    SEGMENTS_WANTED = 64, // in a full store
    OBJECT_SHARE = 4,     // of the store that one object may have, at most one in so many
    CLOSE_MS = 3000,
};
static const uint64_t write_rate_default = 256 << 20, object_max_bytes = (uint64_t)16 << 30;

uint64_t disk_now_ms(void)
{
    return loop_clock_us() / 1000;
}

bool disk_wait_once(struct disk *d, pthread_cond_t *changed, uint64_t until_ms)
{
    struct timespec t;
    uint64_t now = disk_now_ms(), ms = until_ms > now ? until_ms - now : 0;
    clock_gettime(CLOCK_MONOTONIC, &t);
    t.tv_sec += (time_t)(ms / 1000);
    t.tv_nsec += (long)(ms % 1000) * 1000 * 1000;
    if (t.tv_nsec >= 1000 * 1000 * 1000) {
        t.tv_sec++;
        t.tv_nsec -= 1000 * 1000 * 1000;
    }
    return pthread_cond_timedwait(changed, &d->queue, &t) == 0;
}

void disk_wait_until(struct disk *d, pthread_cond_t *changed, uint64_t until_ms, bool (*done)(struct disk *d))
{
    while (!done(d) && disk_wait_once(d, changed, until_ms))
        ;
}

void disk_hash_key(const struct disk *d, struct disk_key key, uint64_t *ret_hash, uint32_t *ret_tag)
{
    *ret_hash = hash_keyed_with(&d->key, span_first(key.bytes, key.group_len));
    if (ret_tag)
        *ret_tag = (uint32_t)(key.group_len == key.bytes.len ? *ret_hash : hash_keyed_with(&d->key, key.bytes));
}

// ---- Opening

static void init_locks(struct disk *d)
{
    pthread_condattr_t attr;
    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_mutex_init(&d->log, NULL);
    pthread_mutex_init(&d->segments, NULL);
    pthread_mutex_init(&d->writing, NULL);
    pthread_mutex_init(&d->queue, NULL);
    pthread_cond_init(&d->queue_changed, &attr);
    pthread_cond_init(&d->loaded, &attr);
    pthread_condattr_destroy(&attr);
}

static void disk_free(struct disk *d)
{
    while (d->n_segments) {
        struct disk_segment *s = d->order[--d->n_segments];
        CHECK(atomic_load(&s->refs) == 1); // handles are closed first
        disk_segment_unref(s);
    }
    if (d->lock_fd >= 0)
        d->files->close(d->files_arg, d->lock_fd);
    if (d->folder_fd >= 0)
        d->files->close(d->files_arg, d->folder_fd);
    disk_index_fini(d);
    pthread_mutex_destroy(&d->log);
    pthread_mutex_destroy(&d->segments);
    pthread_mutex_destroy(&d->writing);
    pthread_mutex_destroy(&d->queue);
    pthread_cond_destroy(&d->queue_changed);
    pthread_cond_destroy(&d->loaded);
    mem_free(d->order);
    mem_free(d->buffer);
    mem_free(d);
}

static void set_sizes(struct disk *d, uint64_t size_bytes)
{
    d->size_bytes = MAX(size_bytes, (uint64_t)DISK_SIZE_MIN_BYTES);
    uint64_t wanted = d->size_bytes / SEGMENTS_WANTED;
    d->segment_bytes = MIN(MAX(wanted, (uint64_t)DISK_SEGMENT_MIN_BYTES), (uint64_t)DISK_SEGMENT_MAX_BYTES);
    d->record_max_bytes = d->segment_bytes / 2;
    d->object_max_bytes = MIN(d->size_bytes / OBJECT_SHARE, object_max_bytes);
}

uint64_t disk_max_object(const struct disk *d)
{
    return atomic_load_explicit(&d->object_max_bytes, memory_order_relaxed);
}

void disk_resize(struct disk *d, uint64_t size_bytes)
{
    pthread_mutex_lock(&d->log);
    if (MAX(size_bytes, (uint64_t)DISK_SIZE_MIN_BYTES) != d->size_bytes) {
        set_sizes(d, size_bytes);
        disk_log_seal(d); // it may be larger than a segment is now
        disk_log_make_room(d, 0);
    }
    pthread_mutex_unlock(&d->log);
}

void disk_set_write_rate(struct disk *d, uint64_t bytes_s)
{
    atomic_store_explicit(&d->write_rate, bytes_s ? bytes_s : write_rate_default, memory_order_relaxed);
}

static enum err start_writer(struct disk *d, unsigned wait_ms);

enum err disk_open(const struct disk_config *c, struct disk **ret)
{
    struct disk *d = (struct disk *)mem_calloc(1, sizeof *d);
    if (!d)
        return ERR_NO_MEMORY;
    d->files = c->files ? c->files : &disk_files_system;
    d->files_arg = c->files_arg;
    d->folder_fd = c->folder_fd;
    d->in_place = c->in_place;
    disk_set_write_rate(d, c->write_rate_bytes_s);
    d->epoch = 1;
    d->close_by_ms = UINT64_MAX;
    d->last = &d->first;
    list_init(&d->writes);
    init_locks(d);
    set_sizes(d, c->size_bytes);
    d->order = (struct disk_segment **)mem_calloc(DISK_SLOTS, sizeof(struct disk_segment *));
    d->buffer = (char *)mem_alloc(DISK_RECORD_HEAD_BYTES + DISK_PIECE_BYTES);
    enum err e = disk_index_init(d);
    if (!d->order || !d->buffer)
        e = ERR_NO_MEMORY;
    d->lock_fd = e ? -1 : d->files->lock(d->files_arg, d->folder_fd);
    if (!e && d->lock_fd < 0 && (d->lock_fd != -EAGAIN || d->in_place))
        e = ERR_IO;
    if (!e && d->in_place)
        disk_load(d);
    else if (!e)
        e = start_writer(d, c->wait_ms);
    if (e) {
        d->folder_fd = -1; // still the caller's
        disk_free(d);
        return e;
    }
    *ret = d;
    return ERR_OK;
}

static bool not_loading(struct disk *d)
{
    return atomic_load(&d->state) != DISK_LOADING;
}

static enum err start_writer(struct disk *d, unsigned wait_ms)
{
    // Signals are for the thread that asked for them.
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    d->has_writer = pthread_create(&d->writer, NULL, disk_writer_main, d) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!d->has_writer)
        return ERR_NO_MEMORY;
    pthread_setname_np(d->writer, "weir-disk");
    pthread_mutex_lock(&d->queue);
    disk_wait_until(d, &d->loaded, disk_now_ms() + wait_ms, not_loading);
    pthread_mutex_unlock(&d->queue);
    return ERR_OK;
}

void disk_close(struct disk *d)
{
    if (!d)
        return;
    atomic_store(&d->close_by_ms, disk_now_ms() + CLOSE_MS);
    pthread_mutex_lock(&d->queue);
    atomic_store(&d->state, DISK_CLOSING);
    pthread_cond_broadcast(&d->queue_changed);
    pthread_mutex_unlock(&d->queue);
    if (d->has_writer)
        pthread_join(d->writer, NULL);
    CHECK(list_empty(&d->writes));
    pthread_mutex_lock(&d->log);
    disk_log_seal(d);
    pthread_mutex_unlock(&d->log);
    disk_free(d);
}

void disk_get_stats(struct disk *d, struct disk_stats *ret)
{
    *ret = (struct disk_stats){
        .bytes = atomic_load(&d->bytes),
        .objects = disk_index_count(d),
        .hits = atomic_load(&d->n.hits),
        .misses = atomic_load(&d->n.misses),
        .written_bytes = atomic_load(&d->n.written_bytes),
        .stored = atomic_load(&d->n.stored),
        .dropped = atomic_load(&d->n.dropped),
        .evicted = atomic_load(&d->n.evicted),
        .reinserted = atomic_load(&d->n.reinserted),
        .damaged = atomic_load(&d->n.damaged),
        .read_errors = atomic_load(&d->n.read_errors),
        .write_errors = atomic_load(&d->n.write_errors),
        .loading = atomic_load(&d->state) == DISK_LOADING,
    };
}
