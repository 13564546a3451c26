// SPDX-License-Identifier: Apache-2.0
// The table of segments, and reading from one.
#include "cache/disk_internal.h"

#include <errno.h>
#include <stdio.h>

#include "base/mem.h"
#include "io/fiber.h"
#include "io/loop.h"

struct disk_segment *disk_segment_ref(struct disk_segment *s)
{
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    return s;
}

void disk_segment_unref(struct disk_segment *s)
{
    if (!s || atomic_fetch_sub_explicit(&s->refs, 1, memory_order_acq_rel) != 1)
        return;
    s->disk->files->close(s->disk->files_arg, s->fd);
    mem_free(s->rows.v);
    mem_free(s);
}

void disk_segment_name(uint64_t number, char ret[DISK_FILE_NAME_MAX])
{
    snprintf(ret, DISK_FILE_NAME_MAX, "%016llx.segment", (unsigned long long)number);
}

// Where the number is, or would be. The table's lock is held.
static unsigned position(const struct disk *d, uint64_t number)
{
    unsigned low = 0, high = d->n_segments;
    while (low < high) {
        unsigned mid = (low + high) / 2;
        if (d->order[mid]->number < number)
            low = mid + 1;
        else
            high = mid;
    }
    return low;
}

struct disk_segment *disk_segment_by_number(struct disk *d, uint64_t number)
{
    pthread_mutex_lock(&d->segments);
    unsigned i = position(d, number);
    struct disk_segment *s = i < d->n_segments && d->order[i]->number == number ? disk_segment_ref(d->order[i]) : NULL;
    pthread_mutex_unlock(&d->segments);
    return s;
}

static int free_slot(const struct disk *d)
{
    for (int i = 0; i < DISK_SLOTS; i++)
        if (!d->slots[i])
            return i;
    return -1;
}

struct disk_segment *disk_segment_add(struct disk *d, int fd, const struct disk_segment_head *h, uint64_t end)
{
    struct disk_segment *s = (struct disk_segment *)mem_calloc(1, sizeof *s);
    pthread_mutex_lock(&d->segments);
    int slot = free_slot(d);
    if (s && slot >= 0) {
        *s = (struct disk_segment){.disk = d, .refs = 1, .fd = fd, .slot = (uint16_t)slot, .number = h->number, .key = h->segment_key, .end = end};
        d->slots[slot] = s;
        d->order[d->n_segments++] = s;
    }
    pthread_mutex_unlock(&d->segments);
    if (s && slot >= 0)
        return s;
    mem_free(s);
    d->files->close(d->files_arg, fd);
    return NULL;
}

void disk_segment_drop(struct disk *d, struct disk_segment *s)
{
    char name[DISK_FILE_NAME_MAX];
    disk_segment_name(s->number, name);
    (void)d->files->remove(d->files_arg, d->folder_fd, name);
    pthread_mutex_lock(&d->segments);
    unsigned i = position(d, s->number);
    memmove(d->order + i, d->order + i + 1, (d->n_segments - i - 1) * sizeof(struct disk_segment *));
    d->n_segments--;
    d->slots[s->slot] = NULL;
    pthread_mutex_unlock(&d->segments);
    d->bytes -= MIN(d->bytes, s->end);
    disk_segment_unref(s);
}

bool disk_segment_unchanged(struct disk_segment *s)
{
    struct disk *d = s->disk;
    if (!atomic_load_explicit(&s->sealed, memory_order_acquire))
        return false;
    int64_t now = d->files->stamp(d->files_arg, s->fd), before = atomic_load(&s->stamp);
    if (now == before && now >= 0)
        return true;
    atomic_store(&s->stamp, now);
    uint16_t epoch = (uint16_t)(atomic_load(&d->epoch) + 1);
    atomic_store(&d->epoch, (uint16_t)(epoch ? epoch : 1)); // 0 is what was never checked
    return false;
}

bool disk_rows_add(struct disk_rows *rows, const struct disk_row *r)
{
    if (rows->n == rows->cap) {
        size_t cap = rows->cap ? rows->cap * 2 : 256;
        struct disk_row *v = (struct disk_row *)mem_realloc(rows->v, cap * sizeof *v);
        if (!v)
            return false;
        rows->v = v;
        rows->cap = cap;
    }
    rows->v[rows->n++] = *r;
    return true;
}

// ---- Reading

struct reading {
    struct disk_segment *segment;
    char *buf;
    size_t n;
    uint64_t offset;
    enum err result;
};

// Reads on until all is there; now: only while that needs no wait (ERR_AGAIN).
static enum err read_on(struct reading *r, bool now)
{
    struct disk *d = r->segment->disk;
    while (r->n) {
        int64_t n = now ? d->files->read_now(d->files_arg, r->segment->fd, r->buf, r->n, r->offset)
                        : d->files->read(d->files_arg, r->segment->fd, r->buf, r->n, r->offset);
        if (n <= 0)
            return n == 0 ? ERR_EOF : n == -EAGAIN && now ? ERR_AGAIN : ERR_IO;
        r->buf += n;
        r->n -= (size_t)n;
        r->offset += (uint64_t)n;
    }
    return ERR_OK;
}

static void read_and_wait(void *arg)
{
    struct reading *r = (struct reading *)arg;
    r->result = read_on(r, false);
}

enum err disk_segment_read(struct disk_segment *s, void *buf, size_t n, uint64_t offset)
{
    struct reading r = {.segment = s, .buf = (char *)buf, .n = n, .offset = offset};
    if (!fiber_self())
        return read_on(&r, false);
    enum err e = read_on(&r, true);
    if (e != ERR_AGAIN)
        return e;
    e = loop_offload(read_and_wait, &r);
    return e ? e : r.result;
}
