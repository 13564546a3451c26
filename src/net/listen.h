// SPDX-License-Identifier: Apache-2.0
// Opening listening sockets (plain descriptors, before any loop: the supervisor does it), and knowing one's
// own addresses.
#ifndef WEIR_NET_LISTEN_H
#define WEIR_NET_LISTEN_H

#include "net/addr.h"

enum {
    LISTEN_BACKLOG = 4096,
    LISTEN_DEFER_ACCEPT_S = 3, // a connection that says nothing shows up (and is counted) after so long
    LISTEN_ERROR_MAX = 256,
};

struct listen_options {
    bool reuse_port;    // SO_REUSEPORT: a socket for each thread; TCP only
    bool client_speaks; // TCP_DEFER_ACCEPT: the client sends first (HTTP, TLS, PROXY protocol)
    unsigned unix_mode; // permissions of a unix socket; 0: 0660
};
/// A listening, non-blocking, close-on-exec socket, or -1 with a plain sentence in error that names the
/// address. IPv6 sockets take IPv6 only. A unix socket that nobody listens at any more is replaced; one that
/// is in use, or a file that is no socket, is an error.
MUST_USE int listen_open(const struct addr *a, const struct listen_options *o, char error[LISTEN_ERROR_MAX]);
/// n sockets for one address, one for each thread (o->reuse_port, where n is more than 1). Port 0: the kernel
/// chooses one for all. Unlike listen_open it sees that another program of the same user has the port with
/// SO_REUSEPORT. False: none is open, and error says why.
MUST_USE bool listen_open_group(const struct addr *a, const struct listen_options *o, int *ret_fds,
                                unsigned n, char error[LISTEN_ERROR_MAX]);
/// The address that a listening socket has (the port that the kernel chose for port 0).
MUST_USE bool listen_address(int fd, struct addr *ret);

/// Our own listening addresses, so that a proxy asked to reach itself can say so. The array is borrowed.
struct listen_set {
    const struct addr *addrs;
    unsigned n;
};
/// Whether a connection to a would arrive at one of them: the same address and port, or an address of this
/// machine where a wildcard listens at the port. (Asks the kernel only where the port matches a wildcard's.)
bool listen_set_reaches(const struct listen_set *s, const struct addr *a);

#endif
