// SPDX-License-Identifier: Apache-2.0
// Within inspect*.c: what is known of a decrypted tunnel.
#ifndef WEIR_PROXY_INSPECTION_H
#define WEIR_PROXY_INSPECTION_H

#include "net/dns.h"
#include "proxy/inspect.h"

struct inspection {
    unsigned refs;
    struct generation *gen; // whose rule it is
    const struct inspect_rule *rule;
    struct span name; // that the server's certificate is for, and ours: the client's SNI, or the host
    struct span host; // of CONNECT
    struct span user;
    uint16_t port;
    struct addr addr; // of the server; of no family where a parent is asked, or nobody was reached
    uint64_t identity;
    enum err failure; // why no request can be served
    struct span why;  // what is wrong with the server's certificate
    enum err client;  // what became of the handshake with the client
    struct tls_leaf *leaf;
    char text[];
};

/// NULL when memory is out. name: lower case.
struct inspection *inspection_new(struct exchange *x, struct span name);
/// The list that has the request's host; empty: none.
struct span inspect_bypass(const struct inspect_rule *r, const struct condition_input *in);
/// What conditions and lists are asked with. view and dest are its memory.
MUST_USE enum err inspect_input(struct exchange *x, struct request_view **view, struct dns_answer *dest,
                                struct condition_input *ret);

#endif
