// SPDX-License-Identifier: Apache-2.0
// The request's content on its way upstream: a fiber of its own, so that a server may answer before it has read everything.
#ifndef WEIR_PROXY_UPLOAD_H
#define WEIR_PROXY_UPLOAD_H

#include "proxy/scan.h"

/// Starts to send what the client still has to send. ERR_NO_MEMORY.
MUST_USE enum err upload_start(struct exchange *x);
/// Stops it, whatever it does, and waits for its end. Does nothing where none runs.
void upload_stop(struct exchange *x);

// Its content, from the client or from what scans it.
static inline MUST_USE enum err upload_read(struct exchange *x, struct chunkq *q, size_t want)
{
    return likely(!x->scanned) ? x->client->ops->read(x->client, q, want, deadline_in(x->timeouts->between_bytes)) : scan_upload_read(x, q, want);
}
static inline bool upload_is_complete(const struct exchange *x)
{
    return likely(!x->scanned) ? x->client->request_complete : scan_upload_is_complete(x);
}
static inline bool upload_is_ready(const struct exchange *x)
{
    return likely(!x->scanned) ? x->client->ops->ready(x->client) : scan_upload_is_ready(x);
}

#endif
