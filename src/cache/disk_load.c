// SPDX-License-Identifier: Apache-2.0
// The index, rebuilt from a folder: by the summaries of segments that were closed in order, and record by record where there is
// none. Contents are not looked at: they are checked when they are read.
#include "cache/disk_internal.h"

#include <stdlib.h>

#include "base/mem.h"
#include "io/loop.h"

enum { WINDOW_BYTES = 64 * 1024, SLOTS_SPARE = 64 };

struct file {
    uint64_t number;
    int fd; // -1: not readable as a segment
    uint64_t size;
    struct disk_segment_head head;
};

struct files {
    struct disk *disk;
    struct file *v;
    size_t n, cap;
    bool failed;
};

// ---- The folder

static bool number_of(const char *name, uint64_t *ret)
{
    char again[DISK_FILE_NAME_MAX];
    char *end;
    uint64_t n = strtoull(name, &end, 16);
    disk_segment_name(n, again);
    if (strcmp(name, again) != 0 || n == 0 || n >= UINT64_MAX / 2)
        return false;
    *ret = n;
    return true;
}

static void on_name(void *arg, const char *name)
{
    struct files *f = (struct files *)arg;
    uint64_t number;
    if (!number_of(name, &number))
        return;
    if (f->n == f->cap) {
        size_t cap = f->cap ? f->cap * 2 : 64;
        struct file *v = (struct file *)mem_realloc(f->v, cap * sizeof *v);
        if (!v) {
            f->failed = true;
            return;
        }
        f->v = v;
        f->cap = cap;
    }
    f->v[f->n++] = (struct file){.number = number, .fd = -1};
}

static int by_number(const void *a, const void *b)
{
    const struct file *x = (const struct file *)a, *y = (const struct file *)b;
    return (x->number > y->number) - (x->number < y->number);
}

static bool read_all(struct disk *d, int fd, void *buf, size_t n, uint64_t offset)
{
    char *p = (char *)buf;
    while (n) {
        int64_t r = d->files->read(d->files_arg, fd, p, n, offset);
        if (r <= 0) {
            disk_count(&d->n.read_errors, r < 0);
            return false;
        }
        p += r;
        n -= (size_t)r;
        offset += (uint64_t)r;
    }
    return true;
}

static void open_file(struct disk *d, struct file *f)
{
    char name[DISK_FILE_NAME_MAX], head[DISK_SEGMENT_HEAD_BYTES];
    disk_segment_name(f->number, name);
    f->fd = d->files->open(d->files_arg, d->folder_fd, name, false);
    if (f->fd < 0)
        return;
    int64_t size = d->files->size(d->files_arg, f->fd);
    f->size = size > 0 ? (uint64_t)size : 0;
    if (f->size >= sizeof head && read_all(d, f->fd, head, sizeof head, 0) && disk_get_segment_head(head, &f->head) && f->head.number == f->number)
        return;
    d->files->close(d->files_arg, f->fd);
    f->fd = -1;
}

static void remove_file(struct disk *d, struct file *f)
{
    char name[DISK_FILE_NAME_MAX];
    disk_segment_name(f->number, name);
    (void)d->files->remove(d->files_arg, d->folder_fd, name);
    if (f->fd >= 0)
        d->files->close(d->files_arg, f->fd);
    f->fd = -1;
}

// Opens the files and finds the store's key. What is older than a segment that is lost as a whole goes too: that segment may have
// said that it is removed. Returns the first file that stays.
static size_t choose(struct disk *d, struct files *f)
{
    size_t first = f->n > DISK_SLOTS - SLOTS_SPARE ? f->n - (DISK_SLOTS - SLOTS_SPARE) : 0;
    bool have_key = false;
    for (size_t i = f->n; i-- > first;) {
        struct file *x = &f->v[i];
        open_file(d, x);
        if (x->fd >= 0 && !have_key) {
            d->key = x->head.store_key;
            have_key = true;
        }
        bool ours = x->fd >= 0 && memcmp(&d->key, &x->head.store_key, sizeof d->key) == 0;
        if (ours)
            continue;
        bool empty = x->fd < 0 && x->size <= DISK_SEGMENT_HEAD_BYTES; // its process ended before anything was in it
        disk_count(&d->n.damaged, !empty);
        if (empty) {
            remove_file(d, x);
            continue;
        }
        first = i + 1;
    }
    for (size_t i = 0; i < first; i++)
        remove_file(d, &f->v[i]);
    return first;
}

// ---- One segment

static bool apply(struct disk *d, struct disk_segment *s, const struct disk_row *r)
{
    if (r->type == DISK_REMOVAL || r->type == DISK_GROUP_REMOVAL) {
        (void)disk_index_remove(d, r->hash, r->type == DISK_REMOVAL ? &r->tag : NULL);
        return true;
    }
    struct disk_segment *first = r->first_segment == s->number ? disk_segment_ref(s) : disk_segment_by_number(d, r->first_segment);
    struct disk_entry e = {
        .hash = r->hash,
        .place = r->place,
        .tag = r->tag,
        .head_units = r->head_units,
        .record_units = (uint16_t)MIN(r->record_units, UINT16_MAX),
        .slot = s->slot,
        .first_slot = first ? first->slot : 0,
    };
    bool ok = first && disk_index_put(d, &e);
    disk_segment_unref(first);
    if (!ok)
        (void)disk_index_remove(d, r->hash, &r->tag); // replaced, by something that is gone
    return ok || !first;
}

static bool row_fits(const struct disk_row *r, uint64_t size)
{
    bool known = r->type == DISK_OBJECT || r->type == DISK_REMOVAL || r->type == DISK_GROUP_REMOVAL;
    return known && r->place >= DISK_SEGMENT_HEAD_BYTES / DISK_UNIT_BYTES && r->head_units && r->head_units <= r->record_units &&
           ((uint64_t)r->place + r->record_units) * DISK_UNIT_BYTES <= size;
}

// False where there is no summary that can be believed; nothing was applied then.
static bool load_summary(struct disk *d, struct disk_segment *s, uint64_t size, struct disk_rows *ret)
{
    char head[DISK_RECORD_HEAD_BYTES];
    struct disk_record r;
    uint64_t trailer = size - DISK_UNIT_BYTES;
    if (size % DISK_UNIT_BYTES || size < DISK_SEGMENT_HEAD_BYTES + 2 * DISK_UNIT_BYTES || !read_all(d, s->fd, head, sizeof head, trailer) ||
        !disk_get_record(head, trailer, &s->key, &r) || r.type != DISK_TRAILER || r.hash >= trailer)
        return false;
    uint64_t at = r.hash;
    if (!read_all(d, s->fd, head, sizeof head, at) || !disk_get_record(head, at, &s->key, &r) || r.type != DISK_SUMMARY ||
        at + disk_record_bytes(&r) != trailer || r.descriptor_bytes % DISK_SUMMARY_ROW_BYTES)
        return false;
    char *buf = (char *)mem_alloc(r.descriptor_bytes + 1);
    bool ok = buf && read_all(d, s->fd, buf, r.descriptor_bytes, at + sizeof head) && disk_sum(span_of(buf, r.descriptor_bytes), &d->key) == r.descriptor_sum;
    for (uint32_t i = 0; ok && i < r.descriptor_bytes; i += DISK_SUMMARY_ROW_BYTES) {
        struct disk_row row = disk_get_row(buf + i);
        if (row_fits(&row, size))
            ok = disk_rows_add(ret, &row);
    }
    mem_free(buf);
    return ok;
}

struct window {
    char *bytes;
    uint64_t start;
    size_t n;
};

// The head of the record at offset, or NULL.
static const char *look(struct disk *d, struct disk_segment *s, struct window *w, uint64_t offset, uint64_t size)
{
    if (offset + DISK_RECORD_HEAD_BYTES > size)
        return NULL;
    if (offset < w->start || offset + DISK_RECORD_HEAD_BYTES > w->start + w->n) {
        w->start = offset;
        w->n = (size_t)MIN((uint64_t)WINDOW_BYTES, size - offset);
        if (!read_all(d, s->fd, w->bytes, w->n, offset)) {
            w->n = 0;
            return NULL;
        }
    }
    return w->bytes + (offset - w->start);
}

// Goes from record to record. What is damaged is passed over until the next head that is ours: its seal has a key that nobody who
// chose a content could know. Returns where what is sound ends; *ret_clean: nothing was passed over.
static uint64_t walk(struct disk *d, struct disk_segment *s, uint64_t size, struct disk_rows *ret, bool *ret_clean)
{
    struct window w = {.bytes = (char *)mem_alloc(WINDOW_BYTES)};
    uint64_t at = DISK_SEGMENT_HEAD_BYTES, end = at;
    bool clean = w.bytes != NULL, lost = false;
    while (w.bytes && at + DISK_RECORD_HEAD_BYTES <= size) {
        struct disk_record r;
        const char *head = look(d, s, &w, at, size);
        if (!head || !disk_get_record(head, at, &s->key, &r) || at + disk_record_bytes(&r) > size) {
            disk_count(&d->n.damaged, !lost);
            lost = true;
            at += head ? DISK_UNIT_BYTES : WINDOW_BYTES;
            continue;
        }
        clean = clean && !lost;
        lost = false;
        struct disk_row row = {
            .type = r.type,
            .head_units = (uint16_t)MIN((DISK_RECORD_HEAD_BYTES + (uint64_t)r.descriptor_bytes + DISK_UNIT_BYTES - 1) / DISK_UNIT_BYTES, UINT16_MAX),
            .place = (uint32_t)(at / DISK_UNIT_BYTES),
            .record_units = (uint32_t)(disk_record_bytes(&r) / DISK_UNIT_BYTES),
            .tag = r.tag,
            .hash = r.hash,
            .first_segment = r.first_segment,
        };
        if (row_fits(&row, size) && !disk_rows_add(ret, &row))
            clean = false;
        at += disk_record_bytes(&r);
        end = at;
    }
    mem_free(w.bytes);
    *ret_clean = clean;
    return end;
}

// Takes a segment into the table and what it holds into the index. The last one may be gone on with.
static void load_segment(struct disk *d, struct file *f, bool last)
{
    struct disk_segment *s = disk_segment_add(d, f->fd, &f->head, f->size);
    if (!s) {
        f->fd = -1;
        remove_file(d, f);
        return;
    }
    struct disk_rows rows = {0};
    bool whole = load_summary(d, s, f->size, &rows), clean = true;
    uint64_t end = f->size;
    if (!whole) {
        rows.n = 0;
        end = walk(d, s, f->size, &rows, &clean);
    }
    for (size_t i = 0; i < rows.n; i++)
        (void)apply(d, s, &rows.v[i]);
    d->bytes += f->size;
    if (last && clean && end + d->record_max_bytes <= d->segment_bytes && (end == f->size || d->files->truncate(d->files_arg, s->fd, end) >= 0)) {
        d->bytes -= f->size - end;
        s->end = end;
        s->rows = rows;
        d->active = s;
        return;
    }
    mem_free(rows.v);
    atomic_store(&s->stamp, d->files->stamp(d->files_arg, s->fd));
    atomic_store(&s->sealed, true);
}

static void load_files(struct disk *d)
{
    struct files f = {.disk = d};
    loop_random(&d->key, sizeof d->key);
    int r = d->files->list(d->files_arg, d->folder_fd, on_name, &f);
    if (r < 0 || f.failed)
        disk_count(&d->n.read_errors, 1);
    if (f.n)
        qsort(f.v, f.n, sizeof *f.v, by_number);
    d->next_number = f.n ? f.v[f.n - 1].number + 1 : 1;
    size_t last = f.n;
    size_t first = choose(d, &f);
    while (last > first && f.v[last - 1].fd < 0)
        last--;
    for (size_t i = first; i < last; i++)
        if (f.v[i].fd >= 0)
            load_segment(d, &f.v[i], i + 1 == last);
    mem_free(f.v);
}

void disk_load(struct disk *d)
{
    pthread_mutex_lock(&d->log);
    load_files(d);
    disk_log_make_room(d, 0);
    if (atomic_load(&d->wipe))
        disk_log_wipe(d);
    pthread_mutex_lock(&d->queue);
    if (atomic_load(&d->state) == DISK_LOADING)
        atomic_store_explicit(&d->state, DISK_READY, memory_order_release);
    pthread_cond_broadcast(&d->loaded);
    pthread_mutex_unlock(&d->queue);
    if (atomic_load(&d->wipe)) // whoever came in between could not know that it was time already
        disk_log_wipe(d);
    pthread_mutex_unlock(&d->log);
}
