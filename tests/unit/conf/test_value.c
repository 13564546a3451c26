// SPDX-License-Identifier: Apache-2.0
// Numbers with units.
#include "conf_test.h"

static void numbers(void **state)
{
    (void)state;
    static const struct {
        enum conf_type type;
        const char *text;
        bool ok;
        uint64_t value;
    } rows[] = {
        {CONF_T_INT, "0", true, 0},
        {CONF_T_INT, "12345", true, 12345},
        {CONF_T_INT, "9223372036854775807", true, INT64_MAX},
        {CONF_T_INT, "9223372036854775808", false, 0},
        {CONF_T_INT, "5s", false, 0},
        {CONF_T_INT, "-1", false, 0},
        {CONF_T_INT, "", false, 0},
        {CONF_T_DURATION, "500ms", true, 500},
        {CONF_T_DURATION, "10s", true, 10000},
        {CONF_T_DURATION, "5m", true, 300000},
        {CONF_T_DURATION, "2h", true, 7200000},
        {CONF_T_DURATION, "1d", true, 86400000},
        {CONF_T_DURATION, "0s", true, 0},
        {CONF_T_DURATION, "10", false, 0},
        {CONF_T_DURATION, "s", false, 0},
        {CONF_T_DURATION, "1.5s", false, 0},
        {CONF_T_DURATION, "10S", false, 0},
        {CONF_T_DURATION, "10 s", false, 0},
        {CONF_T_DURATION, "-1s", false, 0},
        {CONF_T_DURATION, "10KiB", false, 0},
        {CONF_T_DURATION, "106751991168d", false, 0}, // beyond 63 bits of milliseconds
        {CONF_T_DURATION, "18446744073709551616s", false, 0},
        {CONF_T_SIZE, "512B", true, 512},
        {CONF_T_SIZE, "8KiB", true, 8192},
        {CONF_T_SIZE, "64MiB", true, 64 << 20},
        {CONF_T_SIZE, "3GiB", true, 3ULL << 30},
        {CONF_T_SIZE, "1TiB", true, 1ULL << 40},
        {CONF_T_SIZE, "1kB", true, 1000},
        {CONF_T_SIZE, "1MB", true, 1000000},
        {CONF_T_SIZE, "1GB", true, 1000000000},
        {CONF_T_SIZE, "1K", false, 0},
        {CONF_T_SIZE, "8", false, 0},
        {CONF_T_SIZE, "16777216TiB", false, 0},
        {CONF_T_RATE, "50/s", true, 50},
        {CONF_T_RATE, "10MiB/s", true, 10 << 20},
        {CONF_T_RATE, "50", false, 0},
        {CONF_T_RATE, "/s", false, 0},
        {CONF_T_RATE, "50/m", false, 0},
        {CONF_T_PERCENT, "20%", true, 2000},
        {CONF_T_PERCENT, "100%", true, 10000},
        {CONF_T_PERCENT, "101%", false, 0},
        {CONF_T_PERCENT, "20", false, 0},
        {CONF_T_PERCENT, "%", false, 0},
        {CONF_T_WORD, "x", false, 0},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint64_t v = 0;
        const char *why = NULL;
        bool ok = conf_parse_number(rows[i].type, span_str(rows[i].text), &v, &why);
        if (ok != rows[i].ok || (ok && v != rows[i].value))
            fail_msg("%s: %d, %llu", rows[i].text, ok, (unsigned long long)v);
        assert_true(ok || why != NULL);
    }
}

static void suggestions(void **state)
{
    (void)state;
    static const char *const words[] = {
        "listen", "route", "remove", "set",
        "a-very-long-word-of-more-than-sixty-four-characters-is-never-suggested-at-all"};
    static const struct {
        const char *word, *near;
    } rows[] = {
        {"lisen", "listen"},
        {"listne", "listen"},
        {"LISTEN", NULL},
        {"rote", "route"},
        {"remvoe", "remove"},
        {"sett", "set"},
        {"xyz", NULL},
        {"", NULL},
        {"s", NULL},
        {"listening", "listen"},
        {"a-very-long-word-of-more-than-sixty-four-characters-is-never-suggested-at-all", NULL},
    };
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *near = conf_did_you_mean(span_str(rows[i].word), words, ARRAY_LEN(words));
        if ((near == NULL) != (rows[i].near == NULL) || (near && strcmp(near, rows[i].near) != 0))
            fail_msg("%s: %s", rows[i].word, near ? near : "nothing");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(numbers), cmocka_unit_test(suggestions)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
