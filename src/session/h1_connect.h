// SPDX-License-Identifier: Apache-2.0
// CONNECT toward another proxy, over a fresh connection that is to carry something else afterwards.
#ifndef WEIR_SESSION_H1_CONNECT_H
#define WEIR_SESSION_H1_CONNECT_H

#include "session/transport.h"

/// Asks for a tunnel to target (`HOST:PORT`); authorization: the value of Proxy-Authorization, or empty.
/// Nothing behind the answer is read. ERR_PARENT_REFUSED, ERR_PARENT_BAD, ERR_TIMEOUT, or the fiber's
/// cancellation.
MUST_USE enum err h1_connect(struct transport *t, struct span target, struct span authorization,
                             uint64_t deadline);

#endif
