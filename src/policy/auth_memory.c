// SPDX-License-Identifier: Apache-2.0
#include "policy/auth_memory.h"

#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/hash.h"
#include "base/mem.h"

enum { SHARDS = 16, WAYS = 4, PROOFS = 512, TALLIES = 1024 }; // a shard's

struct remembered {
    unsigned char proof[AUTH_PROOF_BYTES];
    uint64_t until_ms; // 0: empty
};
struct tally {
    uint64_t who; // keyed hash of client and user
    uint64_t since_ms;
    uint32_t failures;
};
struct shard {
    pthread_mutex_t lock;
    struct remembered proofs[PROOFS];
    struct tally tallies[TALLIES];
};
struct auth_memory {
    unsigned char key[32];
    _Atomic unsigned pending;
    struct shard shards[SHARDS];
};

static struct auth_memory *shared;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make(void)
{
    struct auth_memory *m = (struct auth_memory *)mem_calloc(1, sizeof *m);
    if (m && RAND_bytes(m->key, sizeof m->key) != 1) {
        mem_free(m);
        m = NULL;
    }
    for (unsigned i = 0; m && i < SHARDS; i++)
        pthread_mutex_init(&m->shards[i].lock, NULL);
    shared = m;
}

struct auth_memory *auth_memory_shared(void)
{
    pthread_once(&once, make);
    return shared;
}

// ---- What was right

// Lengths go in as well, so that no two triples give the same bytes.
void auth_memory_proof(const struct auth_memory *m, struct span stored, struct span user, struct span password, unsigned char ret[AUTH_PROOF_BYTES])
{
    const struct span parts[] = {stored, user, password};
    unsigned char all[AUTH_PROOF_BYTES * ARRAY_LEN(parts)];
    unsigned n;
    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        HMAC(EVP_sha256(), m->key, sizeof m->key, (const unsigned char *)(parts[i].len ? parts[i].ptr : ""), parts[i].len, all + i * AUTH_PROOF_BYTES, &n);
    HMAC(EVP_sha256(), m->key, sizeof m->key, all, sizeof all, ret, &n);
    OPENSSL_cleanse(all, sizeof all);
}

static uint64_t number_of(const unsigned char proof[AUTH_PROOF_BYTES])
{
    uint64_t v;
    memcpy(&v, proof, sizeof v);
    return v;
}

static struct remembered *set_of(struct shard *s, uint64_t v)
{
    return &s->proofs[v / SHARDS % (PROOFS / WAYS) * WAYS];
}

bool auth_memory_knows(struct auth_memory *m, const unsigned char proof[AUTH_PROOF_BYTES], uint64_t now_ms)
{
    uint64_t v = number_of(proof);
    struct shard *s = &m->shards[v % SHARDS];
    bool found = false;
    pthread_mutex_lock(&s->lock);
    for (unsigned i = 0; i < WAYS; i++) {
        const struct remembered *r = &set_of(s, v)[i];
        found |= r->until_ms > now_ms && CRYPTO_memcmp(r->proof, proof, AUTH_PROOF_BYTES) == 0;
    }
    pthread_mutex_unlock(&s->lock);
    return found;
}

void auth_memory_add(struct auth_memory *m, const unsigned char proof[AUTH_PROOF_BYTES], uint64_t now_ms)
{
    uint64_t v = number_of(proof);
    struct shard *s = &m->shards[v % SHARDS];
    pthread_mutex_lock(&s->lock);
    struct remembered *set = set_of(s, v), *to = set;
    for (unsigned i = 0; i < WAYS; i++) {
        if (memcmp(set[i].proof, proof, AUTH_PROOF_BYTES) == 0) {
            to = &set[i];
            break;
        }
        if (set[i].until_ms < to->until_ms)
            to = &set[i];
    }
    memcpy(to->proof, proof, AUTH_PROOF_BYTES);
    to->until_ms = now_ms + AUTH_REMEMBER_MS;
    pthread_mutex_unlock(&s->lock);
}

// ---- Who failed

// An IPv6 client has its whole /64.
static uint64_t hash_of(const struct addr *client, struct span user)
{
    struct {
        uint64_t user;
        unsigned char ip[8];
        uint16_t family, named;
    } key;
    memset(&key, 0, sizeof key);
    key.user = hash_keyed(user);
    key.family = client->family;
    key.named = user.len > 0;
    if (client->family == AF_INET)
        memcpy(key.ip, client->v4, 4);
    else if (client->family == AF_INET6)
        memcpy(key.ip, client->v6, 8);
    return hash_keyed(span_of((const char *)&key, sizeof key));
}

static struct tally *tally_of(struct shard *s, uint64_t who, uint64_t now_ms)
{
    struct tally *set = &s->tallies[who / SHARDS % (TALLIES / WAYS) * WAYS], *to = set;
    for (unsigned i = 0; i < WAYS; i++) {
        if (set[i].who == who && set[i].failures) {
            to = &set[i];
            break;
        }
        if (set[i].since_ms < to->since_ms)
            to = &set[i];
    }
    if (to->who != who || now_ms - to->since_ms >= AUTH_WINDOW_MS)
        *to = (struct tally){.who = who, .since_ms = now_ms};
    return to;
}

static bool count(struct auth_memory *m, uint64_t who, uint64_t now_ms, uint32_t max)
{
    struct shard *s = &m->shards[who % SHARDS];
    pthread_mutex_lock(&s->lock);
    struct tally *t = tally_of(s, who, now_ms);
    bool ok = t->failures < max;
    if (ok)
        t->failures++;
    pthread_mutex_unlock(&s->lock);
    return ok;
}

static void discount(struct auth_memory *m, uint64_t who, uint64_t now_ms, bool all)
{
    struct shard *s = &m->shards[who % SHARDS];
    pthread_mutex_lock(&s->lock);
    struct tally *t = tally_of(s, who, now_ms);
    if (t->failures)
        t->failures = all ? 0 : t->failures - 1;
    pthread_mutex_unlock(&s->lock);
}

bool auth_memory_attempt(struct auth_memory *m, const struct addr *client, struct span user, uint64_t now_ms)
{
    if (!count(m, hash_of(client, SPAN_NONE), now_ms, AUTH_FAILURES_CLIENT_MAX))
        return false;
    if (count(m, hash_of(client, user), now_ms, AUTH_FAILURES_MAX))
        return true;
    discount(m, hash_of(client, SPAN_NONE), now_ms, false);
    return false;
}

void auth_memory_forgive(struct auth_memory *m, const struct addr *client, struct span user, uint64_t now_ms)
{
    discount(m, hash_of(client, SPAN_NONE), now_ms, false);
    discount(m, hash_of(client, user), now_ms, true);
}

bool auth_memory_enter(struct auth_memory *m)
{
    if (atomic_fetch_add_explicit(&m->pending, 1, memory_order_relaxed) < AUTH_PENDING_MAX)
        return true;
    auth_memory_leave(m);
    return false;
}

void auth_memory_leave(struct auth_memory *m)
{
    atomic_fetch_sub_explicit(&m->pending, 1, memory_order_relaxed);
}
