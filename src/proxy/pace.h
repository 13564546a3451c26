// SPDX-License-Identifier: Apache-2.0
// How fast content and tunnels may go: `throttle` of the policy, and `bandwidth`. Who relays bytes asks here; where nothing is said that
// costs two tests.
#ifndef WEIR_PROXY_PACE_H
#define WEIR_PROXY_PACE_H

#include "proxy/bandwidth.h"
#include "proxy/policing.h"
#include "proxy/quotas.h"

static inline bool pace_is_set(const struct exchange *x)
{
    return unlikely(policing_is_paced(x) || bandwidths_of(x) || x->quotas) && !x->inspect; // what a decrypted tunnel carries is paced inside
}
/// The most that may go at a time, of want bytes.
static inline size_t pace_piece(const struct exchange *x, size_t want)
{
    return unlikely(x->inspect != NULL) ? want : quotas_piece(x, bandwidth_piece(x, policing_piece(x, want)));
}
/// Before the next piece goes, in either direction: ERR_QUOTA_USED where nothing more may.
static inline MUST_USE enum err pace_check(struct exchange *x)
{
    return likely(!x->quotas) || x->inspect ? ERR_OK : quotas_check(x);
}
/// n bytes went toward the client: waits as long as they cost. Errors are the fiber's cancellation.
static inline MUST_USE enum err pace_down(struct exchange *x, size_t n)
{
    enum err e = bandwidth_pay(x, BANDWIDTH_DOWN, n);
    if (!e)
        e = policing_pace(x, n);
    return e ? e : quotas_pay(x, n);
}
/// The same toward the server.
static inline MUST_USE enum err pace_up(struct exchange *x, size_t n)
{
    enum err e = bandwidth_pay(x, BANDWIDTH_UP, n);
    return e ? e : quotas_pay(x, n);
}

#endif
