// SPDX-License-Identifier: Apache-2.0
// Whom a client proved to be: what of its certificate is told upstream and to rules.
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>

#include "base/mem.h"
#include "tls/context.h"
#include "tls/layer.h"

enum { PEER_TEXT_MAX = 8 * 1024 };

// As RFC 2253 writes it; what is no printable ASCII is escaped, so the text can stand in a field and in a log.
static void put_name(BIO *b, const X509_NAME *name)
{
    X509_NAME_print_ex(b, name, 0, (XN_FLAG_RFC2253 & ~(unsigned long)ASN1_STRFLGS_UTF8_CONVERT) | ASN1_STRFLGS_ESC_MSB | ASN1_STRFLGS_ESC_CTRL);
}

static void put_serial(BIO *b, const X509 *x)
{
    const ASN1_INTEGER *n = X509_get0_serialNumber(x);
    for (int i = 0; i < n->length; i++)
        BIO_printf(b, "%02x", n->data[i]);
}

static void put_fingerprint(BIO *b, const X509 *x)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    if (!X509_digest(x, EVP_sha256(), digest, &len))
        len = 0;
    for (unsigned i = 0; i < len; i++)
        BIO_printf(b, "%02x", digest[i]);
}

static struct span rest_of(const char *text, size_t *from, size_t end)
{
    struct span s = span_of(text + *from, end - *from);
    *from = end;
    return s;
}

enum err tls_peer_note(struct tls_layer *l)
{
    X509 *x = SSL_get_verify_mode(l->ssl) & SSL_VERIFY_PEER ? SSL_get0_peer_certificate(l->ssl) : NULL;
    if (!x || SSL_get_verify_result(l->ssl) != X509_V_OK)
        return ERR_OK;
    BIO *b = BIO_new(BIO_s_mem());
    size_t ends[4];
    char *text = NULL;
    long n = 0;
    if (b) {
        put_name(b, X509_get_subject_name(x));
        ends[0] = BIO_ctrl_pending(b);
        put_name(b, X509_get_issuer_name(x));
        ends[1] = BIO_ctrl_pending(b);
        put_serial(b, x);
        ends[2] = BIO_ctrl_pending(b);
        put_fingerprint(b, x);
        ends[3] = BIO_ctrl_pending(b);
        n = BIO_get_mem_data(b, &text);
    }
    ERR_clear_error();
    // A certificate without a subject proves a key, which is somebody.
    enum err e = !b || n <= 0 || (size_t)n < ends[3] ? ERR_NO_MEMORY : n > PEER_TEXT_MAX ? ERR_TLS_FAILED : ERR_OK;
    if (!e && !(l->peer = (char *)mem_alloc((size_t)n)))
        e = ERR_NO_MEMORY;
    if (!e) {
        size_t from = 0;
        l->info.client_verified = true;
        memcpy(l->peer, text, (size_t)n);
        l->info.client_subject = rest_of(l->peer, &from, ends[0]);
        l->info.client_issuer = rest_of(l->peer, &from, ends[1]);
        l->info.client_serial = rest_of(l->peer, &from, ends[2]);
        l->info.client_fingerprint = rest_of(l->peer, &from, ends[3]);
    }
    BIO_free(b);
    return e;
}
