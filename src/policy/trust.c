// SPDX-License-Identifier: Apache-2.0
#include "policy/trust.h"

enum { HOPS_MAX = 64, LINES_MAX = 32 };

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

// Cuts the last item off *rest. From the right, since what is on the left came from strangers: no quote of
// theirs can swallow what a trusted proxy wrote behind it. X-Forwarded-For has no quoted strings at all.
static bool last_item(struct span *rest, bool forwarded, struct span *ret)
{
    while (rest->len) {
        size_t i = rest->len;
        bool quoted = false;
        for (; i && (quoted || rest->ptr[i - 1] != ','); i--)
            quoted ^= forwarded && rest->ptr[i - 1] == '"';
        *ret = span_trim(span_skip(*rest, i));
        *rest = span_first(*rest, i ? i - 1 : 0);
        if (ret->len)
            return true;
    }
    return false;
}

// The last LINES_MAX lines; line i is lines[i % LINES_MAX].
static size_t read_lines(const struct fields *f, enum field_id id, struct span lines[LINES_MAX])
{
    size_t n = 0;
    for (const struct field *x = fields_get(f, id); x; x = fields_next(f, x))
        lines[n++ % LINES_MAX] = x->value;
    return n;
}

struct addr trust_client(const struct trust *t, const struct addr *peer, const struct fields *f)
{
    struct addr client = *peer, a;
    struct span lines[LINES_MAX], item;
    bool forwarded = !fields_get(f, FIELD_X_FORWARDED_FOR);
    size_t n = read_lines(f, forwarded ? FIELD_FORWARDED : FIELD_X_FORWARDED_FOR, lines);
    size_t oldest = n > LINES_MAX ? n - LINES_MAX : 0;
    unsigned hops = 0;
    while (n > oldest) {
        struct span rest = lines[--n % LINES_MAX];
        while (hops++ < HOPS_MAX && trust_peer(t, &client) && last_item(&rest, forwarded, &item)) {
            if (!parse_node(node_of(item, forwarded), &a))
                return client;
            client = addr_canonical(&a);
        }
    }
    return client;
}
