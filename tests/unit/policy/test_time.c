// SPDX-License-Identifier: Apache-2.0
// The condition `time`, on local clocks that jump.
#include "policy_test.h"

#include <time.h>

/// A moment in UTC.
static struct asker at(const char *utc)
{
    struct tm tm = {0};
    const char *end = strptime(utc, "%Y-%m-%d %H:%M:%S", &tm);
    assert_true(end && !*end);
    return (struct asker){.wall_s = (int64_t)timegm(&tm)};
}

#define YES(rule, utc) assert_decides_to("deny time " rule, GET("/"), at(utc), "deny")
#define NO(rule, utc)  assert_decides_to("deny time " rule, GET("/"), at(utc), "none")

static void days(void **state)
{
    (void)state;
    YES("mon-fri", "2026-11-23 00:00:00"); // a Monday
    YES("mon-fri", "2026-11-27 23:59:59");
    NO("mon-fri", "2026-11-28 00:00:00");
    YES("sat,sun", "2026-11-29 12:00:00");
    NO("sat,sun", "2026-11-30 00:00:00");
    YES("fri-mon", "2026-11-30 12:00:00"); // over the end of the week
    NO("fri-mon", "2026-12-01 12:00:00");
    YES("TUE", "2026-12-01 12:00:00");
    YES("mon wed", "2026-12-02 12:00:00");
    YES("wed", "1969-12-31 23:59:59");
    YES("thu", "1970-01-01 00:00:00");
    YES("sun", "1969-12-28 00:00:00");
}

static void hours(void **state)
{
    (void)state;
    YES("09:00-17:30", "2026-11-24 09:00:00");
    YES("09:00-17:30", "2026-11-24 17:29:59");
    NO("09:00-17:30", "2026-11-24 17:30:00");
    NO("09:00-17:30", "2026-11-24 08:59:59");
    YES("00:00-24:00", "2026-11-24 23:59:59");
    YES("22:00-24:00", "2026-11-24 23:59:59");
    NO("22:00-24:00", "2026-11-25 00:00:00");
    YES("08:00-09:00 10:00-11:00", "2026-11-24 10:30:00");
    NO("08:00-09:00 10:00-11:00", "2026-11-24 09:30:00");
    NO("mon-fri 09:00-17:30", "2026-11-28 10:00:00");
    YES("9:00-9:30", "2026-11-28 09:10:00");
}

// Over midnight the day is the one on which it begins.
static void over_midnight(void **state)
{
    (void)state;
    YES("fri 22:00-06:00", "2026-11-27 22:00:00");
    YES("fri 22:00-06:00", "2026-11-28 05:59:59");
    NO("fri 22:00-06:00", "2026-11-28 06:00:00");
    NO("fri 22:00-06:00", "2026-11-27 05:00:00"); // that is Thursday's
    NO("fri 22:00-06:00", "2026-11-28 22:00:00");
    YES("sun 23:00-01:00", "2026-11-30 00:30:00");
    YES("22:00-06:00", "2026-11-30 00:30:00");
    NO("22:00-06:00", "2026-11-30 12:00:00");
    YES("sat 12:00-00:00", "2026-11-28 23:59:59");
    NO("sat 12:00-00:00", "2026-11-29 00:00:00");
}

static void zones(void **state)
{
    (void)state;
    // Summer: two hours ahead of UTC; winter: one.
    YES("tue 09:00-17:30 Europe/Paris", "2026-06-30 07:00:00");
    NO("tue 09:00-17:30 Europe/Paris", "2026-06-30 06:59:59");
    NO("tue 09:00-17:30 Europe/Paris", "2026-11-24 07:59:59");
    YES("tue 09:00-17:30 Europe/Paris", "2026-11-24 08:00:00");
    YES("sat Asia/Tokyo", "2026-11-27 15:00:00"); // there it is Saturday already
    NO("fri Asia/Tokyo", "2026-11-27 15:00:00");
    YES("sun America/New_York", "2026-11-30 04:59:59");         // and here still Sunday
    YES("Europe/Paris mon 00:00-01:00", "2026-11-29 23:30:00"); // in any order
    YES("10:00-11:00 UTC", "2026-11-29 10:30:00");
}

// In Paris 02:00 to 03:00 does not exist on 2026-03-29 and exists twice on 2026-10-25.
static void clocks_that_jump(void **state)
{
    (void)state;
    YES("sun 01:30-02:30 Europe/Paris", "2026-03-29 00:59:59"); // 01:59:59
    NO("sun 01:30-02:30 Europe/Paris", "2026-03-29 01:00:00");  // 03:00
    NO("sun 02:00-03:00 Europe/Paris", "2026-03-29 00:59:59");
    NO("sun 02:00-03:00 Europe/Paris", "2026-03-29 01:00:00");
    YES("sun 02:00-03:00 Europe/Paris", "2026-10-25 00:30:00"); // the first time
    YES("sun 02:00-03:00 Europe/Paris", "2026-10-25 01:30:00"); // the second
    NO("sun 02:00-03:00 Europe/Paris", "2026-10-25 02:00:00");
    // New York: 02:00 EST becomes 03:00 EDT on 2026-03-08; 02:00 EDT becomes 01:00 EST on 2026-11-01.
    YES("sun 03:00-04:00 America/New_York", "2026-03-08 07:00:00");
    NO("sun 02:00-03:00 America/New_York", "2026-03-08 07:00:00");
    YES("sun 01:00-02:00 America/New_York", "2026-11-01 05:30:00");
    YES("sun 01:00-02:00 America/New_York", "2026-11-01 06:30:00");
    NO("sun 01:00-02:00 America/New_York", "2026-11-01 07:00:00");
    // A night over the jump ends at six by the new clock.
    YES("sat 22:00-06:00 Europe/Paris", "2026-03-29 03:59:59");
    NO("sat 22:00-06:00 Europe/Paris", "2026-03-29 04:00:00");
    YES("sat 22:00-06:00 Europe/Paris", "2026-10-25 04:59:59");
    NO("sat 22:00-06:00 Europe/Paris", "2026-10-25 05:00:00");
}

static void mistakes(void **state)
{
    (void)state;
    assert_refused("deny time mon-fry", "time zone");
    assert_refused("deny time 25:00-26:00", "neither days");
    assert_refused("deny time 10:60-11:00", "neither days");
    assert_refused("deny time 10:0-11:00", "neither days");
    assert_refused("deny time 09:00", "neither days");
    assert_refused("deny time 24:30-25:00", "neither days");
    assert_refused("deny time 24:00-06:00", "empty");
    assert_refused("deny time 09:00-09:00", "empty");
    assert_refused("deny time Europe/Pariss", "tzdata");
    assert_refused("deny time Europe/Paris UTC", "one time zone");
    assert_refused("deny time ../../etc/passwd", "neither days");
    assert_refused("deny time mon,,tue", "neither days");
    char many[400] = "deny time";
    for (unsigned i = 0; i < 17; i++)
        snprintf(many + strlen(many), sizeof many - strlen(many), " 10:00-11:%02u", i);
    assert_refused(many, "too many");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(days),
        cmocka_unit_test(hours),
        cmocka_unit_test(over_midnight),
        cmocka_unit_test(zones),
        cmocka_unit_test(clocks_that_jump),
        cmocka_unit_test(mistakes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
