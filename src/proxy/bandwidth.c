// SPDX-License-Identifier: Apache-2.0
#include "proxy/bandwidth.h"

enum {
    PIECES = 16,          // a second
    PIECE_MIN_BYTES = 64,
    AHEAD_MS = 50,        // how long ahead of its time a byte may go: a wait shorter than this is saved up
};

const struct bandwidths *build_bandwidths(struct builder *b, const struct conf_stmt *block, struct span scope)
{
    unsigned n = 0;
    for (const struct conf_stmt *s = conf_child(block, CONF_BANDWIDTH); s; s = conf_next(s))
        n++;
    if (!n)
        return NULL;
    struct bandwidths *all = (struct bandwidths *)build_alloc(b, sizeof *all);
    struct bandwidth *v = (struct bandwidth *)build_alloc(b, n * sizeof *v);
    if (!all || !v)
        return NULL;
    all->v = v;
    for (const struct conf_stmt *s = conf_child(block, CONF_BANDWIDTH); s; s = conf_next(s)) {
        struct bandwidth *w = &v[all->n++];
        w->rate = s->args[0].num;
        build_throttle_key(b, s, scope, all->n, &w->key);
        if (!w->rate)
            conf_error(b->diags, b->conf, &s->args[0].pos, "a rate of at least 1B/s is wanted here");
    }
    return all;
}

size_t bandwidth_piece(const struct exchange *x, size_t want)
{
    const struct bandwidths *all = bandwidths_of(x);
    for (unsigned i = 0; all && i < all->n; i++)
        want = MIN(want, (size_t)MAX(all->v[i].rate / PIECES, (uint64_t)PIECE_MIN_BYTES));
    return want;
}

enum err bandwidth_pay(struct exchange *x, enum bandwidth_direction d, size_t n)
{
    const struct bandwidths *all = bandwidths_of(x);
    struct throttle_table *table = all ? throttle_table_shared() : NULL;
    uint64_t wait_ns = 0, now_ns = loop_clock_us() * 1000;
    for (unsigned i = 0; table && i < all->n && n; i++) {
        const struct bandwidth *w = &all->v[i];
        struct throttle_key k;
        throttle_key_of(&w->key, x, &k);
        k.owner ^= (uint64_t)d;
        // n is a piece at the most, or what came in one read: far from where this could wrap.
        uint64_t due_ns = throttle_charge(table, &k, (uint64_t)n * 1000000000 / w->rate, now_ns); // once: MAX would ask twice
        wait_ns = MAX(wait_ns, due_ns);
    }
    return wait_ns > (uint64_t)AHEAD_MS * 1000000 ? fiber_sleep(wait_ns / 1000000 - AHEAD_MS / 2) : ERR_OK;
}
