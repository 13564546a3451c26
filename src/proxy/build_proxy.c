// SPDX-License-Identifier: Apache-2.0
// Forward proxies: egress, policy.
#include "proxy/guard.h"
#include "proxy/inspect.h"
#include "proxy/pac.h"
#include "proxy/bandwidth.h"
#include "proxy/quotas.h"
#include "proxy/scan.h"

#include "base/hash.h"
#include "base/num.h"

static unsigned parse_ports(struct builder *b, const struct conf_stmt *s, const char *option, struct port_range *out, unsigned max)
{
    unsigned n = 0;
    for (unsigned i = 0; i < s->n_args && n < max; i++) {
        const struct conf_value *v = &s->args[i];
        if (option ? (!v->option || span_eq(v->text, span_str(option))) : false)
            continue;
        struct span last = v->text, first = span_cut(&last, '-');
        uint64_t lo, hi;
        if (!num_parse_dec(first, 65535, &lo) || !num_parse_dec(last.ptr ? last : first, 65535, &hi) || lo > hi || lo == 0)
            conf_error(b->diags, b->conf, &v->pos, "`%.*s` is no port and no range of ports", SPAN_ARG(v->text));
        else
            out[n++] = (struct port_range){(uint16_t)lo, (uint16_t)hi};
    }
    return n;
}

static void build_egress_rule(struct builder *b, const struct conf_stmt *s, struct egress_rules *r)
{
    enum egress_action action = s->row->id == CONF_E_ALLOW ? EGRESS_ALLOW : EGRESS_DENY;
    struct port_range ports[64];
    unsigned n = parse_ports(b, s, "ports", ports, ARRAY_LEN(ports));
    const char *why;
    struct prefix p;
    if (span_eq(s->args[0].text, SPAN("private")))
        egress_rules_private(r, action);
    else if (!prefix_parse(s->args[0].text, &p, &why))
        conf_error(b->diags, b->conf, &s->args[0].pos, "`%.*s`: %s", SPAN_ARG(s->args[0].text), why);
    else if (!egress_rules_add(r, action, &p, ports, n, s->pos.line))
        conf_error(b->diags, NULL, NULL, "out of memory");
}

static void build_sources(struct builder *b, const struct conf_stmt *s, struct egress_rules *r)
{
    for (unsigned i = 0; s && i < s->n_args; i++) {
        const struct conf_value *v = &s->args[i];
        struct addr a;
        bool ok = addr_parse_ip(v->text, &a);
        struct addr *to = ok && a.family == AF_INET ? &r->source_v4 : &r->source_v6;
        if (!ok || to->family)
            conf_error(b->diags, b->conf, &v->pos, ok ? "`%.*s` is a second address of its family" : "`%.*s` is no address of this machine: `source` wants one of IPv4, one of IPv6, or both", SPAN_ARG(v->text));
        else
            *to = a;
    }
    if (s)
        r->source_identity = hash_fast_seed(addr_ip_bytes(&r->source_v6), hash_fast(addr_ip_bytes(&r->source_v4)) | 1) | 1;
}

static void build_egress(struct builder *b, const struct conf_stmt *proxy, struct egress_rules *r)
{
    const struct conf_stmt *block = conf_child(proxy, CONF_EGRESS);
    egress_rules_init(r, b->a);
    for (const struct conf_stmt *s = block ? block->first_child : NULL; s; s = s->next)
        if (s->row->id == CONF_E_ALLOW || s->row->id == CONF_E_DENY)
            build_egress_rule(b, s, r);
    build_sources(b, conf_child(block, CONF_E_SOURCE), r);
    const struct conf_stmt *cp = conf_child(block, CONF_CONNECT_PORTS);
    if (!cp)
        return;
    if (cp->n_args == 1 && span_eq(cp->args[0].text, SPAN("any"))) {
        egress_rules_connect_any(r);
        return;
    }
    struct port_range ports[64];
    unsigned n = parse_ports(b, cp, NULL, ports, ARRAY_LEN(ports));
    for (unsigned i = 0; i < n; i++)
        if (!egress_rules_connect_ports(r, ports[i]))
            conf_error(b->diags, NULL, NULL, "out of memory");
}

static void add_listener(struct builder *b, const struct proxy *p, const struct conf_stmt *at, const struct conf_value *v, bool tls, bool h2c)
{
    struct addr a;
    struct listener *l = build_address(b, v, &a) ? build_listener(b, v, &a, LISTENER_PROXY) : NULL;
    if (!l)
        return;
    l->proxy = p;
    build_introduction(b, at, l);
    l->settings.header_ms = p->timeouts.header;
    l->settings.idle_ms = p->timeouts.idle;
    l->settings.between_ms = p->timeouts.between_bytes;
    l->settings.handshake_ms = p->timeouts.handshake;
    l->settings.absolute = l->settings.socks5 = true;
    l->settings.h2c = h2c;
    if (tls)
        build_tls_proxy(b, at, l, p);
}

static enum privacy privacy_of(const struct conf_stmt *proxy)
{
    struct span word = conf_word(proxy, CONF_PRIVACY);
    return span_eq(word, SPAN("strict")) ? PRIVACY_STRICT : span_eq(word, SPAN("off")) ? PRIVACY_OFF : PRIVACY_STANDARD;
}

// The rules of a policy, and the texts of those that answer.
static void build_policy(struct builder *b, const struct conf_stmt *proxy, struct proxy *p)
{
    if (!policy_new(&b->cond, conf_child(proxy, CONF_POLICY), p->where, &p->policy))
        return;
    struct text *texts = (struct text *)build_alloc(b, (p->policy.n + 1) * sizeof *texts);
    for (unsigned i = 0; texts && i < p->policy.n; i++) {
        const struct conf_stmt *s = p->policy.v[i].stmt;
        if (p->policy.v[i].action == POLICY_REDIRECT)
            texts[i] = text_build(b, &s->args[s->n_args - 1], TEXT_FIELD);
        else if (p->policy.v[i].action == POLICY_RESPOND && s->n_args > 1)
            texts[i] = text_build(b, &s->args[1], TEXT_PLAIN);
    }
    p->policy_texts = texts;
    const struct conf_stmt *page = conf_child(conf_child(proxy, CONF_POLICY), CONF_P_PAGE);
    struct text *form = page ? (struct text *)build_alloc(b, sizeof *form) : NULL;
    if (form && build_page(b, &page->args[0], form))
        p->page = form;
}

void build_proxy(struct builder *b, const struct conf_stmt *s)
{
    struct proxy *p = (struct proxy *)build_alloc(b, sizeof *p);
    if (!p)
        return;
    b->g->proxies[b->g->n_proxies++] = p;
    p->name = s->args[0].text;
    p->where = conf_where(b->conf, s);
    p->metrics = metrics_proxy(p->name);
    p->origins = metrics_origins(p->name);
    if (!p->metrics || !p->origins)
        conf_error(b->diags, NULL, NULL, "out of memory");
    p->timeouts = build_timeouts(s, &b->g->timeouts);
    p->privacy = privacy_of(s);
    p->auth = auth_new(&b->cond, s, NULL);
    build_egress(b, s, &p->egress);
    p->compress = build_compress(b, s, NULL);
    p->decompress = build_decompress(b, s, NULL);
    p->cache = build_cache_use(b, s, NULL);
    p->scanning = build_scan(b, s, NULL);
    p->pac = build_pac(b, s);
    build_parents(b, s, &p->parents);
    build_inspects(b, s, p, &p->inspects);
    p->bandwidths = build_bandwidths(b, s, arena_printf(b->a, "proxy %.*s", SPAN_ARG(p->name)));
    p->quotas = build_quotas(b, s, arena_printf(b->a, "proxy %.*s", SPAN_ARG(p->name)));
    rules_new(&b->cond, s, &p->clients);
    p->guard = build_guard(b, s, NULL);
    p->throttles = build_throttles(b, s, arena_printf(b->a, "proxy %.*s", SPAN_ARG(p->name)));
    build_policy(b, s, p);
    p->pages = build_error_pages(b, s, NULL);
    p->tls = build_tls(b, s);
    bool h2c = conf_child(s, CONF_H2C) != NULL;
    for (unsigned i = 0; i < s->n_args; i++)
        add_listener(b, p, s, &s->args[i], false, h2c);
    for (const struct conf_stmt *l = conf_child(s, CONF_LISTEN); l; l = conf_next(l))
        add_listener(b, p, l, &l->args[0], conf_option(l, "tls") != NULL, h2c);
}
