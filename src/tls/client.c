// SPDX-License-Identifier: Apache-2.0
#include "tls/client.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <pthread.h>

#include "base/hash.h"
#include "base/mem.h"
#include "tls/context.h"
#include "tls/layer.h"
#include "tls/trust_store.h"

enum { SESSION_SLOTS = 64 }; // a power of two; servers that share one take turns

/// Goes with the context, which connections hold for longer than the configuration does.
struct sessions {
    pthread_mutex_t lock;
    SSL_SESSION *v[SESSION_SLOTS];
};

struct tls_client {
    SSL_CTX *ctx;
    struct sessions *sessions; // the context's
    bool verify;
    char name[TLS_NAME_MAX + 1]; // empty: what is dialled
    uint64_t identity;
};

// ---- Sessions to resume

static int sessions_index = -1;

static void sessions_free(void *parent, void *ptr, CRYPTO_EX_DATA *ad, int idx, long argl, void *argp)
{
    struct sessions *s = (struct sessions *)ptr;
    (void)parent;
    (void)ad;
    (void)idx;
    (void)argl;
    (void)argp;
    if (!s)
        return;
    for (unsigned i = 0; i < SESSION_SLOTS; i++)
        SSL_SESSION_free(s->v[i]);
    pthread_mutex_destroy(&s->lock);
    mem_free(s);
}

static void make_index(void)
{
    sessions_index = SSL_CTX_get_ex_new_index(0, NULL, NULL, NULL, sessions_free);
}

static struct sessions *sessions_of(const SSL *ssl)
{
    return (struct sessions *)SSL_CTX_get_ex_data(SSL_get_SSL_CTX(ssl), sessions_index);
}

// What is kept is a copy, and so is what is offered: OpenSSL spoils the session of a connection that ends without close_notify, as
// many do, and the next connection has nothing to do with that.
static int on_session(SSL *ssl, SSL_SESSION *session)
{
    session = SSL_SESSION_dup(session);
    if (!session)
        return 0;
    struct sessions *s = sessions_of(ssl);
    unsigned slot = tls_layer_of(ssl)->session_slot;
    pthread_mutex_lock(&s->lock);
    SSL_SESSION *old = s->v[slot];
    s->v[slot] = session;
    pthread_mutex_unlock(&s->lock);
    SSL_SESSION_free(old);
    return 0; // no reference was taken
}

static void offer_session(SSL *ssl)
{
    struct sessions *s = sessions_of(ssl);
    unsigned slot = tls_layer_of(ssl)->session_slot;
    pthread_mutex_lock(&s->lock);
    SSL_SESSION *session = s->v[slot] ? SSL_SESSION_dup(s->v[slot]) : NULL;
    pthread_mutex_unlock(&s->lock);
    if (session)
        (void)SSL_set_session(ssl, session); // not: a full handshake
    SSL_SESSION_free(session);
}

static unsigned slot_of(const struct addr *to)
{
    return (unsigned)hash_fast_seed(addr_ip_bytes(to), to->port) & (SESSION_SLOTS - 1);
}

// ---- Life

uint64_t tls_identity(const struct span *parts, unsigned n)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    uint64_t id = 0;
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool ok = md && EVP_DigestInit_ex(md, EVP_sha256(), NULL);
    for (unsigned i = 0; ok && i < n; i++) {
        uint64_t len = parts[i].len;
        ok = EVP_DigestUpdate(md, &len, sizeof len) && EVP_DigestUpdate(md, parts[i].len ? parts[i].ptr : "", parts[i].len);
    }
    if (ok && EVP_DigestFinal_ex(md, digest, NULL))
        memcpy(&id, digest, sizeof id);
    EVP_MD_CTX_free(md);
    return id ? id : 1;
}

// Where there is none to show.
static int on_certificate_wanted(SSL *ssl, X509 **cert, EVP_PKEY **key)
{
    (void)cert;
    (void)key;
    tls_layer_of(ssl)->info.certificate_wanted = true;
    return 0;
}

static bool set_up(struct tls_client *c, const struct tls_client_options *o)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_index);
    c->ctx = sessions_index < 0 ? NULL : tls_context_new(false);
    c->sessions = c->ctx ? (struct sessions *)mem_calloc(1, sizeof *c->sessions) : NULL;
    if (!c->sessions)
        return false;
    pthread_mutex_init(&c->sessions->lock, NULL);
    if (!SSL_CTX_set_ex_data(c->ctx, sessions_index, c->sessions)) {
        sessions_free(NULL, c->sessions, NULL, 0, 0, NULL);
        return false;
    }
    if (!o->many_names) {
        SSL_CTX_set_session_cache_mode(c->ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(c->ctx, on_session);
    }
    if (o->trust)
        SSL_CTX_set1_cert_store(c->ctx, o->trust->store);
    SSL_CTX_set_verify(c->ctx, o->trust ? SSL_VERIFY_PEER : SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_client_cert_cb(c->ctx, on_certificate_wanted);
    if (o->alpn.len == 0)
        return true;
    return SSL_CTX_set_alpn_protos(c->ctx, (const unsigned char *)o->alpn.ptr, (unsigned)o->alpn.len) == 0; // 0: success here
}

struct tls_client *tls_client_new(const struct tls_client_options *o)
{
    struct tls_client *c = o->name.len > TLS_NAME_MAX ? NULL : (struct tls_client *)mem_calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->verify = o->trust != NULL;
    if (o->name.len)
        memcpy(c->name, o->name.ptr, o->name.len);
    if (!set_up(c, o)) {
        tls_client_free(c);
        return NULL;
    }
    const struct span parts[] = {o->name, o->alpn, span_of((const char *)&o->trust_identity, sizeof o->trust_identity), c->verify ? SPAN("v") : SPAN("")};
    c->identity = tls_identity(parts, ARRAY_LEN(parts));
    return c;
}

const char *tls_client_certificate(struct tls_client *c, struct span cert, struct span key, struct span password, bool *ret_key_file)
{
    const char *why = NULL;
    *ret_key_file = false;
    STACK_OF(X509) *chain = tls_pem_certificates(cert, &why);
    if (!chain)
        return why;
    X509 *leaf = sk_X509_shift(chain);
    *ret_key_file = true;
    EVP_PKEY *k = tls_pem_key(key, password, &why);
    if (k && X509_check_private_key(leaf, k) != 1)
        why = "the key is not the certificate's";
    else if (k && SSL_CTX_use_cert_and_key(c->ctx, leaf, k, chain, 0) != 1)
        why = tls_reason();
    if (!why) {
        const struct span parts[] = {span_of((const char *)&c->identity, sizeof c->identity), cert, key};
        c->identity = tls_identity(parts, ARRAY_LEN(parts));
    }
    EVP_PKEY_free(k);
    X509_free(leaf);
    sk_X509_pop_free(chain, X509_free);
    ERR_clear_error();
    return why;
}

void tls_client_free(struct tls_client *c)
{
    if (!c)
        return;
    SSL_CTX_free(c->ctx);
    mem_free(c);
}

uint64_t tls_client_identity(const struct tls_client *c)
{
    return c->identity;
}

// ---- The handshake

// The server is asked for by name (RFC 6066: never by address), and its certificate must be for that name or address.
static bool set_name(SSL *ssl, const struct tls_client *c, struct span host)
{
    char text[TLS_NAME_MAX + 1];
    struct addr ip;
    if (c->name[0])
        host = span_str(c->name);
    if (host.len == 0 || host.len > TLS_NAME_MAX)
        return !c->verify;
    memcpy(text, host.ptr, host.len);
    text[host.len] = '\0';
    if (addr_parse_ip(host, &ip))
        return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), text) == 1;
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return SSL_set1_host(ssl, text) == 1 && SSL_set_tlsext_host_name(ssl, text) == 1;
}

static enum err begin(struct transport *t, const struct tls_client *c, struct span host, const struct addr *to, struct tls_layer **ret)
{
    enum err e = tls_layer_new(t, c->ctx, ret);
    if (e)
        return e;
    struct tls_layer *l = *ret;
    l->session_slot = (uint16_t)slot_of(to);
    if (!set_name(l->ssl, c, host)) {
        tls_layer_free(l);
        return ERR_TLS_CERTIFICATE;
    }
    offer_session(l->ssl);
    SSL_set_connect_state(l->ssl);
    return ERR_OK;
}

enum err tls_connect_told(struct transport *t, const struct tls_client *c, struct span host, const struct addr *to, uint64_t deadline,
                          struct tls_verdict *ret)
{
    struct tls_layer *l;
    *ret = (struct tls_verdict){SPAN("no certificate can be for this name"), false};
    enum err e = begin(t, c, host, to, &l);
    if (e)
        return e;
    e = tls_layer_handshake(l, deadline);
    long verified = SSL_get_verify_result(l->ssl);
    *ret = (struct tls_verdict){verified != X509_V_OK ? span_str(X509_verify_cert_error_string(verified)) : SPAN(""), l->info.certificate_wanted};
    if (e) {
        bool doubted = c->verify && SSL_get_verify_result(l->ssl) != X509_V_OK;
        tls_layer_free(l);
        return e == ERR_RESET || e == ERR_EOF || e == ERR_TLS_FAILED ? (doubted ? ERR_TLS_CERTIFICATE : ERR_TLS_FAILED) : e;
    }
    tls_layer_stand(l);
    return ERR_OK;
}

enum err tls_connect(struct transport *t, const struct tls_client *c, struct span host, const struct addr *to, uint64_t deadline)
{
    struct tls_verdict v;
    return tls_connect_told(t, c, host, to, deadline, &v);
}
