// SPDX-License-Identifier: Apache-2.0
#include "cache/body.h"

#include "base/check.h"
#include "base/mem.h"
#include "cache/disk.h"
#include "cache/internal.h"
#include "cache/wait.h"

enum body_state { BODY_FILLING, BODY_WHOLE, BODY_BROKEN };

struct body_segment {
    struct chunk *chunk;
    uint64_t start; // offset of its first byte in the content
};

struct cache_body {
    _Atomic uint32_t refs;
    _Atomic uint32_t state;
    _Atomic uint64_t length; // bytes that are there, published after they are
    struct cache *cache;
    uint64_t expected;
    // While filling under the lock; unchanged afterwards. What is behind `length` is the filler's alone.
    pthread_mutex_t lock;
    struct body_segment *segments;
    uint32_t n, cap;
    enum err err;
    bool passing;
    _Atomic uint64_t charged; // read by who evicts
    struct disk_object *disk; // never changed; NULL: in memory
    struct list waiters; // for more, or for the end
    struct list readers;
    struct list fillers; // waiting for readers
};

static uint64_t chunk_charge(const struct chunk *c)
{
    return sizeof *c + c->cap + MEM_OVERHEAD;
}

static void charge(struct cache_body *b, int64_t bytes)
{
    atomic_fetch_add_explicit(&b->charged, (uint64_t)bytes, memory_order_relaxed);
    cache_charge(b->cache, bytes);
}

struct cache_body *cache_body_new(struct cache *c, uint64_t expected)
{
    struct cache_body *b = (struct cache_body *)mem_calloc(1, sizeof *b);
    if (!b)
        return NULL;
    atomic_init(&b->refs, 1);
    b->cache = c;
    b->expected = expected;
    pthread_mutex_init(&b->lock, NULL);
    list_init(&b->waiters);
    list_init(&b->readers);
    list_init(&b->fillers);
    charge(b, sizeof *b + MEM_OVERHEAD);
    return b;
}

struct cache_body *cache_body_new_on_disk(struct cache *c, struct disk_object *o)
{
    struct cache_body *b = cache_body_new(c, o->length);
    struct disk_object *own = b ? (struct disk_object *)mem_alloc(sizeof *own) : NULL;
    if (!own) {
        cache_body_unref(b);
        return NULL;
    }
    charge(b, sizeof *own + MEM_OVERHEAD);
    disk_object_dup(o, own);
    disk_object_close(o);
    b->disk = own;
    atomic_store_explicit(&b->length, own->length, memory_order_relaxed);
    atomic_store_explicit(&b->state, BODY_WHOLE, memory_order_release);
    return b;
}

const struct disk_object *cache_body_disk(const struct cache_body *b)
{
    return b->disk;
}

static enum err share_from_disk(const struct cache_body *b, uint64_t first, uint64_t length, struct chunkq *q)
{
    struct disk_object o;
    disk_object_dup(b->disk, &o);
    enum err e = disk_read(&o, first, length, q);
    disk_object_close(&o);
    return e == ERR_NOT_FOUND ? ERR_IO : e;
}

struct cache_body *cache_body_ref(struct cache_body *b)
{
    atomic_fetch_add_explicit(&b->refs, 1, memory_order_relaxed);
    return b;
}

void cache_body_unref(struct cache_body *b)
{
    if (!b || atomic_fetch_sub_explicit(&b->refs, 1, memory_order_acq_rel) != 1)
        return;
    for (uint32_t i = 0; i < b->n; i++)
        chunk_unref(b->segments[i].chunk);
    mem_free(b->segments);
    if (b->disk)
        disk_object_close(b->disk);
    mem_free(b->disk);
    cache_charge(b->cache, -(int64_t)cache_body_charge(b));
    pthread_mutex_destroy(&b->lock);
    mem_free(b);
}

struct cache *cache_body_owner(const struct cache_body *b)
{
    return b->cache;
}

bool cache_body_is_whole(const struct cache_body *b)
{
    return atomic_load_explicit(&b->state, memory_order_acquire) == BODY_WHOLE;
}

bool cache_body_is_broken(const struct cache_body *b)
{
    return atomic_load_explicit(&b->state, memory_order_acquire) == BODY_BROKEN;
}

uint64_t cache_body_length(const struct cache_body *b)
{
    return atomic_load_explicit(&b->length, memory_order_acquire);
}

uint64_t cache_body_expected(const struct cache_body *b)
{
    return b->expected;
}

uint64_t cache_body_charge(const struct cache_body *b)
{
    return atomic_load_explicit(&b->charged, memory_order_relaxed);
}

// ---- Filling

// How large the next segment is: what is known to come, otherwise more each time.
static struct chunk *next_chunk(const struct cache_body *b)
{
    uint64_t have = atomic_load_explicit(&b->length, memory_order_relaxed);
    if (b->expected != UINT64_MAX)
        return chunk_new_exact((size_t)MIN(MAX(b->expected - have, UINT64_C(1)), (uint64_t)BODY_SEGMENT_BYTES));
    return chunk_new_exact(b->n == 0 ? 8192 : b->n < 4 ? 65536 : BODY_SEGMENT_BYTES);
}

static enum err add_segment(struct cache_body *b)
{
    struct chunk *c = next_chunk(b);
    if (!c)
        return ERR_NO_MEMORY;
    pthread_mutex_lock(&b->lock);
    if (b->n == b->cap) {
        uint32_t cap = b->cap ? b->cap * 2 : 1;
        struct body_segment *v = (struct body_segment *)mem_realloc(b->segments, cap * sizeof *v);
        if (!v) {
            pthread_mutex_unlock(&b->lock);
            chunk_unref(c);
            return ERR_NO_MEMORY;
        }
        charge(b, (int64_t)((cap - b->cap) * sizeof *v) + (b->cap ? 0 : MEM_OVERHEAD));
        b->segments = v;
        b->cap = cap;
    }
    b->segments[b->n++] = (struct body_segment){c, atomic_load_explicit(&b->length, memory_order_relaxed)};
    charge(b, (int64_t)chunk_charge(c));
    pthread_mutex_unlock(&b->lock);
    return ERR_OK;
}

static void publish(struct cache_body *b, size_t n)
{
    pthread_mutex_lock(&b->lock);
    atomic_fetch_add_explicit(&b->length, n, memory_order_release);
    cache_wake_all(&b->waiters);
    pthread_mutex_unlock(&b->lock);
}

enum err cache_body_append(struct cache_body *b, struct chunkq *q)
{
    size_t added = 0;
    enum err e = ERR_OK;
    while (q->bytes && !e) {
        struct chunk *last = b->n ? b->segments[b->n - 1].chunk : NULL;
        if (!last || last->used == last->cap) {
            if (added)
                publish(b, added);
            added = 0;
            e = add_segment(b);
            continue;
        }
        struct span s = chunkq_first(q);
        size_t n = MIN(s.len, (size_t)(last->cap - last->used));
        memcpy(last->data + last->used, s.ptr, n);
        last->used += (uint32_t)n;
        chunkq_skip(q, n);
        added += n;
    }
    if (added)
        publish(b, added);
    return e;
}

// Gives back what the last segment, whose length was a guess, has too much; what is small becomes one. Readers that hold the old chunks
// keep them.
static void compact(struct cache_body *b)
{
    uint64_t length = atomic_load_explicit(&b->length, memory_order_relaxed);
    if (b->n == 0 || b->passing)
        return;
    bool join = b->n > 1 && length <= BODY_SEGMENT_BYTES;
    uint32_t from = join ? 0 : b->n - 1;
    struct chunk *last = b->segments[b->n - 1].chunk;
    if (!join && last->used == last->cap)
        return;
    struct chunk *c = chunk_new_exact((size_t)(length - b->segments[from].start));
    if (!c)
        return;
    for (uint32_t i = from; i < b->n; i++) {
        struct chunk *old = b->segments[i].chunk;
        memcpy(c->data + c->used, old->data, old->used);
        c->used += old->used;
        charge(b, -(int64_t)chunk_charge(old));
        chunk_unref(old);
    }
    charge(b, (int64_t)chunk_charge(c));
    b->segments[from].chunk = c;
    b->n = from + 1;
}

static void end(struct cache_body *b, enum body_state state, enum err e)
{
    pthread_mutex_lock(&b->lock);
    b->err = e;
    if (state == BODY_WHOLE)
        compact(b);
    atomic_store_explicit(&b->state, state, memory_order_release);
    cache_wake_all(&b->waiters);
    cache_wake_all(&b->fillers);
    pthread_mutex_unlock(&b->lock);
}

void cache_body_finish(struct cache_body *b)
{
    end(b, BODY_WHOLE, ERR_OK);
}

void cache_body_break(struct cache_body *b, enum err e)
{
    end(b, BODY_BROKEN, e);
}

// ---- Passing through

void cache_body_pass_through(struct cache_body *b)
{
    pthread_mutex_lock(&b->lock);
    b->passing = true;
    pthread_mutex_unlock(&b->lock);
}

// The slowest reader's offset; UINT64_MAX without any. Under the lock.
static uint64_t slowest(const struct cache_body *b)
{
    uint64_t least = UINT64_MAX;
    for (const struct list *it = b->readers.next; it != &b->readers; it = it->next)
        least = MIN(least, container_of(it, const struct body_reader, node)->offset);
    return least;
}

bool cache_body_has_readers(struct cache_body *b)
{
    pthread_mutex_lock(&b->lock);
    bool any = !list_empty(&b->readers);
    pthread_mutex_unlock(&b->lock);
    return any;
}

// Under the lock.
static void drop_before(struct cache_body *b, uint64_t offset)
{
    uint32_t n = 0;
    while (n + 1 < b->n && b->segments[n + 1].start <= offset) {
        charge(b, -(int64_t)chunk_charge(b->segments[n].chunk));
        chunk_unref(b->segments[n++].chunk);
    }
    if (n) {
        memmove(b->segments, b->segments + n, (b->n - n) * sizeof *b->segments);
        b->n -= n;
    }
}

enum err cache_body_wait_room(struct cache_body *b)
{
    for (;;) {
        struct cache_waiter *w = cache_waiter_new();
        if (!w)
            return ERR_NO_MEMORY;
        pthread_mutex_lock(&b->lock);
        uint64_t least = slowest(b);
        bool none = list_empty(&b->readers);
        if (!none)
            drop_before(b, least);
        bool room = none || atomic_load_explicit(&b->length, memory_order_relaxed) - least < BODY_WINDOW_BYTES;
        if (!room)
            cache_waiter_join(&b->fillers, w);
        pthread_mutex_unlock(&b->lock);
        if (room) {
            cache_waiter_free(w);
            return none ? ERR_CANCELED : ERR_OK;
        }
        enum err e = cache_waiter_wait(w, &b->lock);
        if (e)
            return e;
    }
}

void cache_body_drop_read(struct cache_body *b)
{
    pthread_mutex_lock(&b->lock);
    drop_before(b, list_empty(&b->readers) ? atomic_load_explicit(&b->length, memory_order_relaxed) : slowest(b));
    pthread_mutex_unlock(&b->lock);
}

// ---- Reading

bool body_reader_open(struct body_reader *r, struct cache_body *b, uint64_t offset)
{
    pthread_mutex_lock(&b->lock);
    bool ok = !b->passing;
    if (ok) {
        *r = (struct body_reader){.body = cache_body_ref(b), .offset = offset};
        list_push_back(&b->readers, &r->node);
    }
    pthread_mutex_unlock(&b->lock);
    return ok;
}

void body_reader_close(struct body_reader *r)
{
    struct cache_body *b = r->body;
    if (!b)
        return;
    pthread_mutex_lock(&b->lock);
    list_remove(&r->node);
    cache_wake_all(&b->fillers);
    pthread_mutex_unlock(&b->lock);
    cache_body_unref(b);
    r->body = NULL;
}

static uint32_t segment_at(const struct cache_body *b, uint64_t offset)
{
    uint32_t low = 0, high = b->n;
    while (high - low > 1) {
        uint32_t mid = low + (high - low) / 2;
        if (b->segments[mid].start <= offset)
            low = mid;
        else
            high = mid;
    }
    return low;
}

static enum err share(const struct cache_body *b, uint64_t first, uint64_t length, struct chunkq *q)
{
    enum err e = ERR_OK;
    for (uint32_t i = length ? segment_at(b, first) : b->n; i < b->n && length && !e; i++) {
        const struct body_segment *s = &b->segments[i];
        uint64_t skip = first - s->start, end_ = i + 1 < b->n ? b->segments[i + 1].start - s->start : UINT64_MAX;
        uint64_t n = MIN(length, end_ - skip);
        e = chunkq_append(q, s->chunk, s->chunk->data + skip, (size_t)n);
        first += n;
        length -= n;
    }
    return e;
}

enum err cache_body_share_so_far(struct cache_body *b, struct chunkq *q)
{
    pthread_mutex_lock(&b->lock);
    enum err e = b->passing || b->disk ? ERR_INTERNAL : share(b, 0, atomic_load_explicit(&b->length, memory_order_relaxed), q);
    pthread_mutex_unlock(&b->lock);
    return e;
}

enum err cache_body_share(const struct cache_body *b, uint64_t first, uint64_t length, struct chunkq *q)
{
    CHECK(cache_body_is_whole(b) && first + length <= cache_body_length(b));
    return b->disk ? share_from_disk(b, first, length, q) : share(b, first, length, q);
}

bool body_reader_ready(const struct body_reader *r)
{
    return cache_body_length(r->body) > r->offset || atomic_load_explicit(&r->body->state, memory_order_acquire) != BODY_FILLING;
}

enum err body_reader_read(struct body_reader *r, struct chunkq *q, uint64_t max)
{
    struct cache_body *b = r->body;
    for (;;) {
        struct cache_waiter *w = body_reader_ready(r) ? NULL : cache_waiter_new();
        pthread_mutex_lock(&b->lock);
        uint32_t state = atomic_load_explicit(&b->state, memory_order_relaxed);
        uint64_t have = atomic_load_explicit(&b->length, memory_order_relaxed);
        uint64_t n = have > r->offset ? MIN(max, have - r->offset) : 0;
        enum err e = n ? share(b, r->offset, n, q) : state == BODY_WHOLE ? ERR_EOF : state == BODY_BROKEN ? b->err : ERR_AGAIN;
        if (!e) {
            r->offset += n;
            cache_wake_all(&b->fillers);
        } else if (e == ERR_AGAIN && w) {
            cache_waiter_join(&b->waiters, w);
        }
        pthread_mutex_unlock(&b->lock);
        if (e != ERR_AGAIN) {
            cache_waiter_free(w);
            return e;
        }
        e = w ? cache_waiter_wait(w, &b->lock) : ERR_NO_MEMORY;
        if (e)
            return e;
    }
}
