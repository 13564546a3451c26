// SPDX-License-Identifier: Apache-2.0
// Who the client is: the peer, or whom trusted proxies in front of us name.
#ifndef WEIR_POLICY_TRUST_H
#define WEIR_POLICY_TRUST_H

#include "http/field.h"
#include "net/prefix.h"

struct trust {
    struct prefix_set proxies; // empty: nobody is believed
};

static inline bool trust_peer(const struct trust *t, const struct addr *peer)
{
    return (t->proxies.n_v4 || t->proxies.n_v6) && prefix_set_find(&t->proxies, peer, NULL);
}
/// The client behind a peer: X-Forwarded-For (or Forwarded, where the former is absent) is read from the
/// right up to the first address that is not trusted itself; something unreadable ends the walk. A proxy in
/// front of us must therefore set or drop X-Forwarded-For. The peer itself where nobody is believed or
/// nothing is said.
struct addr trust_client(const struct trust *t, const struct addr *peer, const struct fields *f);

#endif
