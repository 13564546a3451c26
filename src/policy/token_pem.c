// SPDX-License-Identifier: Apache-2.0
#include "policy/token_pem.h"

#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

enum { NUMBER_MAX = 1024, GROUP_MAX = 64 }; // bytes of a modulus of 8192 bits

bool token_pem_is(struct span text)
{
    return span_find_span(text, SPAN("-----BEGIN ")) < text.len;
}

// Big-endian, of the group's size where one is given. The length; 0: there is none, or it is too long.
static size_t number(const EVP_PKEY *key, const char *name, unsigned char out[NUMBER_MAX], size_t width)
{
    BIGNUM *n = NULL;
    size_t len = 0;
    if (EVP_PKEY_get_bn_param(key, name, &n) == 1) {
        len = MAX((size_t)BN_num_bytes(n), width);
        if (len > NUMBER_MAX || BN_bn2binpad(n, out, (int)len) < 0)
            len = 0;
    }
    BN_free(n);
    return len;
}

static cjose_jwk_t *rsa_key(const EVP_PKEY *key)
{
    unsigned char n[NUMBER_MAX], e[NUMBER_MAX];
    cjose_jwk_rsa_keyspec spec = {.n = n, .e = e};
    cjose_err err;
    spec.nlen = number(key, OSSL_PKEY_PARAM_RSA_N, n, 0);
    spec.elen = number(key, OSSL_PKEY_PARAM_RSA_E, e, 0);
    return spec.nlen && spec.elen ? cjose_jwk_create_RSA_spec(&spec, &err) : NULL;
}

static cjose_jwk_t *ec_key(const EVP_PKEY *key)
{
    static const struct {
        const char *name;
        cjose_jwk_ec_curve curve;
        size_t width;
    } groups[] = {{"prime256v1", CJOSE_JWK_EC_P_256, 32},
                  {"secp384r1", CJOSE_JWK_EC_P_384, 48},
                  {"secp521r1", CJOSE_JWK_EC_P_521, 66}};
    char group[GROUP_MAX];
    unsigned char x[NUMBER_MAX], y[NUMBER_MAX];
    cjose_err err;
    if (EVP_PKEY_get_utf8_string_param(key, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof group, NULL) != 1)
        return NULL;
    for (size_t i = 0; i < ARRAY_LEN(groups); i++) {
        cjose_jwk_ec_keyspec spec = {.crv = groups[i].curve, .x = x, .y = y};
        if (strcmp(groups[i].name, group) != 0)
            continue;
        spec.xlen = number(key, OSSL_PKEY_PARAM_EC_PUB_X, x, groups[i].width);
        spec.ylen = number(key, OSSL_PKEY_PARAM_EC_PUB_Y, y, groups[i].width);
        return spec.xlen && spec.ylen ? cjose_jwk_create_EC_spec(&spec, &err) : NULL;
    }
    return NULL;
}

static EVP_PKEY *public_key(const char *name, const unsigned char *data, long len, const char **ret_why)
{
    EVP_PKEY *key = NULL;
    if (strcmp(name, "PUBLIC KEY") == 0) {
        key = d2i_PUBKEY(NULL, &data, len);
    } else if (strcmp(name, "CERTIFICATE") == 0) {
        X509 *cert = d2i_X509(NULL, &data, len);
        key = cert ? X509_get_pubkey(cert) : NULL;
        X509_free(cert);
    } else {
        *ret_why = strstr(name, "PRIVATE KEY")
                       ? "a private key has no business here: the public one is wanted"
                       : "only public keys and certificates are read";
        return NULL;
    }
    if (!key)
        *ret_why = "a key in it is damaged";
    return key;
}

static cjose_jwk_t *jwk_of(const EVP_PKEY *key, const char **ret_why)
{
    int kind = EVP_PKEY_get_base_id(key);
    cjose_jwk_t *k = kind == EVP_PKEY_RSA ? rsa_key(key) : kind == EVP_PKEY_EC ? ec_key(key) : NULL;
    if (!k)
        *ret_why = "a key in it is neither RSA nor of one of the curves P-256, P-384 and P-521";
    return k;
}

unsigned token_pem_read(struct span text, cjose_jwk_t **keys, unsigned max, const char **ret_why)
{
    BIO *bio = text.len <= INT_MAX ? BIO_new_mem_buf(text.ptr, (int)text.len) : NULL;
    char *name, *header;
    unsigned char *data;
    long len;
    unsigned n = 0;
    *ret_why = NULL;
    while (bio && n < max && PEM_read_bio(bio, &name, &header, &data, &len) == 1) {
        EVP_PKEY *key = public_key(name, data, len, ret_why);
        cjose_jwk_t *k = key ? jwk_of(key, ret_why) : NULL;
        if (k)
            keys[n++] = k;
        EVP_PKEY_free(key);
        OPENSSL_free(name);
        OPENSSL_free(header);
        OPENSSL_clear_free(data, (size_t)len);
    }
    BIO_free(bio);
    return n;
}
