// SPDX-License-Identifier: Apache-2.0
#include "policy/throttle.h"

#include <pthread.h>

#include "base/hash.h"
#include "base/macros.h"
#include "base/mem.h"

enum {
    WAYS = 8, // slots of a bucket
    BUCKETS = 1 << 15,
    LOCKS = 256,
    HEAD_BYTES = 29, // of a long key, in front of its hash
};

enum slot_state { SLOT_EMPTY, SLOT_RATE, SLOT_HELD };

struct throttle_slot {
    uint64_t owner;
    uint64_t value; // SLOT_RATE: when all that was taken is paid for (ns); SLOT_HELD: how many
    uint8_t state, len;
    char text[THROTTLE_KEY_BYTES];
};
_Static_assert(sizeof(struct throttle_slot) == 64, "a slot is a cache line");

struct throttle_table {
    pthread_mutex_t locks[LOCKS];
    struct throttle_slot slots[BUCKETS * WAYS]; // 16 MiB of zeroes, of which the system gives what is touched
};

void throttle_key_set(struct throttle_key *k, uint64_t owner, char kind, struct span text)
{
    k->owner = owner;
    k->text[0] = kind;
    if (text.len < sizeof k->text) {
        memcpy(k->text + 1, text.ptr, text.len);
        k->len = (uint8_t)(text.len + 1);
        return;
    }
    struct hash_key other = {hash_process_key.k0 ^ 1, hash_process_key.k1};
    uint64_t h[2] = {hash_keyed(text), hash_keyed_with(&other, text)};
    memcpy(k->text + 1, text.ptr, HEAD_BYTES);
    memcpy(k->text + 1 + HEAD_BYTES, h, sizeof h);
    k->len = sizeof k->text;
}
_Static_assert(1 + HEAD_BYTES + 2 * sizeof(uint64_t) == THROTTLE_KEY_BYTES, "a long key fills its place");

bool throttle_key_eq(const struct throttle_key *a, const struct throttle_key *b)
{
    return a->owner == b->owner && a->len == b->len && memcmp(a->text, b->text, a->len) == 0;
}

struct throttle_table *throttle_table_new(void)
{
    struct throttle_table *t = (struct throttle_table *)mem_calloc(1, sizeof *t);
    for (unsigned i = 0; t && i < LOCKS; i++)
        pthread_mutex_init(&t->locks[i], NULL);
    return t;
}

void throttle_table_free(struct throttle_table *t)
{
    for (unsigned i = 0; t && i < LOCKS; i++)
        pthread_mutex_destroy(&t->locks[i]);
    mem_free(t);
}

static struct throttle_table *shared;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make(void)
{
    shared = throttle_table_new();
}

struct throttle_table *throttle_table_shared(void)
{
    pthread_once(&once, make);
    return shared;
}

static struct throttle_slot *bucket_of(struct throttle_table *t, const struct throttle_key *k, pthread_mutex_t **ret_lock)
{
    char bytes[sizeof k->owner + THROTTLE_KEY_BYTES];
    memcpy(bytes, &k->owner, sizeof k->owner);
    memcpy(bytes + sizeof k->owner, k->text, k->len);
    size_t b = (size_t)(hash_keyed(span_of(bytes, sizeof k->owner + k->len)) % BUCKETS);
    *ret_lock = &t->locks[b % LOCKS];
    return &t->slots[b * WAYS];
}

static bool is_of(const struct throttle_slot *s, const struct throttle_key *k, enum slot_state state)
{
    return s->state == state && s->owner == k->owner && s->len == k->len && memcmp(s->text, k->text, k->len) == 0;
}

// The key's slot in its bucket, or one that may be given to it: empty, or of the rate that is nearest to being forgiven. NULL: all are held.
static struct throttle_slot *find(struct throttle_slot *bucket, const struct throttle_key *k, enum slot_state state)
{
    struct throttle_slot *best = NULL;
    for (unsigned i = 0; i < WAYS; i++) {
        struct throttle_slot *s = &bucket[i];
        if (is_of(s, k, state))
            return s;
        if (s->state == SLOT_HELD || (best && best->state == SLOT_EMPTY))
            continue;
        if (s->state == SLOT_EMPTY || !best || s->value < best->value)
            best = s;
    }
    if (best)
        *best = (struct throttle_slot){.state = SLOT_EMPTY};
    return best;
}

static void give(struct throttle_slot *s, const struct throttle_key *k, enum slot_state state)
{
    if (s->state != SLOT_EMPTY)
        return;
    s->state = (uint8_t)state;
    s->owner = k->owner;
    s->len = k->len;
    memcpy(s->text, k->text, k->len);
}

bool throttle_take(struct throttle_table *t, const struct throttle_key *k, uint64_t interval_ns, uint32_t burst, uint64_t now_ns,
                   uint64_t *ret_wait_ns)
{
    pthread_mutex_t *lock;
    struct throttle_slot *bucket = bucket_of(t, k, &lock);
    uint64_t room = interval_ns * burst, paid;
    bool ok = true;
    pthread_mutex_lock(lock);
    struct throttle_slot *s = find(bucket, k, SLOT_RATE);
    if (s) {
        give(s, k, SLOT_RATE);
        paid = MAX(s->value, now_ns) + interval_ns;
        ok = paid - now_ns <= room;
        if (ok)
            s->value = paid;
        else if (ret_wait_ns)
            *ret_wait_ns = paid - now_ns - room;
    }
    pthread_mutex_unlock(lock);
    return ok;
}

uint64_t throttle_charge(struct throttle_table *t, const struct throttle_key *k, uint64_t cost_ns, uint64_t now_ns)
{
    pthread_mutex_t *lock;
    struct throttle_slot *bucket = bucket_of(t, k, &lock);
    uint64_t wait_ns = cost_ns;
    pthread_mutex_lock(lock);
    struct throttle_slot *s = find(bucket, k, SLOT_RATE);
    if (s) {
        give(s, k, SLOT_RATE);
        s->value = MAX(s->value, now_ns) + cost_ns;
        wait_ns = s->value - now_ns;
    }
    pthread_mutex_unlock(lock);
    return wait_ns;
}

enum throttle_entry throttle_enter(struct throttle_table *t, const struct throttle_key *k, uint32_t max, struct throttle_slot **ret_slot)
{
    pthread_mutex_t *lock;
    struct throttle_slot *bucket = bucket_of(t, k, &lock);
    enum throttle_entry e = THROTTLE_UNCOUNTED;
    pthread_mutex_lock(lock);
    struct throttle_slot *s = find(bucket, k, SLOT_HELD);
    if (s) {
        give(s, k, SLOT_HELD);
        e = s->value < max ? THROTTLE_ENTERED : THROTTLE_FULL;
        if (e == THROTTLE_ENTERED) {
            s->value++;
            *ret_slot = s;
        }
    }
    pthread_mutex_unlock(lock);
    return e;
}

void throttle_leave(struct throttle_table *t, struct throttle_slot *s)
{
    size_t b = (size_t)(s - t->slots) / WAYS;
    pthread_mutex_lock(&t->locks[b % LOCKS]);
    if (--s->value == 0)
        *s = (struct throttle_slot){.state = SLOT_EMPTY};
    pthread_mutex_unlock(&t->locks[b % LOCKS]);
}
