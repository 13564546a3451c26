// SPDX-License-Identifier: Apache-2.0
// `max-connections`: how many connections a server has, over all threads.
//
// Connections are kept by threads, and who needs one may find all of them kept elsewhere. So who finds no room stands in the member's
// queue and calls the threads: each closes kept ones as long as somebody waits, and from then on none is kept that comes to its end.
// Since no more requests are under way at a member than it may have connections, there is always one to be closed.
#ifndef WEIR_BALANCE_CONNECTING_H
#define WEIR_BALANCE_CONNECTING_H

#include "balance/endpoints.h"
#include "balance/member.h"

/// As member_connected, for a connection that is going to be opened, once there are fewer than max. The caller has a place at the
/// member. ERR_QUEUE_TIMEOUT, or the fiber's cancellation.
MUST_USE enum err member_connect(struct member *m, unsigned max, uint64_t deadline);

/// For a thread's connections: whether this one is to be closed rather than kept.
static inline bool member_calls(const struct member *m)
{
    return unlikely(m && queue_length(&m->connecting));
}
/// From now on / no more: what the calling thread keeps is closed where somebody waits for a connection. ERR_NO_MEMORY.
MUST_USE enum err connecting_join(struct endpoints *es);
void connecting_leave(struct endpoints *es);

#endif
