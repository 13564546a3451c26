// SPDX-License-Identifier: Apache-2.0
// `bandwidth RATE by ...`: how many bytes a second a user or a client has, over all connections and threads, in each direction by itself.
// What goes is charged in small pieces, so that the connections of one user get alike.
#ifndef WEIR_PROXY_BANDWIDTH_H
#define WEIR_PROXY_BANDWIDTH_H

#include "proxy/throttles.h"

struct bandwidth {
    struct throttle key; // whose; its rate is not used
    uint64_t rate;       // bytes a second
};
struct bandwidths {
    const struct bandwidth *v;
    unsigned n;
};

enum bandwidth_direction { BANDWIDTH_DOWN, BANDWIDTH_UP };

/// The `bandwidth` statements of a block; NULL where there are none. scope names the block, the same over reloads.
const struct bandwidths *build_bandwidths(struct builder *b, const struct conf_stmt *block, struct span scope);

static inline const struct bandwidths *bandwidths_of(const struct exchange *x)
{
    return x->proxy ? x->proxy->bandwidths : x->site ? x->site->bandwidths : NULL;
}
/// The most that may go at a time, of want bytes.
size_t bandwidth_piece(const struct exchange *x, size_t want);
/// n bytes went: waits until they are paid for. Errors are the fiber's cancellation.
MUST_USE enum err bandwidth_pay(struct exchange *x, enum bandwidth_direction d, size_t n);

#endif
