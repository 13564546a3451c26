// SPDX-License-Identifier: Apache-2.0
// Within the room: a client that speaks SOCKS 5 (RFC 1928, with the user names and passwords of RFC 1929). Its CONNECT becomes the
// request that HTTP's CONNECT is, so the same phases decide about it; BIND and UDP are refused.
#ifndef WEIR_SESSION_CLIENT_SOCKS5_H
#define WEIR_SESSION_CLIENT_SOCKS5_H

#include "session/client.h"
#include "session/h1_content.h"

/// Whether the first bytes of a connection are SOCKS 5's.
static inline bool client_speaks_socks5(struct span first_bytes)
{
    return first_bytes.len && first_bytes.ptr[0] == 5;
}

/// Serves the connection to its end, on its fiber; the caller closes it. in has what was read of it. Everything before the tunnel has to
/// come within the deadline of a request's head.
void client_socks5_serve(struct client_conn *c, struct h1_input *in, struct arena *a);

#endif
