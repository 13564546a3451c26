// SPDX-License-Identifier: Apache-2.0
// Addresses of sockets: IPv4, IPv6 and unix, in 24 bytes. Text is read strictly: an IPv4 address is four
// decimal numbers without leading zeros and nothing else (RFC 6943 3.1.1 "loose" forms are no addresses
// here).
#ifndef WEIR_NET_ADDR_H
#define WEIR_NET_ADDR_H

#include <sys/socket.h>

#include "base/arena.h"

struct addr {
    uint16_t family; // AF_INET, AF_INET6, AF_UNIX; AF_UNSPEC (0): none
    uint16_t port;   // host order; 0 for AF_UNIX
    uint32_t scope;  // of link-local IPv6, from sockaddr_in6; otherwise 0
    union {
        uint8_t v4[4];
        uint8_t v6[16];
        const char *path; // borrowed, terminated, at most ADDR_PATH_MAX bytes; NULL: an unnamed socket
    };
};

enum {
    ADDR_PATH_MAX = 107,
    ADDR_IP_TEXT_MAX = 48, // with terminator
    ADDR_TEXT_MAX = 128,   // with brackets, port or path, and terminator
};

#define ADDR_NONE ((struct addr){.family = AF_UNSPEC})

static inline struct addr addr_v4(uint8_t a, uint8_t b, uint8_t c, uint8_t d, uint16_t port)
{
    return (struct addr){.family = AF_INET, .port = port, .v4 = {a, b, c, d}};
}
/// The wildcard address of a family (AF_INET or AF_INET6).
static inline struct addr addr_any(sa_family_t family, uint16_t port)
{
    return (struct addr){.family = family, .port = port};
}
static inline bool addr_is_ip(const struct addr *a)
{
    return a->family == AF_INET || a->family == AF_INET6;
}
/// The 4 or 16 bytes of the IP address, for hashing and comparing; they live as long as a. Empty for others.
static inline struct span addr_ip_bytes(const struct addr *a)
{
    return span_of((const char *)a->v6, a->family == AF_INET ? 4 : a->family == AF_INET6 ? 16 : 0);
}

/// "192.0.2.1" or "2001:db8::1" (no brackets, no zone); the port is 0. Strict, the whole span.
MUST_USE bool addr_parse_ip(struct span s, struct addr *ret);
/// "192.0.2.1:80", "[2001:db8::1]:80" or "unix:PATH". The path is copied into the arena; NULL: no unix. Port
/// 0 is refused.
MUST_USE bool addr_parse(struct span s, struct arena *a, struct addr *ret);
/// 1 to 65535 in decimal, the whole span.
MUST_USE bool addr_parse_port(struct span s, uint16_t *ret);
/// Writes the IP address alone (RFC 5952), with terminator; returns its length. "unix" for AF_UNIX, "-" for
/// none.
size_t addr_format_ip(const struct addr *a, char out[ADDR_IP_TEXT_MAX]);
/// Writes what addr_parse reads, with terminator; returns its length. "-" for none.
size_t addr_format(const struct addr *a, char out[ADDR_TEXT_MAX]);

/// For the socket calls; returns the length, 0 for no address.
socklen_t addr_to_sockaddr(const struct addr *a, struct sockaddr_storage *ret);
/// What the socket calls gave. A unix path is not kept (path NULL). False for other families.
MUST_USE bool addr_from_sockaddr(const struct sockaddr *sa, socklen_t len, struct addr *ret);

/// Family, address, scope and port (or path).
bool addr_eq(const struct addr *a, const struct addr *b);
/// Like addr_eq, without the port.
bool addr_eq_ip(const struct addr *a, const struct addr *b);
/// The IPv4 address where a is an IPv4-mapped IPv6 one (::ffff:0:0/96), otherwise a itself.
struct addr addr_canonical(const struct addr *a);
/// 0.0.0.0 or ::
bool addr_is_any(const struct addr *a);
bool addr_is_loopback(const struct addr *a);

#endif
