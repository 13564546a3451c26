// SPDX-License-Identifier: Apache-2.0
// Names as the resolver takes them.
#ifndef WEIR_NET_DNS_NAME_H
#define WEIR_NET_DNS_NAME_H

#include "net/dns.h"

struct dns_name {
    char text[DNS_NAME_MAX + 1]; // lower case, no final dot, terminated
    uint8_t len;
};

/// Letters, digits, hyphens and underscores in labels of 1 to 63, at most 253 octets; one final dot is taken
/// off. ERR_DNS_FAILED for anything else. ERR_EGRESS_DENIED for what ends in a number ("127.1", "0x7f000001",
/// "1.2.3.4.5"): other programs would read an IPv4 address there, and which one is nothing to guess at.
MUST_USE enum err dns_name_read(struct span s, struct dns_name *ret);
static inline struct span dns_name_span(const struct dns_name *n)
{
    return span_of(n->text, n->len);
}
/// RFC 6761 6.3, 6.4 and RFC 7686 2: names that no resolver is asked for.
bool dns_name_is_localhost(const struct dns_name *n);
bool dns_name_is_unresolvable(const struct dns_name *n);

#endif
