// SPDX-License-Identifier: Apache-2.0
// `mirror`: a share of a route's requests goes to another pool too, once the real answer is out; what comes back is thrown away.
#ifndef WEIR_PROXY_MIRROR_H
#define WEIR_PROXY_MIRROR_H

#include "proxy/exchange.h"

enum { MIRROR_CONTENT_MAX = 64 * 1024 }; // a request with more content is not copied

struct mirror {
    struct pool *pool;
    uint32_t share; // in hundredths of a percent
};

/// Before content is read: whether this exchange is one of those that are copied.
void mirror_choose(struct exchange *x);
/// In the end of one that is: sends the copy off, on a fiber of its own. Where too many are on their way already, or memory is out,
/// there is none.
void mirror_send(struct exchange *x);
/// Ends what is on its way. It has ended after some turns of the loop.
void mirrors_stop(struct service *s);
/// Runs the loop until everything has ended.
void mirrors_wait(struct service *s);

#endif
