// SPDX-License-Identifier: Apache-2.0
#include "net/egress.h"

#include <string.h>

#include "base/macros.h"

// ---- Classes

enum embed_layout { EMBED_LAST, EMBED_SIXTOFOUR, EMBED_TEREDO, EMBED_LOCAL64 };
enum { EMBEDDED_MAX = 4 };

struct special4 {
    uint8_t addr_class, bits, ip[4];
};
struct special6 {
    uint8_t addr_class, bits; // of an embedding: its layout
    uint16_t groups[8];
};

static const struct special4 special4s[] = {
#define ADDR_SPECIAL4(class, bits, ...) {ADDR_CLASS_##class, bits, {__VA_ARGS__}},
#include "net/special.tbl"
#undef ADDR_SPECIAL4
};
static const struct special6 special6s[] = {
#define ADDR_SPECIAL6(class, bits, ...) {ADDR_CLASS_##class, bits, {__VA_ARGS__}},
#include "net/special.tbl"
#undef ADDR_SPECIAL6
};
static const struct special6 embeds[] = {
#define ADDR_EMBED(name, layout, bits, ...) {EMBED_##layout, bits, {__VA_ARGS__}},
#include "net/special.tbl"
#undef ADDR_EMBED
};
static const struct {
    const char *name;
    bool is_private;
} classes[N_ADDR_CLASSES] = {
    [ADDR_CLASS_PUBLIC] = {"public", true},
#define ADDR_CLASS(id, name, is_private) [ADDR_CLASS_##id] = {name, is_private},
#include "net/special.tbl"
#undef ADDR_CLASS
};

const char *addr_class_name(enum addr_class c)
{
    return classes[c].name;
}

static bool holds(const uint8_t *prefix, unsigned bits, const uint8_t *ip)
{
    unsigned whole = bits / 8, rest = bits % 8;
    return memcmp(prefix, ip, whole) == 0 && (rest == 0 || ((prefix[whole] ^ ip[whole]) >> (8 - rest)) == 0);
}

static bool holds6(const struct special6 *s, const uint8_t ip[16])
{
    uint8_t prefix[16];
    for (unsigned i = 0; i < 8; i++) {
        prefix[2 * i] = (uint8_t)(s->groups[i] >> 8);
        prefix[2 * i + 1] = (uint8_t)s->groups[i];
    }
    return holds(prefix, s->bits, ip);
}

static uint32_t number_of(const uint8_t ip[4])
{
    return (uint32_t)ip[0] << 24 | (uint32_t)ip[1] << 16 | (uint32_t)ip[2] << 8 | ip[3];
}

static enum addr_class classify4(const uint8_t ip[4])
{
    enum addr_class best = ADDR_CLASS_PUBLIC;
    unsigned bits = 0;
    uint32_t number = number_of(ip);
    for (size_t i = 0; i < ARRAY_LEN(special4s); i++) {
        const struct special4 *s = &special4s[i]; // of at least a bit, so that the shift is one
        if ((number_of(s->ip) ^ number) >> (32 - s->bits) == 0 && s->bits >= bits) {
            best = (enum addr_class)s->addr_class;
            bits = s->bits;
        }
    }
    return best;
}

static enum addr_class classify6(const uint8_t ip[16], unsigned *ret_bits)
{
    enum addr_class best = ADDR_CLASS_PUBLIC;
    *ret_bits = 0;
    for (size_t i = 0; i < ARRAY_LEN(special6s); i++) {
        const struct special6 *s = &special6s[i];
        if (s->bits >= *ret_bits && holds6(s, ip)) {
            best = (enum addr_class)s->addr_class;
            *ret_bits = s->bits;
        }
    }
    return best;
}

/// The IPv4 addresses inside an address.
struct embedded {
    struct addr v4[EMBEDDED_MAX];
    unsigned n;
    unsigned bits; // of the prefix that says so; 0 for ISATAP, which any prefix may have
};

static void embedded_add(struct embedded *e, const struct addr *of, unsigned a, unsigned b, unsigned c,
                         unsigned d, uint8_t invert)
{
    const uint8_t *ip = of->v6;
    e->v4[e->n++] = addr_v4(ip[a] ^ invert, ip[b] ^ invert, ip[c] ^ invert, ip[d] ^ invert, of->port);
}

/// RFC 6052 2.2: with /96 the address is at the end; with /48, /56 and /64 it lies around byte 8. Which one
/// it is we cannot know, so each place counts where an address may be (none begins with 0).
static void embedded_local64(struct embedded *e, const struct addr *a)
{
    embedded_add(e, a, 12, 13, 14, 15, 0);
    if (a->v6[6])
        embedded_add(e, a, 6, 7, 9, 10, 0);
    if (a->v6[7])
        embedded_add(e, a, 7, 9, 10, 11, 0);
    if (a->v6[9])
        embedded_add(e, a, 9, 10, 11, 12, 0);
}

static void embedded_find(const struct addr *a, struct embedded *e)
{
    e->n = e->bits = 0;
    static const uint8_t zeros[15];
    if (a->family != AF_INET6 || (memcmp(a->v6, zeros, sizeof(zeros)) == 0 && a->v6[15] <= 1))
        return; // :: and ::1 carry nothing
    const struct special6 *found = NULL;
    for (size_t i = 0; i < ARRAY_LEN(embeds) && !found; i++)
        if (holds6(&embeds[i], a->v6))
            found = &embeds[i];
    if (!found) {
        // ISATAP (RFC 5214 6.1): the interface identifier is 0000:5efe or 0200:5efe and the address.
        if ((a->v6[8] & 0xfd) == 0 && a->v6[9] == 0 && a->v6[10] == 0x5e && a->v6[11] == 0xfe)
            embedded_add(e, a, 12, 13, 14, 15, 0);
        return;
    }
    e->bits = found->bits;
    switch ((enum embed_layout)found->addr_class) {
    case EMBED_LAST:
        embedded_add(e, a, 12, 13, 14, 15, 0);
        break;
    case EMBED_SIXTOFOUR:
        embedded_add(e, a, 2, 3, 4, 5, 0);
        break;
    case EMBED_TEREDO:
        embedded_add(e, a, 12, 13, 14, 15, 0xff);
        embedded_add(e, a, 4, 5, 6, 7, 0);
        break;
    case EMBED_LOCAL64:
        embedded_local64(e, a);
        break;
    }
}

static enum addr_class classify(const struct addr *a, const struct embedded *e)
{
    if (a->family == AF_INET)
        return classify4(a->v4);
    if (a->family != AF_INET6)
        return ADDR_CLASS_LOCAL;
    unsigned bits;
    enum addr_class c = classify6(a->v6, &bits);
    // A longer special prefix goes before an embedding, a shorter one (2001::/23 around Teredo) behind it.
    if (c != ADDR_CLASS_PUBLIC && (e->n == 0 || bits > e->bits))
        return c;
    for (unsigned i = 0; i < e->n; i++) {
        c = classify4(e->v4[i].v4);
        if (c != ADDR_CLASS_PUBLIC)
            return c;
    }
    return ADDR_CLASS_PUBLIC;
}

enum addr_class addr_classify(const struct addr *a)
{
    struct embedded e;
    embedded_find(a, &e);
    return classify(a, &e);
}

// ---- Rules

void egress_rules_init(struct egress_rules *r, struct arena *a)
{
    *r = (struct egress_rules){.arena = a};
}

/// Room for one more in an array that grows by doubling within the arena; NULL when memory is out.
static void *grown(struct arena *a, void *array, uint32_t n, uint32_t *cap, size_t size)
{
    if (n < *cap)
        return array;
    uint32_t more = *cap ? 2 * *cap : 8;
    void *p = arena_alloc(a, more * size);
    if (!p)
        return NULL;
    if (n)
        memcpy(p, array, n * size);
    *cap = more;
    return p;
}

bool egress_rules_add(struct egress_rules *r, enum egress_action action, const struct prefix *p,
                      const struct port_range *ports, uint32_t n_ports, uint32_t tag)
{
    struct egress_rule *rules =
        (struct egress_rule *)grown(r->arena, r->rules, r->n_rules, &r->cap_rules, sizeof(*rules));
    if (!rules)
        return false;
    r->rules = rules;
    struct port_range *copy = NULL;
    if (n_ports) {
        copy = (struct port_range *)arena_alloc(r->arena, n_ports * sizeof(*copy));
        if (!copy)
            return false;
        memcpy(copy, ports, n_ports * sizeof(*copy));
    }
    rules[r->n_rules++] = (struct egress_rule){action, *p, copy, n_ports, tag};
    return true;
}

void egress_rules_private(struct egress_rules *r, enum egress_action action)
{
    r->allow_private = action == EGRESS_ALLOW;
}

bool egress_rules_connect_ports(struct egress_rules *r, struct port_range range)
{
    struct port_range *ports = (struct port_range *)grown(r->arena, r->connect_ports, r->n_connect_ports,
                                                          &r->cap_connect_ports, sizeof(*ports));
    if (!ports)
        return false;
    r->connect_ports = ports;
    ports[r->n_connect_ports++] = range;
    r->connect_written = true;
    return true;
}

void egress_rules_connect_any(struct egress_rules *r)
{
    r->connect_any = true;
}

static bool port_in(const struct port_range *ranges, uint32_t n, uint16_t port)
{
    for (uint32_t i = 0; i < n; i++)
        if (port >= ranges[i].first && port <= ranges[i].last)
            return true;
    return false;
}

/// A denial holds for an address by what it is and by what is inside. An exception must hold what is inside,
/// all of it, or be written for the very prefix that carries it: `allow ::/0` does not open 2002:7f00:1::.
static bool rule_holds(const struct egress_rule *rule, const struct addr *a, const struct embedded *e)
{
    if (rule->n_ports && !port_in(rule->ports, rule->n_ports, a->port))
        return false;
    bool outside = prefix_has(&rule->prefix, a);
    if (e->n == 0)
        return outside;
    unsigned inside = 0;
    for (unsigned i = 0; i < e->n; i++)
        inside += prefix_has(&rule->prefix, &e->v4[i]);
    if (rule->action == EGRESS_DENY)
        return outside || inside > 0;
    return inside == e->n || (outside && e->bits && rule->prefix.bits >= e->bits);
}

void egress_decide(const struct egress_rules *r, const struct addr *a, struct egress_verdict *ret)
{
    struct embedded e;
    embedded_find(a, &e);
    *ret = (struct egress_verdict){ERR_EGRESS_DENIED, classify(a, &e), NULL};
    if (!addr_is_ip(a))
        return;
    for (uint32_t i = 0; i < r->n_rules; i++) {
        if (!rule_holds(&r->rules[i], a, &e))
            continue;
        ret->rule = &r->rules[i];
        ret->err = ret->rule->action == EGRESS_ALLOW ? ERR_OK : ERR_EGRESS_DENIED;
        return;
    }
    if (ret->addr_class == ADDR_CLASS_PUBLIC || (r->allow_private && classes[ret->addr_class].is_private))
        ret->err = ERR_OK;
}

enum err egress_check_connect_port(const struct egress_rules *r, uint16_t port)
{
    static const struct port_range https = {443, 443};
    bool ok = r->connect_any || (r->connect_written ? port_in(r->connect_ports, r->n_connect_ports, port)
                                                    : port_in(&https, 1, port));
    return ok ? ERR_OK : ERR_PORT_DENIED;
}
