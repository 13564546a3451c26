// SPDX-License-Identifier: Apache-2.0
// `quota SIZE per day|month by ...` of sites and proxies: what content and tunnels move, in both directions,
// counts for their user; at its end requests are refused and transfers break off, or go on slowly.
#ifndef WEIR_PROXY_QUOTAS_H
#define WEIR_PROXY_QUOTAS_H

#include "proxy/build.h"
#include "proxy/exchange.h"
#include "quota/quota.h"

struct zone;

struct quota {
    uint64_t limit_bytes;
    uint64_t rate; // bytes a second once it is used up; 0: nothing more
    bool monthly, by_user;
    const struct zone *zone; // of its days; NULL: UTC
    struct span zone_name;
    struct span size;  // as written
    struct span scope; // in the store
    struct span where;
};
struct quotas {
    const struct quota *v;
    unsigned n;
};

/// The `quota` statements of a block; NULL where there are none. scope names the block.
const struct quotas *build_quotas(struct builder *b, const struct conf_stmt *block, struct span scope);
/// The folder of the store, where some quota wants one.
void build_quota_store(struct builder *b);

struct quota_hold {
    const struct quota *quota;
    struct quota_entry *entry; // NULL: it cannot be counted
    int64_t ends_s;            // when the entry's period ends
};
/// What an exchange counts for.
struct quota_holds {
    unsigned n;
    uint64_t counted; // bytes, so far
    struct quota_hold v[];
};

static inline const struct quotas *quotas_of(const struct exchange *x)
{
    return x->proxy ? x->proxy->quotas : x->site ? x->site->quotas : NULL;
}
/// Whether the user, who is known now, may go on. ERR_QUOTA_USED (x->message and x->rule say more).
MUST_USE enum err quotas_admit(struct exchange *x);
/// Before something goes: whether anything may. x->quotas is set. ERR_QUOTA_USED.
MUST_USE enum err quotas_check(struct exchange *x);
/// n bytes went in one direction: counts them, and waits where the rest goes slowly. Errors are the fiber's cancellation.
MUST_USE enum err quotas_pay(struct exchange *x, size_t n);
/// The most that may go at a time.
size_t quotas_piece(const struct exchange *x, size_t want);
/// At the exchange's end: what was not counted yet is.
void quotas_settle(struct exchange *x);

/// The period at a moment (seconds since 1970): its name is written into out. Gives its end.
enum { QUOTA_PERIOD_BYTES = 12 };
int64_t quota_period(const struct quota *q, int64_t now_s, char out[QUOTA_PERIOD_BYTES], struct span *ret);

struct ask;
/// For `weir status`.
void ask_say_quotas(struct ask *k);

#endif
