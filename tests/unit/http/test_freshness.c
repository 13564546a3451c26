// SPDX-License-Identifier: Apache-2.0
// What may be stored and for how long it is fresh (RFC 9111 3 and 4.2), by tables of messages.
#include "http_test.h"

#include "http/freshness.h"

static struct arena a;
static const int64_t now_ms = INT64_C(1700000000500); // Tue, 14 Nov 2023 22:13:20 GMT and a half
static const char *const now_date = "Tue, 14 Nov 2023 22:13:20 GMT", *const hour_later = "Tue, 14 Nov 2023 23:13:20 GMT",
                         *const hour_ago = "Tue, 14 Nov 2023 21:13:20 GMT";
static const struct freshness_policy none = {NULL, 0, CACHE_SECONDS_NONE, CACHE_SECONDS_NONE, CACHE_SECONDS_NONE, false};

struct message {
    struct request req;
    struct response resp;
};

// "name: value" lines, request's behind `>`.
static void message(struct message *m, unsigned status, const char *const *lines)
{
    memset(m, 0, sizeof *m);
    fields_init(&m->req.fields, &a);
    fields_init(&m->resp.fields, &a);
    m->req.method = METHOD_GET;
    m->resp.status = (uint16_t)status;
    for (; *lines; lines++) {
        struct span l = span_str(*lines);
        bool to_request = l.ptr[0] == '>';
        struct span value = to_request ? span_skip(l, 1) : l, name = span_cut(&value, ':');
        assert_int_equal(fields_add_named(to_request ? &m->req.fields : &m->resp.fields, name, span_trim(value)), ERR_OK);
    }
}

#define JUDGE(status, ...) judge(status, (const char *const[]){__VA_ARGS__, NULL}, &none, &f)
static enum storable judge(unsigned status, const char *const *lines, const struct freshness_policy *p, struct freshness *f)
{
    struct message m;
    message(&m, status, lines);
    return freshness_judge(&m.req, &m.resp, p, now_ms - 200, now_ms, &a, f);
}

static void storing(void **state)
{
    (void)state;
    struct freshness f;
    assert_int_equal(JUDGE(200, "Cache-Control: max-age=60"), STORABLE_YES);
    assert_int_equal(JUDGE(200, "X: y"), STORABLE_NO_FRESHNESS);
    assert_int_equal(JUDGE(200, "ETag: \"a\""), STORABLE_YES);
    assert_int_equal(JUDGE(200, "Cache-Control: no-store, max-age=60"), STORABLE_NO_STORE);
    assert_int_equal(JUDGE(200, "Cache-Control: private, max-age=60"), STORABLE_PRIVATE);
    assert_int_equal(JUDGE(200, "Cache-Control: private=\"a\", max-age=60"), STORABLE_YES);
    assert_int_equal(JUDGE(200, "Cache-Control: max-age=60", ">Cache-Control: no-store"), STORABLE_REQUEST_NO_STORE);
    assert_int_equal(JUDGE(200, "Cache-Control: max-age=60", "Vary: Accept, *"), STORABLE_VARY_ALL);
    assert_int_equal(JUDGE(200, "Cache-Control: max-age=60", ">Authorization: Basic x"), STORABLE_AUTHORIZATION);
    assert_int_equal(JUDGE(200, "Cache-Control: public, max-age=60", ">Authorization: Basic x"), STORABLE_YES);
    assert_int_equal(JUDGE(200, "Cache-Control: s-maxage=60", ">Authorization: Basic x"), STORABLE_YES);
    assert_int_equal(JUDGE(200, "Cache-Control: must-revalidate, max-age=60", ">Authorization: Basic x"), STORABLE_YES);
    assert_int_equal(JUDGE(200, "Cache-Control: no-store, must-understand, max-age=60"), STORABLE_YES);
    assert_int_equal(JUDGE(599, "Cache-Control: no-store, must-understand, max-age=60"), STORABLE_NOT_UNDERSTOOD);
    assert_int_equal(JUDGE(599, "Cache-Control: max-age=60"), STORABLE_YES);
    assert_int_equal(JUDGE(404, "Last-Modified: Tue, 14 Nov 2023 21:13:20 GMT"), STORABLE_ERROR);
    assert_int_equal(JUDGE(404, "Cache-Control: max-age=60"), STORABLE_YES);
    assert_int_equal(JUDGE(206, "Cache-Control: max-age=60"), STORABLE_STATUS);
    assert_int_equal(JUDGE(416, "Cache-Control: max-age=60"), STORABLE_STATUS);
    assert_int_equal(JUDGE(200, "Set-Cookie: a=b", "Last-Modified: Tue, 14 Nov 2023 21:13:20 GMT"), STORABLE_SET_COOKIE);
    assert_int_equal(JUDGE(200, "Set-Cookie: a=b", "Cache-Control: max-age=60"), STORABLE_YES);
    assert_int_equal(JUDGE(200, "CDN-Cache-Control: max-age=60", "Cache-Control: no-store"), STORABLE_YES);
    assert_int_equal(JUDGE(200, "CDN-Cache-Control: &&", "Cache-Control: no-store"), STORABLE_NO_STORE);
    assert_int_equal(JUDGE(200, "Weir-Cache-Control: no-store", "CDN-Cache-Control: max-age=60"), STORABLE_NO_STORE);
}

static int64_t lifetime(unsigned status, const char *const *lines)
{
    struct freshness f;
    (void)judge(status, lines, &none, &f);
    return f.lifetime_ms / 1000;
}
#define LIFETIME(status, ...) lifetime(status, (const char *const[]){__VA_ARGS__, NULL})

static void lifetimes(void **state)
{
    (void)state;
    const char *later = arena_cstr(&a, arena_printf(&a, "Expires: %s", hour_later)), *ago = arena_cstr(&a, arena_printf(&a, "Expires: %s", hour_ago)),
               *date = arena_cstr(&a, arena_printf(&a, "Date: %s", now_date));
    assert_int_equal(LIFETIME(200, "Cache-Control: max-age=60, s-maxage=5"), 5);
    assert_int_equal(LIFETIME(200, "Cache-Control: max-age=60", ago, date), 60);
    assert_int_equal(LIFETIME(200, later, date), 3600);
    assert_int_equal(LIFETIME(200, later, "Date: nonsense"), 3600);
    assert_int_equal(LIFETIME(200, "Expires: tUE, 14 nOV 2023 23:13:20 gmt", date), 3600); // without regard to case
    assert_int_equal(LIFETIME(200, "Expires: Tue, 14 Nov 2023 23:13:20 UTC", date), 0);
    assert_int_equal(LIFETIME(200, ago, date), 0);
    assert_int_equal(LIFETIME(200, "Expires: 0", date), 0);
    assert_int_equal(LIFETIME(200, later, later, date), 0); // twice: invalid
    assert_int_equal(LIFETIME(200, "CDN-Cache-Control: foo", later, date), 0); // Expires does not count beside it
    assert_int_equal(LIFETIME(200, "Last-Modified: Tue, 14 Nov 2023 21:13:20 GMT", date), 360);
    assert_int_equal(LIFETIME(200, "Last-Modified: Tue, 14 Nov 2000 21:13:20 GMT", date), 86400);
    assert_int_equal(LIFETIME(200, "Last-Modified: Tue, 14 Nov 2023 23:13:20 GMT", date), 0); // in the future
    assert_int_equal(LIFETIME(302, "Last-Modified: Tue, 14 Nov 2023 21:13:20 GMT", date), 0);
}

static void ages(void **state)
{
    (void)state;
    struct freshness f;
    static const struct {
        const char *one, *two;
        int64_t age_ms;
    } t[] = {
        {"Age: 7", NULL, 7200},
        {"Age: 0,7200", NULL, 200},
        {"Age: 7200,0", NULL, 7200200},
        {"Age: 7200", "Age: 0", INT64_C(2147483647200)}, // what cannot be read is old
        {"Age: old, 0", NULL, INT64_C(2147483647200)},
        {"Age: -7200", NULL, INT64_C(2147483647200)},
        {"Age: 7200.0", NULL, INT64_C(2147483647200)},
        {"Age: 0;a=b", NULL, INT64_C(2147483647200)},
        {"Age: 2147483649", NULL, INT64_C(2147483647200)},
        {"Date: Tue, 14 Nov 2023 21:13:20 GMT", NULL, 3600000},
        {"Date: Tue, 14 Nov 2023 21:13:20 GMT", "Age: 4000", 4000200},
        {"Date: Tue, 14 Nov 2023 23:13:20 GMT", NULL, 200}, // a fast clock
    };
    for (size_t i = 0; i < ARRAY_LEN(t); i++) {
        (void)judge(200, (const char *const[]){t[i].one, t[i].two, NULL}, &none, &f);
        if (freshness_age_ms(&f, now_ms) != t[i].age_ms || freshness_age_ms(&f, now_ms + 5000) != t[i].age_ms + 5000)
            fail_msg("%s: %lld", t[i].one, (long long)f.initial_age_ms);
        assert_int_equal(freshness_age_ms(&f, now_ms - 5000), t[i].age_ms); // the clock was set back
    }
}

static void operators_word(void **state)
{
    (void)state;
    static const uint16_t errors[] = {404, 503};
    static const struct freshness_ttl ttls[] = {{10, errors, 2}, {120, NULL, 0}};
    struct freshness_policy p = {ttls, 2, CACHE_SECONDS_NONE, 5, 6, false};
    struct freshness f;
    assert_int_equal(judge(404, (const char *const[]){NULL}, &p, &f), STORABLE_YES);
    assert_int_equal(f.lifetime_ms, 10000);
    assert_int_equal(judge(200, (const char *const[]){NULL}, &p, &f), STORABLE_YES);
    assert_int_equal(f.lifetime_ms, 120000);
    assert_true(f.while_revalidate_ms == 5000 && f.if_error_ms == 6000);
    assert_int_equal(judge(200, (const char *const[]){"Set-Cookie: a=b", NULL}, &p, &f), STORABLE_SET_COOKIE);
    assert_int_equal(judge(200, (const char *const[]){"Cache-Control: max-age=1, stale-if-error=60", NULL}, &p, &f), STORABLE_YES);
    assert_true(f.lifetime_ms == 1000 && f.if_error_ms == 60000);
    p.override_s = 30;
    assert_int_equal(judge(200, (const char *const[]){"Cache-Control: no-cache, max-age=1", NULL}, &p, &f), STORABLE_YES);
    assert_true(f.lifetime_ms == 30000 && !f.always_validate);
    assert_int_equal(judge(200, (const char *const[]){"Cache-Control: no-store", NULL}, &p, &f), STORABLE_NO_STORE);
}

static enum freshness_use use(const char *response, const char *request, int64_t seconds)
{
    struct message m;
    struct freshness f;
    struct cache_control q;
    message(&m, 200, (const char *const[]){response, request, NULL});
    freshness_compute(&m.resp, &none, now_ms, now_ms, &a, &f);
    cache_control_parse(&m.req.fields, &q);
    return freshness_use(&f, &q, now_ms + seconds * 1000);
}

static void uses(void **state)
{
    (void)state;
    static const struct {
        const char *response, *request;
        int64_t seconds;
        enum freshness_use want;
    } t[] = {
        {"Cache-Control: max-age=10", NULL, 9, USE_FRESH},
        {"Cache-Control: max-age=10", NULL, 10, USE_VALIDATE},
        {"Cache-Control: max-age=10, no-cache", NULL, 1, USE_VALIDATE},
        {"Cache-Control: max-age=10", ">Cache-Control: no-cache", 1, USE_VALIDATE_REQUEST},
        {"Cache-Control: max-age=10", ">Cache-Control: max-age=0", 0, USE_VALIDATE_REQUEST},
        {"Cache-Control: max-age=10", ">Cache-Control: max-age=5", 5, USE_FRESH},
        {"Cache-Control: max-age=10", ">Cache-Control: max-age=5", 6, USE_VALIDATE_REQUEST},
        {"Cache-Control: max-age=10", ">Cache-Control: min-fresh=5", 5, USE_FRESH},
        {"Cache-Control: max-age=10", ">Cache-Control: min-fresh=5", 6, USE_VALIDATE_REQUEST},
        {"Cache-Control: max-age=10", ">Cache-Control: max-stale", 5000, USE_STALE},
        {"Cache-Control: max-age=10", ">Cache-Control: max-stale=5", 15, USE_STALE},
        {"Cache-Control: max-age=10", ">Cache-Control: max-stale=5", 16, USE_VALIDATE},
        {"Cache-Control: max-age=10, must-revalidate", ">Cache-Control: max-stale", 11, USE_VALIDATE},
        {"Cache-Control: max-age=10, proxy-revalidate", ">Cache-Control: max-stale", 11, USE_VALIDATE},
        {"Cache-Control: s-maxage=10", ">Cache-Control: max-stale", 11, USE_VALIDATE},
        {"Cache-Control: max-age=10, stale-while-revalidate=5", NULL, 14, USE_WHILE_REVALIDATE},
        {"Cache-Control: max-age=10, stale-while-revalidate=5", NULL, 15, USE_VALIDATE},
        {"Cache-Control: max-age=10, stale-while-revalidate=5, must-revalidate", NULL, 11, USE_VALIDATE},
        {"Cache-Control: max-age=10, stale-while-revalidate=5", ">Cache-Control: max-age=1", 11, USE_VALIDATE},
    };
    for (size_t i = 0; i < ARRAY_LEN(t); i++)
        if (use(t[i].response, t[i].request, t[i].seconds) != t[i].want)
            fail_msg("row %zu: %s / %s after %lld s: %d", i, t[i].response, t[i].request, (long long)t[i].seconds, use(t[i].response, t[i].request, t[i].seconds));
}

static void errors(void **state)
{
    (void)state;
    struct message m;
    struct freshness f;
    message(&m, 200, (const char *const[]){"Cache-Control: max-age=10, stale-if-error=5", NULL});
    freshness_compute(&m.resp, &none, now_ms, now_ms, &a, &f);
    assert_true(freshness_serves_error(&f, NULL, now_ms + 14000));
    assert_false(freshness_serves_error(&f, NULL, now_ms + 15000));
    message(&m, 200, (const char *const[]){"Cache-Control: s-maxage=10, stale-if-error=5", NULL});
    freshness_compute(&m.resp, &none, now_ms, now_ms, &a, &f);
    assert_false(freshness_serves_error(&f, NULL, now_ms + 11000));
    message(&m, 200, (const char *const[]){"Cache-Control: max-age=10", NULL});
    freshness_compute(&m.resp, &none, now_ms, now_ms, &a, &f);
    assert_false(freshness_serves_error(&f, NULL, now_ms + 11000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(storing), cmocka_unit_test(lifetimes), cmocka_unit_test(ages),
                                       cmocka_unit_test(operators_word), cmocka_unit_test(uses), cmocka_unit_test(errors)};
    arena_init(&a, 0);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_fini(&a);
    arena_thread_fini();
    return failed;
}
