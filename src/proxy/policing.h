// SPDX-License-Identifier: Apache-2.0
// A proxy's policy at work on an exchange: on the request, and on the answer once it is there.
#ifndef WEIR_PROXY_POLICING_H
#define WEIR_PROXY_POLICING_H

#include "net/dns.h"
#include "policy/list.h"
#include "policy/policy.h"
#include "policy/view.h"
#include "proxy/exchange.h"

/// What the policy knows of an exchange; in its arena.
struct policy_state {
    struct condition_input in;
    struct request_view *view;
    struct list_hit hit;
    struct policy_outcome outcome;
    struct dns_answer dest; // what the host resolves to; n 0: nobody has asked
    uint64_t pace_at_us;    // throttle: when the next bytes may go
};

/// The rules on the request: ERR_OK with or without an answer of ours, or the refusal.
MUST_USE enum err policing_request(struct exchange *x, const struct condition_input *in);
/// The rules on the answer of a server, before any of it has reached the client.
MUST_USE enum err policing_answer(struct exchange *x);
/// The addresses that the rules have seen, for who connects: false where none were looked up.
bool policing_addresses(const struct exchange *x, const struct dns_answer **ret);

/// The first bytes of a client in a CONNECT tunnel: a name in a ClientHello is held against the rules as the host is. *ret_more: they do
/// not say yet. ERR_DENIED.
MUST_USE enum err policing_first_bytes(struct exchange *x, const struct chunkq *q, bool *ret_more);

/// throttle: the most bytes to take at once (want where there is no limit), and the wait that they cost.
size_t policing_piece(const struct exchange *x, size_t want);
MUST_USE enum err policing_pace(struct exchange *x, size_t n);
static inline bool policing_is_paced(const struct exchange *x)
{
    return unlikely(x->policy != NULL) && x->policy->outcome.throttle;
}
/// Whether an answer whose length was not known turns out larger than a rule allows.
static inline bool policing_is_too_large(const struct exchange *x, uint64_t bytes)
{
    return unlikely(x->policy != NULL) && bytes >= x->policy->outcome.size_limit;
}

#endif
