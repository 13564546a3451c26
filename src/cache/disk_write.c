// SPDX-License-Identifier: Apache-2.0
// Writes: gathered by who stores, done by one thread of the store.
#include "cache/disk_internal.h"

#include "base/arena.h"
#include "base/check.h"
#include "base/mem.h"
#include "base/spare.h"
#include "io/loop.h"

enum {
    QUEUED_MAX_BYTES = 64 * 1024 * 1024,
    BURST_US = 1000 * 1000, // of the write rate
};

static bool takes_nothing(struct disk *d)
{
    return !disk_is_ready(d) || disk_now_ms() < atomic_load(&d->paused_until_ms) || atomic_load(&d->queued_bytes) > QUEUED_MAX_BYTES;
}

enum err disk_begin(struct disk *d, struct disk_key key, struct disk_write **ret)
{
    CHECK(key.group_len <= key.bytes.len);
    if (key.bytes.len > DISK_KEY_MAX)
        return ERR_CONTENT_TOO_LARGE;
    if (takes_nothing(d)) {
        disk_count(&d->n.dropped, 1);
        return ERR_AGAIN;
    }
    struct disk_write *w = (struct disk_write *)mem_calloc(1, sizeof *w + key.bytes.len);
    if (!w)
        return ERR_NO_MEMORY;
    w->disk = d;
    w->key = (char *)(w + 1);
    if (key.bytes.len)
        memcpy(w->key, key.bytes.ptr, key.bytes.len);
    w->key_bytes = key.bytes.len;
    w->group_bytes = key.group_len;
    disk_hash_key(d, key, &w->hash, &w->tag);
    chunkq_init(&w->gather);
    pthread_mutex_lock(&d->writing);
    list_push_back(&d->writes, &w->node);
    pthread_mutex_unlock(&d->writing);
    *ret = w;
    return ERR_OK;
}

static void write_free(struct disk_write *w)
{
    struct disk *d = w->disk;
    pthread_mutex_lock(&d->writing);
    list_remove(&w->node);
    pthread_mutex_unlock(&d->writing);
    atomic_fetch_sub(&d->queued_bytes, w->gather.bytes);
    chunkq_fini(&w->gather);
    mem_free(w->metadata);
    mem_free(w->extents);
    mem_free(w->sums);
    mem_free(w);
}

// ---- The queue

static void post(struct disk *d, struct disk_job *j)
{
    if (d->in_place) {
        disk_run_job(j);
        return;
    }
    j->next = NULL;
    pthread_mutex_lock(&d->queue);
    *d->last = j;
    d->last = &j->next;
    d->n_posted++;
    pthread_cond_signal(&d->queue_changed);
    pthread_mutex_unlock(&d->queue);
}

// What is under way counts as queued from the first byte on: the gathered content of many slow writes is memory too.
static enum err post_piece(struct disk_write *w)
{
    struct disk_job *j = (struct disk_job *)mem_alloc(sizeof *j);
    if (!j)
        return ERR_NO_MEMORY;
    *j = (struct disk_job){.write = w, .kind = DISK_JOB_PIECE};
    chunkq_init(&j->content);
    if (chunkq_move(&j->content, &w->gather, DISK_PIECE_BYTES)) {
        atomic_fetch_sub(&w->disk->queued_bytes, j->content.bytes);
        chunkq_fini(&j->content);
        mem_free(j);
        return ERR_NO_MEMORY;
    }
    post(w->disk, j);
    return ERR_OK;
}

enum err disk_append(struct disk_write *w, const struct chunkq *q, size_t n)
{
    struct disk *d = w->disk;
    size_t before = w->gather.bytes;
    n = MIN(n, q->bytes);
    uint64_t most = atomic_load_explicit(&d->object_max_bytes, memory_order_relaxed);
    if (w->length > most || n > most - w->length)
        return ERR_CONTENT_TOO_LARGE;
    if (takes_nothing(d))
        return ERR_AGAIN;
    enum err e = chunkq_share(&w->gather, q, n);
    atomic_fetch_add(&d->queued_bytes, w->gather.bytes - before);
    w->length += w->gather.bytes - before;
    // The last piece goes with the object's record, so one always stays here.
    while (!e && w->gather.bytes > DISK_PIECE_BYTES)
        e = post_piece(w);
    return e;
}

static void end_write(struct disk_write *w, enum disk_job_kind kind)
{
    w->last = (struct disk_job){.write = w, .kind = kind};
    post(w->disk, &w->last);
}

void disk_abort(struct disk_write *w)
{
    disk_count(&w->disk->n.dropped, 1);
    end_write(w, DISK_JOB_ABORT);
}

static void end_with_metadata(struct disk_write *w, struct span metadata, enum disk_job_kind kind)
{
    w->metadata = metadata.len <= DISK_METADATA_MAX ? (char *)mem_alloc(metadata.len + 1) : NULL;
    if (!w->metadata) {
        disk_abort(w);
        return;
    }
    if (metadata.len)
        memcpy(w->metadata, metadata.ptr, metadata.len);
    w->metadata_bytes = metadata.len;
    atomic_store(&w->committed, true);
    end_write(w, kind);
}

void disk_commit(struct disk_write *w, struct span metadata)
{
    end_with_metadata(w, metadata, DISK_JOB_COMMIT);
}

void disk_update(struct disk *d, struct disk_key key, struct span metadata)
{
    struct disk_write *w;
    if (disk_begin(d, key, &w))
        (void)disk_remove(d, key);
    else
        end_with_metadata(w, metadata, DISK_JOB_UPDATE);
}

// ---- The writer

// What was stored under the key of a write that failed is older than what clients have seen.
static void forget_older(struct disk *d, const struct disk_write *w)
{
    if (disk_index_remove(d, w->hash, &w->tag))
        disk_log_removal(d, w->hash, &w->tag);
}

static bool write_update(struct disk *d, struct disk_write *w)
{
    struct disk_found f;
    struct disk_object o;
    if (!disk_index_find(d, w->hash, &w->tag, &f, 1))
        return true; // nothing to update
    f.entry.record_units = UINT16_MAX; // the content is not wanted
    if (disk_open_found(d, &f, &o))
        return false;
    bool ok = span_eq(o.key, span_of(w->key, w->key_bytes)) && disk_log_update(d, &o, span_of(w->metadata, w->metadata_bytes));
    disk_object_close(&o);
    return ok;
}

void disk_run_job(struct disk_job *j)
{
    struct disk_write *w = j->write;
    struct disk *d = w->disk;
    enum disk_job_kind kind = j->kind; // the last job is a part of the write
    bool ok = true;
    pthread_mutex_lock(&d->log);
    bool wanted = !atomic_load(&w->dropped) && disk_now_ms() < atomic_load(&d->close_by_ms);
    if (kind == DISK_JOB_PIECE)
        ok = wanted && disk_log_piece(d, w, &j->content);
    else if (kind == DISK_JOB_COMMIT)
        ok = wanted && disk_log_object(d, w, &w->gather);
    else if (kind == DISK_JOB_UPDATE)
        ok = wanted && write_update(d, w);
    if ((kind == DISK_JOB_COMMIT || kind == DISK_JOB_UPDATE) && !ok)
        forget_older(d, w);
    if (!ok)
        atomic_store(&w->dropped, true);
    if (kind == DISK_JOB_COMMIT)
        disk_count(ok ? &d->n.stored : &d->n.dropped, 1);
    // The list of writes must not lose it before the index has it: who removes looks at both under this lock.
    if (kind != DISK_JOB_PIECE)
        write_free(w);
    pthread_mutex_unlock(&d->log);
    if (kind == DISK_JOB_PIECE) {
        atomic_fetch_sub(&d->queued_bytes, j->content.bytes);
        chunkq_fini(&j->content);
        mem_free(j);
    }
}

static bool is_closing(struct disk *d)
{
    return atomic_load(&d->state) == DISK_CLOSING;
}

// The next job, after n_done more; NULL at the end of the store.
static struct disk_job *next_job(struct disk *d, unsigned n_done)
{
    pthread_mutex_lock(&d->queue);
    d->n_done += n_done;
    if (d->n_settling)
        pthread_cond_broadcast(&d->loaded);
    while (!d->first && !is_closing(d))
        pthread_cond_wait(&d->queue_changed, &d->queue);
    struct disk_job *j = d->first;
    if (j) {
        d->first = j->next;
        if (!d->first)
            d->last = &d->first;
    }
    pthread_mutex_unlock(&d->queue);
    return j;
}

// Waits where more was written lately than the rate allows. Not while the store is being closed.
static void keep_rate(struct disk *d, uint64_t written)
{
    uint64_t now = loop_clock_us();
    d->rate_free_us = MAX(d->rate_free_us, now) + written * 1000 * 1000 / atomic_load_explicit(&d->write_rate, memory_order_relaxed);
    if (d->rate_free_us <= now + BURST_US)
        return;
    pthread_mutex_lock(&d->queue);
    disk_wait_until(d, &d->queue_changed, (d->rate_free_us - BURST_US) / 1000 + 1, is_closing);
    pthread_mutex_unlock(&d->queue);
}

// Waits for the folder, which the process before us may still use.
static bool get_folder(struct disk *d)
{
    enum { AGAIN_MS = 200 };
    while (d->lock_fd < 0 && !is_closing(d)) {
        d->lock_fd = d->files->lock(d->files_arg, d->folder_fd);
        if (d->lock_fd >= 0)
            break;
        pthread_mutex_lock(&d->queue);
        disk_wait_until(d, &d->queue_changed, disk_now_ms() + AGAIN_MS, is_closing);
        pthread_mutex_unlock(&d->queue);
    }
    return d->lock_fd >= 0;
}

struct settling {
    struct disk *disk;
    uint64_t until_ms;
};

static void settle(void *arg)
{
    struct settling *s = (struct settling *)arg;
    struct disk *d = s->disk;
    pthread_mutex_lock(&d->queue);
    uint64_t target = d->n_posted;
    d->n_settling++;
    while (d->n_done < target && !is_closing(d) && disk_now_ms() < s->until_ms)
        disk_wait_once(d, &d->loaded, s->until_ms);
    d->n_settling--;
    pthread_mutex_unlock(&d->queue);
}

void disk_settle(struct disk *d, unsigned wait_ms)
{
    struct settling s = {d, disk_now_ms() + wait_ms};
    if (!d->in_place)
        disk_blocking(settle, &s);
}

void *disk_writer_main(void *arg)
{
    struct disk *d = (struct disk *)arg;
    if (get_folder(d))
        disk_load(d);
    struct disk_job *j;
    for (unsigned n_done = 0; (j = next_job(d, n_done)); n_done = 1) {
        uint64_t before = atomic_load(&d->n.written_bytes);
        disk_run_job(j);
        keep_rate(d, atomic_load(&d->n.written_bytes) - before);
    }
    chunk_thread_fini();
    spare_thread_fini();
    arena_thread_fini();
    return NULL;
}
