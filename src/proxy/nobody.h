// SPDX-License-Identifier: Apache-2.0
// A client that is none, for a fetch that is not a client's own: it has sent all that it had, and takes no answer.
#ifndef WEIR_PROXY_NOBODY_H
#define WEIR_PROXY_NOBODY_H

#include "session/stream.h"

struct nobody {
    struct client_stream stream;
    enum err (*interim)(struct nobody *n, const struct response *r);
};

/// interim: what becomes of 1xx answers.
void nobody_init(struct nobody *n, const struct request *req, uint64_t stall_ms, enum err (*interim)(struct nobody *n, const struct response *r));

#endif
