// SPDX-License-Identifier: Apache-2.0
// As written down in HAProxy's doc/proxy-protocol.txt, sections 2.1 and 2.2.
#include "net/proxy_protocol.h"

#include "base/num.h"

enum {
    V2_FIXED = 16,
    V2_BODY_MAX = PROXY_V2_MAX - V2_FIXED,
    CMD_LOCAL = 0,
    CMD_PROXY = 1,
    TLV_AUTHORITY = 0x02,
    TLV_CRC32C = 0x03,
    TLV_HEAD = 3,
    AUTHORITY_MAX = 255,
};
static const struct span v1_start = SPAN_INIT("PROXY ");
static const struct span v2_signature = SPAN_INIT("\r\n\r\n\0\r\nQUIT\n");

// ---- Version 1

/// The next word, which one space must end, or the line's end for the last one.
static bool v1_word(struct span *rest, bool last, struct span *ret)
{
    bool ended = span_find(*rest, ' ') == rest->len;
    *ret = span_cut(rest, ' ');
    return ret->len > 0 && ended == last;
}

static bool v1_port(struct span s, uint16_t *ret)
{
    uint64_t port;
    if ((s.len > 1 && s.ptr[0] == '0') || !num_parse_dec(s, UINT16_MAX, &port))
        return false;
    *ret = (uint16_t)port;
    return true;
}

static bool v1_line(struct span line, struct proxy_header *h)
{
    struct span rest = span_skip(line, v1_start.len), family, src, dst, src_port, dst_port;
    if (span_eq(rest, SPAN("UNKNOWN")) || span_starts(rest, SPAN("UNKNOWN "))) {
        h->local = true; // whatever follows is to be passed over
        return true;
    }
    if (!v1_word(&rest, false, &family) || !v1_word(&rest, false, &src) || !v1_word(&rest, false, &dst) ||
        !v1_word(&rest, false, &src_port) || !v1_word(&rest, true, &dst_port))
        return false;
    uint16_t want = span_eq(family, SPAN("TCP4"))   ? AF_INET
                    : span_eq(family, SPAN("TCP6")) ? AF_INET6
                                                    : AF_UNSPEC;
    return addr_parse_ip(src, &h->src) && addr_parse_ip(dst, &h->dst) && h->src.family == want &&
           h->dst.family == want && v1_port(src_port, &h->src.port) && v1_port(dst_port, &h->dst.port);
}

static enum proxy_parse_result parse_v1(struct span in, struct proxy_header *ret, size_t *ret_len)
{
    struct span window = span_first(in, PROXY_V1_MAX);
    size_t end = span_find(window, '\n');
    if (end == window.len)
        return window.len == PROXY_V1_MAX ? PROXY_BAD : PROXY_PARTIAL;
    if (end == 0 || window.ptr[end - 1] != '\r')
        return PROXY_BAD;
    struct span line = span_first(window, end - 1);
    struct proxy_header h = {.version = 1};
    if (span_find(line, '\r') < line.len || !v1_line(line, &h))
        return PROXY_BAD;
    *ret = h;
    *ret_len = end + 1;
    return PROXY_PARSED;
}

// ---- Version 2

static uint8_t byte_at(struct span s, size_t i)
{
    return (uint8_t)s.ptr[i];
}

static unsigned u16_at(struct span s, size_t i)
{
    return (unsigned)byte_at(s, i) << 8 | byte_at(s, i + 1);
}

static uint32_t crc32c_add(uint32_t crc, uint8_t byte)
{
    crc ^= byte;
    for (unsigned bit = 0; bit < 8; bit++)
        crc = crc >> 1 ^ (crc & 1 ? 0x82f63b78 : 0);
    return crc;
}

/// Of the whole header, with the four bytes of the checksum itself taken as zeros (2.2.3). Rare, so it need
/// not be fast.
static bool checksum_holds(struct span header, size_t at)
{
    uint32_t crc = UINT32_MAX;
    for (size_t i = 0; i < header.len; i++)
        crc = crc32c_add(crc, i - at < 4 ? 0 : byte_at(header, i));
    return ~crc == ((uint32_t)u16_at(header, at) << 16 | u16_at(header, at + 2));
}

static bool v2_tlvs(struct span header, struct span tlvs, struct proxy_header *h)
{
    for (struct span rest = tlvs; rest.len;) {
        if (rest.len < TLV_HEAD || rest.len - TLV_HEAD < u16_at(rest, 1))
            return false;
        struct span value = span_of(rest.ptr + TLV_HEAD, u16_at(rest, 1));
        uint8_t type = byte_at(rest, 0);
        if (type == TLV_AUTHORITY) {
            if (value.len > AUTHORITY_MAX)
                return false;
            h->authority = value;
        } else if (type == TLV_CRC32C) {
            if (value.len != 4 || !checksum_holds(header, (size_t)(value.ptr - header.ptr)))
                return false;
        }
        rest = span_skip(rest, TLV_HEAD + value.len);
    }
    h->tlvs = tlvs;
    return true;
}

static void v2_addrs(struct span body, sa_family_t family, size_t width, struct proxy_header *h)
{
    h->src = (struct addr){.family = family, .port = (uint16_t)u16_at(body, 2 * width)};
    h->dst = (struct addr){.family = family, .port = (uint16_t)u16_at(body, 2 * width + 2)};
    memcpy(h->src.v6, body.ptr, width);
    memcpy(h->dst.v6, body.ptr + width, width);
}

/// What stands behind the fixed part.
static bool v2_body(struct span header, struct proxy_header *h)
{
    struct span body = span_skip(header, V2_FIXED);
    unsigned family = byte_at(header, 13) >> 4, transport = byte_at(header, 13) & 15;
    static const size_t sizes[] = {0, 12, 36, 216}; // unspecified, IPv4, IPv6, unix
    if (family >= sizeof(sizes) / sizeof(*sizes) || transport > 2)
        return false;
    if (h->local)
        return true; // the rest is to be passed over
    if (body.len < sizes[family])
        return false;
    h->local = family == 0 || family == 3 || transport == 0;
    if (family == 1 && !h->local)
        v2_addrs(body, AF_INET, 4, h);
    else if (family == 2 && !h->local)
        v2_addrs(body, AF_INET6, 16, h);
    return v2_tlvs(header, span_skip(body, sizes[family]), h);
}

static enum proxy_parse_result parse_v2(struct span in, struct proxy_header *ret, size_t *ret_len)
{
    // What can be refused already is not waited for.
    if (in.len > 12 && (byte_at(in, 12) >> 4 != 2 || (byte_at(in, 12) & 15) > CMD_PROXY))
        return PROXY_BAD;
    if (in.len < V2_FIXED)
        return PROXY_PARTIAL;
    size_t body = u16_at(in, 14);
    if (body > V2_BODY_MAX)
        return PROXY_BAD;
    if (in.len - V2_FIXED < body)
        return PROXY_PARTIAL;
    struct proxy_header h = {.version = 2, .local = (byte_at(in, 12) & 15) == CMD_LOCAL};
    struct span header = span_first(in, V2_FIXED + body);
    if (!v2_body(header, &h))
        return PROXY_BAD;
    *ret = h;
    *ret_len = header.len;
    return PROXY_PARSED;
}

size_t proxy_header_need(struct span in)
{
    static const struct {
        struct span start;
        size_t least;
    } lines[] = {{SPAN_INIT("PROXY TCP4 "), sizeof "PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n" - 1},
                 {SPAN_INIT("PROXY TCP6 "), sizeof "PROXY TCP6 :: :: 0 0\r\n" - 1},
                 {SPAN_INIT("PROXY UNKNOWN"), sizeof "PROXY UNKNOWN\r\n" - 1}};
    size_t want = v2_signature.len; // any header has as many
    if (span_starts(in, v2_signature))
        want = in.len < V2_FIXED ? (size_t)V2_FIXED : (size_t)MIN(V2_FIXED + u16_at(in, V2_FIXED - 2), (unsigned)PROXY_V2_MAX);
    for (size_t i = 0; i < ARRAY_LEN(lines); i++)
        if (span_starts(in, lines[i].start))
            want = lines[i].least;
    return want > in.len ? want - in.len : 1;
}

enum proxy_parse_result proxy_header_parse(struct span in, struct proxy_header *ret, size_t *ret_len)
{
    if (span_starts(in, v2_signature))
        return parse_v2(in, ret, ret_len);
    if (span_starts(in, v1_start))
        return parse_v1(in, ret, ret_len);
    return span_starts(v1_start, in) || span_starts(v2_signature, in) ? PROXY_PARTIAL : PROXY_BAD;
}

// ---- Writing

static bool same_ip_family(const struct addr *src, const struct addr *dst)
{
    return addr_is_ip(src) && src->family == dst->family;
}

static size_t put(char *out, size_t at, struct span s)
{
    memcpy(out + at, s.ptr, s.len);
    return at + s.len;
}

size_t proxy_header_write_v1(char out[PROXY_HEADER_OUT_MAX], const struct addr *src, const struct addr *dst)
{
    if (!same_ip_family(src, dst))
        return put(out, 0, SPAN("PROXY UNKNOWN\r\n"));
    char ip[ADDR_IP_TEXT_MAX];
    size_t n = put(out, 0, src->family == AF_INET ? SPAN("PROXY TCP4 ") : SPAN("PROXY TCP6 "));
    n = put(out, n, span_of(ip, addr_format_ip(src, ip)));
    out[n++] = ' ';
    n = put(out, n, span_of(ip, addr_format_ip(dst, ip)));
    out[n++] = ' ';
    n += num_put_dec(out + n, src->port);
    out[n++] = ' ';
    n += num_put_dec(out + n, dst->port);
    return put(out, n, SPAN("\r\n"));
}

static size_t put_u16(char *out, size_t at, unsigned v)
{
    out[at] = (char)(v >> 8);
    out[at + 1] = (char)v;
    return at + 2;
}

size_t proxy_header_write_v2(char out[PROXY_HEADER_OUT_MAX], const struct addr *src, const struct addr *dst)
{
    size_t n = put(out, 0, v2_signature);
    bool known = same_ip_family(src, dst);
    out[n++] = (char)(0x20 | (known ? CMD_PROXY : CMD_LOCAL));
    out[n++] = (char)(!known ? 0x00 : src->family == AF_INET ? 0x11 : 0x21);
    if (!known)
        return put_u16(out, n, 0);
    n = put_u16(out, n, 2 * (unsigned)addr_ip_bytes(src).len + 4);
    n = put(out, n, addr_ip_bytes(src));
    n = put(out, n, addr_ip_bytes(dst));
    n = put_u16(out, n, src->port);
    return put_u16(out, n, dst->port);
}
