// SPDX-License-Identifier: Apache-2.0
#include "acme/jose.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <time.h>

enum { P256_BYTES = 32 };

struct span jose_base64url(struct arena *a, struct span bytes)
{
    static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    char *p = arena_bytes(a, bytes.len / 3 * 4 + 4), *o = p;
    if (!p)
        return SPAN_NONE;
    for (size_t i = 0; i < bytes.len; i += 3) {
        size_t n = bytes.len - i < 3 ? bytes.len - i : 3;
        uint32_t v = 0;
        for (size_t k = 0; k < 3; k++)
            v = v << 8 | (k < n ? (unsigned char)bytes.ptr[i + k] : 0);
        for (size_t k = 0; k <= n; k++)
            *o++ = letters[v >> (18 - 6 * k) & 63];
    }
    return span_of(p, (size_t)(o - p));
}

// ---- Keys

EVP_PKEY *jose_key_new(void)
{
    return EVP_EC_gen("P-256");
}

static struct span taken(struct arena *a, BIO *b)
{
    char *p;
    long n = BIO_get_mem_data(b, &p);
    struct span s = SPAN_NONE;
    return n > 0 && arena_dup(a, span_of(p, (size_t)n), &s) ? s : SPAN_NONE;
}

struct span jose_key_pem(struct arena *a, EVP_PKEY *key)
{
    BIO *b = BIO_new(BIO_s_secmem());
    struct span s = b && PEM_write_bio_PrivateKey(b, key, NULL, NULL, 0, NULL, NULL) ? taken(a, b) : SPAN_NONE;
    BIO_free(b);
    return s;
}

EVP_PKEY *jose_key_load(struct span pem)
{
    BIO *b = pem.len && pem.len < INT32_MAX ? BIO_new_mem_buf(pem.ptr, (int)pem.len) : NULL;
    EVP_PKEY *k = b ? PEM_read_bio_PrivateKey(b, NULL, NULL, (void *)(uintptr_t)"") : NULL;
    BIO_free(b);
    if (k && !EVP_PKEY_is_a(k, "EC")) {
        EVP_PKEY_free(k);
        k = NULL;
    }
    ERR_clear_error();
    return k;
}

static struct span coordinate(struct arena *a, EVP_PKEY *key, const char *which)
{
    BIGNUM *n = NULL;
    char bytes[P256_BYTES];
    bool ok = EVP_PKEY_get_bn_param(key, which, &n) && BN_bn2binpad(n, (unsigned char *)bytes, P256_BYTES) == P256_BYTES;
    BN_free(n);
    return ok ? jose_base64url(a, span_of(bytes, sizeof bytes)) : SPAN_NONE;
}

struct span jose_jwk(struct arena *a, EVP_PKEY *key)
{
    struct span x = coordinate(a, key, OSSL_PKEY_PARAM_EC_PUB_X), y = coordinate(a, key, OSSL_PKEY_PARAM_EC_PUB_Y);
    return x.ptr && y.ptr ? arena_printf(a, "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"%.*s\",\"y\":\"%.*s\"}", SPAN_ARG(x), SPAN_ARG(y)) : SPAN_NONE;
}

struct span jose_thumbprint(struct arena *a, EVP_PKEY *key)
{
    char digest[EVP_MAX_MD_SIZE];
    unsigned n = sizeof digest;
    struct span jwk = jose_jwk(a, key);
    return jwk.ptr && EVP_Digest(jwk.ptr, jwk.len, (unsigned char *)digest, &n, EVP_sha256(), NULL) ? jose_base64url(a, span_of(digest, n)) : SPAN_NONE;
}

// ---- Signatures

// JOSE wants both numbers bare, one behind the other (RFC 7518 3.4).
static bool bare_signature(const unsigned char *der, size_t len, char out[2 * P256_BYTES])
{
    ECDSA_SIG *sig = d2i_ECDSA_SIG(NULL, &der, (long)len);
    bool ok = sig && BN_bn2binpad(ECDSA_SIG_get0_r(sig), (unsigned char *)out, P256_BYTES) == P256_BYTES &&
              BN_bn2binpad(ECDSA_SIG_get0_s(sig), (unsigned char *)out + P256_BYTES, P256_BYTES) == P256_BYTES;
    ECDSA_SIG_free(sig);
    return ok;
}

static struct span signature(struct arena *a, EVP_PKEY *key, struct span text)
{
    unsigned char der[128];
    size_t n = sizeof der;
    char bare[2 * P256_BYTES];
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool ok = md && EVP_DigestSignInit(md, NULL, EVP_sha256(), NULL, key) == 1 && EVP_DigestSign(md, der, &n, (const unsigned char *)text.ptr, text.len) == 1 &&
              bare_signature(der, n, bare);
    EVP_MD_CTX_free(md);
    return ok ? jose_base64url(a, span_of(bare, sizeof bare)) : SPAN_NONE;
}

struct span jose_sign(struct arena *a, EVP_PKEY *key, struct span kid, struct span nonce, struct span url, struct span payload)
{
    struct span jwk = kid.len ? SPAN_NONE : jose_jwk(a, key);
    struct span head = kid.len ? arena_printf(a, "{\"alg\":\"ES256\",\"kid\":\"%.*s\",\"nonce\":\"%.*s\",\"url\":\"%.*s\"}", SPAN_ARG(kid), SPAN_ARG(nonce), SPAN_ARG(url))
                       : jwk.ptr ? arena_printf(a, "{\"alg\":\"ES256\",\"jwk\":%.*s,\"nonce\":\"%.*s\",\"url\":\"%.*s\"}", SPAN_ARG(jwk), SPAN_ARG(nonce), SPAN_ARG(url))
                                 : SPAN_NONE;
    if (!head.ptr)
        return SPAN_NONE;
    struct span h = jose_base64url(a, head), p = payload.ptr ? jose_base64url(a, payload) : SPAN("");
    struct span text = h.ptr && p.ptr ? arena_printf(a, "%.*s.%.*s", SPAN_ARG(h), SPAN_ARG(p)) : SPAN_NONE;
    struct span s = text.ptr ? signature(a, key, text) : SPAN_NONE;
    return s.ptr ? arena_printf(a, "{\"protected\":\"%.*s\",\"payload\":\"%.*s\",\"signature\":\"%.*s\"}", SPAN_ARG(h), SPAN_ARG(p), SPAN_ARG(s)) : SPAN_NONE;
}

// ---- Requests for certificates

static bool add_names(X509_REQ *r, struct arena *a, const struct span *names, unsigned n)
{
    struct span san = SPAN("");
    for (unsigned i = 0; i < n && san.ptr; i++)
        san = arena_printf(a, "%.*s%sDNS:%.*s", SPAN_ARG(san), i ? "," : "", SPAN_ARG(names[i]));
    char *text = san.ptr ? arena_cstr(a, san) : NULL;
    X509_EXTENSION *x = text ? X509V3_EXT_conf_nid(NULL, NULL, NID_subject_alt_name, text) : NULL;
    STACK_OF(X509_EXTENSION) *list = x ? sk_X509_EXTENSION_new_null() : NULL;
    bool ok = list && sk_X509_EXTENSION_push(list, x) > 0 && X509_REQ_add_extensions(r, list);
    sk_X509_EXTENSION_free(list);
    X509_EXTENSION_free(x);
    return ok;
}

struct span jose_csr(struct arena *a, EVP_PKEY *key, const struct span *names, unsigned n)
{
    X509_REQ *r = X509_REQ_new();
    unsigned char *der = NULL;
    int len = -1;
    if (r && X509_REQ_set_version(r, 0) && X509_REQ_set_pubkey(r, key) && add_names(r, a, names, n) && X509_REQ_sign(r, key, EVP_sha256()))
        len = i2d_X509_REQ(r, &der);
    struct span s = len > 0 ? jose_base64url(a, span_of((const char *)der, (size_t)len)) : SPAN_NONE;
    OPENSSL_free(der);
    X509_REQ_free(r);
    ERR_clear_error();
    return s;
}

static bool to_seconds(const ASN1_TIME *t, int64_t *ret)
{
    struct tm tm;
    if (!ASN1_TIME_to_tm(t, &tm))
        return false;
    *ret = (int64_t)timegm(&tm);
    return true;
}

bool jose_certificate(struct span pem, const struct span *names, unsigned n, struct jose_dates *ret)
{
    EVP_PKEY *key = jose_key_load(pem);
    BIO *b = key ? BIO_new_mem_buf(pem.ptr, (int)pem.len) : NULL;
    X509 *x = b ? PEM_read_bio_X509(b, NULL, NULL, NULL) : NULL;
    bool ok = x && X509_check_private_key(x, key) == 1 && to_seconds(X509_get0_notBefore(x), &ret->from_s) && to_seconds(X509_get0_notAfter(x), &ret->to_s);
    for (unsigned i = 0; ok && i < n; i++)
        ok = X509_check_host(x, names[i].ptr, names[i].len, 0, NULL) == 1;
    X509_free(x);
    BIO_free(b);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return ok;
}
