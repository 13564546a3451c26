// SPDX-License-Identifier: Apache-2.0
// Finding and reading stored responses. What was read is shown only once it agrees with its checksum.
#include "cache/disk_internal.h"

#include "io/fiber.h"
#include "io/loop.h"

enum {
    READ_ALONG_BYTES = 32 * 1024, // a record of up to this size is read with its content at once
    SENDFILE_MIN_BYTES = 16 * 1024,
    GROUP_MAX = 64, // members that are looked at
};

// It is as good as not there from now on.
static void lose(struct disk *d, const struct disk_object *o, enum err why)
{
    if (why == ERR_NO_MEMORY)
        return;
    disk_count(why == ERR_IO ? &d->n.read_errors : &d->n.damaged, 1);
    (void)disk_index_forget(d, o->hash, o->index, o->segment, o->place);
}

// The extents are runs of whole blocks that add up to the length.
static bool extents_fit(const struct disk_object *o)
{
    uint64_t sum = 0;
    for (uint32_t i = 0; i < o->n_extents; i++) {
        uint32_t n = disk_get_extent(o->extents + (size_t)i * DISK_EXTENT_BYTES).bytes;
        if (n == 0 || n > DISK_PIECE_BYTES || (i + 1 < o->n_extents && n % DISK_BLOCK_BYTES != 0))
            return false;
        sum += n;
    }
    return sum == o->length;
}

// Makes sense of a record in o's chunk.
static bool parse(struct disk *d, struct disk_object *o, uint64_t offset, size_t n)
{
    struct disk_record r;
    struct disk_object_head h;
    const char *p = o->chunk->data;
    if (n < DISK_RECORD_HEAD_BYTES || !disk_get_record(p, offset, &o->segment->key, &r) || r.type != DISK_OBJECT || r.hash != o->hash ||
        r.descriptor_bytes > n - DISK_RECORD_HEAD_BYTES)
        return false;
    struct span descriptor = {p + DISK_RECORD_HEAD_BYTES, r.descriptor_bytes};
    if (disk_sum(descriptor, &d->key) != r.descriptor_sum || !disk_get_object_head(descriptor.ptr, descriptor.len, &h))
        return false;
    o->length = h.length;
    o->n_extents = h.n_extents;
    o->extents = descriptor.ptr + DISK_OBJECT_HEAD_BYTES;
    o->sums = o->extents + (size_t)h.n_extents * DISK_EXTENT_BYTES;
    const char *key = o->sums + disk_sum_count(h.length) * DISK_SUM_BYTES;
    o->key = span_of(key, h.key_bytes);
    o->group_len = h.group_bytes;
    o->metadata = span_of(key + h.key_bytes, h.metadata_bytes);
    o->inline_at = DISK_RECORD_HEAD_BYTES + r.descriptor_bytes;
    o->inline_bytes = (uint32_t)MIN(r.body_bytes, n - o->inline_at);
    return extents_fit(o);
}

enum err disk_open_found(struct disk *d, struct disk_found *f, struct disk_object *o)
{
    uint16_t epoch = atomic_load(&d->epoch);
    *o = (struct disk_object){.disk = d, .segment = f->segment, .hash = f->entry.hash, .index = f->index, .place = f->entry.place, .epoch = epoch,
                              .trusted = f->entry.trusted == epoch};
    size_t head = (size_t)f->entry.head_units * DISK_UNIT_BYTES, all = (size_t)f->entry.record_units * DISK_UNIT_BYTES;
    size_t n = all <= READ_ALONG_BYTES ? all : head;
    uint64_t offset = (uint64_t)f->entry.place * DISK_UNIT_BYTES;
    o->chunk = chunk_new(n);
    enum err e = o->chunk ? disk_segment_read(o->segment, o->chunk->data, n, offset) : ERR_NO_MEMORY;
    if (!e && !parse(d, o, offset, n))
        e = ERR_EOF;
    if (!e)
        return ERR_OK;
    lose(d, o, e);
    disk_object_close(o);
    return e == ERR_NO_MEMORY ? e : ERR_NOT_FOUND;
}

void disk_object_dup(const struct disk_object *o, struct disk_object *ret)
{
    *ret = *o;
    disk_segment_ref(ret->segment);
    chunk_ref(ret->chunk);
    ret->other = NULL;
}

void disk_object_close(struct disk_object *o)
{
    chunk_unref(o->chunk);
    disk_segment_unref(o->segment);
    disk_segment_unref(o->other);
    o->chunk = NULL;
    o->segment = o->other = NULL;
}

static enum err counted(struct disk *d, enum err e)
{
    disk_count(e ? &d->n.misses : &d->n.hits, 1);
    return e;
}

enum err disk_lookup(struct disk *d, struct disk_key key, struct disk_object *ret)
{
    uint64_t hash;
    uint32_t tag;
    struct disk_found f;
    struct disk_object o;
    if (!disk_is_ready(d)) // the store's key is not known before
        return counted(d, ERR_NOT_FOUND);
    disk_hash_key(d, key, &hash, &tag);
    if (!disk_index_find(d, hash, &tag, &f, 1))
        return counted(d, ERR_NOT_FOUND);
    enum err e = disk_open_found(d, &f, &o);
    if (e)
        return counted(d, e);
    if (!span_eq(o.key, key.bytes) || o.group_len != key.group_len) {
        disk_object_close(&o);
        return counted(d, ERR_NOT_FOUND);
    }
    *ret = o;
    return counted(d, ERR_OK);
}

unsigned disk_find_group(struct disk *d, struct span group, struct disk_found *ret, unsigned max)
{
    uint64_t hash;
    if (!disk_is_ready(d))
        return 0;
    disk_hash_key(d, (struct disk_key){group, group.len}, &hash, NULL);
    return disk_index_find(d, hash, NULL, ret, max);
}

static bool is_member(const struct disk_object *o, struct span group)
{
    return span_eq(span_first(o->key, o->group_len), group);
}

enum err disk_lookup_group(struct disk *d, struct span group, bool (*match)(void *arg, const struct disk_object *o), void *arg, struct disk_object *ret)
{
    struct disk_found f[GROUP_MAX];
    enum err result = ERR_NOT_FOUND;
    unsigned n = disk_find_group(d, group, f, GROUP_MAX);
    for (unsigned i = 0; i < n; i++) {
        struct disk_object o;
        if (result != ERR_NOT_FOUND) {
            disk_segment_unref(f[i].segment);
            continue;
        }
        enum err e = disk_open_found(d, &f[i], &o);
        if (e) {
            result = e;
            continue;
        }
        if (is_member(&o, group) && match(arg, &o)) {
            *ret = o;
            result = ERR_OK;
        } else {
            disk_object_close(&o);
        }
    }
    return counted(d, result);
}

bool disk_may_have(struct disk *d, struct disk_key key)
{
    uint64_t hash;
    uint32_t tag;
    if (!disk_is_ready(d))
        return false;
    disk_hash_key(d, key, &hash, &tag);
    return disk_is_writing(d, hash, &tag, true) || disk_index_has(d, hash, &tag);
}

bool disk_may_have_group(struct disk *d, struct span group)
{
    uint64_t hash;
    if (!disk_is_ready(d))
        return false;
    disk_hash_key(d, (struct disk_key){group, group.len}, &hash, NULL);
    return disk_is_writing(d, hash, NULL, true) || disk_index_has(d, hash, NULL);
}

// ---- Content

// The segment of an extent, kept by o.
static struct disk_segment *segment_of(struct disk_object *o, const struct disk_extent *e)
{
    if (e->segment == o->segment->number)
        return o->segment;
    if (!o->other || o->other->number != e->segment) {
        disk_segment_unref(o->other);
        o->other = disk_segment_by_number(o->disk, e->segment);
    }
    return o->other;
}

// The extent that offset is in; o->extent_start is where it begins.
static struct disk_extent extent_at(struct disk_object *o, uint64_t offset)
{
    if (offset < o->extent_start)
        o->extent = 0, o->extent_start = 0;
    for (;;) {
        struct disk_extent e = disk_get_extent(o->extents + (size_t)o->extent * DISK_EXTENT_BYTES);
        if (offset < o->extent_start + e.bytes)
            return e;
        o->extent_start += e.bytes;
        o->extent++;
    }
}

// Compares a block with its sum, and notes when all were.
static bool check_block(struct disk_object *o, uint64_t block_start, struct span bytes)
{
    struct disk *d = o->disk;
    const char *sum = o->sums + block_start / DISK_BLOCK_BYTES * DISK_SUM_BYTES;
    if (disk_sum(bytes, &d->key) != disk_get_u64(sum))
        return false;
    if (o->checked_to == block_start)
        o->checked_to += bytes.len;
    if (o->checked_to == o->length && !o->trusted) {
        o->trusted = true;
        disk_index_trust(d, o->hash, o->index, o->segment, o->place, o->epoch);
    }
    return true;
}

static bool read_along(const struct disk_object *o, const struct disk_extent *e)
{
    return e->segment == o->segment->number && e->offset == (uint64_t)o->place * DISK_UNIT_BYTES + o->inline_at && e->bytes <= o->inline_bytes;
}

// The block's bytes, checked, in a chunk with a reference for the caller.
static enum err get_block(struct disk_object *o, const struct disk_extent *e, uint64_t block_start, struct chunk **ret_chunk, struct span *ret)
{
    uint64_t in_extent = block_start - o->extent_start;
    size_t n = (size_t)MIN(e->bytes - in_extent, (uint64_t)DISK_BLOCK_BYTES);
    if (read_along(o, e)) {
        struct span bytes = {o->chunk->data + o->inline_at + in_extent, n};
        if (block_start >= o->checked_to && !check_block(o, block_start, bytes))
            return ERR_EOF;
        *ret_chunk = chunk_ref(o->chunk);
        *ret = bytes;
        return ERR_OK;
    }
    struct disk_segment *s = segment_of(o, e);
    struct chunk *c = s ? chunk_new(n) : NULL;
    enum err err = c ? disk_segment_read(s, c->data, n, e->offset + in_extent) : s ? ERR_NO_MEMORY : ERR_NOT_FOUND;
    struct span bytes = {c ? c->data : NULL, n};
    if (!err && !check_block(o, block_start, bytes))
        err = ERR_EOF;
    if (err) {
        chunk_unref(c);
        return err;
    }
    c->used = (uint32_t)n;
    *ret_chunk = c;
    *ret = bytes;
    return ERR_OK;
}

// Whether a part of the file will do: all of it was checked, and the system says that nothing has changed since.
static bool is_sendable(struct disk_object *o, struct disk_segment *s)
{
    return o->trusted && o->disk->files->sendable && disk_segment_unchanged(s) && o->epoch == atomic_load(&o->disk->epoch);
}

enum err disk_piece(struct disk_object *o, uint64_t offset, uint64_t max, bool want_fd, struct disk_piece *ret)
{
    struct disk_extent e = extent_at(o, offset);
    uint64_t in_extent = offset - o->extent_start, left = MIN(max, e.bytes - in_extent);
    if (want_fd && left >= SENDFILE_MIN_BYTES && !read_along(o, &e)) {
        struct disk_segment *s = segment_of(o, &e);
        if (s && is_sendable(o, s)) {
            *ret = (struct disk_piece){.len = (size_t)left, .fd = s->fd, .fd_offset = e.offset + in_extent, .segment = disk_segment_ref(s)};
            return ERR_OK;
        }
    }
    uint64_t block_start = offset / DISK_BLOCK_BYTES * DISK_BLOCK_BYTES;
    struct span bytes;
    struct chunk *c;
    enum err err = get_block(o, &e, block_start, &c, &bytes);
    if (err) {
        if (err != ERR_NOT_FOUND)
            lose(o->disk, o, err);
        return err == ERR_NO_MEMORY ? err : ERR_NOT_FOUND;
    }
    bytes = span_first(span_skip(bytes, (size_t)(offset - block_start)), (size_t)MIN(max, (uint64_t)SIZE_MAX));
    *ret = (struct disk_piece){.len = bytes.len, .fd = -1, .ptr = bytes.ptr, .chunk = c};
    return ERR_OK;
}

void disk_piece_release(struct disk_piece *p)
{
    chunk_unref(p->chunk);
    disk_segment_unref(p->segment);
    p->chunk = NULL;
    p->segment = NULL;
}

enum err disk_read(struct disk_object *o, uint64_t offset, uint64_t n, struct chunkq *to)
{
    while (n) {
        struct disk_piece p;
        enum err e = disk_piece(o, offset, n, false, &p);
        if (!e) {
            e = chunkq_append(to, p.chunk, p.ptr, p.len);
            offset += p.len;
            n -= p.len;
            disk_piece_release(&p);
        }
        if (e)
            return e;
    }
    return ERR_OK;
}
