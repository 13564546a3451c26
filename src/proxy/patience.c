// SPDX-License-Identifier: Apache-2.0
#include "proxy/patience.h"

#include "base/mem.h"

// What of a chunk is in use: [0, head_end) and [from, to).
static void discard_rest(struct chunk *c, uint32_t head_end, const struct chunkq *q, unsigned holders)
{
    const char *from = c->data + c->cap, *to = c->data + head_end;
    for (uint32_t i = 0; i < q->n; i++) {
        const struct seg *s = &q->v[q->head + i];
        if (s->chunk != c)
            continue;
        holders++;
        from = MIN(from, s->ptr);
        to = MAX(to, s->ptr + s->len);
    }
    // Others (a cache, a copy for another try) may read all of it.
    if (atomic_load_explicit(&c->refs, memory_order_acquire) != holders)
        return;
    mem_discard(c->data + head_end, c->data + (from - c->data));
    mem_discard(c->data + (to - c->data), c->data + c->cap);
}

static void on_long_wait(void *arg)
{
    const struct patience *p = (const struct patience *)arg;
    struct exchange *x = p->x;
    if (x->conn->t.io.writer != x->fiber)
        return; // it waits for the server, perhaps with a buffer in hand
    struct chunk *head = x->head_chunk;
    uint32_t head_end = x->head_end;
    if (x->upstream) {
        head = x->upstream->ops->head_chunk(x->upstream);
        head_end = x->upstream->head_end;
        if (x->upstream->ops->drop_buffer)
            x->upstream->ops->drop_buffer(x->upstream);
    }
    if (head)
        discard_rest(head, head_end, p->q, 1);
    for (uint32_t i = 0; i < p->q->n; i++) {
        struct chunk *c = p->q->v[p->q->head + i].chunk;
        if (c && c != head && (i == 0 || c != p->q->v[p->q->head + i - 1].chunk))
            discard_rest(c, 0, p->q, 0);
    }
}

void patience_begin(struct patience *p)
{
    fiber_on_long_wait(on_long_wait, p);
}

void patience_end(void)
{
    fiber_on_long_wait(NULL, NULL);
}
