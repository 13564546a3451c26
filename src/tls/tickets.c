// SPDX-License-Identifier: Apache-2.0
// Keys of session tickets: the same for all threads and over reloads. Our own are in this process's memory alone, and new every few
// hours; old ones open what they sealed until it has expired. Those of a file, which several machines may share, are as the file is.
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <time.h>

#include "base/secret.h"
#include "tls/context.h"
#include "tls/ticket_keys.h"

enum { ROTATE_SECONDS = 6 * 3600, KEYS = 3, NAME_BYTES = 16, IV_BYTES = 16, LINE_CHARS = 108 };

struct ticket_key {
    unsigned char name[NAME_BYTES], mac[32], cipher[32];
    time_t made; // 0: none
};

struct tls_ticket_keys {
    struct ticket_key v[TLS_TICKET_KEYS_MAX]; // newest first
    unsigned n;
};

static struct ticket_key *keys; // TLS_TICKET_KEYS_MAX of them in secret memory, newest first; for the process's life
static bool given;              // they are a file's
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
    if (!given && (!keys[0].made || now - keys[0].made >= ROTATE_SECONDS)) {
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
    for (unsigned i = 0; i < TLS_TICKET_KEYS_MAX && !found; i++) {
        if (!keys[i].made || (!given && now - keys[i].made >= KEYS * ROTATE_SECONDS) || memcmp(keys[i].name, name, NAME_BYTES) != 0)
            continue;
        *ret = keys[i];
        *ret_old = i > 0 || (!given && now - keys[i].made >= ROTATE_SECONDS);
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

// With the lock.
static bool have_keys(void)
{
    if (!keys)
        keys = (struct ticket_key *)secret_alloc(TLS_TICKET_KEYS_MAX * sizeof *keys);
    return keys != NULL;
}

// ---- Keys of a file

static bool add_line(struct tls_ticket_keys *k, struct span line)
{
    unsigned char bytes[LINE_CHARS / 4 * 3];
    struct ticket_key *to = &k->v[k->n];
    bool ok = line.len == LINE_CHARS && line.ptr[LINE_CHARS - 1] == '=' && line.ptr[LINE_CHARS - 2] != '=' &&
              EVP_DecodeBlock(bytes, (const unsigned char *)line.ptr, LINE_CHARS) == (int)sizeof bytes;
    if (ok) {
        memcpy(to->name, bytes, NAME_BYTES);
        memcpy(to->mac, bytes + NAME_BYTES, sizeof to->mac);
        memcpy(to->cipher, bytes + NAME_BYTES + sizeof to->mac, sizeof to->cipher);
        k->n++;
    }
    OPENSSL_cleanse(bytes, sizeof bytes);
    return ok;
}

const char *tls_ticket_keys_read(struct span text, struct tls_ticket_keys **ret)
{
    struct tls_ticket_keys *k = (struct tls_ticket_keys *)secret_alloc(sizeof *k);
    const char *why = k ? NULL : "out of memory";
    while (!why && text.len) {
        struct span line = span_trim(span_cut(&text, '\n'));
        if (!line.len || line.ptr[0] == '#')
            continue;
        if (k->n == TLS_TICKET_KEYS_MAX)
            why = "there are more than eight keys";
        else if (!add_line(k, line))
            why = "a line is no key: 80 octets in base64, as `openssl rand 80 | base64 -w0` makes them";
    }
    if (!why && !k->n)
        why = "there is no key in it";
    if (why) {
        secret_free(k);
        return why;
    }
    *ret = k;
    return NULL;
}

void tls_ticket_keys_free(struct tls_ticket_keys *k)
{
    secret_free(k);
}

bool tls_ticket_keys_use(const struct tls_ticket_keys *k)
{
    pthread_mutex_lock(&lock);
    bool ok = (!k && !keys) || have_keys();
    if (ok && (k || given)) {
        OPENSSL_cleanse(keys, TLS_TICKET_KEYS_MAX * sizeof *keys);
        for (unsigned i = 0; k && i < k->n; i++) {
            keys[i] = k->v[i];
            keys[i].made = now_seconds();
        }
        given = k != NULL;
    }
    pthread_mutex_unlock(&lock);
    return ok;
}

bool tls_tickets_use(SSL_CTX *ctx)
{
    pthread_mutex_lock(&lock);
    bool ok = have_keys();
    pthread_mutex_unlock(&lock);
    return ok && SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket) != 0;
}
