// SPDX-License-Identifier: Apache-2.0
// Certificates and keys from PEM text.
#include <limits.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "tls/context.h"

static BIO *bio_of(struct span pem)
{
    return pem.len > INT_MAX ? NULL : BIO_new_mem_buf(pem.len ? pem.ptr : "", (int)pem.len);
}

// After the last block PEM_read says that there is no further one, which is the end; anything else is a mistake in the file.
static bool ended_well(void)
{
    unsigned long code = ERR_peek_last_error();
    return ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
}

STACK_OF(X509) *tls_pem_certificates(struct span pem, const char **ret_why)
{
    BIO *b = bio_of(pem);
    STACK_OF(X509) *list = b ? sk_X509_new_null() : NULL;
    bool ok = list != NULL;
    ERR_clear_error();
    for (X509 *x; ok && (x = PEM_read_bio_X509(b, NULL, NULL, NULL));) {
        ok = sk_X509_push(list, x) > 0;
        if (!ok)
            X509_free(x);
    }
    const char *why = !ok ? "out of memory" : !ended_well() ? "a certificate in it is malformed" : sk_X509_num(list) == 0 ? "there is no certificate in it" : NULL;
    BIO_free(b);
    ERR_clear_error();
    if (!why)
        return list;
    sk_X509_pop_free(list, X509_free);
    *ret_why = why;
    return NULL;
}

STACK_OF(X509_CRL) *tls_pem_crls(struct span pem, const char **ret_why)
{
    BIO *b = bio_of(pem);
    STACK_OF(X509_CRL) *list = b ? sk_X509_CRL_new_null() : NULL;
    bool ok = list != NULL;
    ERR_clear_error();
    for (X509_CRL *x; ok && (x = PEM_read_bio_X509_CRL(b, NULL, NULL, NULL));) {
        ok = sk_X509_CRL_push(list, x) > 0;
        if (!ok)
            X509_CRL_free(x);
    }
    const char *why = !ok ? "out of memory" : !ended_well() ? "a revocation list in it is malformed" : sk_X509_CRL_num(list) == 0 ? "there is no revocation list in it" : NULL;
    BIO_free(b);
    ERR_clear_error();
    if (!why)
        return list;
    sk_X509_CRL_pop_free(list, X509_CRL_free);
    *ret_why = why;
    return NULL;
}

struct asked {
    struct span password;
    bool asked;
};

// Never asks a terminal.
static int give_password(char *buf, int cap, int writing, void *arg)
{
    struct asked *a = (struct asked *)arg;
    (void)writing;
    a->asked = true;
    if (a->password.len == 0 || a->password.len > (size_t)cap)
        return -1;
    memcpy(buf, a->password.ptr, a->password.len);
    return (int)a->password.len;
}

EVP_PKEY *tls_pem_key(struct span pem, struct span password, const char **ret_why)
{
    BIO *b = bio_of(pem);
    struct asked a = {password, false};
    ERR_clear_error();
    EVP_PKEY *k = b ? PEM_read_bio_PrivateKey(b, NULL, give_password, &a) : NULL;
    BIO_free(b);
    ERR_clear_error();
    if (!k)
        *ret_why = !a.asked ? "there is no private key in it" : password.len ? "the password does not open the key in it" : "the key in it is encrypted; give `password file:PATH`";
    return k;
}
