// SPDX-License-Identifier: Apache-2.0
// A certificate in a server's place: the same names and subject, our key, a short life.
#include <arpa/inet.h>
#include <openssl/rand.h>
#include <time.h>

#include "tls/mint_internal.h"

enum {
    DAY_S = 24 * 3600,
    LIFE_S = 7 * DAY_S,
    SERIAL_BYTES = 16,
    NAMES_MAX_BYTES = 16 * 1024, // of a model's names; one with more gets the name that was asked for
    COMMON_NAME_MAX = 64,        // ub-common-name
};

int64_t mint_expiry(const X509 *x)
{
    struct tm tm;
    return ASN1_TIME_to_tm(X509_get0_notAfter(x), &tm) ? (int64_t)timegm(&tm) : INT64_MAX;
}

bool mint_add_extension(X509 *x, X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, issuer, x, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    bool ok = e && X509_add_ext(x, e, -1);
    X509_EXTENSION_free(e);
    return ok;
}

bool mint_set_serial(X509 *x)
{
    unsigned char bytes[SERIAL_BYTES];
    if (RAND_bytes(bytes, sizeof bytes) != 1)
        return false;
    bytes[0] = (unsigned char)((bytes[0] & 0x7f) | 0x40); // positive, and always as long
    BIGNUM *n = BN_bin2bn(bytes, sizeof bytes, NULL);
    bool ok = n && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(x));
    BN_free(n);
    return ok;
}

bool mint_set_dates(X509 *x, int64_t from_s, int64_t to_s)
{
    return ASN1_TIME_set(X509_getm_notBefore(x), (time_t)from_s) &&
           ASN1_TIME_set(X509_getm_notAfter(x), (time_t)to_s);
}

static bool set_common_name(X509 *x, struct span name)
{
    X509_NAME *n = X509_get_subject_name(x);
    if (name.len > COMMON_NAME_MAX)
        return true; // the names say it
    return X509_NAME_add_entry_by_NID(n, NID_commonName, MBSTRING_UTF8, (const unsigned char *)name.ptr,
                                      (int)name.len, -1, 0) == 1;
}

// The one name: an address where it is one. Without a subject the names are critical (RFC 5280 4.2.1.6).
static bool add_name(X509 *x, struct span name, bool critical)
{
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    GENERAL_NAME *g = GENERAL_NAME_new();
    unsigned char ip[16];
    char text[256];
    bool ok = names && g && name.len && name.len < sizeof text;
    if (ok) {
        memcpy(text, name.ptr, name.len);
        text[name.len] = '\0';
        int ip_len = inet_pton(AF_INET, text, ip) == 1 ? 4 : inet_pton(AF_INET6, text, ip) == 1 ? 16 : 0;
        ASN1_STRING *s = ip_len ? ASN1_OCTET_STRING_new() : ASN1_IA5STRING_new();
        ok = s && ASN1_STRING_set(s, ip_len ? (const void *)ip : text, ip_len ? ip_len : (int)name.len);
        if (ok)
            GENERAL_NAME_set0_value(g, ip_len ? GEN_IPADD : GEN_DNS, s);
        else
            ASN1_STRING_free(s);
    }
    if (ok && sk_GENERAL_NAME_push(names, g) > 0)
        g = NULL;
    else
        ok = false;
    ok = ok && X509_add1_ext_i2d(x, NID_subject_alt_name, names, critical, 0) == 1;
    GENERAL_NAME_free(g);
    GENERAL_NAMES_free(names);
    return ok;
}

// The names of the model as they are; false: it has none, or too many.
static bool copy_names(X509 *x, const X509 *model, bool *ret_error)
{
    int at = X509_get_ext_by_NID(model, NID_subject_alt_name, -1);
    X509_EXTENSION *e = at >= 0 ? X509_get_ext(model, at) : NULL;
    *ret_error = false;
    if (!e || ASN1_STRING_length(X509_EXTENSION_get_data(e)) > NAMES_MAX_BYTES)
        return false;
    *ret_error = X509_add_ext(x, e, -1) != 1;
    return !*ret_error;
}

static bool set_names(X509 *x, struct span name, const X509 *model)
{
    bool error;
    if (model && !X509_set_subject_name(x, X509_get_subject_name(model)))
        return false;
    if (model && copy_names(x, model, &error))
        return true;
    if (model && error)
        return false;
    return (model || set_common_name(x, name)) &&
           add_name(x, name, X509_NAME_entry_count(X509_get_subject_name(x)) == 0);
}

static bool set_extensions(X509 *x, X509 *issuer)
{
    static const struct {
        int nid;
        const char *value;
    } rows[] = {
        {NID_basic_constraints, "critical,CA:FALSE"},
        {NID_key_usage, "critical,digitalSignature"},
        {NID_ext_key_usage, "serverAuth"},
        {NID_subject_key_identifier, "hash"},
        {NID_authority_key_identifier, "keyid"},
    };
    bool ok = true;
    for (size_t i = 0; ok && i < ARRAY_LEN(rows); i++)
        ok = mint_add_extension(x, issuer, rows[i].nid, rows[i].value);
    return ok;
}

// What the authority's own key signs with; Ed25519 and its like bring their own digest.
static const EVP_MD *digest_of(const EVP_PKEY *key)
{
    int nid;
    return EVP_PKEY_get_default_digest_nid((EVP_PKEY *)(uintptr_t)key, &nid) == 2 && nid == NID_undef
               ? NULL
               : EVP_sha256();
}

X509 *mint_sign(const struct tls_mint *m, struct span name, X509 *model, int64_t now_s,
                int64_t *ret_expires_s)
{
    int64_t to_s = MIN(now_s + LIFE_S, m->expires_s);
    if (model)
        to_s = MIN(to_s, mint_expiry(model));
    X509 *x = X509_new();
    bool ok = x && X509_set_version(x, X509_VERSION_3) && mint_set_serial(x) &&
              mint_set_dates(x, now_s - DAY_S, to_s) &&
              X509_set_issuer_name(x, X509_get_subject_name(m->cert)) && X509_set_pubkey(x, m->leaf_key) &&
              set_names(x, name, model) && set_extensions(x, m->cert) &&
              X509_sign(x, m->key, digest_of(m->key)) > 0;
    *ret_expires_s = to_s;
    if (ok)
        return x;
    X509_free(x);
    return NULL;
}
