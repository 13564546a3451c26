// SPDX-License-Identifier: Apache-2.0
#include "tls/trust_store.h"

#include <openssl/err.h>

#include "base/mem.h"
#include "tls/context.h"

static const char *add_authorities(struct tls_trust *t, struct span pem)
{
    const char *why = NULL;
    STACK_OF(X509) *list = tls_pem_certificates(pem, &why);
    if (!list)
        return why;
    for (int i = 0; !why && i < sk_X509_num(list); i++) {
        X509 *x = sk_X509_value(list, i);
        X509_NAME *name = X509_NAME_dup(X509_get_subject_name(x));
        if (!name || !X509_STORE_add_cert(t->store, x) || sk_X509_NAME_push(t->names, name) <= 0) {
            X509_NAME_free(name);
            why = "out of memory";
        }
    }
    sk_X509_pop_free(list, X509_free);
    return why;
}

static const char *add_crls(struct tls_trust *t, struct span pem)
{
    const char *why = NULL;
    STACK_OF(X509_CRL) *list = tls_pem_crls(pem, &why);
    if (!list)
        return why;
    for (int i = 0; !why && i < sk_X509_CRL_num(list); i++)
        if (!X509_STORE_add_crl(t->store, sk_X509_CRL_value(list, i)))
            why = "out of memory";
    sk_X509_CRL_pop_free(list, X509_CRL_free);
    X509_STORE_set_flags(t->store, X509_V_FLAG_CRL_CHECK | X509_V_FLAG_CRL_CHECK_ALL);
    return why;
}

struct tls_trust *tls_trust_new(struct span authorities, struct span crls, const char **ret_why, bool *ret_crl_file)
{
    struct tls_trust *t = (struct tls_trust *)mem_calloc(1, sizeof *t);
    const char *why = "out of memory";
    *ret_crl_file = false;
    if (t) {
        t->store = X509_STORE_new();
        t->names = sk_X509_NAME_new_null();
        if (t->store && t->names)
            why = add_authorities(t, authorities);
        if (!why && crls.len) {
            *ret_crl_file = true;
            why = add_crls(t, crls);
        }
    }
    ERR_clear_error();
    if (!why)
        return t;
    tls_trust_free(t);
    *ret_why = why;
    return NULL;
}

void tls_trust_free(struct tls_trust *t)
{
    if (!t)
        return;
    X509_STORE_free(t->store);
    sk_X509_NAME_pop_free(t->names, X509_NAME_free);
    mem_free(t);
}
