// SPDX-License-Identifier: Apache-2.0
// What one worker thread has: its listeners, its clients' connections, its connections upstream, its resolver.
#ifndef WEIR_PROXY_THREAD_H
#define WEIR_PROXY_THREAD_H

#include "balance/endpoints.h"
#include "base/slab.h"
#include "net/dns.h"
#include "proxy/generation.h"
#include "proxy/overload.h"
#include "proxy/laggards.h"

struct service_listener {
    struct list node;
    struct io io;
    struct addr addr;
    struct service *service;
    const struct listener *listener; // of the present generation
    struct timer retry;              // accepting pauses until then (out of descriptors)
    uint64_t behind_ms;              // since when more waited at each look than were accepted; 0: they did not
};

struct service {
    struct generation *gen;
    unsigned thread;
    struct list listeners; // struct service_listener
    struct list clients;   // struct service_client
    struct slab client_slab;
    unsigned n_clients, n_admin; // the latter: of the dashboard
    unsigned n_exchanges; // under way
    struct laggards laggards;
    struct overload overload;
    struct list fetches; // struct cache_job: what is fetched for the cache
    struct endpoints endpoints;
    struct dns *dns;
    struct list mirrors;       // copies on their way (mirror.c)
    unsigned n_mirrors;
    struct scan_peer *scan_peers; // the services that content is shown to (scan_service.h)
    struct keeper *keeper;     // of the first thread: looks after the pools for all
    struct events *events;     // NULL: nobody has listened so far
    struct preopen *preopen;   // NULL: no pool wants connections that stand ready
    struct peer_counts *peers; // open connections by client address
    bool draining;
    void (*drained)(void *arg);
    void *drained_arg;
    int64_t date_s; // for which date holds
    char date[32];
};

/// What a client is waited for.
enum laggard_way { LAGGARD_NONE, LAGGARD_READS, LAGGARD_SENDS };

/// A client's connection with what the service notes beside it.
struct service_client {
    struct client_conn conn;
    struct generation *gen; // whose settings and listener the connection uses
    struct throttle_place *places; // what it counts for until it closes (throttles.h)
    struct inspection *inside;     // it is what a tunnel carries, decrypted; NULL: it came from outside
    struct exchange *exchange;     // under way (of HTTP/2: the latest), or NULL
    uint64_t laggard_from;            // octets that the client had moved when it was looked at first
    bool admin;                       // counted in n_admin
    uint8_t laggard_way, laggard_looks;  // enum laggard_way, and how often since then
};

/// Serves a connection (taken over, also on failure) that is what a tunnel of outer's carries, for as long as it lasts. Takes a reference of
/// the inspection. From a fiber of outer's.
MUST_USE enum err service_serve_inside(struct service *s, int fd, const struct client_conn *outer, struct inspection *in);
/// The Date of this second (29 characters).
struct span service_date(struct service *s);

/// Something that a drain waits for has ended.
void service_check_drained(struct service *s);
/// Takes a connection that is between two requests over to the service's present generation.
void service_renew_client(struct service *s, struct client_conn *c);

#endif
