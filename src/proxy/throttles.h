// SPDX-License-Identifier: Apache-2.0
// `limit rate|requests|connections ... by ...` of sites, routes and proxies.
#ifndef WEIR_PROXY_THROTTLES_H
#define WEIR_PROXY_THROTTLES_H

#include "policy/throttle.h"
#include "proxy/build.h"
#include "proxy/exchange.h"

struct service_client;

enum throttle_kind { THROTTLE_RATE, THROTTLE_REQUESTS, THROTTLE_CONNECTIONS };
/// Whose use is counted. Who has no user name, or has not sent the field, counts by address.
enum throttle_by { THROTTLE_BY_CLIENT, THROTTLE_BY_USER, THROTTLE_BY_HEADER, THROTTLE_BY_HOST };

struct throttle {
    enum throttle_kind kind;
    enum throttle_by by;
    struct span header;   // THROTTLE_BY_HEADER
    uint8_t v6_bits;      // of an IPv6 address that make a client
    uint32_t most;        // at once; of a rate: its burst
    uint64_t interval_ns; // of a rate
    uint64_t owner;       // the same over reloads as long as the statement says the same
    struct span where;    // FILE:LINE
};
struct throttles {
    const struct throttle *v;
    unsigned n;
};

/// The `limit` statements of a block; NULL where there are none (or after a mistake). scope names the block, the same over reloads.
const struct throttles *build_throttles(struct builder *b, const struct conf_stmt *block, struct span scope);

/// The key of whom an exchange counts for.
void throttle_key_of(const struct throttle *t, const struct exchange *x, struct throttle_key *ret);
/// The option `by` of a statement, and who owns its keys: the same over a reload where the same statement is the nth in its block (scope).
void build_throttle_key(struct builder *b, const struct conf_stmt *s, struct span scope, unsigned nth, struct throttle *t);

enum throttle_stage { THROTTLE_UNKNOWN_USER, THROTTLE_KNOWN_USER };
/// Counts the request; an error where that is too much (x->rule and x->retry_after_s say more). Before the user is known all that
/// does not count by users, and then what does.
MUST_USE enum err throttles_admit(struct exchange *x, enum throttle_stage stage);
/// The request has ended.
void throttles_release(struct exchange *x);
/// The connection has ended.
void throttles_release_connection(struct service_client *sc);

#endif
