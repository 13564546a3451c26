// SPDX-License-Identifier: Apache-2.0
// `weir tap`: requests as they end, to whoever asked for it over the control socket. A reader that is too slow misses lines, and is
// told how many; nobody waits for it.
#ifndef WEIR_PROXY_TAP_H
#define WEIR_PROXY_TAP_H

#include <stdatomic.h>

#include "proxy/access_log.h"
#include "proxy/exchange.h"

enum { TAPS_MAX = 16 };

extern _Atomic unsigned tap_count; // of those that are open; for tap_is_on

/// Whether anybody looks. Any thread.
static inline bool tap_is_on(void)
{
    return atomic_load_explicit(&tap_count, memory_order_relaxed) != 0;
}
/// Takes the connection over and shows it, from now on, the requests that meet the conditions (the inside of a `when` block; empty:
/// all). A NULL pointer, or a sentence in the arena that says why not; fd is the caller's still then.
struct span tap_open(int fd, struct span filter, bool json, struct arena *a);
/// Shows a request that ended. line is room to write in.
void tap_show(struct exchange *x, const struct access_record *r, char line[ACCESS_LINE_MAX_BYTES]);
/// Ends all of them.
void tap_close_all(void);

#endif
