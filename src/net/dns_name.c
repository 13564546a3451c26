// SPDX-License-Identifier: Apache-2.0
#include "net/dns_name.h"

#include "base/ascii.h"

enum { LABEL_MAX = 63 };

/// Decimal digits, or 0x and hexadecimal ones (also none), as the URL Standard's "ends in a number" has it.
static bool is_number(struct span label)
{
    bool hex = label.len >= 2 && label.ptr[0] == '0' && label.ptr[1] == 'x';
    for (size_t i = hex ? 2 : 0; i < label.len; i++) {
        unsigned char c = (unsigned char)label.ptr[i];
        if (hex ? ascii_hex(c) < 0 : !ascii_is_digit(c))
            return false;
    }
    return true;
}

enum err dns_name_read(struct span s, struct dns_name *ret)
{
    if (s.len > 1 && s.ptr[s.len - 1] == '.')
        s.len--;
    if (s.len == 0 || s.len > DNS_NAME_MAX)
        return ERR_DNS_FAILED;
    struct dns_name n = {.len = (uint8_t)s.len};
    size_t label = 0;
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (!ascii_is_alnum(c) && c != '-' && c != '_' && c != '.')
            return ERR_DNS_FAILED;
        n.text[i] = (char)ascii_lower(c);
        if (c != '.') {
            if (i - label >= LABEL_MAX)
                return ERR_DNS_FAILED;
        } else if (i == label) {
            return ERR_DNS_FAILED;
        } else {
            label = i + 1;
        }
    }
    if (label == s.len)
        return ERR_DNS_FAILED;
    if (is_number(span_of(n.text + label, s.len - label)))
        return ERR_EGRESS_DENIED;
    *ret = n;
    return ERR_OK;
}

/// The name itself, or below it.
static bool is_within(const struct dns_name *n, struct span domain)
{
    struct span s = dns_name_span(n);
    return span_ends(s, domain) && (s.len == domain.len || s.ptr[s.len - domain.len - 1] == '.');
}

bool dns_name_is_localhost(const struct dns_name *n)
{
    return is_within(n, SPAN("localhost"));
}

bool dns_name_is_unresolvable(const struct dns_name *n)
{
    return is_within(n, SPAN("invalid")) || is_within(n, SPAN("onion"));
}
