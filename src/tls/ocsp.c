// SPDX-License-Identifier: Apache-2.0
#include "tls/ocsp.h"

#include <openssl/err.h>
#include <openssl/ocsp.h>
#include <openssl/x509v3.h>
#include <time.h>

#include "tls/context.h"

enum { SKEW_SECONDS = 300, URL_MAX = 1024 };

static bool is_plain_url(struct span s)
{
    for (size_t i = 0; i < s.len; i++)
        if (s.ptr[i] <= ' ' || s.ptr[i] > '~')
            return false;
    return s.len <= URL_MAX && span_starts(s, SPAN("http://"));
}

static struct span url_of(X509 *leaf, struct arena *a)
{
    STACK_OF(OPENSSL_STRING) *list = X509_get1_ocsp(leaf);
    struct span url = SPAN_NONE;
    for (int i = 0; i < sk_OPENSSL_STRING_num(list) && !url.ptr; i++) {
        struct span s = span_str(sk_OPENSSL_STRING_value(list, i));
        if (is_plain_url(s) && !arena_dup(a, s, &url))
            url = SPAN_NONE;
    }
    X509_email_free(list);
    return url;
}

// The issuer where it is in the chain, or NULL.
static X509 *issuer_of(STACK_OF(X509) *chain, X509 *leaf)
{
    for (int i = 1; i < sk_X509_num(chain); i++)
        if (X509_check_issued(sk_X509_value(chain, i), leaf) == X509_V_OK)
            return sk_X509_value(chain, i);
    return NULL;
}

static struct span request_of(X509 *leaf, X509 *issuer, struct arena *a)
{
    OCSP_REQUEST *r = OCSP_REQUEST_new();
    OCSP_CERTID *id = OCSP_cert_to_id(NULL, leaf, issuer);
    unsigned char *der = NULL;
    struct span s = SPAN_NONE;
    if (r && id && OCSP_request_add0_id(r, id))
        id = NULL; // the request's
    int len = r && !id ? i2d_OCSP_REQUEST(r, &der) : -1;
    if (len <= 0 || !arena_dup(a, span_of((const char *)der, (size_t)len), &s))
        s = SPAN_NONE;
    OPENSSL_free(der);
    OCSP_CERTID_free(id);
    OCSP_REQUEST_free(r);
    return s;
}

static struct span name_of(X509 *leaf, struct arena *a)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned n = 0;
    char text[TLS_OCSP_NAME_MAX];
    struct span s = SPAN_NONE;
    if (!X509_digest(leaf, EVP_sha256(), digest, &n) || n * 2 + 6 > sizeof text)
        return s;
    for (unsigned i = 0; i < n; i++)
        BIO_snprintf(text + i * 2, 3, "%02x", digest[i]);
    memcpy(text + n * 2, ".ocsp", 6);
    return arena_dup(a, span_str(text), &s) ? s : SPAN_NONE;
}

bool tls_ocsp_question(struct span pem, struct arena *a, struct span *ret_url, struct span *ret_name, struct span *ret_request)
{
    const char *why;
    STACK_OF(X509) *chain = tls_pem_certificates(pem, &why);
    X509 *leaf = chain ? sk_X509_value(chain, 0) : NULL, *issuer = leaf ? issuer_of(chain, leaf) : NULL;
    if (issuer) {
        *ret_url = url_of(leaf, a);
        *ret_name = name_of(leaf, a);
        *ret_request = request_of(leaf, issuer, a);
    }
    sk_X509_pop_free(chain, X509_free);
    ERR_clear_error();
    return issuer && ret_url->ptr && ret_name->ptr && ret_request->ptr;
}

// By the issuer itself, or by somebody to whom it gave the right (RFC 6960 4.2.2.2).
static bool is_signed(OCSP_BASICRESP *basic, X509 *issuer)
{
    X509_STORE *store = X509_STORE_new();
    STACK_OF(X509) *certs = sk_X509_new_null();
    bool ok = store && certs && X509_STORE_add_cert(store, issuer) && X509_STORE_set_flags(store, X509_V_FLAG_PARTIAL_CHAIN) && sk_X509_push(certs, issuer) > 0 &&
              OCSP_basic_verify(basic, certs, store, OCSP_TRUSTOTHER) == 1;
    sk_X509_free(certs);
    X509_STORE_free(store);
    return ok;
}

static const char *judge(OCSP_RESPONSE *r, X509 *leaf, X509 *issuer, int64_t *ret_next_s)
{
    int status, reason;
    ASN1_GENERALIZEDTIME *revoked, *from, *until;
    struct tm tm;
    if (OCSP_response_status(r) != OCSP_RESPONSE_STATUS_SUCCESSFUL)
        return "the responder refused to answer";
    OCSP_BASICRESP *basic = OCSP_response_get1_basic(r);
    OCSP_CERTID *id = OCSP_cert_to_id(NULL, leaf, issuer);
    const char *why = NULL;
    if (!basic || !id)
        why = "the answer is malformed";
    else if (!is_signed(basic, issuer))
        why = "the answer is not signed by who may";
    else if (!OCSP_resp_find_status(basic, id, &status, &reason, &revoked, &from, &until))
        why = "the answer is about another certificate";
    else if (status != V_OCSP_CERTSTATUS_GOOD)
        why = status == V_OCSP_CERTSTATUS_REVOKED ? "the certificate is revoked" : "the responder does not know the certificate";
    else if (!until || !OCSP_check_validity(from, until, SKEW_SECONDS, -1) || !ASN1_TIME_to_tm(until, &tm))
        why = "the answer holds no longer, or not yet, or for ever";
    else
        *ret_next_s = (int64_t)timegm(&tm);
    OCSP_CERTID_free(id);
    OCSP_BASICRESP_free(basic);
    return why;
}

const char *tls_ocsp_judge(struct span pem, struct span answer, int64_t *ret_next_s)
{
    const char *why;
    const unsigned char *p = (const unsigned char *)answer.ptr;
    STACK_OF(X509) *chain = tls_pem_certificates(pem, &why);
    X509 *leaf = chain ? sk_X509_value(chain, 0) : NULL, *issuer = leaf ? issuer_of(chain, leaf) : NULL;
    OCSP_RESPONSE *r = answer.len && answer.len <= INT32_MAX ? d2i_OCSP_RESPONSE(NULL, &p, (long)answer.len) : NULL;
    why = !issuer ? "the issuer's certificate is missing in the chain" : !r ? "the answer is malformed" : judge(r, leaf, issuer, ret_next_s);
    OCSP_RESPONSE_free(r);
    sk_X509_pop_free(chain, X509_free);
    ERR_clear_error();
    return why;
}
