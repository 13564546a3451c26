// SPDX-License-Identifier: Apache-2.0
// Reads an answer (RFC 1035 4). Pure.
#ifndef WEIR_NET_DNS_MESSAGE_H
#define WEIR_NET_DNS_MESSAGE_H

#include "net/dns.h"

enum {
    DNS_RECORDS_MAX = 256, // of one answer that are looked at
    DNS_ALIASES_MAX = 12,  // the longest chain of CNAMEs
};

struct dns_records {
    struct addr addrs[DNS_ADDRS_MAX];
    unsigned n;
    uint32_t ttl_s; // the least of the chain and the addresses; where n is 0, how long that may be kept (RFC
                    // 2308 5)
};

/// The addresses of one family that msg gives for name (lower case, no final dot), through its chain of
/// aliases: records of other names do not count. True with n 0 where there is no such name or no such
/// address. ERR_DNS_FAILED: a malformed message, another question, or an error of the server.
MUST_USE enum err dns_message_read(struct span msg, struct span name, sa_family_t family,
                                   struct dns_records *ret);
/// The SRV records for name in the same way, and the addresses of their targets that came beside them. Records that no connection can be
/// made from (the root as target, port 0, a name that is none) are left out: n may be 0. *ret is written to whatever is returned.
MUST_USE enum err dns_message_read_srv(struct span msg, struct span name, struct dns_srv_answer *ret);

#endif
