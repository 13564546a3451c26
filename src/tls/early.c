// SPDX-License-Identifier: Apache-2.0
#include "tls/early.h"

#include <openssl/err.h>
#include <pthread.h>
#include <time.h>

#include "base/hash.h"
#include "base/mem.h"

enum {
    EARLY_BYTES = 16384, // of early data in one handshake
    SLOTS = 65536,       // a power of two
    SLOTS_USED_MAX = SLOTS / 4 * 3,
    // OpenSSL takes early data only where a ticket's age is what the client says it is, give or take ten
    // seconds, so nobody can use a recorded ClientHello any later.
    REMEMBER_SECONDS = 20,
};

// ---- What was there before (RFC 8446 8.2): the randoms of the last 20 to 40 seconds, in two tables that
// take turns.

static struct {
    pthread_mutex_t lock;
    uint64_t *now, *before; // keyed hashes, 0: none; for the process's life
    unsigned n_now;
    time_t since;  // of `now`, by a clock that nobody sets
    time_t latest; // what the wall clock said last
} seen = {.lock = PTHREAD_MUTEX_INITIALIZER};

static uint64_t *find(uint64_t *table, uint64_t key)
{
    uint64_t i = key & (SLOTS - 1);
    while (table[i] && table[i] != key)
        i = (i + 1) & (SLOTS - 1);
    return &table[i];
}

static void take_turns(time_t now)
{
    if (now - seen.since < REMEMBER_SECONDS)
        return;
    uint64_t *t = seen.before;
    seen.before = seen.now;
    seen.now = t;
    memset(seen.now, 0, SLOTS * sizeof *seen.now);
    if (now - seen.since >= 2 * REMEMBER_SECONDS)
        memset(seen.before, 0, SLOTS * sizeof *seen.before);
    seen.n_now = 0;
    seen.since = now;
}

// Ages of tickets go by the wall clock: one that is set back would let recordings in again, so there is no
// early data until it is where it was.
static bool is_first(uint64_t key)
{
    struct timespec boot;
    time_t wall = time(NULL);
    clock_gettime(CLOCK_BOOTTIME, &boot);
    if (!seen.now && !(seen.now = (uint64_t *)mem_calloc(2 * SLOTS, sizeof *seen.now)))
        return false;
    if (!seen.before) {
        seen.before = seen.now + SLOTS;
        seen.since = boot.tv_sec;
    }
    take_turns(boot.tv_sec);
    if (wall < seen.latest)
        return false;
    seen.latest = wall;
    uint64_t *slot = find(seen.now, key);
    if (*slot || *find(seen.before, key) || seen.n_now >= SLOTS_USED_MAX)
        return false;
    *slot = key;
    seen.n_now++;
    return true;
}

static int on_early(SSL *ssl, void *arg)
{
    unsigned char random[32];
    (void)arg;
    size_t n = SSL_get_client_random(ssl, random, sizeof random);
    uint64_t key = hash_keyed(span_of((const char *)random, n));
    pthread_mutex_lock(&seen.lock);
    bool first = is_first(key ? key : 1);
    pthread_mutex_unlock(&seen.lock);
    return first;
}

void tls_early_allow(SSL *ssl)
{
    // OpenSSL's own protection wants sessions in a store of each context's, which no reload would outlive.
    SSL_set_options(ssl, SSL_OP_NO_ANTI_REPLAY);
    SSL_set_max_early_data(ssl, EARLY_BYTES);
    SSL_set_recv_max_early_data(ssl, EARLY_BYTES);
    SSL_set_allow_early_data_cb(ssl, on_early, NULL);
}

// ---- The handshake

enum err tls_early_accept(struct tls_layer *l, uint64_t deadline)
{
    l->deadline = deadline;
    for (;;) {
        size_t n = 0;
        tls_layer_operation(l);
        switch (SSL_read_early_data(l->ssl, &l->first, 1, &n)) {
        case SSL_READ_EARLY_DATA_FINISH: // there is none
            return tls_layer_handshake(l, deadline);
        case SSL_READ_EARLY_DATA_SUCCESS:
            if (!n)
                break;
            l->has_first = l->early_open = l->info.early = true;
            return ERR_OK;
        default: {
            enum err e = tls_layer_await(l, -1, deadline);
            if (e)
                return e;
        }
        }
    }
}

int tls_early_read(struct tls_layer *l, char *buf, size_t cap, size_t *ret_n)
{
    if (l->has_first) {
        buf[0] = l->first;
        l->has_first = false;
        *ret_n = 1;
        return 1;
    }
    while (!l->early_ended) {
        int r = SSL_read_early_data(l->ssl, buf, cap, ret_n);
        if (r == SSL_READ_EARLY_DATA_FINISH)
            l->early_ended = true;
        else if (r == SSL_READ_EARLY_DATA_ERROR)
            return -1;
        else if (*ret_n)
            return 1;
    }
    int r = SSL_do_handshake(l->ssl);
    if (r != 1)
        return r;
    l->early_open = l->info.early = false;
    return SSL_read_ex(l->ssl, buf, cap, ret_n);
}

enum err tls_early_finish(struct tls_layer *l)
{
    char sink[512];
    size_t n;
    l->has_first = false;
    while (l->early_open && !l->failed) {
        tls_layer_operation(l);
        int r = tls_early_read(l, sink, sizeof sink, &n);
        enum err e = r == 1 || !l->early_open ? ERR_OK : tls_layer_await(l, r, l->deadline);
        if (e)
            return e;
    }
    return l->failed ? ERR_RESET : ERR_OK;
}
