// SPDX-License-Identifier: Apache-2.0
#include "base/chunk.h"

#include "base/check.h"
#include "base/mem.h"

enum { CLASS_SMALL, CLASS_MEDIUM, CLASS_LARGE, CLASS_ODD, N_CLASSES = CLASS_ODD };

static const struct {
    uint32_t bytes, keep; // keep: how many a thread holds for reuse
} classes[N_CLASSES] = {{CHUNK_SMALL_BYTES, 128}, {CHUNK_MEDIUM_BYTES, 64}, {CHUNK_LARGE_BYTES, 8}};

static _Thread_local struct {
    struct chunk *first;
    uint32_t n;
} spare[N_CLASSES];
static _Thread_local int64_t taken; // this thread's chunk_new minus its own last unrefs
static _Atomic int64_t live;

static void account(int64_t d)
{
    taken += d;
    if (taken > 64 || taken < -64) {
        atomic_fetch_add_explicit(&live, taken, memory_order_relaxed);
        taken = 0;
    }
}

int64_t chunk_live_count(void)
{
    return atomic_load_explicit(&live, memory_order_relaxed) + taken;
}

struct chunk *chunk_new(size_t min_bytes)
{
    uint32_t class_ = CLASS_SMALL;
    while (class_ < CLASS_ODD && classes[class_].bytes < min_bytes)
        class_++;
    struct chunk *c;
    if (class_ < CLASS_ODD && spare[class_].first) {
        c = spare[class_].first;
        spare[class_].first = c->next;
        spare[class_].n--;
    } else {
        size_t cap = class_ < CLASS_ODD ? classes[class_].bytes : min_bytes;
        if (cap > UINT32_MAX)
            return NULL;
        c = (struct chunk *)mem_alloc(sizeof(*c) + cap);
        if (!c)
            return NULL;
        c->cap = (uint32_t)cap;
        c->class_ = class_;
    }
    atomic_init(&c->refs, 1);
    c->used = 0;
    c->next = NULL;
    account(1);
    return c;
}

struct chunk *chunk_new_exact(size_t bytes)
{
    struct chunk *c = bytes > UINT32_MAX ? NULL : (struct chunk *)mem_alloc(sizeof(*c) + bytes);
    if (!c)
        return NULL;
    atomic_init(&c->refs, 1);
    c->cap = (uint32_t)bytes;
    c->class_ = CLASS_ODD;
    c->used = 0;
    c->next = NULL;
    account(1);
    return c;
}

void chunk_unref(struct chunk *c)
{
    if (!c)
        return;
    // The sole holder needs no read-modify-write: nobody else can take a reference meanwhile.
    if (atomic_load_explicit(&c->refs, memory_order_acquire) != 1 &&
        atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
        return;
    account(-1);
    if (c->class_ < CLASS_ODD && spare[c->class_].n < classes[c->class_].keep) {
        c->next = spare[c->class_].first;
        spare[c->class_].first = c;
        spare[c->class_].n++;
        return;
    }
    mem_free(c);
}

void chunk_thread_fini(void)
{
    for (unsigned i = 0; i < N_CLASSES; i++) {
        while (spare[i].first) {
            struct chunk *c = spare[i].first;
            spare[i].first = c->next;
            mem_free(c);
        }
        spare[i].n = 0;
    }
    atomic_fetch_add_explicit(&live, taken, memory_order_relaxed);
    taken = 0;
}

void chunkq_init(struct chunkq *q)
{
    q->v = q->inline_;
    q->head = q->n = 0;
    q->cap = CHUNKQ_INLINE;
    q->bytes = 0;
}

void chunkq_clear(struct chunkq *q)
{
    for (uint32_t i = 0; i < q->n; i++)
        chunk_unref(q->v[q->head + i].chunk);
    if (q->v != q->inline_)
        mem_free(q->v);
    chunkq_init(q);
}

// Room for one more segment at the end (front false) or before the first one.
static enum err reserve(struct chunkq *q, bool front)
{
    if (front ? q->head > 0 : q->head + q->n < q->cap)
        return ERR_OK;
    uint32_t cap = q->cap;
    struct seg *v = q->v;
    if (q->n == q->cap) {
        cap = q->cap * 2;
        v = (struct seg *)mem_alloc(cap * sizeof(*v));
        if (!v)
            return ERR_NO_MEMORY;
    }
    uint32_t head = front ? cap - q->n : 0;
    memmove(v + head, q->v + q->head, q->n * sizeof(*v));
    if (v != q->v && q->v != q->inline_)
        mem_free(q->v);
    q->v = v;
    q->cap = cap;
    q->head = head;
    return ERR_OK;
}

// Takes over the caller's reference on success.
static enum err append_owned(struct chunkq *q, struct chunk *chunk, const char *ptr, size_t len)
{
    enum err e = reserve(q, false);
    if (e)
        return e;
    q->v[q->head + q->n++] = (struct seg){chunk, ptr, len};
    q->bytes += len;
    return ERR_OK;
}

enum err chunkq_append(struct chunkq *q, struct chunk *chunk, const char *ptr, size_t len)
{
    if (len == 0)
        return ERR_OK;
    if (q->n) {
        struct seg *last = &q->v[q->head + q->n - 1];
        if (chunk && last->chunk == chunk && last->ptr + last->len == ptr) {
            last->len += len;
            q->bytes += len;
            return ERR_OK;
        }
    }
    enum err e = append_owned(q, chunk, ptr, len);
    if (!e && chunk)
        chunk_ref(chunk);
    return e;
}

enum err chunkq_prepend(struct chunkq *q, struct chunk *chunk, const char *ptr, size_t len)
{
    if (q->n == 0)
        return chunkq_append(q, chunk, ptr, len); // nothing to be moved for its sake
    if (len == 0)
        return ERR_OK;
    enum err e = reserve(q, true);
    if (e)
        return e;
    q->v[--q->head] = (struct seg){chunk ? chunk_ref(chunk) : NULL, ptr, len};
    q->n++;
    q->bytes += len;
    return ERR_OK;
}

enum err chunkq_append_copy(struct chunkq *q, const void *bytes, size_t len)
{
    const char *p = (const char *)bytes;
    while (len) {
        struct seg *last = q->n ? &q->v[q->head + q->n - 1] : NULL;
        struct chunk *c = last ? last->chunk : NULL;
        bool fresh =
            !c || chunk_is_shared(c) || c->used == c->cap || last->ptr + last->len != c->data + c->used;
        if (fresh && !(c = chunk_new(MIN(len, (size_t)CHUNK_MEDIUM_BYTES))))
            return ERR_NO_MEMORY;
        size_t n = MIN(len, (size_t)(c->cap - c->used));
        memcpy(c->data + c->used, p, n);
        if (fresh) {
            enum err e = append_owned(q, c, c->data + c->used, n);
            if (e) {
                chunk_unref(c);
                return e;
            }
        } else {
            last->len += n;
            q->bytes += n;
        }
        c->used += (uint32_t)n;
        p += n;
        len -= n;
    }
    return ERR_OK;
}

enum err chunkq_move(struct chunkq *to, struct chunkq *from, size_t n)
{
    while (n && from->n) {
        struct seg *s = &from->v[from->head];
        if (s->len > n)
            break;
        enum err e = append_owned(to, s->chunk, s->ptr, s->len);
        if (e)
            return e;
        n -= s->len;
        from->bytes -= s->len;
        from->head++;
        if (--from->n == 0)
            from->head = 0;
    }
    if (n && from->n) {
        struct seg *s = &from->v[from->head];
        enum err e = chunkq_append(to, s->chunk, s->ptr, n);
        if (e)
            return e;
        chunkq_skip(from, n);
    }
    return ERR_OK;
}

enum err chunkq_share(struct chunkq *to, const struct chunkq *from, size_t n)
{
    for (uint32_t i = 0; i < from->n && n; i++) {
        const struct seg *s = &from->v[from->head + i];
        size_t k = MIN(n, s->len);
        enum err e = chunkq_append(to, s->chunk, s->ptr, k);
        if (e)
            return e;
        n -= k;
    }
    return ERR_OK;
}

void chunkq_skip(struct chunkq *q, size_t n)
{
    while (n && q->n) {
        struct seg *s = &q->v[q->head];
        if (s->len > n) {
            s->ptr += n;
            s->len -= n;
            q->bytes -= n;
            return;
        }
        n -= s->len;
        q->bytes -= s->len;
        chunk_unref(s->chunk);
        q->head++;
        if (--q->n == 0)
            q->head = 0;
    }
}

unsigned chunkq_iov(const struct chunkq *q, struct iovec *iov, unsigned max)
{
    unsigned n = MIN(q->n, max);
    for (unsigned i = 0; i < n; i++) {
        const struct seg *s = &q->v[q->head + i];
        iov[i] = (struct iovec){(void *)(uintptr_t)s->ptr, s->len};
    }
    return n;
}

size_t chunkq_peek(const struct chunkq *q, void *out, size_t n)
{
    size_t done = 0;
    for (uint32_t i = 0; i < q->n && done < n; i++) {
        const struct seg *s = &q->v[q->head + i];
        size_t k = MIN(n - done, s->len);
        memcpy((char *)out + done, s->ptr, k);
        done += k;
    }
    return done;
}
