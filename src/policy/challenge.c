// SPDX-License-Identifier: Apache-2.0
#include "policy/challenge.h"

#include <openssl/crypto.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>
#include <openssl/sha.h>
#include <pthread.h>

#include "base/num.h"
#include "base/secret.h"

enum { KEY_BYTES = 32, EXPIRY_DIGITS = 16, SIGNATURE_BYTES = 16, NUMBER_DIGITS_MAX = 16 };

static unsigned char *key; // KEY_BYTES in secret memory, for the process's life
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void make_key(void)
{
    unsigned char *k = (unsigned char *)secret_alloc(KEY_BYTES);
    if (k && RAND_priv_bytes(k, KEY_BYTES) == 1)
        key = k;
    else
        secret_free(k);
}

enum err challenge_init(void)
{
    pthread_once(&once, make_key);
    return key ? ERR_OK : ERR_NO_MEMORY;
}

static void put_hex(char *out, const unsigned char *in, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        out[2 * i] = "0123456789abcdef"[in[i] >> 4];
        out[2 * i + 1] = "0123456789abcdef"[in[i] & 15];
    }
}

static void sign(uint64_t expiry, const struct addr *client, struct span host, char *out)
{
    unsigned char text[8 + 1 + 8 + 255], mac[SHA256_DIGEST_LENGTH] = {0};
    size_t n = 0, host_len = MIN(host.len, (size_t)255);
    for (unsigned i = 0; i < 8; i++)
        text[n++] = (unsigned char)(expiry >> (56 - 8 * i));
    text[n++] = (unsigned char)(client->family == AF_INET6 ? 6 : 4);
    memset(text + n, 0, 8);
    if (client->family == AF_INET6)
        memcpy(text + n, client->v6, 8);
    else if (client->family == AF_INET)
        memcpy(text + n, client->v4, 4);
    n += 8;
    memcpy(text + n, host.ptr, host_len);
    (void)HMAC(EVP_sha256(), key, KEY_BYTES, text, n + host_len, mac, NULL);
    put_hex(out, mac, SIGNATURE_BYTES);
}

static void write_token(uint64_t expiry, const struct addr *client, struct span host, char *out)
{
    unsigned char bytes[8];
    for (unsigned i = 0; i < 8; i++)
        bytes[i] = (unsigned char)(expiry >> (56 - 8 * i));
    put_hex(out, bytes, 8);
    out[EXPIRY_DIGITS] = '-';
    sign(expiry, client, host, out + EXPIRY_DIGITS + 1);
}

void challenge_token(const struct addr *client, struct span host, int64_t now_s, char ret[CHALLENGE_TOKEN_BYTES])
{
    write_token((uint64_t)now_s + CHALLENGE_SECONDS, client, host, ret);
}

static unsigned zero_bits(const unsigned char *p, size_t n)
{
    unsigned bits = 0;
    for (size_t i = 0; i < n; i++) {
        if (p[i])
            return bits + (unsigned)__builtin_clz((unsigned)p[i]) - 24;
        bits += 8;
    }
    return bits;
}

bool challenge_is_solved(struct span value, const struct addr *client, struct span host, int64_t now_s)
{
    char want[CHALLENGE_TOKEN_BYTES];
    unsigned char hash[SHA256_DIGEST_LENGTH];
    uint64_t expiry, number;
    struct span digits = span_skip(value, CHALLENGE_TOKEN_BYTES + 1);
    if (!key || value.len <= CHALLENGE_TOKEN_BYTES || value.ptr[CHALLENGE_TOKEN_BYTES] != '-' || digits.len > NUMBER_DIGITS_MAX ||
        !num_parse_dec(digits, UINT64_MAX, &number) || !num_parse_hex(span_first(value, EXPIRY_DIGITS), INT64_MAX, &expiry))
        return false;
    if ((int64_t)expiry <= now_s || (int64_t)expiry > now_s + CHALLENGE_SECONDS)
        return false;
    write_token(expiry, client, host, want);
    if (CRYPTO_memcmp(want, value.ptr, sizeof want) != 0)
        return false;
    SHA256((const unsigned char *)value.ptr, value.len, hash);
    return zero_bits(hash, sizeof hash) >= CHALLENGE_BITS;
}
