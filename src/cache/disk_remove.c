// SPDX-License-Identifier: Apache-2.0
// Removing and changing what is stored. All of it is done under the log's lock, and so in one order with what is written.
#include "cache/disk_internal.h"

#include "io/fiber.h"
#include "io/loop.h"

enum { LOAD_WAIT_MS = 2000, PAGE = 64, GROUP_MAX = 64 };

void disk_blocking(void (*fn)(void *arg), void *arg)
{
    // Where there is no place among the helpers, blocking is better than not doing it.
    if (!fiber_self() || loop_offload(fn, arg))
        fn(arg);
}

static bool not_loading(struct disk *d)
{
    return atomic_load(&d->state) != DISK_LOADING;
}

// The index is there. False where it is not to be waited for: everything goes as soon as it is.
static bool wait_loaded(struct disk *d)
{
    if (disk_is_ready(d))
        return true;
    pthread_mutex_lock(&d->queue);
    disk_wait_until(d, &d->loaded, disk_now_ms() + LOAD_WAIT_MS, not_loading);
    pthread_mutex_unlock(&d->queue);
    if (!disk_is_ready(d))
        atomic_store(&d->wipe, true);
    return disk_is_ready(d);
}

static bool is_of(const struct disk_write *w, const uint64_t *hash, const uint32_t *tag)
{
    return (!hash || w->hash == *hash) && (!tag || w->tag == *tag);
}

// Drops the writes under way of a key, of a group (tag NULL), or all (hash NULL). Says how many of them would have been found under keys
// that the index does not have. The log's lock is held.
static uint64_t drop_writes(struct disk *d, const uint64_t *hash, const uint32_t *tag)
{
    uint64_t n = 0;
    pthread_mutex_lock(&d->writing);
    LIST_FOREACH (it, &d->writes) {
        struct disk_write *w = container_of(it, struct disk_write, node);
        if (is_of(w, hash, tag) && !atomic_exchange(&w->dropped, true))
            n += atomic_load(&w->committed) && !disk_index_has(d, w->hash, &w->tag);
    }
    pthread_mutex_unlock(&d->writing);
    return n;
}

bool disk_is_writing(struct disk *d, uint64_t hash, const uint32_t *tag, bool committed)
{
    bool any = false;
    pthread_mutex_lock(&d->writing);
    LIST_FOREACH (it, &d->writes) {
        const struct disk_write *w = container_of(it, const struct disk_write, node);
        any |= is_of(w, &hash, tag) && !atomic_load(&w->dropped) && (!committed || atomic_load(&w->committed));
    }
    pthread_mutex_unlock(&d->writing);
    return any;
}

struct removal {
    struct disk *disk;
    struct disk_key key;
    bool group; // all of the key's group
    uint64_t n;
};

static void remove_now(void *arg)
{
    struct removal *r = (struct removal *)arg;
    struct disk *d = r->disk;
    uint64_t hash;
    uint32_t tag;
    if (!wait_loaded(d)) // the store's key is not known before
        return;
    disk_hash_key(d, r->key, &hash, &tag);
    const uint32_t *which = r->group ? NULL : &tag;
    pthread_mutex_lock(&d->log);
    r->n = drop_writes(d, &hash, which);
    uint64_t n = disk_index_remove(d, hash, which);
    if (n)
        disk_log_removal(d, hash, which);
    r->n += n;
    pthread_mutex_unlock(&d->log);
}

static bool nothing_to_remove(struct disk *d, const struct removal *r)
{
    uint64_t hash;
    uint32_t tag;
    if (!disk_is_ready(d))
        return false;
    disk_hash_key(d, r->key, &hash, &tag);
    const uint32_t *which = r->group ? NULL : &tag;
    // Writes first: one that ends in between is in the index then.
    return !disk_is_writing(d, hash, which, false) && !disk_index_has(d, hash, which);
}

static uint64_t remove_some(struct disk *d, struct disk_key key, bool group)
{
    struct removal r = {.disk = d, .key = key, .group = group};
    if (nothing_to_remove(d, &r))
        return 0;
    disk_blocking(remove_now, &r);
    return r.n;
}

bool disk_remove(struct disk *d, struct disk_key key)
{
    return remove_some(d, key, false) > 0;
}

uint64_t disk_remove_group(struct disk *d, struct span group)
{
    return remove_some(d, (struct disk_key){group, group.len}, true);
}

// ---- By what they are

struct trial {
    struct disk *disk;
    struct span group; // NULL pointer: everything
    enum disk_verdict (*judge)(void *arg, const struct disk_object *o, struct span *ret_metadata);
    void *arg;
    uint64_t n;
};

static void judge_one(struct trial *t, struct disk_found *f)
{
    struct disk_object o;
    struct disk *d = t->disk;
    struct span metadata = SPAN_NONE;
    uint32_t tag = f->entry.tag;
    f->entry.record_units = UINT16_MAX; // the metadata alone is wanted
    if (disk_open_found(d, f, &o))
        return;
    enum disk_verdict v = t->judge(t->arg, &o, &metadata);
    bool gone = v == DISK_DROP, changed = v == DISK_CHANGE && metadata.len <= DISK_METADATA_MAX && disk_log_update(d, &o, metadata);
    if (v == DISK_CHANGE && !changed)
        gone = true; // what was to be changed must not stay as it was
    if (gone && (disk_index_forget(d, o.hash, o.index, o.segment, o.place) || v == DISK_CHANGE))
        disk_log_removal(d, o.hash, &tag);
    t->n += gone || changed;
    disk_object_close(&o);
}

static void judge_group(struct trial *t)
{
    struct disk *d = t->disk;
    struct disk_found f[GROUP_MAX];
    uint64_t hash;
    disk_hash_key(d, (struct disk_key){t->group, t->group.len}, &hash, NULL);
    t->n += drop_writes(d, &hash, NULL);
    unsigned n = disk_index_find(d, hash, NULL, f, GROUP_MAX);
    for (unsigned i = 0; i < n; i++)
        judge_one(t, &f[i]);
}

static void judge_shards(struct trial *t)
{
    struct disk *d = t->disk;
    (void)drop_writes(d, NULL, NULL);
    for (unsigned k = 0; k < DISK_SHARDS; k++) {
        struct disk_found f[PAGE];
        unsigned n;
        for (uint32_t at = 0; (n = disk_index_page(d, k, &at, f, PAGE)) > 0;)
            for (unsigned i = 0; i < n; i++)
                judge_one(t, &f[i]);
    }
}

static void judge_now(void *arg)
{
    struct trial *t = (struct trial *)arg;
    struct disk *d = t->disk;
    if (!wait_loaded(d))
        return;
    // Nothing moves meanwhile but what is judged.
    pthread_mutex_lock(&d->log);
    if (t->group.ptr)
        judge_group(t);
    else
        judge_shards(t);
    pthread_mutex_unlock(&d->log);
}

uint64_t disk_judge(struct disk *d, struct span group, enum disk_verdict (*judge)(void *arg, const struct disk_object *o, struct span *ret_metadata),
                    void *arg)
{
    struct trial t = {.disk = d, .group = group, .judge = judge, .arg = arg};
    disk_blocking(judge_now, &t);
    return t.n;
}

static void remove_all_now(void *arg)
{
    struct removal *r = (struct removal *)arg;
    struct disk *d = r->disk;
    if (!wait_loaded(d))
        return;
    pthread_mutex_lock(&d->log);
    r->n = drop_writes(d, NULL, NULL) + disk_index_count(d);
    disk_log_wipe(d);
    pthread_mutex_unlock(&d->log);
}

uint64_t disk_remove_all(struct disk *d)
{
    struct removal r = {.disk = d};
    disk_blocking(remove_all_now, &r);
    return r.n;
}

void disk_each(struct disk *d, struct span group, void (*fn)(void *arg, const struct disk_object *o), void *arg)
{
    struct disk_found f[GROUP_MAX];
    unsigned n = disk_find_group(d, group, f, GROUP_MAX);
    for (unsigned i = 0; i < n; i++) {
        struct disk_object o;
        f[i].entry.record_units = UINT16_MAX;
        if (disk_open_found(d, &f[i], &o))
            continue;
        fn(arg, &o);
        disk_object_close(&o);
    }
}

static void sync_now(void *arg)
{
    struct disk *d = (struct disk *)arg;
    pthread_mutex_lock(&d->log);
    if (d->active && d->files->sync(d->files_arg, d->active->fd) < 0)
        disk_count(&d->n.write_errors, 1);
    pthread_mutex_unlock(&d->log);
}

void disk_sync(struct disk *d)
{
    disk_blocking(sync_now, d);
}
