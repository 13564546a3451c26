// SPDX-License-Identifier: Apache-2.0
#include "tls/acme_challenge.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/mem.h"
#include "tls/context.h"
#include "tls/server_site.h"

enum { CHALLENGES_MAX = 32, TEXT_MAX = 512, LIFE_SECONDS = 3600 };

struct challenge {
    char name[256], token[TEXT_MAX], proof[TEXT_MAX]; // empty name: free
    SSL_CTX *ctx;
};

static struct challenge table[CHALLENGES_MAX];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic unsigned n_set; // so that nobody takes the lock where nothing is under way

// ---- The certificate of TLS-ALPN-01 (RFC 8737 3): for the name alone, with the proof's digest in a critical extension

static bool add_digest(X509 *x, struct span proof)
{
    unsigned char der[2 + 32] = {0x04, 32};
    unsigned n = 32;
    ASN1_OBJECT *oid = OBJ_txt2obj("1.3.6.1.5.5.7.1.31", 1);
    ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
    X509_EXTENSION *e = NULL;
    bool ok = oid && value && EVP_Digest(proof.ptr, proof.len, der + 2, &n, EVP_sha256(), NULL) && ASN1_OCTET_STRING_set(value, der, sizeof der) &&
              (e = X509_EXTENSION_create_by_OBJ(NULL, oid, 1, value)) && X509_add_ext(x, e, -1);
    X509_EXTENSION_free(e);
    ASN1_OCTET_STRING_free(value);
    ASN1_OBJECT_free(oid);
    return ok;
}

static bool add_name(X509 *x, const char *name)
{
    char text[300];
    X509V3_CTX ctx;
    BIO_snprintf(text, sizeof text, "DNS:%s", name);
    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, x, x, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, NID_subject_alt_name, text);
    bool ok = e && X509_add_ext(x, e, -1);
    X509_EXTENSION_free(e);
    return ok;
}

static SSL_CTX *make_context(const char *name, struct span proof)
{
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    SSL_CTX *ctx = tls_context_new(true);
    bool ok = key && x && ctx && X509_set_version(x, X509_VERSION_3) && ASN1_INTEGER_set(X509_get_serialNumber(x), 1) && X509_gmtime_adj(X509_getm_notBefore(x), -LIFE_SECONDS) &&
              X509_gmtime_adj(X509_getm_notAfter(x), LIFE_SECONDS) && X509_set_pubkey(x, key) &&
              X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_ASC, (const unsigned char *)"ACME challenge", -1, -1, 0) &&
              X509_set_issuer_name(x, X509_get_subject_name(x)) && add_name(x, name) && add_digest(x, proof) && X509_sign(x, key, EVP_sha256()) &&
              SSL_CTX_use_certificate(ctx, x) == 1 && SSL_CTX_use_PrivateKey(ctx, key) == 1;
    X509_free(x);
    EVP_PKEY_free(key);
    ERR_clear_error();
    if (ok) {
        tls_server_callbacks(ctx);
        return ctx;
    }
    SSL_CTX_free(ctx);
    return NULL;
}

// ---- The table

static bool put(char *out, size_t cap, struct span s)
{
    if (s.len == 0 || s.len >= cap)
        return false;
    memcpy(out, s.ptr, s.len);
    out[s.len] = '\0';
    return true;
}

static void drop(struct challenge *c)
{
    SSL_CTX_free(c->ctx);
    c->ctx = NULL;
    c->name[0] = '\0';
    atomic_fetch_sub_explicit(&n_set, 1, memory_order_relaxed);
}

bool acme_challenge_set(struct span name, struct span token, struct span proof)
{
    bool ok = false;
    acme_challenge_clear(name, token);
    pthread_mutex_lock(&lock);
    for (unsigned i = 0; i < CHALLENGES_MAX && !ok; i++) {
        struct challenge *c = &table[i];
        if (c->name[0])
            continue;
        if (!put(c->token, sizeof c->token, token) || !put(c->proof, sizeof c->proof, proof) || !put(c->name, sizeof c->name, name))
            break;
        c->ctx = make_context(c->name, proof);
        atomic_fetch_add_explicit(&n_set, 1, memory_order_relaxed);
        ok = c->ctx != NULL;
        if (!ok)
            drop(c);
        break;
    }
    pthread_mutex_unlock(&lock);
    return ok;
}

void acme_challenge_clear(struct span name, struct span token)
{
    pthread_mutex_lock(&lock);
    for (unsigned i = 0; i < CHALLENGES_MAX; i++)
        if (table[i].name[0] && span_eq(span_str(table[i].name), name) && span_eq(span_str(table[i].token), token))
            drop(&table[i]);
    pthread_mutex_unlock(&lock);
}

struct span acme_challenge_answer(struct span token, struct arena *a)
{
    struct span s = SPAN_NONE;
    if (!atomic_load_explicit(&n_set, memory_order_relaxed))
        return s;
    pthread_mutex_lock(&lock);
    for (unsigned i = 0; i < CHALLENGES_MAX && !s.ptr; i++)
        if (table[i].name[0] && span_eq(span_str(table[i].token), token) && !arena_dup(a, span_str(table[i].proof), &s))
            s = SPAN_NONE;
    pthread_mutex_unlock(&lock);
    return s;
}

SSL_CTX *tls_challenge_context(struct span name)
{
    SSL_CTX *ctx = NULL;
    if (!atomic_load_explicit(&n_set, memory_order_relaxed))
        return NULL;
    pthread_mutex_lock(&lock);
    for (unsigned i = 0; i < CHALLENGES_MAX && !ctx; i++)
        if (table[i].name[0] && span_eq(span_str(table[i].name), name) && SSL_CTX_up_ref(table[i].ctx))
            ctx = table[i].ctx;
    pthread_mutex_unlock(&lock);
    return ctx;
}
