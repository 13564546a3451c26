// SPDX-License-Identifier: Apache-2.0
// Session tickets over the hours: the keys change, old ones open what they sealed and seal nothing more, and end with it.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <cmocka.h>
#include <openssl/ssl.h>

#include "tls/context.h"

static time_t hours; // that the machine has been up

int __real_clock_gettime(clockid_t clock, struct timespec *t);
int __wrap_clock_gettime(clockid_t clock, struct timespec *t);
int __wrap_clock_gettime(clockid_t clock, struct timespec *t)
{
    if (clock != CLOCK_BOOTTIME)
        return __real_clock_gettime(clock, t);
    *t = (struct timespec){.tv_sec = 1000 + hours * 3600};
    return 0;
}

static SSL_CTX *server_context(void)
{
    SSL_CTX *c = tls_context_new(true);
    EVP_PKEY *key = EVP_EC_gen("P-256");
    X509 *x = X509_new();
    assert_non_null(c);
    ASN1_INTEGER_set(X509_get_serialNumber(x), 1);
    X509_gmtime_adj(X509_getm_notBefore(x), 0);
    X509_gmtime_adj(X509_getm_notAfter(x), 86400);
    X509_set_pubkey(x, key);
    X509_sign(x, key, EVP_sha256());
    assert_int_equal(SSL_CTX_use_certificate(c, x), 1);
    assert_int_equal(SSL_CTX_use_PrivateKey(c, key), 1);
    assert_true(tls_tickets_use(c));
    X509_free(x);
    EVP_PKEY_free(key);
    return c;
}

// A handshake; *session: offered, and afterwards the newest one. Whether it was resumed.
static bool handshake(SSL_CTX *server, SSL_CTX *client, SSL_SESSION **session)
{
    SSL *s = SSL_new(server), *c = SSL_new(client);
    BIO *a, *b;
    char byte;
    assert_int_equal(BIO_new_bio_pair(&a, 0, &b, 0), 1);
    SSL_set_bio(s, a, a);
    SSL_set_bio(c, b, b);
    SSL_set_accept_state(s);
    SSL_set_connect_state(c);
    if (*session)
        SSL_set_session(c, *session);
    for (unsigned i = 0; i < 10; i++) {
        SSL_do_handshake(c);
        SSL_do_handshake(s);
    }
    assert_true(SSL_is_init_finished(s) && SSL_is_init_finished(c));
    SSL_read(c, &byte, 1); // the ticket
    bool resumed = SSL_session_reused(s);
    SSL_SESSION_free(*session);
    *session = SSL_get1_session(c);
    SSL_shutdown(c);
    SSL_free(s);
    SSL_free(c);
    return resumed;
}

static void keys_change_and_old_ones_end(void **state)
{
    (void)state;
    SSL_CTX *one = server_context(), *two = server_context(), *client = tls_context_new(false);
    SSL_SESSION *session = NULL, *kept;
    assert_false(handshake(one, client, &session));
    kept = SSL_SESSION_dup(session);
    assert_true(handshake(two, client, &session)); // the keys are the process's, not a context's
    hours = 7;
    SSL_SESSION *old = SSL_SESSION_dup(kept);
    assert_true(handshake(one, client, &old)); // by the key before, and what comes back is sealed with the new one
    hours = 20;
    assert_true(handshake(one, client, &old));
    assert_false(handshake(one, client, &kept)); // its key is gone
    hours = 60;
    assert_false(handshake(one, client, &old));
    SSL_SESSION_free(session);
    SSL_SESSION_free(kept);
    SSL_SESSION_free(old);
    SSL_CTX_free(one);
    SSL_CTX_free(two);
    SSL_CTX_free(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(keys_change_and_old_ones_end)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
