// SPDX-License-Identifier: Apache-2.0
#include "tls/server_site.h"

#include <openssl/err.h>
#include <openssl/x509v3.h>
#include <time.h>

#include "base/mem.h"
#include "tls/context.h"
#include "tls/ocsp.h"
#include "tls/trust_store.h"

struct tls_site *tls_site_new(struct span identity)
{
    struct tls_site *s = (struct tls_site *)mem_calloc(1, sizeof *s);
    unsigned n = sizeof s->identity;
    if (!s)
        return NULL;
    s->expires_s = INT64_MAX;
    if (EVP_Digest(identity.ptr, identity.len, s->identity, &n, EVP_sha256(), NULL))
        return s;
    mem_free(s);
    return NULL;
}

bool tls_site_demand(struct tls_site *s, bool required, const struct tls_trust *trust, uint64_t identity)
{
    unsigned char of[sizeof s->identity + sizeof identity + 1];
    unsigned n = sizeof s->identity;
    s->verify_mode = SSL_VERIFY_PEER | (required ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0);
    s->trust = trust;
    s->client_policy = identity ^ (required ? 0 : 1);
    if (!s->client_policy)
        s->client_policy = 1;
    // A session proves only what was demanded when it began: with other demands it is none of this site's.
    memcpy(of, s->identity, sizeof s->identity);
    memcpy(of + sizeof s->identity, &identity, sizeof identity);
    of[sizeof of - 1] = required;
    return EVP_Digest(of, sizeof of, s->identity, &n, EVP_sha256(), NULL) == 1;
}

// Whom this context's connections believe about clients.
static bool use_trust(SSL_CTX *ctx, const struct tls_trust *t)
{
    if (!t)
        return true;
    STACK_OF(X509_NAME) *names = SSL_dup_CA_list(t->names);
    SSL_CTX_set1_cert_store(ctx, t->store);
    SSL_CTX_set_client_CA_list(ctx, names);
    return names != NULL;
}

void tls_site_free(struct tls_site *s)
{
    if (!s)
        return;
    for (unsigned i = 0; i < s->n_sets; i++) {
        SSL_CTX_free(s->sets[i].ctx);
        X509_free(s->sets[i].leaf);
        for (unsigned k = 0; k < s->sets[i].n_kinds; k++) {
            X509_free(s->sets[i].staples[k].leaf);
            mem_free(s->sets[i].staples[k].der);
        }
    }
    mem_free(s);
}

static bool covers(X509 *leaf, struct span name)
{
    char text[64];
    if (name.len == 0)
        return false;
    if (X509_check_host(leaf, name.ptr, name.len, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL) == 1)
        return true;
    if (name.len >= sizeof text)
        return false;
    memcpy(text, name.ptr, name.len);
    text[name.len] = '\0';
    return X509_check_ip_asc(leaf, text, 0) == 1;
}

// Whether both are for the same names, as far as the first one's say.
static bool same_names(X509 *a, X509 *b)
{
    GENERAL_NAMES *names = (GENERAL_NAMES *)X509_get_ext_d2i(a, NID_subject_alt_name, NULL, NULL);
    bool same = true;
    for (int i = 0; same && i < sk_GENERAL_NAME_num(names); i++) {
        const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, i);
        if (g->type != GEN_DNS)
            continue;
        const char *p = (const char *)ASN1_STRING_get0_data(g->d.dNSName);
        struct span name = span_of(p, (size_t)ASN1_STRING_length(g->d.dNSName));
        if (span_starts(name, SPAN("*.")))
            name = span_skip(name, 1); // how X509_check_host takes a suffix
        same = X509_check_host(b, name.ptr, name.len, 0, NULL) == 1;
    }
    GENERAL_NAMES_free(names);
    return same;
}

static struct tls_set *set_for(struct tls_site *s, X509 *leaf, int kind)
{
    for (unsigned i = 0; i < s->n_sets; i++) {
        struct tls_set *t = &s->sets[i];
        bool has = t->n_kinds == TLS_KINDS_MAX;
        for (unsigned k = 0; k < t->n_kinds; k++)
            has |= t->kinds[k] == kind;
        if (!has && same_names(leaf, t->leaf))
            return t;
    }
    if (s->n_sets == TLS_SETS_MAX)
        return NULL;
    struct tls_set *t = &s->sets[s->n_sets];
    t->ctx = tls_context_new(true);
    if (!t->ctx)
        return NULL;
    X509_up_ref(leaf);
    t->leaf = leaf;
    t->n_kinds = 0;
    s->n_sets++;
    tls_server_callbacks(t->ctx);
    SSL_CTX_set_session_id_context(t->ctx, s->identity, sizeof s->identity);
    return use_trust(t->ctx, s->trust) ? t : NULL;
}

static int64_t expiry(const X509 *x)
{
    struct tm tm;
    return ASN1_TIME_to_tm(X509_get0_notAfter(x), &tm) ? (int64_t)timegm(&tm) : INT64_MAX;
}

static const char *add(struct tls_site *s, STACK_OF(X509) *chain, EVP_PKEY *key)
{
    X509 *leaf = sk_X509_shift(chain);
    int kind = EVP_PKEY_get_base_id(key);
    const char *why = NULL;
    struct tls_set *set = NULL;
    if (X509_check_private_key(leaf, key) != 1)
        why = "the key is not the certificate's";
    else if (!(set = set_for(s, leaf, kind)))
        why = "there are too many certificates";
    else if (SSL_CTX_use_cert_and_key(set->ctx, leaf, key, chain, 0) != 1)
        why = tls_reason();
    if (!why) {
        X509_up_ref(leaf);
        set->staples[set->n_kinds].leaf = leaf;
        set->kinds[set->n_kinds++] = kind;
        s->expires_s = MIN(s->expires_s, expiry(leaf));
    }
    X509_free(leaf);
    ERR_clear_error();
    return why;
}

const char *tls_site_add(struct tls_site *s, struct span cert, struct span key, struct span password, bool *ret_key_file)
{
    const char *why = NULL;
    *ret_key_file = false;
    STACK_OF(X509) *chain = tls_pem_certificates(cert, &why);
    if (!chain)
        return why;
    EVP_PKEY *k = tls_pem_key(key, password, &why);
    *ret_key_file = true;
    if (k)
        why = add(s, chain, k);
    EVP_PKEY_free(k);
    sk_X509_pop_free(chain, X509_free);
    return why;
}

// ---- What is shown with them

static int on_status(SSL *ssl, void *arg)
{
    const struct tls_set *set = (const struct tls_set *)arg;
    const X509 *leaf = SSL_get_certificate(ssl); // the one that was chosen
    for (unsigned i = 0; i < set->n_kinds; i++) {
        const struct tls_staple *s = &set->staples[i];
        if (!s->der || X509_cmp(s->leaf, leaf) != 0 || s->next_s <= (int64_t)time(NULL))
            continue;
        unsigned char *copy = (unsigned char *)OPENSSL_memdup(s->der, s->len); // OpenSSL's own
        if (!copy)
            break;
        SSL_set_tlsext_status_ocsp_resp(ssl, copy, (long)s->len);
        return SSL_TLSEXT_ERR_OK;
    }
    return SSL_TLSEXT_ERR_NOACK;
}

const char *tls_site_staple(struct tls_site *s, struct span cert, struct span answer)
{
    const char *why;
    int64_t next;
    STACK_OF(X509) *chain = tls_pem_certificates(cert, &why);
    if (!chain)
        return why;
    X509 *leaf = sk_X509_value(chain, 0);
    why = tls_ocsp_judge(cert, answer, &next);
    for (unsigned i = 0; !why && i < s->n_sets; i++) {
        for (unsigned k = 0; k < s->sets[i].n_kinds; k++) {
            struct tls_staple *t = &s->sets[i].staples[k];
            if (X509_cmp(t->leaf, leaf) != 0 || t->der || !(t->der = (unsigned char *)mem_alloc(answer.len)))
                continue;
            memcpy(t->der, answer.ptr, answer.len);
            t->len = answer.len;
            t->next_s = next;
            SSL_CTX_set_tlsext_status_cb(s->sets[i].ctx, on_status);
            SSL_CTX_set_tlsext_status_arg(s->sets[i].ctx, &s->sets[i]);
        }
    }
    sk_X509_pop_free(chain, X509_free);
    return why;
}

void tls_site_early_data(struct tls_site *s)
{
    s->early_data = true;
}

void tls_site_no_tickets(struct tls_site *s)
{
    s->no_tickets = true;
}

int64_t tls_site_expires(const struct tls_site *s)
{
    return s->expires_s;
}

uint64_t tls_site_client_policy(const struct tls_site *s)
{
    return s->client_policy;
}

bool tls_site_covers(const struct tls_site *s, struct span name)
{
    for (unsigned i = 0; i < s->n_sets; i++)
        if (covers(s->sets[i].leaf, name))
            return true;
    return false;
}

SSL_CTX *tls_site_context(const struct tls_site *s, struct span name)
{
    for (unsigned i = 1; i < s->n_sets && name.len; i++)
        if (!covers(s->sets[0].leaf, name) && covers(s->sets[i].leaf, name))
            return s->sets[i].ctx;
    return s->n_sets ? s->sets[0].ctx : NULL;
}
