// SPDX-License-Identifier: Apache-2.0
#include "net/dns_message.h"

#include "base/ascii.h"

enum {
    HEADER_BYTES = 12,
    TYPE_A = 1,
    TYPE_CNAME = 5,
    TYPE_SOA = 6,
    TYPE_AAAA = 28,
    CLASS_IN = 1,
    RCODE_NXDOMAIN = 3
};

struct cursor {
    const uint8_t *msg;
    size_t len, at;
    bool bad; // something did not fit: everything read since then is 0
};

static uint16_t read_u16(struct cursor *c)
{
    if (c->bad || c->len - c->at < 2) {
        c->bad = true;
        return 0;
    }
    uint16_t v = (uint16_t)(c->msg[c->at] << 8 | c->msg[c->at + 1]);
    c->at += 2;
    return v;
}

static uint32_t read_u32(struct cursor *c)
{
    uint32_t high = read_u16(c);
    return high << 16 | read_u16(c);
}

struct wire_name {
    char text[DNS_NAME_MAX + 1];
    size_t len;
    bool odd; // has a byte that no name of ours has: it equals none
};

static void wire_label(struct wire_name *n, const uint8_t *label, size_t len)
{
    if (n->len + (n->len > 0) + len > DNS_NAME_MAX) {
        n->odd = true;
        return;
    }
    if (n->len)
        n->text[n->len++] = '.';
    for (size_t i = 0; i < len; i++) {
        n->odd = n->odd || label[i] == '.' || label[i] <= ' ' || label[i] >= 0x7f;
        n->text[n->len++] = (char)ascii_lower(label[i]);
    }
}

/// Reads a name with its compression (RFC 1035 4.1.4). A pointer must point before what it continues, so it
/// cannot circle.
static void read_name(struct cursor *c, struct wire_name *ret)
{
    ret->len = 0;
    ret->odd = false;
    size_t at = c->at, barrier = c->at;
    bool jumped = false;
    while (!c->bad) {
        if (at >= c->len)
            break;
        uint8_t b = c->msg[at];
        if (b == 0) {
            if (!jumped)
                c->at = at + 1;
            return;
        }
        if (b >= 0xc0) {
            if (c->len - at < 2)
                break;
            size_t to = (size_t)(b & 0x3f) << 8 | c->msg[at + 1];
            if (!jumped)
                c->at = at + 2;
            jumped = true;
            if (to >= barrier)
                break;
            at = barrier = to;
            continue;
        }
        if (b >= 0x40 || c->len - at - 1 < b)
            break;
        wire_label(ret, c->msg + at + 1, b);
        at += 1u + b;
    }
    c->bad = true;
}

static bool name_is(const struct wire_name *n, struct span name)
{
    return !n->odd && span_eq(span_of(n->text, n->len), name);
}

struct record {
    struct wire_name owner;
    uint16_t type, class;
    uint32_t ttl_s;
    size_t data, data_len; // places in the message
};

static bool read_record(struct cursor *c, struct record *ret)
{
    read_name(c, &ret->owner);
    ret->type = read_u16(c);
    ret->class = read_u16(c);
    ret->ttl_s = read_u32(c);
    if (ret->ttl_s > INT32_MAX) // RFC 2181 8
        ret->ttl_s = 0;
    ret->data_len = read_u16(c);
    ret->data = c->at;
    if (c->bad || c->len - c->at < ret->data_len)
        return false;
    c->at += ret->data_len;
    return true;
}

/// Follows name through the answer's CNAMEs; *name and buf become the last one.
static bool follow_aliases(const struct cursor *answers, unsigned n, struct wire_name *name, uint32_t *ttl_s)
{
    for (unsigned hops = 0; hops <= DNS_ALIASES_MAX; hops++) {
        struct cursor c = *answers;
        bool found = false;
        for (unsigned i = 0; i < n && !found; i++) {
            struct record r;
            if (!read_record(&c, &r))
                return false;
            if (r.type != TYPE_CNAME || r.class != CLASS_IN ||
                !name_is(&r.owner, span_of(name->text, name->len)))
                continue;
            struct cursor target = c;
            target.at = r.data;
            read_name(&target, name);
            if (target.bad || target.at != r.data + r.data_len || name->odd || name->len == 0)
                return false;
            *ttl_s = MIN(*ttl_s, r.ttl_s);
            found = true;
        }
        if (!found)
            return true;
    }
    return false;
}

static bool collect(struct cursor *c, unsigned n, const struct wire_name *name, sa_family_t family,
                    struct dns_records *ret)
{
    uint16_t type = family == AF_INET ? TYPE_A : TYPE_AAAA;
    size_t width = family == AF_INET ? 4 : 16;
    for (unsigned i = 0; i < n; i++) {
        struct record r;
        if (!read_record(c, &r))
            return false;
        if (r.type != type || r.class != CLASS_IN || !name_is(&r.owner, span_of(name->text, name->len)))
            continue;
        if (r.data_len != width)
            return false;
        ret->ttl_s = MIN(ret->ttl_s, r.ttl_s);
        if (ret->n == DNS_ADDRS_MAX)
            continue;
        struct addr *a = &ret->addrs[ret->n++];
        *a = (struct addr){.family = family};
        memcpy(a->v6, c->msg + r.data, width);
    }
    return true;
}

/// How long a "there is none" may be kept: the lesser of the SOA's own TTL and its last field. Without one,
/// not at all.
static uint32_t negative_ttl(struct cursor *c, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        struct record r;
        if (!read_record(c, &r))
            return 0;
        if (r.type != TYPE_SOA || r.class != CLASS_IN)
            continue;
        struct cursor soa = *c;
        soa.at = r.data;
        struct wire_name ignored;
        read_name(&soa, &ignored);
        read_name(&soa, &ignored);
        for (unsigned k = 0; k < 4; k++)
            (void)read_u32(&soa);
        uint32_t minimum = read_u32(&soa);
        if (soa.bad || soa.at != r.data + r.data_len)
            return 0;
        return MIN(r.ttl_s, minimum);
    }
    return 0;
}

enum err dns_message_read(struct span msg, struct span name, sa_family_t family, struct dns_records *ret)
{
    struct cursor c = {(const uint8_t *)msg.ptr, msg.len, 0, false};
    if (msg.len < HEADER_BYTES || name.len > DNS_NAME_MAX)
        return ERR_DNS_FAILED;
    (void)read_u16(&c); // whoever received it compared the number
    uint16_t flags = read_u16(&c), rcode = flags & 15;
    uint16_t n_questions = read_u16(&c), n_answers = read_u16(&c), n_authority = read_u16(&c);
    (void)read_u16(&c);
    if (!(flags & 0x8000) || (flags & 0x0200) || n_questions != 1 || (rcode && rcode != RCODE_NXDOMAIN))
        return ERR_DNS_FAILED;
    n_answers = MIN(n_answers, (uint16_t)DNS_RECORDS_MAX);
    struct wire_name asked;
    read_name(&c, &asked);
    uint16_t type = read_u16(&c), class = read_u16(&c);
    if (c.bad || class != CLASS_IN || type != (family == AF_INET ? TYPE_A : TYPE_AAAA) ||
        !name_is(&asked, name))
        return ERR_DNS_FAILED;
    struct dns_records r = {.ttl_s = UINT32_MAX};
    if (!follow_aliases(&c, n_answers, &asked, &r.ttl_s) || !collect(&c, n_answers, &asked, family, &r))
        return ERR_DNS_FAILED;
    if (r.n == 0) {
        uint32_t ttl_s = negative_ttl(&c, MIN(n_authority, (uint16_t)DNS_RECORDS_MAX));
        r.ttl_s = MIN(r.ttl_s, ttl_s);
    }
    *ret = r;
    return ERR_OK;
}
