// SPDX-License-Identifier: Apache-2.0
// The request's content on its way upstream: a fiber of its own, so that a server may answer before it has read everything.
#ifndef WEIR_PROXY_UPLOAD_H
#define WEIR_PROXY_UPLOAD_H

#include "proxy/exchange.h"

/// Starts to send what the client still has to send. ERR_NO_MEMORY.
MUST_USE enum err upload_start(struct exchange *x);
/// Stops it, whatever it does, and waits for its end. Does nothing where none runs.
void upload_stop(struct exchange *x);

#endif
