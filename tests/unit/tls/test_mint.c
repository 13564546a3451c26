// SPDX-License-Identifier: Apache-2.0
// Authorities and what they sign: which ones are taken, names of every kind, how many certificates are kept.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>
#include <openssl/err.h>
#include <openssl/pem.h>

#include "io/loop.h"
#include "tls/ca.h"
#include "tls/context.h"
#include "tls/mint_internal.h"

static struct arena arena;
static struct tls_ca ca;

static int setup(void **state)
{
    (void)state;
    arena_init(&arena, 0);
    return tls_ca_make(SPAN("Unit tests"), &arena, &ca) && loop_helpers_start(1) == ERR_OK ? 0 : -1;
}

static int teardown(void **state)
{
    (void)state;
    loop_helpers_stop();
    arena_fini(&arena);
    return 0;
}

static struct tls_mint *mint(void)
{
    bool key_file;
    struct tls_mint *m = tls_mint_new();
    assert_non_null(m);
    assert_null(tls_mint_authority(m, ca.cert, ca.key, SPAN(""), &key_file));
    return m;
}

static const char *refused(struct span cert, struct span key, bool *ret_key_file)
{
    struct tls_mint *m = tls_mint_new();
    const char *why = tls_mint_authority(m, cert, key, SPAN(""), ret_key_file);
    tls_mint_free(m);
    return why;
}

static void an_authority_has_to_be_one(void **state)
{
    struct tls_mint *m = mint();
    struct tls_ca other;
    bool key_file;
    int64_t expires;
    (void)state;
    assert_true(tls_ca_make(SPAN("Other"), &arena, &other));
    assert_non_null(refused(ca.cert, other.key, &key_file));
    assert_true(key_file);
    assert_non_null(refused(SPAN("nothing"), ca.key, &key_file));
    assert_false(key_file);
    assert_non_null(refused(ca.cert, SPAN("nothing"), &key_file));
    assert_true(key_file);
    // What it signs may not sign.
    X509 *leaf = mint_sign(m, SPAN("a.test"), NULL, (int64_t)time(NULL), &expires);
    BIO *b = BIO_new(BIO_s_mem());
    char *text;
    assert_non_null(leaf);
    PEM_write_bio_X509(b, leaf);
    long n = BIO_get_mem_data(b, &text);
    assert_non_null(strstr(refused(span_of(text, (size_t)n), ca.key, &key_file), "authority"));
    assert_false(key_file);
    BIO_free(b);
    X509_free(leaf);
    tls_mint_free(m);
}

static void names_of_every_kind(void **state)
{
    struct tls_mint *m = mint();
    static const char long_name[] =
        "a-very-long-label-of-a-host-that-is-too-long-for-a-common-name.but.good.as.a.name.test";
    static const char *const names[] = {"a.test",           "127.0.0.1", "2001:db8::1", "xn--bcher-kva.test",
                                        "under_score.test", long_name};
    int64_t now = (int64_t)time(NULL), expires;
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        X509 *x = mint_sign(m, span_str(names[i]), NULL, now, &expires);
        assert_non_null(x);
        assert_int_equal(
            X509_check_host(x, names[i], 0, 0, NULL) == 1 || X509_check_ip_asc(x, names[i], 0) == 1, 1);
        assert_int_equal(X509_check_host(x, "b.test", 0, 0, NULL), 0);
        assert_int_equal(X509_verify(x, X509_get0_pubkey(m->cert)), 1);
        assert_int_equal(X509_check_ca(x), 0);
        assert_true(expires > now && expires <= now + 7 * 86400);
        assert_true(X509_cmp_time(X509_get0_notBefore(x), NULL) < 0);
        // The names of a model, whatever is asked for; and of its life what is left.
        int64_t rest;
        X509 *copy = mint_sign(m, SPAN("b.test"), x, now, &rest);
        assert_non_null(copy);
        assert_int_equal(
            X509_check_host(copy, names[i], 0, 0, NULL) == 1 || X509_check_ip_asc(copy, names[i], 0) == 1, 1);
        assert_int_equal(X509_check_host(copy, "b.test", 0, 0, NULL), 0);
        assert_true(rest <= expires);
        assert_int_not_equal(ASN1_INTEGER_cmp(X509_get0_serialNumber(copy), X509_get0_serialNumber(x)), 0);
        X509_free(copy);
        X509_free(x);
    }
    assert_null(mint_sign(m, SPAN(""), NULL, now, &expires));
    ERR_clear_error();
    tls_mint_free(m);
}

// ---- On a fiber, as it is used

enum { MANY = MINT_SLOTS + 300 };

static struct tls_mint *shared;
static unsigned done;
static bool same;

static void ask_for_many(void *arg)
{
    struct tls_leaf *first, *again, *l;
    (void)arg;
    if (tls_mint_leaf(shared, SPAN("first.test"), NULL, &first) ||
        tls_mint_leaf(shared, SPAN("first.test"), NULL, &again))
        return;
    same = first == again;
    for (unsigned i = 0; i < MANY; i++) {
        char name[32];
        snprintf(name, sizeof name, "n%u.test", i);
        if (tls_mint_leaf(shared, span_str(name), NULL, &l))
            return;
        tls_leaf_unref(l);
        done++;
    }
    // Who has one keeps it, whoever has taken its place meanwhile.
    same &= X509_check_host(first->cert, "first.test", 0, 0, NULL) == 1;
    tls_leaf_unref(first);
    tls_leaf_unref(again);
    done++;
}

static bool all_done(void *arg)
{
    (void)arg;
    return done == MANY + 1;
}

static void they_are_kept_up_to_a_bound(void **state)
{
    struct loop *l;
    (void)state;
    shared = mint();
    assert_int_equal(loop_new(&l), ERR_OK);
    assert_int_equal(fiber_start(ask_for_many, NULL, NULL), ERR_OK);
    assert_true(loop_run_until(l, all_done, NULL));
    assert_true(same);
    assert_in_range(tls_mint_kept(shared), MINT_SLOTS / 2, MINT_SLOTS);
    loop_free(l);
    tls_mint_free(shared);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_authority_has_to_be_one),
        cmocka_unit_test(names_of_every_kind),
        cmocka_unit_test(they_are_kept_up_to_a_bound),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
