// SPDX-License-Identifier: Apache-2.0
// The resolver's backend that asks by c-ares: UDP, and TCP where an answer is truncated.
#ifndef WEIR_NET_DNS_ARES_H
#define WEIR_NET_DNS_ARES_H

#include "net/dns.h"

/// The addresses are copied; at most DNS_RESOLVERS_MAX, IP only. guarded: strangers may answer in a resolver's name, so names go out with
/// letters of random case, and with EDNS; else both are spared. ERR_NO_MEMORY, ERR_IO.
MUST_USE enum err dns_ares_new(const struct addr *resolvers, unsigned n, bool guarded, struct dns_backend **ret);

#endif
