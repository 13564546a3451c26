// SPDX-License-Identifier: Apache-2.0
// Connecting to one of several addresses: Happy Eyeballs version 2 (RFC 8305). Each address is checked right
// before it is dialled, so what is dialled is what was checked.
#ifndef WEIR_NET_DIAL_H
#define WEIR_NET_DIAL_H

#include "io/io.h"
#include "net/addr.h"

enum { DIAL_ATTEMPT_DELAY_MS = 250, DIAL_ADDRS_MAX = 16 };

struct dial_request {
    const struct addr *addrs; // with their ports, in the order they came; the families are interleaved here
    unsigned n;               // more than DIAL_ADDRS_MAX are not tried
    /// Whether a may be dialled (for instance egress and the loop check); NULL: every address. May not wait.
    enum err (*check)(void *arg, const struct addr *a);
    void *check_arg;
    const struct addr *bind_v4, *bind_v6; // addresses to connect from; may be NULL
};
/// On the calling fiber. One address costs nothing beyond io_connect. The first to connect wins, the others
/// are closed. Errors: the check's, when it refused every address; otherwise ERR_CONNECT_*, ERR_NO_FILES,
/// ERR_NO_MEMORY or the fiber's cancellation. ret_used may be NULL.
MUST_USE enum err dial(const struct dial_request *r, uint64_t deadline, struct io *ret_io,
                       struct addr *ret_used);

#endif
