// SPDX-License-Identifier: Apache-2.0
#include "proxy/tunnel.h"

#include "proxy/account.h"
#include "proxy/pace.h"

enum {
    COPY_BYTES = 16 * 1024, // a read that brings this much begins a bulk transfer, which goes by splice
    SPLICE_BYTES = 1 << 20,
    STALL_MS = 60 * 1000, // the longest that one side may take to read
};

struct tunnel {
    struct exchange *x;
    struct fiber *parent;
    uint64_t idle_ms;
    uint64_t last_ms; // when a byte moved last, in either direction
    bool child_done, parent_done;
    enum err child_err;
};

struct direction {
    struct tunnel *t;
    bool down; // from the upstream to the client
    bool looked; // at what comes first
    struct io *from, *to; // NULL where the bytes cannot be had bare
};

// A deadline that passed in one direction means nothing while the other one moves.
static bool still_lives(struct tunnel *t)
{
    return loop_now_ms() < t->last_ms + t->idle_ms;
}

static uint64_t idle_deadline(const struct tunnel *t)
{
    return t->last_ms + t->idle_ms;
}

static enum err read_some(struct direction *d, struct chunkq *q)
{
    struct exchange *x = d->t->x;
    for (;;) {
        uint64_t deadline = idle_deadline(d->t);
        enum err e = d->down ? x->upstream->ops->read(x->upstream, q, pace_piece(x, COPY_BYTES), deadline)
                             : x->client->ops->read(x->client, q, pace_piece(x, COPY_BYTES), deadline);
        if ((e == ERR_TIMEOUT || e == ERR_UPSTREAM_STALLED || e == ERR_CLIENT_UPLOAD_STALLED)) {
            if (still_lives(d->t))
                continue;
            return ERR_TUNNEL_IDLE;
        }
        return e;
    }
}

// What a client says first names whom it really wants: held back until that is known.
static enum err look_at_first(struct direction *d, struct chunkq *q)
{
    bool more = true;
    enum err e = ERR_OK;
    while (!e && more) {
        e = policing_first_bytes(d->t->x, q, &more);
        if (!e && more)
            e = read_some(d, q);
    }
    return e == ERR_EOF ? ERR_OK : e; // the next read says so again
}

static enum err copy(struct direction *d, bool *ret_bulk)
{
    struct exchange *x = d->t->x;
    struct chunkq q;
    chunkq_init(&q);
    enum err e;
    bool paced = pace_is_set(x);
    *ret_bulk = false;
    while (!(e = read_some(d, &q))) {
        bool bulk = q.bytes >= COPY_BYTES - 64;
        d->t->last_ms = loop_now_ms();
        if (!d->down && !d->looked && !d->t->x->first_seen) {
            d->looked = true;
            if ((e = look_at_first(d, &q)))
                break;
        }
        size_t n = q.bytes;
        if ((e = pace_check(x)))
            break;
        e = d->down ? x->client->ops->send(x->client, &q, false, NULL) : x->upstream->ops->send(x->upstream, &q, false, NULL);
        if (e)
            break;
        if (paced && (e = d->down ? pace_down(x, n) : pace_up(x, n)))
            break;
        d->t->last_ms = loop_now_ms();
        if (bulk && !paced && d->from && d->to) {
            *ret_bulk = true;
            break;
        }
    }
    chunkq_fini(&q);
    return e;
}

static void note(struct direction *d, size_t n)
{
    struct exchange *x = d->t->x;
    d->t->last_ms = loop_now_ms();
    if (d->down) {
        x->upstream->ops->note_raw(x->upstream, n);
        x->client->ops->note_raw(x->client, n, false);
    } else {
        x->client->bytes_in += n;
        x->upstream->bytes_out += n;
    }
}

static enum err splice_all(struct direction *d, struct io_pipe *p)
{
    for (;;) {
        size_t n;
        enum err e = io_splice_in(d->from, p, SPLICE_BYTES, idle_deadline(d->t), &n);
        if (e == ERR_TIMEOUT && still_lives(d->t))
            continue;
        if (e)
            return e == ERR_TIMEOUT ? ERR_TUNNEL_IDLE : e;
        e = io_splice_out(p, d->to, false, STALL_MS);
        if (e)
            return e;
        note(d, n);
    }
}

// In order: all of it has been passed on.
static bool other_has_ended(const struct direction *d)
{
    const struct tunnel *t = d->t;
    return d->down ? t->child_done && !t->child_err : t->parent_done;
}

static enum err relay(struct direction *d)
{
    bool bulk;
    enum err e = copy(d, &bulk);
    if (!e && bulk) {
        // Bytes that the codec had buffered went with the copy; from here on the sockets are all there is.
        struct io_pipe *p = io_pipe_get();
        if (p) {
            e = splice_all(d, p);
            io_pipe_put(p);
        } else {
            d->from = NULL;
            e = copy(d, &bulk);
        }
    }
    if (e != ERR_EOF)
        return e;
    struct exchange *x = d->t->x;
    // The second end is followed by the closing of both, which says it to a bare socket just as well.
    if (other_has_ended(d) && d->to)
        return ERR_OK;
    if (d->down)
        x->client->ops->end_write(x->client);
    else
        x->upstream->ops->end_write(x->upstream);
    return ERR_OK;
}

static void up_fiber(void *arg)
{
    struct direction *d = (struct direction *)arg;
    struct tunnel *t = d->t;
    t->child_err = relay(d);
    t->child_done = true;
    if (t->child_err)
        fiber_cancel(t->parent, t->child_err);
}

enum err tunnel_run(struct exchange *x, uint64_t idle_ms)
{
    struct tunnel t = {.x = x, .parent = x->fiber, .idle_ms = idle_ms, .last_ms = loop_now_ms()};
    struct io *client = x->client->ops->raw(x->client), *upstream = x->upstream->ops->raw(x->upstream);
    struct direction up = {.t = &t, .from = client, .to = upstream}, down = {.t = &t, .down = true, .from = upstream, .to = client};
    struct fiber *child;
    enum err e = fiber_start(up_fiber, &up, &child);
    if (e)
        return e;
    metric_add(account_metrics(x), METRIC_TUNNELS_OPEN, 1);
    e = relay(&down);
    t.parent_done = !e;
    if (e && !t.child_done)
        fiber_cancel(child, e);
    fiber_join(child);
    metric_add(account_metrics(x), METRIC_TUNNELS_OPEN, -1);
    return e ? e : t.child_err;
}
