// SPDX-License-Identifier: Apache-2.0
#include "admin/history.h"

#include <pthread.h>

#include "admin/metrics.h"
#include "base/mem.h"

enum { RING_MIN_BYTES = 64 * 1024, ID_MAX_BYTES = 255 };

// Entries one behind the other, around the end: a head, the id, the record.
struct entry_head {
    uint32_t bytes; // of id and record
    uint32_t id_bytes;
};

struct ring {
    pthread_mutex_t lock; // of its thread and of who looks something up
    char *data;
    uint64_t first, end; // offsets that only grow; modulo the size they are places in data
    char apart[64];      // two threads' rings never share a cache line
};

static struct {
    struct ring *rings;
    unsigned n;
    size_t size; // of each
} h;

enum err history_start(unsigned threads)
{
    h.n = MAX(threads, 1U);
    h.size = MAX((size_t)HISTORY_BYTES / h.n, (size_t)RING_MIN_BYTES);
    h.rings = (struct ring *)mem_calloc(h.n, sizeof *h.rings);
    if (!h.rings) {
        h.n = 0;
        return ERR_NO_MEMORY;
    }
    for (unsigned i = 0; i < h.n; i++) // the memory of each is made with its thread's first record
        pthread_mutex_init(&h.rings[i].lock, NULL);
    return ERR_OK;
}

void history_stop(void)
{
    for (unsigned i = 0; i < h.n; i++) {
        mem_free(h.rings[i].data);
        pthread_mutex_destroy(&h.rings[i].lock);
    }
    mem_free(h.rings);
    h.rings = NULL;
    h.n = 0;
}

static void copy_in(struct ring *r, const void *p, size_t n)
{
    size_t at = (size_t)(r->end % h.size), part = MIN(n, h.size - at);
    memcpy(r->data + at, p, part);
    memcpy(r->data, (const char *)p + part, n - part);
    r->end += n;
}

static void copy_out(const struct ring *r, uint64_t from, void *p, size_t n)
{
    size_t at = (size_t)(from % h.size), part = MIN(n, h.size - at);
    memcpy(p, r->data + at, part);
    memcpy((char *)p + part, r->data, n - part);
}

static struct entry_head head_at(const struct ring *r, uint64_t at)
{
    struct entry_head e;
    copy_out(r, at, &e, sizeof e);
    return e;
}

void history_put(struct span id, struct span record)
{
    if (!h.n || !metrics_slot || !id.len || id.len > ID_MAX_BYTES || record.len > HISTORY_RECORD_MAX_BYTES)
        return;
    struct ring *r = &h.rings[(metrics_slot - 1) % h.n];
    struct entry_head e = {(uint32_t)(id.len + record.len), (uint32_t)id.len};
    size_t need = sizeof e + e.bytes;
    pthread_mutex_lock(&r->lock);
    if (!r->data)
        r->data = (char *)mem_alloc(h.size);
    if (r->data) {
        while (r->end + need - r->first > h.size)
            r->first += sizeof e + head_at(r, r->first).bytes;
        copy_in(r, &e, sizeof e);
        copy_in(r, id.ptr, id.len);
        copy_in(r, record.ptr, record.len);
    }
    pthread_mutex_unlock(&r->lock);
}

// The place of the newest record with the id; the end where there is none.
static uint64_t find(const struct ring *r, struct span id)
{
    uint64_t found = r->end;
    for (uint64_t at = r->first; at < r->end;) {
        struct entry_head e = head_at(r, at);
        char text[ID_MAX_BYTES];
        copy_out(r, at + sizeof e, text, e.id_bytes);
        if (span_eq(span_of(text, e.id_bytes), id))
            found = at;
        at += sizeof e + e.bytes;
    }
    return found;
}

struct span history_find(struct span id, struct arena *a)
{
    struct span ret = SPAN_NONE;
    for (unsigned i = 0; i < h.n && !ret.ptr; i++) {
        struct ring *r = &h.rings[i];
        pthread_mutex_lock(&r->lock);
        uint64_t at = find(r, id);
        if (at < r->end) {
            struct entry_head e = head_at(r, at);
            size_t n = e.bytes - e.id_bytes;
            char *p = arena_bytes(a, n + 1);
            if (p) {
                copy_out(r, at + sizeof e + e.id_bytes, p, n);
                ret = span_of(p, n);
            }
        }
        pthread_mutex_unlock(&r->lock);
    }
    return ret;
}
