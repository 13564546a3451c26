// SPDX-License-Identifier: Apache-2.0
// What dns.c alone needs of the fixed names.
#ifndef WEIR_NET_DNS_HOSTS_H
#define WEIR_NET_DNS_HOSTS_H

#include "net/dns_name.h"

/// Sets only addrs and n. h may be NULL.
bool dns_hosts_find(const struct dns_hosts *h, const struct dns_name *name, struct dns_answer *ret);

#endif
