// SPDX-License-Identifier: Apache-2.0
#include "tls/mint.h"

#include <openssl/err.h>
#include <openssl/pem.h>
#include <time.h>

#include "base/mem.h"
#include "tls/context.h"
#include "tls/layer.h"
#include "tls/mint_internal.h"
#include "tls/server_site.h"

enum { LEAST_LIFE_S = 3600 }; // one that has less left is made anew

// ---- The authority

struct tls_mint *tls_mint_new(void)
{
    struct tls_mint *m = (struct tls_mint *)mem_calloc(1, sizeof *m);
    if (m)
        pthread_mutex_init(&m->lock, NULL);
    return m;
}

void tls_mint_free(struct tls_mint *m)
{
    if (!m)
        return;
    for (unsigned i = 0; i < MINT_SLOTS; i++)
        if (m->slots[i].leaf)
            tls_leaf_unref(m->slots[i].leaf);
    X509_free(m->cert);
    EVP_PKEY_free(m->key);
    EVP_PKEY_free(m->leaf_key);
    sk_X509_pop_free(m->chain, X509_free);
    SSL_CTX_free(m->ctx);
    mem_free(m->pem);
    pthread_mutex_destroy(&m->lock);
    mem_free(m);
}

static const char *judge(X509 *x, const EVP_PKEY *key, bool *ret_key_file)
{
    if (X509_check_ca(x) != 1)
        return "it is not an authority's certificate (basicConstraints CA:TRUE); `weir ca new` makes one";
    if (!(X509_get_key_usage(x) & KU_KEY_CERT_SIGN))
        return "its key may not sign certificates (keyUsage keyCertSign)";
    *ret_key_file = true;
    return X509_check_private_key(x, key) == 1 ? NULL : "the key is not the certificate's";
}

// All servers' places are taken with one key of ours, which is in memory alone.
static bool prepare(struct tls_mint *m)
{
    m->leaf_key = EVP_EC_gen("P-256");
    m->ctx = tls_context_new(true);
    if (!m->leaf_key || !m->ctx)
        return false;
    tls_server_callbacks(m->ctx);
    // One context for all names: a session would be one of any.
    SSL_CTX_set_options(m->ctx, SSL_OP_NO_TICKET);
    return SSL_CTX_set_num_tickets(m->ctx, 0) == 1;
}

static bool describe(struct tls_mint *m, STACK_OF(X509) * all)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    BIO *b = BIO_new(BIO_s_mem());
    bool ok = b && X509_digest(m->cert, EVP_sha256(), digest, &n);
    for (int i = 0; ok && i < sk_X509_num(all); i++)
        ok = PEM_write_bio_X509(b, sk_X509_value(all, i)) == 1;
    char *text;
    long len = ok ? BIO_get_mem_data(b, &text) : 0;
    if (ok && len > 0 && (m->pem = (char *)mem_alloc((size_t)len))) {
        memcpy(m->pem, text, (size_t)len);
        m->pem_len = (size_t)len;
    }
    BIO_free(b);
    for (unsigned i = 0; i < MINT_FINGERPRINT_BYTES; i++) {
        static const char hex[] = "0123456789ABCDEF";
        m->fingerprint[3 * i] = hex[digest[i] >> 4];
        m->fingerprint[3 * i + 1] = hex[digest[i] & 15];
        m->fingerprint[3 * i + 2] = ':';
    }
    return m->pem != NULL;
}

// A root is the client's to have; anything below is to be shown.
static bool take_chain(struct tls_mint *m, STACK_OF(X509) * all)
{
    m->cert = sk_X509_value(all, 0);
    X509_up_ref(m->cert);
    m->chain = sk_X509_new_null();
    bool ok = m->chain != NULL;
    for (int i = 0; ok && i < sk_X509_num(all); i++) {
        X509 *x = sk_X509_value(all, i);
        if (X509_NAME_cmp(X509_get_subject_name(x), X509_get_issuer_name(x)) == 0)
            continue;
        ok = sk_X509_push(m->chain, x) > 0 && X509_up_ref(x);
    }
    return ok;
}

const char *tls_mint_authority(struct tls_mint *m, struct span cert, struct span key, struct span password,
                               bool *ret_key_file)
{
    const char *why = NULL;
    *ret_key_file = false;
    STACK_OF(X509) *all = tls_pem_certificates(cert, &why);
    if (!all)
        return why;
    *ret_key_file = true;
    m->key = tls_pem_key(key, password, &why);
    if (m->key) {
        *ret_key_file = false;
        why = judge(sk_X509_value(all, 0), m->key, ret_key_file);
    }
    if (!why && (!take_chain(m, all) || !prepare(m) || !describe(m, all)))
        why = "out of memory";
    if (!why)
        m->expires_s = mint_expiry(m->cert);
    sk_X509_pop_free(all, X509_free);
    ERR_clear_error();
    return why;
}

int64_t tls_mint_expires(const struct tls_mint *m)
{
    return m->expires_s;
}

struct span tls_mint_pem(const struct tls_mint *m)
{
    return span_of(m->pem, m->pem_len);
}

struct span tls_mint_fingerprint(const struct tls_mint *m)
{
    return span_of(m->fingerprint, MINT_FINGERPRINT_TEXT - 1);
}

// ---- What it has signed

void tls_leaf_unref(struct tls_leaf *l)
{
    if (!l || atomic_fetch_sub(&l->refs, 1) != 1)
        return;
    X509_free(l->cert);
    EVP_PKEY_free(l->key);
    sk_X509_pop_free(l->chain, X509_free);
    SSL_CTX_free(l->ctx);
    mem_free(l);
}

static struct tls_leaf *leaf_new(const struct tls_mint *m, X509 *cert, int64_t expires_s)
{
    struct tls_leaf *l = cert ? (struct tls_leaf *)mem_calloc(1, sizeof *l) : NULL;
    if (!l) {
        X509_free(cert);
        return NULL;
    }
    atomic_store(&l->refs, 1);
    l->cert = cert;
    l->expires_s = expires_s;
    EVP_PKEY_up_ref(m->leaf_key);
    l->key = m->leaf_key;
    SSL_CTX_up_ref(m->ctx);
    l->ctx = m->ctx;
    l->chain = X509_chain_up_ref(m->chain);
    if (l->chain)
        return l;
    tls_leaf_unref(l);
    return NULL;
}

static bool key_of(struct span name, const X509 *model, struct mint_key *ret)
{
    unsigned char of_model[EVP_MAX_MD_SIZE] = {0};
    unsigned n = MINT_FINGERPRINT_BYTES;
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool ok = md && (!model || X509_digest(model, EVP_sha256(), of_model, &n)) &&
              EVP_DigestInit_ex(md, EVP_sha256(), NULL) &&
              EVP_DigestUpdate(md, of_model, MINT_FINGERPRINT_BYTES) &&
              EVP_DigestUpdate(md, name.ptr, name.len) && EVP_DigestFinal_ex(md, ret->digest, NULL);
    EVP_MD_CTX_free(md);
    return ok;
}

static struct mint_slot *set_of(struct tls_mint *m, const struct mint_key *k)
{
    return &m->slots[(size_t)(k->digest[0] % MINT_SETS) * MINT_WAYS];
}

static struct tls_leaf *find(struct tls_mint *m, const struct mint_key *k, int64_t now_s)
{
    struct tls_leaf *l = NULL;
    pthread_mutex_lock(&m->lock);
    struct mint_slot *set = set_of(m, k);
    for (unsigned i = 0; i < MINT_WAYS && !l; i++) {
        if (!set[i].leaf || memcmp(&set[i].key, k, sizeof *k) != 0 ||
            set[i].leaf->expires_s - LEAST_LIFE_S <= now_s)
            continue;
        l = set[i].leaf;
        set[i].used = ++m->clock;
        atomic_fetch_add(&l->refs, 1);
    }
    pthread_mutex_unlock(&m->lock);
    return l;
}

// In place of an older one for the same, of none, or of the one that was not asked for for the longest time.
static void keep(struct tls_mint *m, const struct mint_key *k, struct tls_leaf *l)
{
    pthread_mutex_lock(&m->lock);
    struct mint_slot *set = set_of(m, k), *at = &set[0];
    for (unsigned i = 0; i < MINT_WAYS; i++) {
        if (set[i].leaf && memcmp(&set[i].key, k, sizeof *k) == 0) {
            at = &set[i];
            break;
        }
        if (at->leaf && (!set[i].leaf || set[i].used < at->used))
            at = &set[i];
    }
    struct tls_leaf *old = at->leaf;
    m->n_kept += !old;
    atomic_fetch_add(&l->refs, 1);
    *at = (struct mint_slot){*k, l, ++m->clock};
    pthread_mutex_unlock(&m->lock);
    tls_leaf_unref(old);
}

unsigned tls_mint_kept(struct tls_mint *m)
{
    pthread_mutex_lock(&m->lock);
    unsigned n = m->n_kept;
    pthread_mutex_unlock(&m->lock);
    return n;
}

struct order {
    const struct tls_mint *mint;
    struct span name;
    X509 *model;
    int64_t now_s, expires_s;
    X509 *made;
};

static void sign(void *arg)
{
    struct order *o = (struct order *)arg;
    o->made = mint_sign(o->mint, o->name, o->model, o->now_s, &o->expires_s);
    ERR_clear_error();
}

enum err tls_mint_leaf(struct tls_mint *m, struct span name, const struct transport *upstream,
                       struct tls_leaf **ret)
{
    const struct tls_layer *layer = upstream ? (const struct tls_layer *)upstream->layer : NULL;
    X509 *model =
        layer ? SSL_get1_peer_certificate(layer->ssl) : NULL; // a reference: the connection may end meanwhile
    struct order o = {.mint = m, .name = name, .model = model, .now_s = (int64_t)time(NULL)};
    struct mint_key k;
    enum err e = ERR_OK;
    struct tls_leaf *l = NULL;
    if (upstream && !model)
        e = ERR_TLS_FAILED;
    else if (!key_of(name, model, &k))
        e = ERR_NO_MEMORY;
    else
        l = find(m, &k, o.now_s);
    if (!e && !l) {
        e = loop_offload(sign, &o);
        l = e ? NULL : leaf_new(m, o.made, o.expires_s);
        if (l)
            keep(m, &k, l);
        else if (!e)
            e = ERR_TLS_FAILED;
    }
    X509_free(model);
    ERR_clear_error();
    if (!e)
        *ret = l;
    return e;
}

// ---- The handshake

enum err tls_accept_leaf(struct transport *t, const struct tls_leaf *leaf, const struct client_settings *s,
                         uint64_t deadline)
{
    struct tls_layer *l;
    enum err e = tls_wait_turn(deadline);
    if (!e)
        e = tls_layer_new(t, leaf->ctx, &l);
    if (e)
        return e;
    l->info.alpn = s->alpn;
    SSL_set_accept_state(l->ssl);
    if (SSL_use_cert_and_key(l->ssl, leaf->cert, leaf->key, leaf->chain, 1) != 1)
        e = ERR_NO_MEMORY;
    if (!e)
        e = tls_layer_handshake(l, deadline);
    if (e) {
        ERR_clear_error();
        tls_layer_free(l);
        return e;
    }
    const char *name = SSL_get_servername(l->ssl, TLSEXT_NAMETYPE_host_name);
    if (name && strlen(name) <= TLS_NAME_MAX)
        memcpy(l->name, name, strlen(name) + 1);
    tls_layer_stand(l);
    return ERR_OK;
}
