// SPDX-License-Identifier: Apache-2.0
// Keys of session tickets: in this process's memory alone, the same for all threads and over reloads, new ones every few hours. Old
// ones open what they sealed until it has expired.
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <time.h>

#include "base/secret.h"
#include "tls/context.h"

enum { ROTATE_SECONDS = 6 * 3600, KEYS = 3, NAME_BYTES = 16, IV_BYTES = 16 };

struct ticket_key {
    unsigned char name[NAME_BYTES], cipher[32], mac[32];
    time_t made; // 0: none
};

static struct ticket_key *keys; // KEYS of them in secret memory, newest first; for the process's life
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static time_t now_seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_BOOTTIME, &t); // a wall clock that is set must neither keep a key nor age it
    return t.tv_sec + 1;
}

static bool newest(struct ticket_key *ret)
{
    bool ok = true;
    pthread_mutex_lock(&lock);
    time_t now = now_seconds();
    if (!keys[0].made || now - keys[0].made >= ROTATE_SECONDS) {
        struct ticket_key k;
        ok = RAND_bytes(k.name, sizeof k.name) == 1 && RAND_priv_bytes(k.cipher, sizeof k.cipher) == 1 && RAND_priv_bytes(k.mac, sizeof k.mac) == 1;
        k.made = now;
        if (ok) {
            memmove(&keys[1], &keys[0], (KEYS - 1) * sizeof keys[0]);
            keys[0] = k;
        }
        OPENSSL_cleanse(&k, sizeof k);
    }
    *ret = keys[0];
    pthread_mutex_unlock(&lock);
    return ok;
}

static bool named(const unsigned char *name, struct ticket_key *ret, bool *ret_old)
{
    bool found = false;
    pthread_mutex_lock(&lock);
    time_t now = now_seconds();
    for (unsigned i = 0; i < KEYS && !found; i++) {
        if (!keys[i].made || now - keys[i].made >= KEYS * ROTATE_SECONDS || memcmp(keys[i].name, name, NAME_BYTES) != 0)
            continue;
        *ret = keys[i];
        *ret_old = i > 0 || now - keys[i].made >= ROTATE_SECONDS;
        found = true;
    }
    pthread_mutex_unlock(&lock);
    return found;
}

static bool set_up(const struct ticket_key *k, const unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int seal)
{
    OSSL_PARAM p[3] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, (void *)(uintptr_t)k->mac, sizeof k->mac),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)(uintptr_t)"SHA256", 0),
        OSSL_PARAM_construct_end(),
    };
    return EVP_CipherInit_ex(cipher, EVP_aes_256_cbc(), NULL, k->cipher, iv, seal) && EVP_MAC_CTX_set_params(mac, p);
}

static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int seal)
{
    struct ticket_key k;
    bool old = false, ok;
    if (seal) {
        ok = newest(&k) && RAND_bytes(iv, IV_BYTES) == 1;
        if (ok)
            memcpy(name, k.name, NAME_BYTES);
    } else if (!named(name, &k, &old)) {
        return 0; // a full handshake
    } else {
        ok = true;
    }
    ok = ok && set_up(&k, iv, cipher, mac, seal);
    OPENSSL_cleanse(&k, sizeof k);
    // 2: and a new one, sealed with the newest key. Clients use a ticket of TLS 1.3 once (RFC 8446 C.4), so they want another.
    return !ok ? -1 : old || SSL_version(ssl) == TLS1_3_VERSION ? 2 : 1;
}

bool tls_tickets_use(SSL_CTX *ctx)
{
    pthread_mutex_lock(&lock);
    if (!keys)
        keys = (struct ticket_key *)secret_alloc(KEYS * sizeof *keys);
    bool ok = keys != NULL;
    pthread_mutex_unlock(&lock);
    return ok && SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket) != 0;
}
