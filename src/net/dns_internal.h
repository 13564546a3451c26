// SPDX-License-Identifier: Apache-2.0
// What dns.c and dns_srv.c share.
#ifndef WEIR_NET_DNS_INTERNAL_H
#define WEIR_NET_DNS_INTERNAL_H

#include "io/loop.h"
#include "net/dns_cache.h"

/// The resolvers of one configuration. Those of an old one stay until their last question is answered.
struct upstream {
    struct list node;
    struct dns *dns;
    struct dns_backend *backend; // NULL: nobody can be asked
    unsigned n_asked;
    struct timer end; // frees it on the loop, away from the backend's own calls
    struct addr resolvers[DNS_RESOLVERS_MAX];
    unsigned n_resolvers;
};

struct dns {
    const struct dns_hosts *hosts;
    uint64_t query_timeout_ms;
    struct upstream *upstream;
    struct list old_upstreams;
    struct list queries;
    struct list srv_queries;
    struct dns_cache cache;
    struct dns_stats stats;
};

/// A question is answered, and u->n_asked counted down: u may be gone on the next turn of the loop.
void dns_upstream_release(struct upstream *u);

// dns_srv.c
/// dns_question_done for SRV.
void dns_srv_done(struct dns_question *question, enum err err);
/// Frees what the backend, which is gone, has dropped.
void dns_srv_fini(struct dns *d);

#endif
