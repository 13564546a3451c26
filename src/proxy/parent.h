// SPDX-License-Identifier: Apache-2.0
// Parents: other proxies that a forward proxy's requests go through (`parent`). They are tried in the order written, or in turn; one that
// cannot be reached is passed over for a while. What a parent resolves is not seen here, so egress rules hold for names as far as
// they speak of addresses that were written.
#ifndef WEIR_PROXY_PARENT_H
#define WEIR_PROXY_PARENT_H

#include <stdatomic.h>

#include "policy/condition.h"
#include "proxy/exchange.h"
#include "tls/client.h"

enum parent_kind { PARENT_DIRECT, PARENT_HTTP, PARENT_HTTPS, PARENT_SOCKS5 };

struct parent {
    enum parent_kind kind;
    struct span host;
    uint16_t port;
    struct span user, password; // a NULL pointer: none
    struct span authorization;  // what Proxy-Authorization says; empty: nothing
    const struct tls_client *tls; // PARENT_HTTPS
    _Atomic uint64_t down_until_ms; // of the loops' clock
};

/// One `parent` statement.
struct parent_rule {
    const struct condition_set *when;
    struct parent *v;
    unsigned n;
    bool in_turn;
    _Atomic unsigned next;
    struct span where;
};

/// The first rule that takes the request; NULL: it goes straight to its server.
struct parent_rule *parent_rule_of(const struct parent_rules *r, const struct condition_input *in);

/// Gets a connection by way of one of the proxy's parents, or straight where none is to be asked, with get; writes the target and the
/// credentials of x->out as that way wants them. x->parent says which it was. On failure nothing was sent.
MUST_USE enum err parent_get(struct exchange *x, enum err (*get)(struct exchange *x, void *arg), void *arg);
/// For a new connection to x->parent: what has to be said before requests can go over it (SOCKS 5). ERR_OK otherwise.
MUST_USE enum err parent_greet(struct exchange *x, struct transport *t);
/// Who may share the connections to x->parent: 0 where it makes no difference.
uint64_t parent_identity(const struct exchange *x);
/// CONNECT by way of an HTTP parent, over x->upstream: ERR_OK once the tunnel stands.
MUST_USE enum err parent_connect(struct exchange *x);

#endif
