// SPDX-License-Identifier: Apache-2.0
// What a forward proxy may connect to. Every address has a class from special.tbl; an address that carries an
// IPv4 address (mapped, compatible, NAT64, 6to4, Teredo, ISATAP) counts by what is inside.
#ifndef WEIR_NET_EGRESS_H
#define WEIR_NET_EGRESS_H

#include "base/err.h"
#include "net/prefix.h"

enum addr_class {
    ADDR_CLASS_PUBLIC,
#define ADDR_CLASS(id, name, is_private) ADDR_CLASS_##id,
#include "net/special.tbl"
#undef ADDR_CLASS
    N_ADDR_CLASSES
};
/// ADDR_CLASS_PUBLIC is what the world may reach; a unix socket is ADDR_CLASS_LOCAL.
enum addr_class addr_classify(const struct addr *a);
const char *addr_class_name(enum addr_class c);

struct port_range {
    uint16_t first, last;
};
enum egress_action { EGRESS_ALLOW, EGRESS_DENY };

struct egress_rule {
    enum egress_action action;
    struct prefix prefix;
    const struct port_range *ports; // n_ports 0: every port
    uint32_t n_ports;
    uint32_t tag; // the caller's: for instance the statement, to say which rule decided
};

/// The rules of one proxy: the prefixes in the order written (the first that matches address and port
/// decides), then the default for what is not public. Lives in an arena; immutable once filled.
struct egress_rules {
    struct arena *arena;
    struct egress_rule *rules;
    uint32_t n_rules, cap_rules;
    bool allow_private;   // default false: `deny private`
    bool connect_any;     // `connect-ports any`
    bool connect_written; // connect_ports were given; otherwise 443 alone
    struct port_range *connect_ports;
    uint32_t n_connect_ports, cap_connect_ports;
    struct addr source_v4, source_v6; // to connect from; of no family: the system's choice
    uint64_t source_identity;         // tells connections from these apart from others; 0: the system's choice
};

/// The defaults: `deny private`, `connect-ports 443`.
void egress_rules_init(struct egress_rules *r, struct arena *a);
/// `allow PREFIX [ports ...]`, `deny PREFIX [ports ...]`; the ports are copied. False when memory is out.
MUST_USE bool egress_rules_add(struct egress_rules *r, enum egress_action action, const struct prefix *p,
                               const struct port_range *ports, uint32_t n_ports, uint32_t tag);
/// `allow private` or `deny private`, wherever it stands: it is the default, exceptions go before it.
void egress_rules_private(struct egress_rules *r, enum egress_action action);
/// Adds to the ports that CONNECT may use; the first call takes the place of the default. False when memory
/// is out.
MUST_USE bool egress_rules_connect_ports(struct egress_rules *r, struct port_range range);
/// `connect-ports any`
void egress_rules_connect_any(struct egress_rules *r);

struct egress_verdict {
    enum err err;                   // ERR_OK or ERR_EGRESS_DENIED
    enum addr_class addr_class;     // of the address
    const struct egress_rule *rule; // that decided; NULL: the default did
};
/// Whether a connection may be made to the address and its port. ret may not be NULL. Cheap enough for each
/// dial.
void egress_decide(const struct egress_rules *r, const struct addr *a, struct egress_verdict *ret);
static inline enum err egress_check(const struct egress_rules *r, const struct addr *a)
{
    struct egress_verdict v;
    egress_decide(r, a, &v);
    return v.err;
}
/// For CONNECT only, before the name is resolved: ERR_OK or ERR_PORT_DENIED.
MUST_USE enum err egress_check_connect_port(const struct egress_rules *r, uint16_t port);

#endif
