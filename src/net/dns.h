// SPDX-License-Identifier: Apache-2.0
// Names to addresses, on one thread: literals, fixed names (`hosts` statements, /etc/hosts), a cache, and a
// backend that asks (c-ares; a table in the simulator). Many fibers that want one name wait for one query.
#ifndef WEIR_NET_DNS_H
#define WEIR_NET_DNS_H

#include "base/err.h"
#include "net/addr.h"

enum {
    DNS_ADDRS_MAX = 16,
    DNS_NAME_MAX = 253,          // without the final dot (RFC 1035 2.3.4)
    DNS_QUERY_TIMEOUT_MS = 8000, // the most that one name takes, all resolvers and retries together
    DNS_SECOND_FAMILY_MS = 50,   // how long IPv4 addresses wait for the IPv6 ones (RFC 8305 3)
    DNS_TTL_MAX_S = 3600,
    DNS_TTL_MIN_S = 1,
    DNS_NEGATIVE_TTL_MAX_S = 60, // and failures of the resolver 1 s, RFC 2308 7
    DNS_CACHE_ENTRIES = 4096,
    DNS_RESOLVERS_MAX = 8,
};

/// IPv6 first as RFC 6724 would have it is the dialler's business: here they stand as they came, ports 0.
struct dns_answer {
    struct addr addrs[DNS_ADDRS_MAX];
    uint8_t n;      // at least 1
    bool fixed;     // a literal or a fixed name: no resolver was asked
    uint32_t ttl_s; // left; UINT32_MAX where fixed
};

/// The targets of a service (RFC 2782) as they came, and the addresses that the answer brought along for some of them.
enum { DNS_SRV_MAX = 64, DNS_SRV_ADDRS_MAX = 128 };
struct dns_srv {
    char name[DNS_NAME_MAX + 1]; // lower case, no final dot, terminated
    uint16_t priority, weight, port;
};
struct dns_srv_addr {
    uint8_t of; // index of the target
    struct addr addr; // port 0
};
struct dns_srv_answer {
    struct dns_srv v[DNS_SRV_MAX];
    struct dns_srv_addr addrs[DNS_SRV_ADDRS_MAX];
    uint8_t n, n_addrs;
    uint32_t ttl_s; // the least of all that is here
};

/// Fixed names. Built in an arena, then immutable and shared by the threads.
struct dns_host;
struct dns_hosts {
    struct arena *arena;
    struct dns_host **slots;
    uint32_t n, n_slots;
};
void dns_hosts_init(struct dns_hosts *h, struct arena *a);
/// A `hosts` statement. Names are compared without case and without a final dot. A name may be added again
/// for a further address. ERR_DNS_FAILED: not a name; ERR_NO_MEMORY.
MUST_USE enum err dns_hosts_add(struct dns_hosts *h, struct span name, const struct addr *ip);
/// The text of an /etc/hosts file, after the statements: a name that a statement has keeps the statement's
/// addresses. Lines that make no sense are passed over. False when memory is out.
MUST_USE bool dns_hosts_add_file(struct dns_hosts *h, struct span text);
/// Reads the nameserver lines of a resolv.conf: at most max addresses with port 53; returns how many.
unsigned dns_resolvers_from_file(struct span text, struct addr *out, unsigned max);

/// What dns_new and dns_set_config need; copied, except for hosts, which must live until another
/// configuration takes its place (or dns_free).
struct dns_config {
    const struct dns_hosts *hosts; // may be NULL
    const struct addr *resolvers;  // with ports; none: only literals and fixed names resolve
    unsigned n_resolvers;
    uint64_t query_timeout_ms; // 0: DNS_QUERY_TIMEOUT_MS
    unsigned cache_entries;    // 0: DNS_CACHE_ENTRIES
    /// A test's own backend (owned by the dns from then on); NULL: c-ares.
    struct dns_backend *backend;
};

struct dns;
/// One a thread, after loop_new. ERR_NO_MEMORY, ERR_IO.
MUST_USE enum err dns_new(const struct dns_config *c, struct dns **ret);
/// For a new generation: what is under way ends on the old resolvers; the cache is emptied only when the
/// resolvers changed.
MUST_USE enum err dns_set_config(struct dns *d, const struct dns_config *c);
/// No fiber may be waiting in dns_resolve.
void dns_free(struct dns *d);
/// The addresses of a name or literal (an IPv6 one with or without brackets); waits on the calling fiber.
/// What only looks like a number (127.1, 0x7f.1, 2130706433) is no address and no name: ERR_EGRESS_DENIED.
/// ERR_DNS_FAILED, ERR_DNS_TIMEOUT, ERR_NO_MEMORY, or the fiber's cancellation.
MUST_USE enum err dns_resolve(struct dns *d, struct span host, uint64_t deadline, struct dns_answer *ret);
/// The SRV records of a name, from a resolver each time; waits on the calling fiber. ERR_DNS_FAILED also where there are none, or none
/// that can be used; else as dns_resolve. *ret may have been written to whatever is returned.
MUST_USE enum err dns_resolve_srv(struct dns *d, struct span name, uint64_t deadline, struct dns_srv_answer *ret);
/// Forgets what is cached (not what is fixed).
void dns_flush(struct dns *d);

struct dns_stats {
    uint64_t hits, misses, joined, failures, timeouts; // joined: waited for another's query
    uint32_t entries, in_flight;
};
const struct dns_stats *dns_stats(struct dns *d);

/// The seam. A question is one name and one family, or one name and its SRV records; the backend answers each exactly once with
/// dns_question_done, from within query or later on the loop, or drops it when it is freed.
struct dns_question {
    char name[DNS_NAME_MAX + 1]; // lower case, no final dot, terminated
    sa_family_t family;          // AF_INET or AF_INET6; AF_UNSPEC: SRV
    struct dns_srv_answer *srv;  // where SRV records go, before dns_question_done
};
struct dns_backend_ops {
    void (*query)(struct dns_backend *b, struct dns_question *q);
    void (*free)(struct dns_backend *b); // never from within query or dns_question_done
};
struct dns_backend {
    const struct dns_backend_ops *ops;
};
/// Test seam: resolvers that are configured without a backend get one from make(arg) (NULL: memory is out); make NULL: c-ares
/// again. Set it before threads start.
void dns_backend_set(struct dns_backend *(*make)(void *arg), void *arg);
/// err: ERR_OK (n may be 0: the name exists without such an address, or does not exist: both are kept for
/// ttl_s), ERR_DNS_FAILED (the resolver failed), ERR_DNS_TIMEOUT or ERR_NO_MEMORY. q is gone after that.
void dns_question_done(struct dns_question *q, enum err err, const struct addr *addrs, unsigned n,
                       uint32_t ttl_s);

#endif
