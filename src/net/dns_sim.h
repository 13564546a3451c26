// SPDX-License-Identifier: Apache-2.0
// A resolver for tests: answers from a table after delays on the loop's clock.
#ifndef WEIR_NET_DNS_SIM_H
#define WEIR_NET_DNS_SIM_H

#include "net/dns.h"

struct dns_sim_record {
    const char *name;  // lower case, no final dot
    const char *ip;    // one address; NULL: none, for err
    uint32_t ttl_s;    // 0: 60
    uint32_t delay_ms; // before the answer; UINT32_MAX: it never comes
    const char *target; // of an SRV record, instead of ip
    uint16_t priority, weight, port;
    enum err err;      // instead of an answer, of both families: ERR_DNS_FAILED or ERR_DNS_TIMEOUT
};
struct dns_sim_options {
    const struct dns_sim_record
        *records; // borrowed; what is not in it does not exist. May be changed at any time
    unsigned n;
    uint64_t seed;
    unsigned fail_pm;      // in 1/1000 of questions, from the seed: ERR_DNS_FAILED
    unsigned fail_at;      // the n-th question fails (0: none)
    unsigned delay_max_ms; // added, from the seed
    unsigned *ret_asked;   // counts questions; may be NULL
};
/// For dns_config.backend. NULL when memory is out. o's content is copied.
struct dns_backend *dns_sim_new(const struct dns_sim_options *o);

#endif
