// SPDX-License-Identifier: Apache-2.0
#include "policy/trust.h"

enum { HOPS_MAX = 64 };

// An address as proxies write it: bare, with a port, in brackets or quotes.
static bool parse_node(struct span s, struct addr *ret)
{
    uint16_t port;
    if (s.len >= 2 && s.ptr[0] == '"' && s.ptr[s.len - 1] == '"')
        s = span_of(s.ptr + 1, s.len - 2);
    if (s.len && s.ptr[0] == '[') {
        size_t end = span_find(s, ']');
        struct span behind = span_skip(s, end + 1);
        return end < s.len && addr_parse_ip(span_of(s.ptr + 1, end - 1), ret) && ret->family == AF_INET6 &&
               (behind.len == 0 || (behind.ptr[0] == ':' && addr_parse_port(span_skip(behind, 1), &port)));
    }
    if (addr_parse_ip(s, ret))
        return true;
    size_t colon = span_rfind(s, ':');
    return colon < s.len && addr_parse_ip(span_first(s, colon), ret) && ret->family == AF_INET &&
           addr_parse_port(span_skip(s, colon + 1), &port);
}

// The `for` of one element of Forwarded (RFC 7239 4), or the whole item of X-Forwarded-For.
static struct span node_of(struct span item, bool forwarded)
{
    if (!forwarded)
        return item;
    while (item.ptr) {
        struct span value = span_trim(span_cut(&item, ';')), name = span_trim(span_cut(&value, '='));
        if (span_eq_ci(name, SPAN("for")))
            return span_trim(value);
    }
    return SPAN_NONE;
}

// The last HOPS_MAX items: those nearest to us are what counts. Item i is items[i % HOPS_MAX].
static size_t read_items(const struct fields *f, enum field_id id, struct span items[HOPS_MAX])
{
    size_t n = 0;
    for (const struct field *x = fields_get(f, id); x; x = fields_next(f, x)) {
        struct span rest = x->value, item;
        while (list_next(&rest, &item))
            items[n++ % HOPS_MAX] = item;
    }
    return n;
}

struct addr trust_client(const struct trust *t, const struct addr *peer, const struct fields *f)
{
    struct addr client = *peer;
    struct span items[HOPS_MAX];
    enum field_id id = fields_get(f, FIELD_X_FORWARDED_FOR) ? FIELD_X_FORWARDED_FOR : FIELD_FORWARDED;
    size_t n = read_items(f, id, items);
    size_t oldest = n > HOPS_MAX ? n - HOPS_MAX : 0;
    while (n > oldest && trust_peer(t, &client)) {
        struct addr a;
        if (!parse_node(node_of(items[--n % HOPS_MAX], id == FIELD_FORWARDED), &a))
            break;
        client = addr_canonical(&a);
    }
    return client;
}
