// SPDX-License-Identifier: Apache-2.0
#include "net/addr.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/un.h>

#include "base/ipv4.h"
#include "base/num.h"

static bool parse_v6(struct span s, uint8_t out[16])
{
    char text[INET6_ADDRSTRLEN];
    if (s.len == 0 || s.len >= sizeof(text) || memchr(s.ptr, '\0', s.len))
        return false;
    memcpy(text, s.ptr, s.len);
    text[s.len] = '\0';
    return inet_pton(AF_INET6, text, out) == 1;
}

bool addr_parse_ip(struct span s, struct addr *ret)
{
    struct addr a = {.family = AF_INET};
    if (!ipv4_parse(s, a.v4)) {
        a.family = AF_INET6;
        if (!parse_v6(s, a.v6))
            return false;
    }
    *ret = a;
    return true;
}

bool addr_parse_port(struct span s, uint16_t *ret)
{
    uint64_t port;
    if (s.len > 5 || !num_parse_dec(s, UINT16_MAX, &port) || port == 0)
        return false;
    *ret = (uint16_t)port;
    return true;
}

static bool parse_unix(struct span path, struct arena *arena, struct addr *ret)
{
    if (!arena || path.len == 0 || path.len > ADDR_PATH_MAX || memchr(path.ptr, '\0', path.len))
        return false;
    const char *copy = arena_cstr(arena, path);
    if (!copy)
        return false;
    *ret = (struct addr){.family = AF_UNIX, .path = copy};
    return true;
}

bool addr_parse(struct span s, struct arena *arena, struct addr *ret)
{
    if (span_starts(s, SPAN("unix:")))
        return parse_unix(span_skip(s, 5), arena, ret);
    struct addr a;
    uint16_t port;
    size_t colon = span_rfind(s, ':');
    if (colon == s.len || !addr_parse_port(span_skip(s, colon + 1), &port))
        return false;
    struct span ip = span_first(s, colon);
    bool brackets = ip.len >= 2 && ip.ptr[0] == '[' && ip.ptr[ip.len - 1] == ']';
    if (brackets)
        ip = span_of(ip.ptr + 1, ip.len - 2);
    if (!addr_parse_ip(ip, &a) || (a.family == AF_INET6) != brackets)
        return false;
    a.port = port;
    *ret = a;
    return true;
}

static size_t put(char *out, struct span s)
{
    memcpy(out, s.ptr, s.len);
    out[s.len] = '\0';
    return s.len;
}

static char *put_octet(char *o, unsigned v)
{
    if (v >= 100)
        *o++ = (char)('0' + v / 100);
    if (v >= 10)
        *o++ = (char)('0' + v / 10 % 10);
    *o++ = (char)('0' + v % 10);
    return o;
}

size_t addr_format_ip(const struct addr *a, char out[ADDR_IP_TEXT_MAX])
{
    if (a->family == AF_UNIX)
        return put(out, SPAN("unix"));
    if (a->family == AF_INET) {
        char *o = put_octet(out, a->v4[0]);
        for (unsigned i = 1; i < 4; i++) {
            *o++ = '.';
            o = put_octet(o, a->v4[i]);
        }
        *o = '\0';
        return (size_t)(o - out);
    }
    if (!addr_is_ip(a) || !inet_ntop(a->family, a->v6, out, ADDR_IP_TEXT_MAX))
        return put(out, SPAN("-"));
    return strlen(out);
}

size_t addr_format(const struct addr *a, char out[ADDR_TEXT_MAX])
{
    size_t n = 0;
    if (a->family == AF_UNIX) {
        n = put(out, SPAN("unix:"));
        struct span path = span_first(span_str(a->path), ADDR_PATH_MAX);
        return path.len ? n + put(out + n, path) : n;
    }
    if (!addr_is_ip(a))
        return put(out, SPAN("-"));
    if (a->family == AF_INET6)
        out[n++] = '[';
    n += addr_format_ip(a, out + n);
    if (a->family == AF_INET6)
        out[n++] = ']';
    out[n++] = ':';
    n += num_put_dec(out + n, a->port);
    out[n] = '\0';
    return n;
}

socklen_t addr_to_sockaddr(const struct addr *a, struct sockaddr_storage *ret)
{
    memset(ret, 0, sizeof(*ret));
    switch (a->family) {
    case AF_INET: {
        struct sockaddr_in *in = (struct sockaddr_in *)ret;
        in->sin_family = AF_INET;
        in->sin_port = htons(a->port);
        memcpy(&in->sin_addr, a->v4, sizeof(a->v4));
        return sizeof(*in);
    }
    case AF_INET6: {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;
        in6->sin6_family = AF_INET6;
        in6->sin6_port = htons(a->port);
        in6->sin6_scope_id = a->scope;
        memcpy(&in6->sin6_addr, a->v6, sizeof(a->v6));
        return sizeof(*in6);
    }
    case AF_UNIX: {
        struct sockaddr_un *un = (struct sockaddr_un *)ret;
        size_t len = a->path ? strlen(a->path) : 0;
        if (len == 0 || len > ADDR_PATH_MAX)
            return 0;
        un->sun_family = AF_UNIX;
        memcpy(un->sun_path, a->path, len + 1);
        return (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + 1);
    }
    default:
        return 0;
    }
}

bool addr_from_sockaddr(const struct sockaddr *sa, socklen_t len, struct addr *ret)
{
    if (len < sizeof(sa->sa_family))
        return false;
    if (sa->sa_family == AF_INET && len >= sizeof(struct sockaddr_in)) {
        const struct sockaddr_in *in = (const struct sockaddr_in *)sa;
        *ret = (struct addr){.family = AF_INET, .port = ntohs(in->sin_port)};
        memcpy(ret->v4, &in->sin_addr, sizeof(ret->v4));
        return true;
    }
    if (sa->sa_family == AF_INET6 && len >= sizeof(struct sockaddr_in6)) {
        const struct sockaddr_in6 *in6 = (const struct sockaddr_in6 *)sa;
        *ret = (struct addr){.family = AF_INET6, .port = ntohs(in6->sin6_port), .scope = in6->sin6_scope_id};
        memcpy(ret->v6, &in6->sin6_addr, sizeof(ret->v6));
        return true;
    }
    if (sa->sa_family == AF_UNIX) {
        *ret = (struct addr){.family = AF_UNIX};
        return true;
    }
    return false;
}

bool addr_eq_ip(const struct addr *a, const struct addr *b)
{
    if (a->family != b->family || a->scope != b->scope)
        return false;
    if (a->family == AF_UNIX)
        return a->path && b->path ? strcmp(a->path, b->path) == 0 : a->path == b->path;
    return span_eq(addr_ip_bytes(a), addr_ip_bytes(b));
}

bool addr_eq(const struct addr *a, const struct addr *b)
{
    return a->port == b->port && addr_eq_ip(a, b);
}

struct addr addr_canonical(const struct addr *a)
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    if (a->family != AF_INET6 || memcmp(a->v6, mapped, sizeof(mapped)) != 0)
        return *a;
    return addr_v4(a->v6[12], a->v6[13], a->v6[14], a->v6[15], a->port);
}

bool addr_is_any(const struct addr *a)
{
    static const char zero[16];
    return addr_is_ip(a) && span_eq(addr_ip_bytes(a), span_of(zero, addr_ip_bytes(a).len));
}

bool addr_is_loopback(const struct addr *a)
{
    static const uint8_t one[16] = {[15] = 1};
    struct addr c = addr_canonical(a);
    return c.family == AF_INET ? c.v4[0] == 127 : c.family == AF_INET6 && memcmp(c.v6, one, 16) == 0;
}
