// SPDX-License-Identifier: Apache-2.0
// The index: what is where. A shard is chosen by the hash of the group, so that a group is under one lock.
#include "cache/disk_internal.h"

#include "base/mem.h"

enum { OBJECT_GUESS_BYTES = 16 * 1024, BUCKETS_MIN = 64, BUCKETS_MAX = 64 * 1024, ENTRIES_MAX = UINT32_MAX / 2, FIRST_ENTRIES = 64 };

enum err disk_index_init(struct disk *d)
{
    uint64_t buckets = BUCKETS_MIN;
    while (buckets < BUCKETS_MAX && buckets * DISK_SHARDS * OBJECT_GUESS_BYTES < d->size_bytes)
        buckets *= 2;
    d->bucket_mask = (uint32_t)buckets - 1;
    for (unsigned i = 0; i < DISK_SHARDS; i++) {
        struct disk_shard *s = &d->shards[i];
        pthread_mutex_init(&s->lock, NULL);
        s->n_entries = 1;
        s->buckets = (uint32_t *)mem_calloc(buckets, sizeof *s->buckets);
        if (!s->buckets)
            return ERR_NO_MEMORY;
    }
    return ERR_OK;
}

void disk_index_fini(struct disk *d)
{
    for (unsigned i = 0; i < DISK_SHARDS; i++) {
        mem_free(d->shards[i].buckets);
        mem_free(d->shards[i].entries);
        pthread_mutex_destroy(&d->shards[i].lock);
    }
}

static struct disk_shard *shard_of(struct disk *d, uint64_t hash)
{
    return &d->shards[hash % DISK_SHARDS];
}

static uint32_t *bucket_of(struct disk *d, struct disk_shard *s, uint64_t hash)
{
    return &s->buckets[hash / DISK_SHARDS & d->bucket_mask];
}

// Takes the entry that link points to out.
static void unlink_entry(struct disk_shard *s, uint32_t *link)
{
    uint32_t i = *link;
    *link = s->entries[i].next;
    s->entries[i] = (struct disk_entry){.next = s->free};
    s->free = i;
    s->n_objects--;
}

// The hash that no entry in use has: place 0 is a segment's head.
static bool in_use(const struct disk_entry *e)
{
    return e->place != 0;
}

static uint32_t new_entry(struct disk_shard *s)
{
    if (s->free) {
        uint32_t i = s->free;
        s->free = s->entries[i].next;
        return i;
    }
    if (s->n_entries >= s->cap) {
        uint32_t cap = s->cap ? s->cap * 2 : FIRST_ENTRIES;
        struct disk_entry *v = cap <= ENTRIES_MAX ? (struct disk_entry *)mem_realloc(s->entries, cap * sizeof *v) : NULL;
        if (!v)
            return 0;
        s->entries = v;
        s->cap = cap;
        v[0] = (struct disk_entry){0};
    }
    return s->n_entries++;
}

// Removes what matches from a bucket; tag NULL: the whole group.
static uint64_t remove_matching(struct disk_shard *s, uint32_t *link, uint64_t hash, const uint32_t *tag)
{
    uint64_t n = 0;
    while (*link) {
        struct disk_entry *e = &s->entries[*link];
        if (e->hash == hash && (!tag || e->tag == *tag)) {
            unlink_entry(s, link);
            n++;
        } else {
            link = &e->next;
        }
    }
    return n;
}

bool disk_index_put(struct disk *d, const struct disk_entry *e)
{
    struct disk_shard *s = shard_of(d, e->hash);
    pthread_mutex_lock(&s->lock);
    uint32_t *bucket = bucket_of(d, s, e->hash);
    remove_matching(s, bucket, e->hash, &e->tag);
    uint32_t i = new_entry(s);
    if (i) {
        s->entries[i] = *e;
        s->entries[i].next = *bucket;
        *bucket = i;
        s->n_objects++;
    }
    pthread_mutex_unlock(&s->lock);
    return i != 0;
}

uint64_t disk_index_remove(struct disk *d, uint64_t hash, const uint32_t *tag)
{
    struct disk_shard *s = shard_of(d, hash);
    pthread_mutex_lock(&s->lock);
    uint64_t n = remove_matching(s, bucket_of(d, s, hash), hash, tag);
    pthread_mutex_unlock(&s->lock);
    return n;
}

static void found(struct disk *d, struct disk_shard *s, uint32_t i, struct disk_found *ret)
{
    // While the entry is there, its segment is in the table: whoever takes that out was at every shard first.
    *ret = (struct disk_found){.entry = s->entries[i], .index = i, .segment = disk_segment_ref(d->slots[s->entries[i].slot])};
}

unsigned disk_index_find(struct disk *d, uint64_t hash, const uint32_t *tag, struct disk_found *ret, unsigned max)
{
    struct disk_shard *s = shard_of(d, hash);
    unsigned n = 0;
    pthread_mutex_lock(&s->lock);
    for (uint32_t i = *bucket_of(d, s, hash); i && n < max; i = s->entries[i].next) {
        struct disk_entry *e = &s->entries[i];
        if (e->hash != hash || (tag && e->tag != *tag))
            continue;
        e->uses = (uint8_t)MIN(e->uses + 1, (int)DISK_USES_MAX);
        found(d, s, i, &ret[n++]);
    }
    pthread_mutex_unlock(&s->lock);
    return n;
}

static bool is_same(struct disk *d, struct disk_shard *s, uint64_t hash, uint32_t index, const struct disk_segment *segment, uint32_t place)
{
    const struct disk_entry *e = index < s->n_entries ? &s->entries[index] : NULL;
    return e && in_use(e) && e->hash == hash && e->place == place && d->slots[e->slot] == segment;
}

bool disk_index_has(struct disk *d, uint64_t hash, const uint32_t *tag)
{
    struct disk_shard *s = shard_of(d, hash);
    bool has = false;
    pthread_mutex_lock(&s->lock);
    for (uint32_t i = *bucket_of(d, s, hash); i && !has; i = s->entries[i].next)
        has = s->entries[i].hash == hash && (!tag || s->entries[i].tag == *tag);
    pthread_mutex_unlock(&s->lock);
    return has;
}

bool disk_index_forget(struct disk *d, uint64_t hash, uint32_t index, const struct disk_segment *segment, uint32_t place)
{
    struct disk_shard *s = shard_of(d, hash);
    pthread_mutex_lock(&s->lock);
    bool same = is_same(d, s, hash, index, segment, place);
    if (same) {
        uint32_t *link = bucket_of(d, s, hash);
        while (*link != index)
            link = &s->entries[*link].next;
        unlink_entry(s, link);
    }
    pthread_mutex_unlock(&s->lock);
    return same;
}

bool disk_index_is(struct disk *d, uint64_t hash, uint32_t index, const struct disk_segment *segment, uint32_t place)
{
    struct disk_shard *s = shard_of(d, hash);
    pthread_mutex_lock(&s->lock);
    bool same = is_same(d, s, hash, index, segment, place);
    pthread_mutex_unlock(&s->lock);
    return same;
}

void disk_index_trust(struct disk *d, uint64_t hash, uint32_t index, const struct disk_segment *segment, uint32_t place, uint16_t epoch)
{
    struct disk_shard *s = shard_of(d, hash);
    pthread_mutex_lock(&s->lock);
    if (is_same(d, s, hash, index, segment, place))
        s->entries[index].trusted = epoch;
    pthread_mutex_unlock(&s->lock);
}

uint64_t disk_index_leave(struct disk *d, uint16_t slot, struct disk_entry *used, unsigned max, unsigned *ret_used)
{
    uint64_t n = 0;
    unsigned kept = 0;
    for (unsigned k = 0; k < DISK_SHARDS; k++) {
        struct disk_shard *s = &d->shards[k];
        pthread_mutex_lock(&s->lock);
        for (uint32_t b = 0; b <= d->bucket_mask; b++) {
            for (uint32_t *link = &s->buckets[b]; *link;) {
                struct disk_entry *e = &s->entries[*link];
                if (e->slot != slot && e->first_slot != slot) {
                    link = &e->next;
                    continue;
                }
                if (e->uses && e->slot == slot && e->first_slot == slot && kept < max)
                    used[kept++] = *e;
                unlink_entry(s, link);
                n++;
            }
        }
        pthread_mutex_unlock(&s->lock);
    }
    *ret_used = kept;
    return n;
}

unsigned disk_index_page(struct disk *d, unsigned shard, uint32_t *at, struct disk_found *ret, unsigned max)
{
    struct disk_shard *s = &d->shards[shard];
    unsigned n = 0;
    pthread_mutex_lock(&s->lock);
    for (; *at < s->n_entries && n < max; (*at)++)
        if (*at && in_use(&s->entries[*at]))
            found(d, s, *at, &ret[n++]);
    pthread_mutex_unlock(&s->lock);
    return n;
}

uint64_t disk_index_count(struct disk *d)
{
    uint64_t n = 0;
    for (unsigned k = 0; k < DISK_SHARDS; k++) {
        pthread_mutex_lock(&d->shards[k].lock);
        n += d->shards[k].n_objects;
        pthread_mutex_unlock(&d->shards[k].lock);
    }
    return n;
}
