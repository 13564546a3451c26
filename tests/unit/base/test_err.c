// SPDX-License-Identifier: Apache-2.0
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <string.h>

#include "base/err.h"

static void every_row_is_complete(void **state)
{
    (void)state;
    for (int i = 0; i < N_ERRS; i++) {
        const struct err_info *e = err_info((enum err)i);
        assert_non_null(e->name);
        assert_true(strlen(e->name) > 0);
        for (const char *p = e->name; *p; p++)
            assert_true((*p >= 'a' && *p <= 'z') || (*p >= '0' && *p <= '9') || *p == '_');
        size_t n = strlen(e->text);
        assert_true(n > 1 && e->text[0] >= 'A' && e->text[0] <= 'Z' && e->text[n - 1] == '.');
        assert_true(e->status >= 200 && e->status <= 599);
        assert_true(i == ERR_OK || e->status >= 400);
        assert_true(e->fault <= ERR_FAULT_POLICY);
        assert_true(e->retry <= ERR_RETRY_ANY);
    }
    assert_int_equal(ERR_OK, 0); // `if (e)` means failure
    assert_string_equal(err_name(ERR_OK), "ok");
}

static void names_are_unique(void **state)
{
    (void)state;
    for (int i = 0; i < N_ERRS; i++)
        for (int j = i + 1; j < N_ERRS; j++)
            assert_string_not_equal(err_name((enum err)i), err_name((enum err)j));
}

// RFC 9209 section 2.3 and the registry that it opens: no other token may be sent.
static void tokens_are_registered(void **state)
{
    (void)state;
    static const char *const known[] = {
        "",
        "dns_timeout",
        "dns_error",
        "destination_not_found",
        "destination_unavailable",
        "destination_ip_prohibited",
        "destination_ip_unroutable",
        "connection_refused",
        "connection_terminated",
        "connection_timeout",
        "connection_read_timeout",
        "connection_write_timeout",
        "connection_limit_reached",
        "tls_protocol_error",
        "tls_certificate_error",
        "tls_alert_received",
        "http_request_error",
        "http_request_denied",
        "http_response_incomplete",
        "http_response_header_section_size",
        "http_response_header_size",
        "http_response_body_size",
        "http_response_trailer_section_size",
        "http_response_trailer_size",
        "http_response_transfer_coding",
        "http_response_content_coding",
        "http_response_timeout",
        "http_upgrade_failed",
        "http_protocol_error",
        "proxy_internal_response",
        "proxy_internal_error",
        "proxy_configuration_error",
        "proxy_loop_detected",
    };
    for (int i = 0; i < N_ERRS; i++) {
        const char *token = err_info((enum err)i)->proxy_status;
        bool found = false;
        for (size_t k = 0; k < ARRAY_LEN(known) && !found; k++)
            found = strcmp(token, known[k]) == 0;
        if (!found)
            fail_msg("%s: %s is no error type of RFC 9209", err_name((enum err)i), token);
    }
}

// A request that a server may have seen is never repeated for a fault that is not the server's side.
static void retries_only_where_the_upstream_failed(void **state)
{
    (void)state;
    for (int i = 0; i < N_ERRS; i++) {
        const struct err_info *e = err_info((enum err)i);
        if (e->retry != ERR_RETRY_NEVER)
            assert_int_equal(e->fault, ERR_FAULT_UPSTREAM);
        if (e->fault == ERR_FAULT_UPSTREAM)
            assert_true(e->status >= 502 && e->status <= 504);
        if (e->fault == ERR_FAULT_CLIENT)
            assert_true(e->status < 500 || e->status == 501 || e->status == 505 || e->status == 508);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_is_complete),
        cmocka_unit_test(names_are_unique),
        cmocka_unit_test(tokens_are_registered),
        cmocka_unit_test(retries_only_where_the_upstream_failed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
