// SPDX-License-Identifier: Apache-2.0
// Offsets of time zones against the C library's, and files that are damaged in every way.
#include "policy_test.h"

#include <time.h>

#include "base/mem.h"
#include "policy/zone.h"

static const struct zone *load(const char *name, struct arena *a)
{
    const char *why;
    const struct zone *z = zone_load(span_str(name), NULL, a, &why);
    if (!z)
        fail_msg("%s: %s", name, why);
    return z;
}

#define assert_offset(z, at, hours) assert_int_equal(zone_offset_s((z), (at)), (int32_t)((hours)*3600))

// The second before and the second of each change.
static void changes_of_2026(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 0);
    const struct zone *paris = load("Europe/Paris", &a), *york = load("America/New_York", &a);
    assert_offset(paris, 1774745999, 1); // 2026-03-29 00:59:59 UTC
    assert_offset(paris, 1774746000, 2);
    assert_offset(paris, 1792889999, 2); // 2026-10-25 00:59:59 UTC
    assert_offset(paris, 1792890000, 1);
    assert_offset(york, 1772953199, -5); // 2026-03-08 06:59:59 UTC
    assert_offset(york, 1772953200, -4);
    assert_offset(york, 1793512799, -4); // 2026-11-01 05:59:59 UTC
    assert_offset(york, 1793512800, -5);
    // Behind the file's last change, by its rule: 2060-06-15 and 2060-12-15.
    assert_offset(paris, 2854828800, 2);
    assert_offset(paris, 2870640000, 1);
    assert_offset(load("UTC", &a), 1774746000, 0);
    assert_offset(load("Asia/Kolkata", &a), 1774746000, 5.5);
    assert_offset(load("Etc/GMT+5", &a), 1774746000, -5);
    arena_fini(&a);
}

// Zones of every kind: north, south, half an hour of summer time, negative summer time, none.
static void as_the_c_library_says(void **state)
{
    (void)state;
    static const char *const zones[] = {
        "Europe/Paris",     "America/New_York",  "Europe/Dublin",   "Australia/Lord_Howe",
        "America/Santiago", "Africa/Casablanca", "Pacific/Chatham", "America/Nuuk",
        "Asia/Tokyo",       "Asia/Tehran",       "Europe/London",   "Antarctica/Troll",
        "Asia/Jerusalem",   "America/Havana",    "Pacific/Apia",    "Africa/Cairo"};
    for (unsigned i = 0; i < ARRAY_LEN(zones); i++) {
        struct arena a;
        arena_init(&a, 0);
        const struct zone *z = load(zones[i], &a);
        setenv("TZ", zones[i], 1);
        tzset();
        for (int64_t at = -1000000000; at < 5000000000; at += 1234567) {
            time_t t = (time_t)at;
            struct tm tm;
            assert_non_null(localtime_r(&t, &tm));
            if (zone_offset_s(z, at) != (int32_t)tm.tm_gmtoff)
                fail_msg("%s at %lld: %d instead of %ld", zones[i], (long long)at, zone_offset_s(z, at),
                         tm.tm_gmtoff);
        }
        arena_fini(&a);
    }
    unsetenv("TZ");
}

static void names(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "", "x", "/etc/passwd", "../x", "Europe/../../etc/passwd", "Europe/Par is", "10:00-x", "~a"};
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(zone_is_name(span_str(bad[i])));
    assert_true(zone_is_name(SPAN("America/Argentina/Buenos_Aires")));
    assert_true(zone_is_name(SPAN("Etc/GMT+5")));
    struct arena a;
    const char *why = "";
    arena_init(&a, 0);
    assert_null(zone_load(SPAN("Europe/Nowhere"), NULL, &a, &why));
    assert_non_null(strstr(why, "tzdata"));
    assert_null(zone_load(SPAN("Europe"), NULL, &a, &why)); // a folder
    assert_null(zone_load(SPAN("tzdata/zi"), NULL, &a, &why));
    arena_fini(&a);
}

// ---- Files that we write ourselves: one change and a rule

struct made {
    char bytes[512];
    size_t n;
};

static void put(struct made *m, uint64_t v, unsigned n)
{
    for (unsigned i = n; i--;)
        m->bytes[m->n++] = (char)(v >> (8 * i));
}

static void put_block(struct made *m, unsigned time_bytes, unsigned types, unsigned index)
{
    memcpy(m->bytes + m->n, "TZif2\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
    m->n += 20;
    unsigned counts[6] = {0, 0, 0, 1, types, 4}; // isut, isstd, leap, time, type, chars
    for (unsigned i = 0; i < 6; i++)
        put(m, counts[i], 4);
    put(m, 0, time_bytes); // 1970
    put(m, index, 1);
    for (unsigned i = 0; i < types; i++) {
        put(m, i * 3600, 4);
        put(m, 0, 2);
    }
    memcpy(m->bytes + m->n, "ABC", 4);
    m->n += 4;
}

static struct made make(const char *rule)
{
    struct made m = {.n = 0};
    put_block(&m, 4, 2, 1);
    put_block(&m, 8, 2, 1);
    m.n += (size_t)snprintf(m.bytes + m.n, sizeof m.bytes - m.n, "\n%s\n", rule);
    return m;
}

static const struct zone *parse(const struct made *m, struct arena *a)
{
    char *exact = malloc(m->n ? m->n : 1); // so that a sanitizer sees one byte read too far
    assert_non_null(exact);
    memcpy(exact, m->bytes, m->n);
    const struct zone *z = zone_parse(span_of(exact, m->n), a);
    free(exact);
    return z;
}

static void rules(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 0);
    struct made m = make("");
    const struct zone *z = parse(&m, &a);
    assert_offset(z, -1, 0);
    assert_offset(z, 0, 1);
    assert_offset(z, 4000000000, 1);
    // The last Sunday, times of their own, an offset with minutes.
    m = make("<-0330>3:30<-0230>,M3.2.0/0:01,M11.1.0/-1:30");
    z = parse(&m, &a);
    assert_offset(z, 1773000000, -2.5); // 2026-03-08 20:00 UTC
    assert_offset(z, 1772940000, -3.5); // 2026-03-08 03:20 UTC
    // Day 60 is 1 March in leap years too; counted from 0 it is 29 February.
    m = make("AAA0BBB,J60/0,J300");
    z = parse(&m, &a);
    assert_offset(z, 1709251199, 0); // 2024-02-29 23:59:59
    assert_offset(z, 1709251200, 1);
    assert_offset(z, 1772323199, 0); // 2026-02-28 23:59:59
    assert_offset(z, 1772323200, 1);
    m = make("AAA0BBB,59/0,300");
    z = parse(&m, &a);
    assert_offset(z, 1709164799, 0); // 2024-02-28 23:59:59
    assert_offset(z, 1709164800, 1);
    assert_offset(z, 1772323199, 0);
    assert_offset(z, 1772323200, 1);
    arena_fini(&a);
}

static void bad_rules(void **state)
{
    (void)state;
    static const char *const bad[] = {"AB0",
                                      "AAA",
                                      "AAA25",
                                      "AAA0BBB",
                                      "AAA0BBB,M3.2.0",
                                      "AAA0BBB,M13.2.0,M11.1.0",
                                      "AAA0BBB,M3.6.0,M1.1.0",
                                      "AAA0BBB,M3.2.7,M1.1.0",
                                      "AAA0BBB,J0,J5",
                                      "AAA0BBB,J366,J5",
                                      "AAA0BBB,366,5",
                                      "AAA0BBB,J1/168,J5",
                                      "AAA0BBB,J1,J5x",
                                      "<AAA0",
                                      "AAA0:60",
                                      "AAA99999999999999999999",
                                      "AAA0 "};
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        struct arena a;
        arena_init(&a, 0);
        struct made m = make(bad[i]);
        if (parse(&m, &a))
            fail_msg("%s", bad[i]);
        arena_fini(&a);
    }
}

static void damaged_files(void **state)
{
    (void)state;
    struct arena a;
    arena_init(&a, 0);
    struct made whole = make("AAA0"), m;
    assert_non_null(parse(&whole, &a));
    for (size_t n = 0; n < whole.n; n++) { // cut anywhere
        m = whole;
        m.n = n;
        assert_null(parse(&m, &a));
    }
    for (size_t i = 0; i < whole.n; i++) { // one byte changed: refused, or at least not fatal
        m = whole;
        m.bytes[i] = (char)0xff;
        const struct zone *z = parse(&m, &a);
        if (z)
            assert_true(zone_offset_s(z, 1772323200) <= 93600);
    }
    m = (struct made){.n = 0};
    put_block(&m, 4, 2, 2); // a change to a type that is not there
    put_block(&m, 8, 2, 2);
    m.bytes[m.n++] = '\n', m.bytes[m.n++] = '\n';
    assert_null(parse(&m, &a));
    m = whole;
    m.bytes[4] = 0; // of the first version: the first block alone counts
    assert_offset(parse(&m, &a), 5, 1);
    arena_fini(&a);
}

// What the disk had, a process without one has too.
static void from_the_bundle(void **state)
{
    (void)state;
    struct conf_source disk, bundle;
    struct arena a;
    struct span packed;
    const char *why;
    arena_init(&a, 0);
    conf_source_init(&disk, true);
    conf_source_init(&bundle, false);
    assert_null(zone_load(SPAN("Europe/Paris"), &bundle, &a, &why));
    assert_non_null(zone_load(SPAN("Europe/Paris"), &disk, &a, &why));
    assert_true(conf_source_pack(&disk, &a, &packed));
    assert_true(conf_source_unpack(&bundle, packed));
    const struct zone *z = zone_load(SPAN("Europe/Paris"), &bundle, &a, &why);
    assert_non_null(z);
    assert_offset(z, 1774746000, 2);
    conf_source_fini(&bundle);
    conf_source_fini(&disk);
    arena_fini(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changes_of_2026), cmocka_unit_test(as_the_c_library_says),
        cmocka_unit_test(names),           cmocka_unit_test(rules),
        cmocka_unit_test(bad_rules),       cmocka_unit_test(damaged_files),
        cmocka_unit_test(from_the_bundle),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
