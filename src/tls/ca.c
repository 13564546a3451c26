// SPDX-License-Identifier: Apache-2.0
#include "tls/ca.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <time.h>

#include "tls/mint_internal.h"

enum { DAY_S = 24 * 3600, LIFE_S = 3650 * DAY_S };

static bool set_extensions(X509 *x)
{
    static const struct {
        int nid;
        const char *value;
    } rows[] = {
        {NID_basic_constraints, "critical,CA:TRUE,pathlen:0"},
        {NID_key_usage, "critical,keyCertSign,cRLSign"},
        {NID_ext_key_usage, "serverAuth"},
        {NID_subject_key_identifier, "hash"},
    };
    bool ok = true;
    for (size_t i = 0; ok && i < ARRAY_LEN(rows); i++)
        ok = mint_add_extension(x, x, rows[i].nid, rows[i].value);
    return ok;
}

static X509 *make_certificate(struct span name, EVP_PKEY *key)
{
    int64_t now_s = (int64_t)time(NULL);
    X509 *x = X509_new();
    X509_NAME *n = x ? X509_get_subject_name(x) : NULL;
    bool ok = x && X509_set_version(x, X509_VERSION_3) && mint_set_serial(x) &&
              mint_set_dates(x, now_s - DAY_S, now_s + LIFE_S) &&
              X509_NAME_add_entry_by_NID(n, NID_commonName, MBSTRING_UTF8, (const unsigned char *)name.ptr,
                                         (int)name.len, -1, 0) &&
              X509_set_issuer_name(x, n) && X509_set_pubkey(x, key) && set_extensions(x) &&
              X509_sign(x, key, EVP_sha256()) > 0;
    if (ok)
        return x;
    X509_free(x);
    return NULL;
}

static bool copy_out(BIO *b, struct arena *a, struct span *ret)
{
    char *text;
    long n = BIO_get_mem_data(b, &text);
    return n > 0 && arena_dup(a, span_of(text, (size_t)n), ret);
}

static bool write_certificate(X509 *x, struct arena *a, struct tls_ca *ret)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    BIO *b = BIO_new(BIO_s_mem());
    bool ok = b && PEM_write_bio_X509(b, x) && copy_out(b, a, &ret->cert) &&
              X509_digest(x, EVP_sha256(), digest, &n);
    BIO_free(b);
    ret->fingerprint = SPAN("");
    for (unsigned i = 0; ok && i < n; i++)
        ret->fingerprint = arena_printf(a, "%.*s%s%02X", SPAN_ARG(ret->fingerprint), i ? ":" : "", digest[i]);
    return ok && ret->fingerprint.ptr;
}

static bool write_key(EVP_PKEY *key, struct arena *a, struct tls_ca *ret)
{
    BIO *b = BIO_new(BIO_s_secmem());
    bool ok =
        b && PEM_write_bio_PKCS8PrivateKey(b, key, NULL, NULL, 0, NULL, NULL) && copy_out(b, a, &ret->key);
    BIO_free(b);
    return ok;
}

bool tls_ca_make(struct span name, struct arena *a, struct tls_ca *ret)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = key ? make_certificate(name, key) : NULL;
    bool ok = x && write_certificate(x, a, ret) && write_key(key, a, ret);
    X509_free(x);
    EVP_PKEY_free(key);
    ERR_clear_error();
    return ok;
}
