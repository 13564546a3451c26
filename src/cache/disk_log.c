// SPDX-License-Identifier: Apache-2.0
// The log: what is appended to segments. The log's lock is held in all of this.
#include "cache/disk_internal.h"

#include <errno.h>
#include <stdlib.h>

#include "base/mem.h"
#include "io/loop.h"

enum {
    FULL_PAUSE_MS = 5000, // after a write that failed nothing is taken for so long
    IOV_MAX_PARTS = 3,
};

// ---- Appending

static bool write_all(struct disk *d, int fd, struct iovec *v, unsigned n, uint64_t offset)
{
    while (n) {
        int64_t r = d->files->write(d->files_arg, fd, v, n, offset);
        if (r <= 0)
            return false;
        offset += (uint64_t)r;
        while (n && (size_t)r >= v->iov_len) {
            r -= (int64_t)v->iov_len;
            v++;
            n--;
        }
        if (n) {
            v->iov_base = (char *)v->iov_base + r;
            v->iov_len -= (size_t)r;
        }
    }
    return true;
}

// Whatever failed: nothing is taken for a while, and what the failed call may have left is cut off.
static void write_failed(struct disk *d)
{
    disk_count(&d->n.write_errors, 1);
    atomic_store(&d->paused_until_ms, disk_now_ms() + FULL_PAUSE_MS);
    if (d->active)
        (void)d->files->truncate(d->files_arg, d->active->fd, d->active->end);
    // Space may be what is missing, and the oldest is what we can give.
    if (d->n_segments > 1 && d->order[0] != d->active)
        disk_log_make_room(d, d->size_bytes - d->bytes + 1);
}

static bool begin_segment(struct disk *d)
{
    char head[DISK_SEGMENT_HEAD_BYTES], name[DISK_FILE_NAME_MAX];
    struct disk_segment_head h = {.store_key = d->key, .number = d->next_number++};
    loop_random(&h.segment_key, sizeof h.segment_key);
    disk_segment_name(h.number, name);
    int fd = d->files->open(d->files_arg, d->folder_fd, name, true);
    if (fd < 0) {
        write_failed(d);
        return false;
    }
    disk_put_segment_head(head, &h);
    struct iovec v = {head, sizeof head};
    d->active = write_all(d, fd, &v, 1, 0) ? disk_segment_add(d, fd, &h, sizeof head) : NULL;
    if (!d->active) {
        (void)d->files->remove(d->files_arg, d->folder_fd, name);
        write_failed(d);
        return false;
    }
    d->bytes += sizeof head;
    return true;
}

// Makes sure that the segment appended to has room for a record of n bytes. It may be another one afterwards.
static bool reserve(struct disk *d, uint64_t n)
{
    if (d->active && d->active->end + n > d->segment_bytes)
        disk_log_seal(d);
    if (d->active)
        return true;
    disk_log_make_room(d, d->segment_bytes);
    return d->active || begin_segment(d); // what was written anew may have begun one
}

// Writes a record whose head is at the front of the first part, and notes it in the summary to be.
static bool append(struct disk *d, struct disk_record *r, struct iovec *v, unsigned n)
{
    static char padding[DISK_UNIT_BYTES];
    struct disk_segment *s = d->active;
    uint64_t bytes = disk_record_bytes(r), body = 0;
    for (unsigned i = 0; i < n; i++)
        body += v[i].iov_len;
    if (body < bytes)
        v[n++] = (struct iovec){padding, bytes - body};
    disk_put_record((char *)v[0].iov_base, r, &s->key);
    struct disk_row row = {
        .type = r->type,
        .head_units = (uint16_t)MIN((DISK_RECORD_HEAD_BYTES + (uint64_t)r->descriptor_bytes + DISK_UNIT_BYTES - 1) / DISK_UNIT_BYTES, UINT16_MAX),
        .place = (uint32_t)(s->end / DISK_UNIT_BYTES),
        .record_units = (uint32_t)(bytes / DISK_UNIT_BYTES),
        .tag = r->tag,
        .hash = r->hash,
        .first_segment = r->first_segment,
    };
    bool listed = r->type == DISK_OBJECT || r->type == DISK_REMOVAL || r->type == DISK_GROUP_REMOVAL;
    if ((listed && !disk_rows_add(&s->rows, &row)) || !write_all(d, s->fd, v, n, s->end)) {
        if (listed && s->rows.n && s->rows.v[s->rows.n - 1].place == row.place)
            s->rows.n--;
        write_failed(d);
        return false;
    }
    s->end += bytes;
    d->bytes += bytes;
    disk_count(&d->n.written_bytes, bytes);
    return true;
}

// ---- Content

static bool grow(void **v, size_t *cap, size_t need, size_t each)
{
    if (need <= *cap)
        return true;
    size_t n = MAX(*cap * 2, MAX(need, (size_t)8));
    void *p = mem_realloc(*v, n * each);
    if (!p)
        return false;
    *v = p;
    *cap = n;
    return true;
}

// Copies content behind what the buffer holds, and adds its sums to the write's.
static bool take_content(struct disk *d, struct disk_write *w, const struct chunkq *content, char *out)
{
    size_t n = chunkq_peek(content, out, content->bytes), blocks = (size_t)disk_sum_count(n);
    void *sums = w->sums;
    if (!grow(&sums, &w->sums_cap, w->n_sums + blocks, sizeof *w->sums))
        return false;
    w->sums = (uint64_t *)sums;
    for (size_t at = 0; at < n; at += DISK_BLOCK_BYTES)
        w->sums[w->n_sums++] = disk_sum(span_of(out + at, MIN(n - at, (size_t)DISK_BLOCK_BYTES)), &d->key);
    return true;
}

static bool add_extent(struct disk_write *w, const struct disk_extent *e)
{
    void *v = w->extents;
    if (!grow(&v, &w->extents_cap, w->n_extents + 1, sizeof *w->extents))
        return false;
    w->extents = (struct disk_extent *)v;
    w->extents[w->n_extents++] = *e;
    return true;
}

bool disk_log_piece(struct disk *d, struct disk_write *w, struct chunkq *content)
{
    struct disk_record r = {.type = DISK_PIECE, .body_bytes = content->bytes};
    if (!reserve(d, disk_record_bytes(&r)) || !take_content(d, w, content, d->buffer + DISK_RECORD_HEAD_BYTES))
        return false;
    struct disk_extent e = {d->active->number, d->active->end + DISK_RECORD_HEAD_BYTES, (uint32_t)content->bytes};
    struct iovec v[IOV_MAX_PARTS] = {{d->buffer, DISK_RECORD_HEAD_BYTES + content->bytes}};
    r.offset = d->active->end;
    return add_extent(w, &e) && append(d, &r, v, 1);
}

// The lowest number among the segments of the content; false where one of them is gone.
static bool first_segment(struct disk *d, const struct disk_extent *v, size_t n, uint64_t *ret)
{
    uint64_t lowest = d->active->number;
    for (size_t i = 0; i < n; i++)
        lowest = MIN(lowest, v[i].segment);
    struct disk_segment *s = disk_segment_by_number(d, lowest); // older ones go first
    disk_segment_unref(s);
    *ret = lowest;
    return s != NULL;
}

static bool put_entry(struct disk *d, const struct disk_record *r, uint64_t offset, uint64_t bytes, uint8_t uses)
{
    struct disk_segment *first = disk_segment_by_number(d, r->first_segment);
    struct disk_entry e = {
        .hash = r->hash,
        .place = (uint32_t)(offset / DISK_UNIT_BYTES),
        .tag = r->tag,
        .head_units = (uint16_t)((DISK_RECORD_HEAD_BYTES + (uint64_t)r->descriptor_bytes + DISK_UNIT_BYTES - 1) / DISK_UNIT_BYTES),
        .record_units = (uint16_t)MIN(bytes / DISK_UNIT_BYTES, UINT16_MAX),
        .slot = d->active->slot,
        .first_slot = first ? first->slot : d->active->slot,
        .uses = uses,
    };
    bool ok = first && disk_index_put(d, &e);
    disk_segment_unref(first);
    if (!ok)
        (void)disk_index_remove(d, r->hash, &r->tag); // what was before is no longer right
    return ok;
}

// What an object's record is made of.
struct parts {
    struct disk_object_head head;
    const struct disk_extent *extents;
    const uint64_t *sums;
    const char *key, *metadata;
    uint64_t hash;
    uint32_t tag;
    uint8_t uses;
};

static void fill_descriptor(char *out, const struct parts *p)
{
    disk_put_object_head(out, &p->head);
    out += DISK_OBJECT_HEAD_BYTES;
    for (uint32_t i = 0; i < p->head.n_extents; i++, out += DISK_EXTENT_BYTES)
        disk_put_extent(out, &p->extents[i]);
    for (uint64_t i = 0; i < disk_sum_count(p->head.length); i++, out += DISK_SUM_BYTES)
        disk_put_u64(out, p->sums[i]);
    memcpy(out, p->key, p->head.key_bytes);
    if (p->head.metadata_bytes)
        memcpy(out + p->head.key_bytes, p->metadata, p->head.metadata_bytes);
}

// Appends an object's record, whose body is content; room for it was made, and its extents are right.
static bool append_object(struct disk *d, const struct parts *p, char *content, size_t n)
{
    uint64_t descriptor = disk_descriptor_bytes(&p->head), offset = d->active->end;
    struct disk_record r = {.type = DISK_OBJECT, .descriptor_bytes = (uint32_t)descriptor, .tag = p->tag, .body_bytes = n, .hash = p->hash,
                            .offset = offset};
    char *head = (char *)mem_alloc(DISK_RECORD_HEAD_BYTES + descriptor);
    bool ok = head && first_segment(d, p->extents, p->head.n_extents, &r.first_segment);
    if (ok) {
        fill_descriptor(head + DISK_RECORD_HEAD_BYTES, p);
        r.descriptor_sum = disk_sum(span_of(head + DISK_RECORD_HEAD_BYTES, descriptor), &d->key);
        struct iovec v[IOV_MAX_PARTS] = {{head, DISK_RECORD_HEAD_BYTES + descriptor}, {content, n}};
        ok = append(d, &r, v, n ? 2 : 1) && put_entry(d, &r, offset, disk_record_bytes(&r), p->uses);
    }
    mem_free(head);
    return ok;
}

bool disk_log_object(struct disk *d, struct disk_write *w, struct chunkq *content)
{
    size_t n = content->bytes;
    struct parts p = {
        .head = {(uint32_t)w->key_bytes, (uint32_t)w->group_bytes, (uint32_t)w->metadata_bytes, (uint32_t)w->n_extents + (n ? 1 : 0), w->length},
        .key = w->key, .metadata = w->metadata, .hash = w->hash, .tag = w->tag,
    };
    uint64_t descriptor = disk_descriptor_bytes(&p.head);
    struct disk_record r = {.descriptor_bytes = (uint32_t)descriptor, .body_bytes = n};
    if (descriptor > DISK_DESCRIPTOR_MAX_BYTES || disk_record_bytes(&r) > d->record_max_bytes || !reserve(d, disk_record_bytes(&r)) ||
        !take_content(d, w, content, d->buffer))
        return false;
    struct disk_extent last = {d->active->number, d->active->end + DISK_RECORD_HEAD_BYTES + descriptor, (uint32_t)n};
    if (n && !add_extent(w, &last))
        return false;
    p.extents = w->extents;
    p.sums = w->sums;
    return append_object(d, &p, d->buffer, n);
}

// ---- Changing

// Reads an object's extents and sums back into arrays. False where memory is out.
static bool unpack(const struct disk_object *o, struct disk_extent **ret_extents, uint64_t **ret_sums)
{
    size_t n_sums = (size_t)disk_sum_count(o->length);
    struct disk_extent *e = (struct disk_extent *)mem_calloc(o->n_extents + 1, sizeof *e);
    uint64_t *s = (uint64_t *)mem_calloc(n_sums + 1, sizeof *s);
    if (!e || !s) {
        mem_free(e);
        mem_free(s);
        return false;
    }
    for (uint32_t i = 0; i < o->n_extents; i++)
        e[i] = disk_get_extent(o->extents + (size_t)i * DISK_EXTENT_BYTES);
    for (size_t i = 0; i < n_sums; i++)
        s[i] = disk_get_u64(o->sums + i * DISK_SUM_BYTES);
    *ret_extents = e;
    *ret_sums = s;
    return true;
}

bool disk_log_update(struct disk *d, struct disk_object *o, struct span metadata)
{
    struct parts p = {
        .head = {(uint32_t)o->key.len, (uint32_t)o->group_len, (uint32_t)metadata.len, o->n_extents, o->length},
        .key = o->key.ptr, .metadata = metadata.ptr, .uses = 1,
    };
    struct disk_key key = {o->key, o->group_len};
    struct disk_record r = {.descriptor_bytes = (uint32_t)disk_descriptor_bytes(&p.head)};
    struct disk_extent *extents;
    uint64_t *sums;
    if (disk_descriptor_bytes(&p.head) > DISK_DESCRIPTOR_MAX_BYTES || disk_record_bytes(&r) > d->record_max_bytes || !reserve(d, disk_record_bytes(&r)) ||
        !unpack(o, &extents, &sums))
        return false;
    disk_hash_key(d, key, &p.hash, &p.tag);
    p.extents = extents;
    p.sums = sums;
    // Making room may have taken it away.
    bool ok = disk_index_is(d, o->hash, o->index, o->segment, o->place) && append_object(d, &p, NULL, 0);
    mem_free(extents);
    mem_free(sums);
    return ok;
}

// Twice, so that one damaged record does not bring back what was removed.
static bool append_removal(struct disk *d, uint64_t hash, const uint32_t *tag)
{
    enum { COPIES = 2 };
    for (int i = 0; i < COPIES; i++) {
        char head[DISK_RECORD_HEAD_BYTES];
        struct disk_record r = {.type = tag ? DISK_REMOVAL : DISK_GROUP_REMOVAL, .tag = tag ? *tag : 0, .hash = hash};
        struct iovec v[IOV_MAX_PARTS] = {{head, sizeof head}};
        if (!reserve(d, disk_record_bytes(&r)))
            return false;
        r.offset = d->active->end;
        r.first_segment = d->active->number;
        if (!append(d, &r, v, 1))
            return false;
    }
    return true;
}

void disk_log_removal(struct disk *d, uint64_t hash, const uint32_t *tag)
{
    // A removal that cannot be written must not be undone by a restart: better no store than that.
    if (!append_removal(d, hash, tag) && !append_removal(d, hash, tag))
        disk_log_wipe(d);
}

// ---- Sealing

static bool append_summary(struct disk *d)
{
    struct disk_segment *s = d->active;
    uint64_t bytes = s->rows.n * DISK_SUMMARY_ROW_BYTES, offset = s->end;
    char *buf = (char *)mem_alloc(DISK_RECORD_HEAD_BYTES + (size_t)bytes), head[DISK_RECORD_HEAD_BYTES];
    if (!buf || bytes > UINT32_MAX) {
        mem_free(buf);
        return false;
    }
    for (size_t i = 0; i < s->rows.n; i++)
        disk_put_row(buf + DISK_RECORD_HEAD_BYTES + i * DISK_SUMMARY_ROW_BYTES, &s->rows.v[i]);
    struct disk_record r = {.type = DISK_SUMMARY, .descriptor_bytes = (uint32_t)bytes, .offset = offset};
    r.descriptor_sum = disk_sum(span_of(buf + DISK_RECORD_HEAD_BYTES, (size_t)bytes), &d->key);
    struct iovec v[IOV_MAX_PARTS] = {{buf, DISK_RECORD_HEAD_BYTES + (size_t)bytes}};
    bool ok = append(d, &r, v, 1);
    mem_free(buf);
    if (!ok)
        return false;
    struct disk_record t = {.type = DISK_TRAILER, .hash = offset, .offset = s->end};
    struct iovec tv[IOV_MAX_PARTS] = {{head, sizeof head}};
    return append(d, &t, tv, 1);
}

void disk_log_seal(struct disk *d)
{
    struct disk_segment *s = d->active;
    if (!s)
        return;
    (void)append_summary(d); // without one its records are read one by one at the next start
    d->active = NULL;
    mem_free(s->rows.v);
    s->rows = (struct disk_rows){0};
    atomic_store(&s->stamp, d->files->stamp(d->files_arg, s->fd));
    atomic_store_explicit(&s->sealed, true, memory_order_release);
}

void disk_log_wipe(struct disk *d)
{
    d->active = NULL;
    while (d->n_segments) {
        struct disk_segment *s = d->order[d->n_segments - 1];
        unsigned none;
        (void)disk_index_leave(d, s->slot, NULL, 0, &none);
        disk_segment_drop(d, s);
    }
}

// ---- Making room

static int by_uses(const void *a, const void *b)
{
    const struct disk_entry *x = (const struct disk_entry *)a, *y = (const struct disk_entry *)b;
    return x->uses != y->uses ? y->uses - x->uses : (x->place > y->place) - (x->place < y->place);
}

bool disk_log_reinsert(struct disk *d, struct disk_segment *from, const struct disk_entry *e)
{
    uint64_t bytes = (uint64_t)e->record_units * DISK_UNIT_BYTES;
    struct disk_found f = {.entry = *e, .segment = disk_segment_ref(from)};
    struct disk_object o;
    struct disk_extent *extents = NULL;
    uint64_t *sums = NULL;
    // Only what was written in one record; larger ones would be read in pieces for little gain.
    if (disk_open_found(d, &f, &o))
        return false;
    struct chunkq content;
    chunkq_init(&content);
    bool ok = o.n_extents <= 1 && o.length <= DISK_PIECE_BYTES && d->active && d->active->end + bytes + DISK_UNIT_BYTES <= d->segment_bytes &&
              !disk_read(&o, 0, o.length, &content) && unpack(&o, &extents, &sums);
    if (ok) {
        struct parts p = {
            .head = {(uint32_t)o.key.len, (uint32_t)o.group_len, (uint32_t)o.metadata.len, o.n_extents, o.length},
            .extents = extents, .sums = sums, .key = o.key.ptr, .metadata = o.metadata.ptr, .hash = e->hash, .tag = e->tag,
        };
        size_t n = chunkq_peek(&content, d->buffer, (size_t)o.length);
        extents[0] = (struct disk_extent){d->active->number, d->active->end + DISK_RECORD_HEAD_BYTES + disk_descriptor_bytes(&p.head), (uint32_t)n};
        ok = append_object(d, &p, d->buffer, n);
    }
    chunkq_fini(&content);
    mem_free(extents);
    mem_free(sums);
    disk_object_close(&o);
    return ok;
}

// Writes what was used anew, at most half a segment of it.
static void reinsert(struct disk *d, struct disk_segment *from, struct disk_entry *used, unsigned n)
{
    uint64_t budget = d->segment_bytes / 2;
    qsort(used, n, sizeof *used, by_uses);
    if (!d->active && !begin_segment(d))
        return;
    for (unsigned i = 0; i < n; i++) {
        uint64_t bytes = (uint64_t)used[i].record_units * DISK_UNIT_BYTES;
        if (used[i].record_units == UINT16_MAX || bytes > budget)
            continue;
        if (disk_log_reinsert(d, from, &used[i])) {
            disk_count(&d->n.reinserted, 1);
            budget -= bytes;
        }
    }
}

static void drop_oldest(struct disk *d, bool may_reinsert)
{
    enum { USED_MAX = 16 * 1024 };
    struct disk_segment *s = d->order[0];
    struct disk_entry *used = may_reinsert ? (struct disk_entry *)mem_alloc(USED_MAX * sizeof *used) : NULL;
    unsigned n_used = 0;
    uint64_t before = atomic_load(&d->n.reinserted), n = disk_index_leave(d, s->slot, used, used ? USED_MAX : 0, &n_used);
    if (n_used)
        reinsert(d, s, used, n_used);
    n -= MIN(n, atomic_load(&d->n.reinserted) - before);
    disk_count(&d->n.evicted, n);
    mem_free(used);
    disk_segment_drop(d, s);
}

void disk_log_make_room(struct disk *d, uint64_t need_bytes)
{
    bool again = !d->reinserting;
    d->reinserting = true; // appending what is written anew makes no room by itself
    while (again && d->n_segments && d->bytes + need_bytes > d->size_bytes) {
        if (d->order[0] == d->active)
            break;
        drop_oldest(d, !atomic_load(&d->paused_until_ms) || disk_now_ms() >= atomic_load(&d->paused_until_ms));
    }
    if (again)
        d->reinserting = false;
}
