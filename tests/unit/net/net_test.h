// SPDX-License-Identifier: Apache-2.0
// What the tests of net share.
#ifndef WEIR_TESTS_NET_TEST_H
#define WEIR_TESTS_NET_TEST_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "net/addr.h"

/// The address "192.0.2.1" or "2001:db8::1".
static inline struct addr ip_of(const char *text)
{
    struct addr a;
    if (!addr_parse_ip(span_str(text), &a))
        fail_msg("%s is no address", text);
    return a;
}

/// The same with a port.
static inline struct addr at_port(const char *text, uint16_t port)
{
    struct addr a = ip_of(text);
    a.port = port;
    return a;
}

#endif
