// SPDX-License-Identifier: Apache-2.0
#include "net/dns_message.h"

#include "base/ascii.h"

enum {
    HEADER_BYTES = 12,
    TYPE_A = 1,
    TYPE_CNAME = 5,
    TYPE_SOA = 6,
    TYPE_AAAA = 28,
    TYPE_SRV = 33,
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

struct answer {
    struct cursor at; // where the answers begin
    struct wire_name asked;
    unsigned n_answers, n_authority, n_additional;
};

/// Up to the answers: the header, and the question, which must be ours.
static enum err read_head(struct span msg, struct span name, uint16_t type, struct answer *ret)
{
    struct cursor c = {(const uint8_t *)msg.ptr, msg.len, 0, false};
    if (msg.len < HEADER_BYTES || name.len > DNS_NAME_MAX)
        return ERR_DNS_FAILED;
    (void)read_u16(&c); // whoever received it compared the number
    uint16_t flags = read_u16(&c), rcode = flags & 15;
    uint16_t n_questions = read_u16(&c), n_answers = read_u16(&c), n_authority = read_u16(&c),
             n_additional = read_u16(&c);
    if (!(flags & 0x8000) || (flags & 0x0200) || n_questions != 1 || (rcode && rcode != RCODE_NXDOMAIN))
        return ERR_DNS_FAILED;
    ret->n_answers = n_answers;
    ret->n_authority = n_authority;
    ret->n_additional = n_additional;
    read_name(&c, &ret->asked);
    uint16_t asked_type = read_u16(&c), class = read_u16(&c);
    if (c.bad || class != CLASS_IN || asked_type != type || !name_is(&ret->asked, name))
        return ERR_DNS_FAILED;
    ret->at = c;
    return ERR_OK;
}

static unsigned at_most(unsigned n)
{
    return MIN(n, (unsigned)DNS_RECORDS_MAX);
}

enum err dns_message_read(struct span msg, struct span name, sa_family_t family, struct dns_records *ret)
{
    struct answer a;
    if (read_head(msg, name, family == AF_INET ? TYPE_A : TYPE_AAAA, &a))
        return ERR_DNS_FAILED;
    struct cursor c = a.at;
    struct dns_records r = {.ttl_s = UINT32_MAX};
    if (!follow_aliases(&c, at_most(a.n_answers), &a.asked, &r.ttl_s) ||
        !collect(&c, at_most(a.n_answers), &a.asked, family, &r))
        return ERR_DNS_FAILED;
    if (r.n == 0) {
        uint32_t ttl_s = negative_ttl(&c, at_most(a.n_authority));
        r.ttl_s = MIN(r.ttl_s, ttl_s);
    }
    *ret = r;
    return ERR_OK;
}

/// RFC 2782. The root as a target says that the service is not offered there; port 0 can mean nothing else.
static bool read_target(const struct cursor *msg, const struct record *r, struct dns_srv_answer *ret)
{
    struct cursor c = *msg;
    struct wire_name target;
    c.at = r->data;
    uint16_t priority = read_u16(&c), weight = read_u16(&c), port = read_u16(&c);
    read_name(&c, &target);
    if (c.bad || c.at != r->data + r->data_len)
        return false;
    ret->ttl_s = MIN(ret->ttl_s, r->ttl_s);
    if (target.odd || target.len == 0 || port == 0 || ret->n == DNS_SRV_MAX)
        return true;
    struct dns_srv *v = &ret->v[ret->n++];
    *v = (struct dns_srv){.priority = priority, .weight = weight, .port = port};
    memcpy(v->name, target.text, target.len);
    return true;
}

static void read_extra(const struct cursor *msg, const struct record *r, struct dns_srv_answer *ret)
{
    sa_family_t family = r->type == TYPE_A ? AF_INET : AF_INET6;
    if ((r->type != TYPE_A && r->type != TYPE_AAAA) || r->class != CLASS_IN ||
        r->data_len != (family == AF_INET ? 4 : 16))
        return;
    for (unsigned i = 0; i < ret->n && ret->n_addrs < DNS_SRV_ADDRS_MAX; i++) {
        if (!name_is(&r->owner, span_str(ret->v[i].name)))
            continue;
        struct dns_srv_addr *a = &ret->addrs[ret->n_addrs++];
        *a = (struct dns_srv_addr){.of = (uint8_t)i, .addr.family = family};
        memcpy(a->addr.v6, msg->msg + r->data, r->data_len);
        ret->ttl_s = MIN(ret->ttl_s, r->ttl_s);
    }
}

/// What comes beside the answers may be cut off: it is read as far as it goes.
static void read_extras(struct cursor *c, unsigned n_authority, unsigned n_additional,
                        struct dns_srv_answer *ret)
{
    struct record r;
    for (unsigned i = 0; i < at_most(n_authority); i++)
        if (!read_record(c, &r))
            return;
    for (unsigned i = 0; i < at_most(n_additional) && n_authority <= DNS_RECORDS_MAX; i++) {
        if (!read_record(c, &r))
            return;
        read_extra(c, &r, ret);
    }
}

enum err dns_message_read_srv(struct span msg, struct span name, struct dns_srv_answer *ret)
{
    struct answer a;
    ret->n = ret->n_addrs = 0;
    ret->ttl_s = UINT32_MAX;
    if (read_head(msg, name, TYPE_SRV, &a))
        return ERR_DNS_FAILED;
    struct cursor c = a.at;
    if (!follow_aliases(&c, at_most(a.n_answers), &a.asked, &ret->ttl_s))
        return ERR_DNS_FAILED;
    for (unsigned i = 0; i < at_most(a.n_answers); i++) {
        struct record r;
        if (!read_record(&c, &r))
            return ERR_DNS_FAILED;
        bool is_ours = r.type == TYPE_SRV && r.class == CLASS_IN &&
                       name_is(&r.owner, span_of(a.asked.text, a.asked.len));
        if (is_ours && !read_target(&c, &r, ret))
            return ERR_DNS_FAILED;
    }
    if (a.n_answers <= DNS_RECORDS_MAX)
        read_extras(&c, a.n_authority, a.n_additional, ret);
    return ERR_OK;
}
