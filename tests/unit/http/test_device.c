// SPDX-License-Identifier: Apache-2.0
// Classes of devices, by what well-known clients say.
#include "http_test.h"

#include "http/device.h"

static struct arena a;

static void classed(const char *agent, const char *hint, const char *class)
{
    struct fields f;
    fields_init(&f, &a);
    if (agent)
        assert_int_equal(fields_add_named(&f, SPAN("user-agent"), span_str(agent)), ERR_OK);
    if (hint)
        assert_int_equal(fields_add_named(&f, SPAN("Sec-CH-UA-Mobile"), span_str(hint)), ERR_OK);
    struct span is = device_name(device_of(&f));
    if (!span_eq(is, span_str(class)))
        fail_msg("%s is %.*s, not %s", agent ? agent : "(nothing)", SPAN_ARG(is), class);
}

static void by_user_agent(void **state)
{
    (void)state;
    classed("Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) "
            "Chrome/120.0.0.0 Safari/537.36",
            NULL, "desktop");
    classed("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) "
            "Version/17.0 Safari/605.1.15",
            NULL, "desktop");
    classed("Mozilla/5.0 (X11; Linux x86_64; rv:109.0) Gecko/20100101 Firefox/115.0", NULL, "desktop");
    classed("curl/8.4.0", NULL, "desktop");
    classed("Mozilla/5.0 (iPhone; CPU iPhone OS 17_0 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
            "Version/17.0 Mobile/15E148 Safari/604.1",
            NULL, "mobile");
    classed("Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/120.0.0.0 "
            "Mobile Safari/537.36",
            NULL, "mobile");
    classed("Mozilla/5.0 (Android 13; Mobile; rv:109.0) Gecko/115.0 Firefox/115.0", NULL, "mobile");
    classed("Opera/9.80 (J2ME/MIDP; Opera Mini/7.1.32052/29.3709; U; en) Presto/2.8.119 Version/11.10", NULL,
            "mobile");
    classed("Mozilla/5.0 (iPad; CPU OS 16_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
            "Version/16.6 Mobile/15E148 Safari/604.1",
            NULL, "tablet");
    classed("Mozilla/5.0 (Linux; Android 12; SM-X906C) AppleWebKit/537.36 (KHTML, like Gecko) "
            "Chrome/80.0.3987.119 Safari/537.36",
            NULL, "tablet");
    classed("Mozilla/5.0 (Android 13; Tablet; rv:109.0) Gecko/115.0 Firefox/115.0", NULL, "tablet");
    classed("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)", NULL, "bot");
    classed("Mozilla/5.0 (Linux; Android 6.0.1; Nexus 5X Build/MMB29P) AppleWebKit/537.36 Chrome/120.0 "
            "Mobile Safari/537.36 (compatible; Googlebot/2.1)",
            NULL, "bot");
    classed("Mozilla/5.0 (compatible; Baiduspider/2.0)", NULL, "bot");
}

static void what_only_looks_like_a_word(void **state)
{
    (void)state;
    classed("Mozilla/5.0 (Linux; Android 9; CUBOT X19) AppleWebKit/537.36 Chrome/80.0 Mobile Safari/537.36",
            NULL, "mobile");
    classed("Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1; Trident/4.0; Tablet PC 2.0)", NULL,
            "desktop");
    classed("Cubot", NULL, "desktop");
    classed("Robotics/1.0", NULL, "desktop");
    classed("acubot/1.0", NULL, "bot");
    classed("bot", NULL, "bot");
    classed("bottle bot", NULL, "bot");
    classed("", NULL, "desktop");
    classed(NULL, NULL, "desktop");
}

static void by_client_hint(void **state)
{
    (void)state;
    classed("Mozilla/5.0 (X11) Chrome/120.0", "?1", "mobile");
    classed("Mozilla/5.0 (X11) Chrome/120.0", "?0", "desktop");
    classed("Mozilla/5.0 (X11) Chrome/120.0", "1", "desktop");
    classed(NULL, "?1", "mobile");
    classed("Mozilla/5.0 (iPad) Mobile", "?1", "tablet");
    classed("Googlebot/2.1", "?1", "bot");
}

static void a_long_one_is_looked_at_in_part(void **state)
{
    (void)state;
    char agent[6000];
    memset(agent, 'x', sizeof agent);
    memcpy(agent + sizeof agent - 8, " iPhone", 8);
    classed(agent, NULL, "desktop");
    memcpy(agent, "iPhone ", 7);
    classed(agent, NULL, "mobile");
}

static void what_it_covers(void **state)
{
    (void)state;
    assert_true(device_covers(SPAN("User-Agent")));
    assert_true(device_covers(SPAN("sec-ch-ua-mobile")));
    assert_false(device_covers(SPAN("sec-ch-ua")));
    assert_false(device_covers(SPAN("accept-language")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_user_agent),  cmocka_unit_test(what_only_looks_like_a_word),
        cmocka_unit_test(by_client_hint), cmocka_unit_test(a_long_one_is_looked_at_in_part),
        cmocka_unit_test(what_it_covers),
    };
    arena_init(&a, 0);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    arena_fini(&a);
    return failed;
}
