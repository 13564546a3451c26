// SPDX-License-Identifier: Apache-2.0
#include "proxy/peers.h"

#include <pthread.h>
#include <stdatomic.h>

#include "base/hash.h"
#include "base/mem.h"

enum { SHARDS = 64, SHARD_SLOTS = 1024 };

struct slot {
    uint8_t key[8];
    uint16_t family; // 0: empty
    uint32_t n;
};
struct shard {
    pthread_mutex_t lock;
    unsigned used;
    struct slot slots[SHARD_SLOTS];
};
struct peer_counts {
    _Atomic unsigned total;
    struct shard shards[SHARDS];
};

static struct peer_counts *shared, *handshaking;
static pthread_once_t once = PTHREAD_ONCE_INIT, once_handshaking = PTHREAD_ONCE_INIT;

static struct peer_counts *make(void)
{
    struct peer_counts *p = (struct peer_counts *)mem_calloc(1, sizeof *p);
    for (unsigned i = 0; p && i < SHARDS; i++)
        pthread_mutex_init(&p->shards[i].lock, NULL);
    return p;
}

static void make_shared(void)
{
    shared = make();
}

static void make_handshaking(void)
{
    handshaking = make();
}

struct peer_counts *peers_shared(void)
{
    pthread_once(&once, make_shared);
    return shared;
}

struct peer_counts *peers_handshaking(void)
{
    pthread_once(&once_handshaking, make_handshaking);
    return handshaking;
}

static bool key_of(const struct addr *a, struct slot *ret)
{
    *ret = (struct slot){.family = a->family};
    if (a->family == AF_INET)
        memcpy(ret->key, a->v4, 4);
    else if (a->family == AF_INET6)
        memcpy(ret->key, a->v6, 8);
    else
        return false;
    return true;
}

static struct shard *shard_of(struct peer_counts *p, const struct slot *k, unsigned *ret_at)
{
    uint64_t h = hash_keyed(span_of((const char *)k->key, sizeof k->key));
    *ret_at = (unsigned)(h >> 32) % SHARD_SLOTS;
    return &p->shards[h % SHARDS];
}

// The slot with the key, or an empty one. (Linear probing: leaving moves later ones back.)
static struct slot *probe(struct shard *s, const struct slot *k, unsigned at)
{
    while (s->slots[at].family && (s->slots[at].family != k->family || memcmp(s->slots[at].key, k->key, sizeof k->key) != 0))
        at = (at + 1) % SHARD_SLOTS;
    return &s->slots[at];
}

unsigned peers_total(const struct peer_counts *p)
{
    return atomic_load_explicit(&p->total, memory_order_relaxed);
}

static bool enter(struct peer_counts *p, const struct addr *a, unsigned max)
{
    struct slot k;
    unsigned at;
    if (!key_of(a, &k))
        return true;
    struct shard *s = shard_of(p, &k, &at);
    pthread_mutex_lock(&s->lock);
    struct slot *x = probe(s, &k, at);
    bool ok = x->n < max;
    if (ok && !x->family && s->used < SHARD_SLOTS * 3 / 4) {
        *x = k;
        s->used++;
    }
    if (ok && x->family)
        x->n++;
    pthread_mutex_unlock(&s->lock);
    return ok;
}

bool peers_enter(struct peer_counts *p, const struct addr *a, unsigned max)
{
    if (!enter(p, a, max))
        return false;
    atomic_fetch_add_explicit(&p->total, 1, memory_order_relaxed);
    return true;
}

static void remove_slot(struct shard *s, unsigned at)
{
    s->slots[at] = (struct slot){0};
    s->used--;
    for (unsigned i = (at + 1) % SHARD_SLOTS; s->slots[i].family; i = (i + 1) % SHARD_SLOTS) {
        struct slot x = s->slots[i];
        s->slots[i] = (struct slot){0}; // its count too: who comes next to this place has none
        struct slot *to = probe(s, &x, (unsigned)(hash_keyed(span_of((const char *)x.key, sizeof x.key)) >> 32) % SHARD_SLOTS);
        *to = x;
    }
}

void peers_leave(struct peer_counts *p, const struct addr *a)
{
    struct slot k;
    unsigned at;
    atomic_fetch_sub_explicit(&p->total, 1, memory_order_relaxed);
    if (!key_of(a, &k))
        return;
    struct shard *s = shard_of(p, &k, &at);
    pthread_mutex_lock(&s->lock);
    struct slot *x = probe(s, &k, at);
    if (x->family && --x->n == 0)
        remove_slot(s, (unsigned)(x - s->slots));
    pthread_mutex_unlock(&s->lock);
}
