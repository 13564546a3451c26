// SPDX-License-Identifier: Apache-2.0
// A generation: the configuration compiled into what a request needs. Immutable, in one arena, refcounted over the threads.
#ifndef WEIR_PROXY_GENERATION_H
#define WEIR_PROXY_GENERATION_H

#include <stdatomic.h>

#include "acme/acme.h"
#include "admin/log.h"
#include "admin/metrics.h"
#include "balance/pool.h"
#include "conf/conf.h"
#include "filter/links.h"
#include "filter/replace.h"
#include "http/coding.h"
#include "http/h1.h"
#include "net/dns.h"
#include "net/egress.h"
#include "net/listen.h"
#include "policy/auth.h"
#include "policy/condition.h"
#include "policy/pattern.h"
#include "policy/policy.h"
#include "policy/privacy.h"
#include "policy/rules.h"
#include "policy/trust.h"
#include "proxy/cache_use.h"
#include "proxy/files.h"
#include "proxy/security_headers.h"
#include "proxy/service.h"
#include "proxy/variables.h"
#include "session/client.h"
#include "tls/server.h"

/// CONFIG.md `timeouts`, in milliseconds.
struct timeouts {
    uint64_t header, handshake, idle, connect, first_byte, between_bytes, tunnel_idle, tarpit, slow;
};

struct limits {
    unsigned connections, per_client, handshakes;
    struct h1_limits h1;
    struct h1_limits response; // of servers' heads
    unsigned interim;          // 1xx answers before the final one
    uint64_t slowest;          // bytes a second; 0: any pace
    uint64_t lag_ms;           // of a thread's loop, before requests are refused
    uint64_t body;
};

enum field_op_kind { FIELD_OP_SET, FIELD_OP_ADD, FIELD_OP_REMOVE, FIELD_OP_REPLACE };
/// `set request-header NAME VALUE` and its kin.
struct field_op {
    enum field_op_kind kind;
    bool on_response;
    struct span name;
    struct pattern *pattern; // FIELD_OP_REPLACE: what of the value the text comes in place of
    struct text value;
};
struct field_ops {
    const struct field_op *v;
    unsigned n;
};

/// `compress`: which codings, and for what.
struct compress {
    enum coding offers[3]; // in our order of preference
    unsigned n_offers, level;
    uint64_t min_bytes;
    const struct span *types; // media_matches patterns
    unsigned n_types;
};

#define DECOMPRESS_MAX_BYTES ((uint64_t)4 << 30) // where no statement says another
/// `decompress`: how far content is decoded, and for clients that do not accept its coding.
struct decompress {
    uint64_t max_bytes;
    unsigned ratio; // 0: the coding's own
    bool pass;      // what is surely larger passes as it is
};

/// `rewrite-links`: which origins come out naming us, and in which types besides HTML and CSS.
struct rewrite_links {
    const struct link_origin *origins;
    unsigned n_origins;
    const struct span *types; // media_matches patterns
    unsigned n_types;
};

/// `rewrite PATTERN REPLACEMENT`.
struct path_rewrite {
    struct pattern *pattern; // of the path
    struct text to;          // path, or path?query
};

/// `replace TEXT with TEXT`, in all types that are text.
struct replacements {
    struct replacement *v;
    unsigned n;
};

enum route_target { TARGET_POOL, TARGET_REDIRECT, TARGET_RESPOND, TARGET_FILES, TARGET_PASSTHROUGH };

struct quotas;
struct scanning;
struct route {
    struct pattern *path;
    const struct condition_set *when; // NULL: always
    enum route_target target;
    struct pool *pool;
    const struct pool_choice *choice; // `split`, `failover`; NULL: pool alone
    const struct mirror *mirror;      // NULL: none
    enum queue_priority priority;     // among those who wait for a server
    bool early_data;                  // requests may come along with the TLS handshake
    const struct retry_rules *retry;  // its own; NULL: the pool's
    unsigned status;                  // redirect, respond
    struct text text;                 // redirect's URL, respond's content
    unsigned retry_after_s;           // respond; 0: nothing is said
    struct files_root *files;
    bool precompressed;                  // files: siblings that hold their content encoded are looked for
    struct span strip;                   // prefix taken off the path, without the final slash
    const struct path_rewrite *rewrites; // behind strip; the first whose pattern matches
    unsigned n_rewrites;
    struct timeouts timeouts;
    struct rules deny; // the route's own, then the site's
    const struct guard *guard; // its own over its site's; NULL: nothing is asked
    const struct throttles *throttles; // NULL: none
    const struct auth *auth; // its own or its site's; NULL: users need not show who they are
    struct field_ops fields;
    const struct compress *compress; // its own or its site's; NULL: none
    const struct decompress *decompress; // the same
    const struct cache_use *cache;   // the same
    const struct scanning *scanning; // the same
    const struct rewrite_links *links; // the same
    const struct cors *cors;           // the same
    enum security_level security;      // the same
    const struct error_pages *pages;   // its own, then its site's; NULL: none
    struct replacements replacements;  // its own, then its site's
    const struct span *upgrades; // tokens that may pass, lower case
    unsigned n_upgrades;
    struct span where; // FILE:LINE
};

/// What a site does about clients without TLS.
struct site_tls {
    uint16_t port; // where it has TLS; 0: nowhere
    bool plain;    // served in the clear too
    const struct addr *plain_at; // or only here
    unsigned n_plain_at;
    struct span hsts; // the value of Strict-Transport-Security; empty: none
};

struct site {
    struct span name; // the first one written
    struct rules deny;
    const struct throttles *throttles; // NULL: none
    struct field_ops fields;
    const struct route *routes;
    unsigned n_routes;
    const struct tls_site *tls; // NULL: plain only
    bool cached;                // some of its answers may come from a cache
    struct site_tls secure;
    const struct error_pages *pages; // NULL: none
    const struct route *passthrough; // its only route, where TLS is passed on as it is; otherwise NULL
    struct span where;
    const struct bandwidths *bandwidths; // NULL: none
    const struct quotas *quotas;         // the same
    struct metric_set *metrics;
};

/// Which of a listener's sites has a name: exact, then the longest wildcard, then `*`.
struct site_name {
    struct span name; // lower case; of a wildcard what is behind `*`, with its dot
    const struct site *site;
};
struct site_table {
    const struct site_name *exact;  // open addressing by hash_keyed, empty slots have a NULL site
    unsigned n_slots;               // a power of two, or 0
    const struct site_name *suffix; // longest first
    unsigned n_suffix;
    const struct site *any;
};

struct parent_rule;
struct parent_rules {
    struct parent_rule **v;
    unsigned n;
};

struct inspect_rule;
struct inspect_rules {
    struct inspect_rule **v;
    unsigned n;
};

struct proxy {
    struct span name; // as the log says it: the first address
    struct egress_rules egress;
    struct rules clients; // who may use it at all
    const struct guard *guard; // NULL: nothing is asked
    const struct throttles *throttles; // NULL: none
    struct policy policy;
    const struct text *page;         // for who is refused; NULL: ours
    const struct error_pages *pages; // NULL: none
    const struct text *policy_texts; // one a rule: redirect's URL, respond's text
    const struct auth *auth;         // NULL: users need not show who they are
    enum privacy privacy;
    const struct bandwidths *bandwidths; // NULL: none
    const struct quotas *quotas;         // the same
    struct span pac; // of its script, what goes around it; a NULL pointer: none is served
    struct parent_rules parents;     // of other proxies that requests go through
    struct inspect_rules inspects;   // `intercept-tls`
    const struct compress *compress; // NULL: none
    const struct decompress *decompress; // the same
    const struct cache_use *cache;   // the same
    const struct scanning *scanning; // the same
    struct timeouts timeouts;
    const struct tls_site *tls; // for its listeners with TLS; NULL: none
    struct span where;
    struct metric_set *metrics, *origins; // origins: what it connects to
};

enum access_log { ACCESS_LOG_OFF, ACCESS_LOG_JSON, ACCESS_LOG_COMBINED };

enum listener_kind { LISTENER_SITES, LISTENER_PROXY, LISTENER_ADMIN };

struct listener {
    struct listener_spec spec;
    enum listener_kind kind;
    struct site_table sites;
    const struct proxy *proxy;
    struct client_settings settings;
    bool plain;                     // a site without TLS stands here
    bool sited;                     // a site stands here already
    struct tls_listener tls;        // where settings.secure is set
    const struct site *tls_default; // whom clients reach that name nobody
    struct span name; // ADDRESS:PORT
    struct metric_set *metrics;
    struct generation *gen;
};

struct generation_cache {
    struct cache *cache;
    struct cache_config config; // in force as soon as the generation is built without a mistake
};

struct generation {
    _Atomic unsigned refs;
    uint64_t number;
    struct condition_cleanup *cleanups;
    struct arena arena;
    struct conf *conf;
    struct listener *listeners;
    struct listener_spec *specs;
    unsigned n_listeners;
    struct pool **pools;
    unsigned n_pools;
    struct site **sites;
    unsigned n_sites;
    struct generation_cache *caches;
    unsigned n_caches;
    bool purges; // a `purge` statement is there: who may is asked where the URL's cache is known
    struct proxy **proxies;
    unsigned n_proxies;
    struct timeouts timeouts;
    struct limits limits;
    struct trust trust;
    struct dns_hosts hosts;
    struct addr *resolvers;
    unsigned n_resolvers;
    struct listen_set own; // our own addresses: a forward proxy must not come back to them
    struct acme_plan acme; // of the sites with `tls auto`
    enum access_log log;
    struct metric_set *nowhere; // requests that reach no site and no proxy
    bool wants_quotas;    // some `quota` is there
    int quota_folder;     // of their store, the configuration's own; -1: none
    bool keeps_history;   // somebody can ask: there is a control socket or a dashboard
    struct span log_dest, error_dest; // admin/log_destination.h
    const struct condition_set *log_when; // which requests the access log has; NULL: all
    uint32_t log_sample;                  // of those that ended well, hundredths of a percent
    enum log_level error_level;
    const struct dashboard *dashboard; // NULL: none
    unsigned max_idle;     // upstream connections kept, a thread
};

const struct listener *generation_listener(const struct generation *g, const struct addr *a);
/// The site for a host (lower case, no final dot), or NULL.
const struct site *site_table_find(const struct site_table *t, struct span host);
/// The route of a site that takes the request, or NULL.
const struct route *site_route(const struct site *s, const struct condition_input *in, struct span *ret_rest);

#endif
