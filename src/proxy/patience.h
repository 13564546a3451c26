// SPDX-License-Identifier: Apache-2.0
// A client that takes its time over a large answer: meanwhile the exchange holds what has not gone out yet
// and the answer's head, and nothing else of the chunks that these came in.
#ifndef WEIR_PROXY_PATIENCE_H
#define WEIR_PROXY_PATIENCE_H

#include "proxy/exchange.h"

struct patience {
    struct exchange *x;
    struct chunkq *q; // the content on its way to the client
};

/// Between these two the calling fiber, which is the exchange's, may have to wait for the client for long.
void patience_begin(struct patience *p);
void patience_end(void);

#endif
