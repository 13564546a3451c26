// SPDX-License-Identifier: Apache-2.0
// Compiling the configuration's tree.
#include "proxy/generation.h"

#include "base/ascii.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/num.h"

struct builder {
    struct generation *g;
    struct conf *conf;
    struct conf_diags *diags;
    struct arena *a;
    struct condition_context cond;
    unsigned cap_listeners;
};

static void *need(struct builder *b, size_t size)
{
    void *p = arena_zalloc(b->a, size);
    if (!p)
        conf_error(b->diags, NULL, NULL, "out of memory");
    return p;
}

// ---- Small parts

static struct timeouts timeouts_of(const struct conf_stmt *block, const struct timeouts *outer)
{
    const struct conf_stmt *t = conf_child(block, CONF_TIMEOUTS);
    return (struct timeouts){
        .header = conf_number_or(t, CONF_T_HEADER, outer->header),
        .handshake = conf_number_or(t, CONF_T_HANDSHAKE, outer->handshake),
        .idle = conf_number_or(t, CONF_T_IDLE, outer->idle),
        .connect = conf_number_or(t, CONF_T_CONNECT, outer->connect),
        .first_byte = conf_number_or(t, CONF_T_FIRST_BYTE, outer->first_byte),
        .between_bytes = conf_number_or(t, CONF_T_BETWEEN_BYTES, outer->between_bytes),
        .tunnel_idle = conf_number_or(t, CONF_T_TUNNEL_IDLE, outer->tunnel_idle),
    };
}

static struct timeouts default_timeouts(void)
{
    return (struct timeouts){
        .header = conf_number(NULL, CONF_T_HEADER),
        .handshake = conf_number(NULL, CONF_T_HANDSHAKE),
        .idle = conf_number(NULL, CONF_T_IDLE),
        .connect = conf_number(NULL, CONF_T_CONNECT),
        .first_byte = conf_number(NULL, CONF_T_FIRST_BYTE),
        .between_bytes = conf_number(NULL, CONF_T_BETWEEN_BYTES),
        .tunnel_idle = conf_number(NULL, CONF_T_TUNNEL_IDLE),
    };
}

static void build_limits(struct builder *b)
{
    const struct conf_stmt *l = conf_child(conf_root(b->conf), CONF_LIMITS);
    uint64_t line = conf_number(l, CONF_L_REQUEST_LINE), bytes = conf_number(l, CONF_L_FIELD_BYTES);
    b->g->limits = (struct limits){
        .connections = (unsigned)conf_number(l, CONF_L_CONNECTIONS),
        .per_client = (unsigned)conf_number(l, CONF_L_PER_CLIENT),
        .h1 = {.line_bytes = (uint32_t)MIN(line, (uint64_t)(1 << 20)),
               .fields = (uint32_t)conf_number(l, CONF_L_FIELDS),
               .fields_bytes = (uint32_t)MIN(bytes, (uint64_t)(1 << 20))},
        .body = conf_number(l, CONF_L_BODY),
    };
}

static bool build_fields(struct builder *b, const struct conf_stmt *block, struct field_ops *ret)
{
    unsigned n = 0;
    for (const struct conf_stmt *s = block->first_child; s; s = s->next)
        n += s->row->id == CONF_SET || s->row->id == CONF_ADD || s->row->id == CONF_REMOVE;
    struct field_op *v = (struct field_op *)need(b, (n + 1) * sizeof *v);
    *ret = (struct field_ops){v, 0};
    for (const struct conf_stmt *s = block->first_child; v && s; s = s->next) {
        if (s->row->id != CONF_SET && s->row->id != CONF_ADD && s->row->id != CONF_REMOVE)
            continue;
        struct span name = s->args[1].text, value = s->n_args > 2 ? s->args[2].text : SPAN("");
        if (!http_is_token(name) || field_flags(field_id_of(name)) & (FIELD_FRAMING | FIELD_HOP)) {
            conf_error(b->diags, b->conf, &s->args[1].pos, "`%.*s` is no name of a field that may be changed", SPAN_ARG(name));
            continue;
        }
        if (!http_is_field_value(value)) {
            conf_error(b->diags, b->conf, &s->args[2].pos, "this value cannot stand in a field");
            continue;
        }
        v[ret->n++] = (struct field_op){s->row->id == CONF_SET   ? FIELD_OP_SET
                                        : s->row->id == CONF_ADD ? FIELD_OP_ADD
                                                                 : FIELD_OP_REMOVE,
                                        span_starts(s->args[0].text, SPAN("response")), name, value};
    }
    return v != NULL;
}

// ---- Routes and sites

static struct pool *pool_named(struct builder *b, struct span name)
{
    for (unsigned i = 0; i < b->g->n_pools; i++)
        if (b->g->pools[i] && span_eq(b->g->pools[i]->name, name))
            return b->g->pools[i];
    return NULL;
}

static void free_files(void *p)
{
    files_root_close((struct files_root *)p);
}

static void open_files(struct builder *b, const struct conf_value *dir, struct route *r)
{
    const char *why;
    struct span path = dir->text.len && dir->text.ptr[0] == '/' ? dir->text : arena_printf(b->a, "%s/%.*s", conf_folder(b->conf), SPAN_ARG(dir->text));
    char *cpath = arena_cstr(b->a, path);
    r->files = cpath ? files_root_open(cpath, b->a, &why) : NULL;
    if (r->files && !condition_on_free(&b->cond, free_files, r->files))
        r->files = NULL;
    else if (!r->files)
        conf_error(b->diags, b->conf, &dir->pos, "the folder %.*s cannot be served: %s", SPAN_ARG(dir->text), cpath ? why : "out of memory");
}

static void build_target(struct builder *b, const struct conf_stmt *s, struct route *r)
{
    const struct conf_stmt *t = s->target;
    struct span word = t->args[0].text;
    if (span_eq(word, SPAN("pool"))) {
        r->target = TARGET_POOL;
        r->pool = pool_named(b, t->args[1].text);
    } else if (span_eq(word, SPAN("redirect"))) {
        r->target = TARGET_REDIRECT;
        r->status = (unsigned)t->args[1].num;
        r->text = t->args[2].text;
        if (!http_is_field_value(r->text))
            conf_error(b->diags, b->conf, &t->args[2].pos, "this URL cannot stand in a Location field");
    } else if (span_eq(word, SPAN("respond"))) {
        r->target = TARGET_RESPOND;
        r->status = (unsigned)t->args[1].num;
        r->text = t->n_args > 2 ? t->args[2].text : SPAN("");
    } else {
        r->target = TARGET_FILES;
        open_files(b, &t->args[1], r);
    }
}

static void build_route_timeouts(const struct conf_stmt *s, struct timeouts *t)
{
    for (const struct conf_stmt *x = conf_child(s, CONF_TIMEOUT); x; x = conf_next(x)) {
        struct span name = x->args[0].text;
        uint64_t *to = span_eq(name, SPAN("connect"))         ? &t->connect
                       : span_eq(name, SPAN("first-byte"))    ? &t->first_byte
                       : span_eq(name, SPAN("between-bytes")) ? &t->between_bytes
                                                              : &t->tunnel_idle;
        *to = x->args[1].num;
    }
}

static void build_upgrades(struct builder *b, const struct conf_stmt *s, struct route *r)
{
    static const struct span websocket = SPAN_INIT("websocket");
    const struct conf_stmt *u = conf_child(s, CONF_UPGRADE);
    r->upgrades = &websocket;
    r->n_upgrades = 1;
    struct span *v = u ? (struct span *)need(b, u->n_args * sizeof *v) : NULL;
    for (unsigned i = 0; v && i < u->n_args; i++)
        v[i] = u->args[i].text;
    if (v) {
        r->upgrades = v;
        r->n_upgrades = u->n_args;
    }
}

static void build_route(struct builder *b, const struct conf_stmt *s, const struct timeouts *outer, struct route *r)
{
    r->where = conf_where(b->conf, s);
    r->path = condition_pattern(&b->cond, &s->args[0], false);
    if (s->when)
        r->when = condition_set_new(&b->cond, s->when);
    build_target(b, s, r);
    r->timeouts = timeouts_of(s, outer);
    build_route_timeouts(s, &r->timeouts);
    rules_new(&b->cond, s, &r->deny);
    build_fields(b, s, &r->fields);
    build_upgrades(b, s, r);
    const struct conf_stmt *strip = conf_child(s, CONF_STRIP);
    if (strip) {
        r->strip = strip->args[0].text;
        while (r->strip.len && r->strip.ptr[r->strip.len - 1] == '/')
            r->strip.len--;
        struct span p = s->args[0].text;
        if (!span_starts(p, r->strip) || (p.len > r->strip.len && p.ptr[r->strip.len] != '/'))
            conf_error(b->diags, b->conf, &strip->args[0].pos, "the route's pattern does not begin with `%.*s`, so it cannot be stripped", SPAN_ARG(r->strip));
    }
}

static struct site *build_site(struct builder *b, const struct conf_stmt *s)
{
    struct site *site = (struct site *)need(b, sizeof *site);
    unsigned n = 0;
    for (const struct conf_stmt *r = conf_child(s, CONF_ROUTE); r; r = conf_next(r))
        n++;
    struct route *routes = site ? (struct route *)need(b, (n + 1) * sizeof *routes) : NULL;
    if (!routes)
        return NULL;
    site->name = s->args[0].text;
    site->where = conf_where(b->conf, s);
    site->routes = routes;
    site->metrics = metrics_site(site->name);
    rules_new(&b->cond, s, &site->deny);
    build_fields(b, s, &site->fields);
    struct timeouts t = timeouts_of(s, &b->g->timeouts);
    for (const struct conf_stmt *r = conf_child(s, CONF_ROUTE); r; r = conf_next(r))
        build_route(b, r, &t, &routes[site->n_routes++]);
    if (!site->metrics)
        conf_error(b->diags, NULL, NULL, "out of memory");
    return site;
}

// ---- Listeners

static bool parse_listen(struct builder *b, const struct conf_value *v, struct addr *ret)
{
    struct span s = v->text;
    if (s.len && s.ptr[0] == ':') {
        *ret = addr_any(AF_INET, 0);
        if (addr_parse_port(span_skip(s, 1), &ret->port))
            return true;
    } else if (addr_parse(s, b->a, ret)) {
        return true;
    } else if (span_starts(s, SPAN("localhost:")) && addr_parse_port(span_skip(s, 10), &ret->port)) {
        uint16_t port = ret->port;
        *ret = addr_v4(127, 0, 0, 1, port);
        return true;
    }
    conf_error(b->diags, b->conf, &v->pos, "`%.*s` is no address to listen at: 127.0.0.1:8080, [::1]:8080, :8080 or unix:PATH", SPAN_ARG(s));
    return false;
}

static struct listener *listener_for(struct builder *b, const struct conf_value *v, const struct addr *a, enum listener_kind kind)
{
    struct generation *g = b->g;
    for (unsigned i = 0; i < g->n_listeners; i++) {
        if (!addr_eq(&g->listeners[i].spec.addr, a))
            continue;
        if (g->listeners[i].kind == kind && kind == LISTENER_SITES)
            return &g->listeners[i];
        conf_error(b->diags, b->conf, v ? &v->pos : NULL, "something else listens at this address already");
        return NULL;
    }
    if (g->n_listeners == b->cap_listeners)
        return NULL;
    struct listener *l = &g->listeners[g->n_listeners++];
    char text[ADDR_TEXT_MAX];
    *l = (struct listener){.kind = kind, .gen = g};
    l->spec = (struct listener_spec){.addr = *a, .admin = kind == LISTENER_ADMIN};
    if (!arena_dup(b->a, span_of(text, addr_format(a, text)), &l->name))
        l->name = SPAN("");
    l->metrics = metrics_listener(l->name);
    if (!l->metrics)
        conf_error(b->diags, NULL, NULL, "out of memory");
    l->settings = (struct client_settings){.header_ms = g->timeouts.header, .idle_ms = g->timeouts.idle, .between_ms = g->timeouts.between_bytes,
                                           .limits = g->limits.h1, .scheme = SPAN("http")};
    return l;
}

static struct span lower(struct builder *b, struct span s)
{
    char *p = arena_bytes(b->a, s.len + 1);
    for (size_t i = 0; p && i < s.len; i++)
        p[i] = (char)ascii_lower((unsigned char)s.ptr[i]);
    if (s.len && s.ptr[s.len - 1] == '.')
        s.len--;
    return p ? span_of(p, s.len) : SPAN_NONE;
}

// Adds a site's names to a listener. The tables are sized for every name of the configuration.
static void add_names(struct builder *b, struct listener *l, const struct conf_stmt *s, const struct site *site, unsigned total)
{
    struct site_table *t = &l->sites;
    if (!t->exact) {
        for (t->n_slots = 16; t->n_slots < total * 2;)
            t->n_slots *= 2;
        t->exact = (struct site_name *)need(b, t->n_slots * sizeof *t->exact);
        t->suffix = (struct site_name *)need(b, (total + 1) * sizeof *t->suffix);
        if (!t->exact || !t->suffix)
            return;
    }
    struct site_name *exact = (struct site_name *)(uintptr_t)t->exact, *suffix = (struct site_name *)(uintptr_t)t->suffix;
    for (unsigned i = 0; i < s->n_args; i++) {
        struct span name = lower(b, s->args[i].text);
        bool taken = false;
        if (span_eq(name, SPAN("*"))) {
            taken = t->any != NULL;
            t->any = site;
        } else if (span_starts(name, SPAN("*."))) {
            unsigned k = t->n_suffix++;
            name = span_skip(name, 1);
            for (; k > 0 && suffix[k - 1].name.len < name.len; k--)
                suffix[k] = suffix[k - 1];
            suffix[k] = (struct site_name){name, site};
        } else {
            struct authority au;
            if (authority_parse(name, b->a, &au) || au.port) {
                conf_error(b->diags, b->conf, &s->args[i].pos, "`%.*s` is no name of a site: NAME, *.NAME or *", SPAN_ARG(s->args[i].text));
                continue;
            }
            unsigned k = (unsigned)hash_keyed(au.host) & (t->n_slots - 1);
            while (exact[k].site && !span_eq(exact[k].name, au.host))
                k = (k + 1) & (t->n_slots - 1);
            taken = exact[k].site != NULL;
            exact[k] = (struct site_name){au.host, site};
        }
        if (taken)
            conf_error(b->diags, b->conf, &s->args[i].pos, "the name `%.*s` stands at this address already", SPAN_ARG(s->args[i].text));
    }
}

static void build_site_listeners(struct builder *b, const struct conf_stmt *s, const struct site *site, unsigned names)
{
    const struct conf_stmt *listen = conf_child(s, CONF_LISTEN);
    struct conf_value by_default = {.text = SPAN(":80"), .pos = s->pos};
    struct timeouts t = timeouts_of(s, &b->g->timeouts);
    do {
        const struct conf_value *v = listen ? &listen->args[0] : &by_default;
        struct addr a;
        if (parse_listen(b, v, &a)) {
            struct listener *l = listener_for(b, v, &a, LISTENER_SITES);
            if (l) {
                l->settings.header_ms = t.header;
                l->settings.idle_ms = t.idle;
                l->settings.between_ms = t.between_bytes;
                add_names(b, l, s, site, names);
            }
        }
        listen = listen ? conf_next(listen) : NULL;
    } while (listen);
}

// ---- Proxies

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

static void build_egress(struct builder *b, const struct conf_stmt *proxy, struct egress_rules *r)
{
    const struct conf_stmt *block = conf_child(proxy, CONF_EGRESS);
    egress_rules_init(r, b->a);
    for (const struct conf_stmt *s = block ? block->first_child : NULL; s; s = s->next)
        if (s->row->id == CONF_E_ALLOW || s->row->id == CONF_E_DENY)
            build_egress_rule(b, s, r);
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

static void build_proxy(struct builder *b, const struct conf_stmt *s)
{
    struct proxy *p = (struct proxy *)need(b, sizeof *p);
    if (!p)
        return;
    const struct conf_stmt *policy = conf_child(s, CONF_POLICY), *def = conf_child(policy, CONF_DEFAULT);
    b->g->proxies[b->g->n_proxies++] = p;
    p->name = s->args[0].text;
    p->where = p->default_where = conf_where(b->conf, s);
    p->metrics = metrics_proxy(p->name);
    p->timeouts = timeouts_of(s, &b->g->timeouts);
    p->private_ = !span_eq(conf_word(s, CONF_PRIVACY), SPAN("off"));
    p->policy_default_deny = span_eq(conf_word(policy, CONF_DEFAULT), SPAN("deny"));
    if (def)
        p->default_where = conf_where(b->conf, def);
    build_egress(b, s, &p->egress);
    rules_new(&b->cond, s, &p->clients);
    rules_new(&b->cond, policy, &p->policy);
    for (unsigned i = 0; i < s->n_args; i++) {
        struct addr a;
        struct listener *l = parse_listen(b, &s->args[i], &a) ? listener_for(b, &s->args[i], &a, LISTENER_PROXY) : NULL;
        if (l) {
            l->proxy = p;
            l->settings.header_ms = p->timeouts.header;
            l->settings.idle_ms = p->timeouts.idle;
            l->settings.between_ms = p->timeouts.between_bytes;
        }
    }
}

// ---- The rest of the top level

static void build_trust(struct builder *b)
{
    struct prefix_entry entries[256];
    unsigned n = 0;
    for (const struct conf_stmt *s = conf_child(conf_root(b->conf), CONF_TRUST); s; s = conf_next(s)) {
        for (unsigned i = 2; i < s->n_args && n < ARRAY_LEN(entries); i++) {
            const char *why;
            if (prefix_parse(s->args[i].text, &entries[n].prefix, &why))
                entries[n++].value = 0;
            else
                conf_error(b->diags, b->conf, &s->args[i].pos, "`%.*s`: %s", SPAN_ARG(s->args[i].text), why);
        }
    }
    if (n && !prefix_set_build(&b->g->trust.proxies, b->a, entries, n))
        conf_error(b->diags, NULL, NULL, "out of memory");
}

static void build_names(struct builder *b)
{
    struct generation *g = b->g;
    dns_hosts_init(&g->hosts, b->a);
    for (const struct conf_stmt *h = conf_child(conf_root(b->conf), CONF_HOSTS); h; h = conf_next(h)) {
        for (const struct conf_stmt *s = h->first_child; s; s = s->next) {
            for (unsigned i = 1; i < s->n_args; i++) {
                struct addr ip;
                if (!addr_parse_ip(s->args[i].text, &ip))
                    conf_error(b->diags, b->conf, &s->args[i].pos, "`%.*s` is no address", SPAN_ARG(s->args[i].text));
                else if (dns_hosts_add(&g->hosts, s->args[0].text, &ip))
                    conf_error(b->diags, b->conf, &s->args[0].pos, "`%.*s` is no name of a host", SPAN_ARG(s->args[0].text));
            }
            if (s->n_args < 2)
                conf_error(b->diags, b->conf, &s->pos, "an address is missing behind the name");
        }
    }
    struct span text;
    const char *why;
    struct conf_source *src = conf_files(b->conf);
    if (src && conf_source_read(src, "/etc/hosts", &text, &why) && !dns_hosts_add_file(&g->hosts, text))
        conf_error(b->diags, NULL, NULL, "out of memory");
    g->resolvers = (struct addr *)need(b, DNS_RESOLVERS_MAX * sizeof *g->resolvers);
    const struct conf_stmt *r = conf_child(conf_root(b->conf), CONF_RESOLVER);
    for (unsigned i = 0; r && g->resolvers && i < r->n_args && g->n_resolvers < DNS_RESOLVERS_MAX; i++) {
        struct addr *a = &g->resolvers[g->n_resolvers];
        if (addr_parse_ip(r->args[i].text, a))
            a->port = 53;
        else if (!addr_parse(r->args[i].text, NULL, a)) {
            conf_error(b->diags, b->conf, &r->args[i].pos, "`%.*s` is no address of a resolver: 192.0.2.1 or 192.0.2.1:53", SPAN_ARG(r->args[i].text));
            continue;
        }
        g->n_resolvers++;
    }
    if (!r && g->resolvers && src && conf_source_read(src, "/etc/resolv.conf", &text, &why))
        g->n_resolvers = dns_resolvers_from_file(text, g->resolvers, DNS_RESOLVERS_MAX);
}

static void build_log(struct builder *b)
{
    struct generation *g = b->g;
    g->log = ACCESS_LOG_JSON;
    g->log_dest = SPAN("stdout");
    for (const struct conf_stmt *s = conf_child(conf_root(b->conf), CONF_LOG); s; s = conf_next(s)) {
        struct span form = s->args[1].text;
        if (!span_eq(s->args[0].text, SPAN("access")))
            continue;
        if (span_eq(form, SPAN("off")))
            g->log = ACCESS_LOG_OFF;
        else if (span_eq(form, SPAN("json")) || span_eq(form, SPAN("combined")))
            g->log = form.len == 4 ? ACCESS_LOG_JSON : ACCESS_LOG_COMBINED;
        else
            conf_error(b->diags, b->conf, &s->args[1].pos, "`%.*s` is no form of the access log: json, combined or off", SPAN_ARG(form));
        if (s->n_args > 2)
            g->log_dest = s->args[2].text;
    }
    g->nowhere = metrics_nowhere();
    if (!g->nowhere)
        conf_error(b->diags, NULL, NULL, "out of memory");
}

static void build_own_addresses(struct builder *b)
{
    struct addr *v = (struct addr *)need(b, (b->g->n_listeners + 1) * sizeof *v);
    for (unsigned i = 0; v && i < b->g->n_listeners; i++)
        if (b->g->listeners[i].kind != LISTENER_SITES)
            v[b->g->own.n++] = b->g->listeners[i].spec.addr;
    b->g->own.addrs = v;
}

static void build_all(struct builder *b)
{
    const struct conf_stmt *root = conf_root(b->conf);
    struct generation *g = b->g;
    unsigned n_sites = 0, n_pools = 0, n_proxies = 0, names = 0;
    b->cap_listeners = 2;
    for (const struct conf_stmt *s = root->first_child; s; s = s->next) {
        n_sites += s->row->id == CONF_SITE;
        n_pools += s->row->id == CONF_POOL;
        n_proxies += s->row->id == CONF_PROXY;
        names += s->row->id == CONF_SITE || s->row->id == CONF_PROXY ? s->n_args : 0;
        for (const struct conf_stmt *l = conf_child(s, CONF_LISTEN); l; l = conf_next(l))
            b->cap_listeners++;
        b->cap_listeners += 1 + s->n_args;
    }
    g->sites = (struct site **)need(b, (n_sites + 1) * sizeof *g->sites);
    g->pools = (struct pool **)need(b, (n_pools + 1) * sizeof *g->pools);
    g->proxies = (struct proxy **)need(b, (n_proxies + 1) * sizeof *g->proxies);
    g->listeners = (struct listener *)need(b, b->cap_listeners * sizeof *g->listeners);
    if (!g->sites || !g->pools || !g->proxies || !g->listeners)
        return;
    struct timeouts def = default_timeouts();
    g->timeouts = timeouts_of(root, &def);
    build_limits(b);
    build_trust(b);
    build_names(b);
    build_log(b);
    for (const struct conf_stmt *s = conf_child(root, CONF_POOL); s; s = conf_next(s)) {
        struct pool *p = pool_new(b->conf, s, b->a, b->diags);
        if (p) {
            g->pools[g->n_pools++] = p;
            g->max_idle = MAX(g->max_idle, p->max_idle);
        }
    }
    if (!g->n_pools)
        g->max_idle = 512;
    for (const struct conf_stmt *s = conf_child(root, CONF_SITE); s; s = conf_next(s)) {
        struct site *site = build_site(b, s);
        if (!site)
            continue;
        g->sites[g->n_sites++] = site;
        build_site_listeners(b, s, site, names);
    }
    for (const struct conf_stmt *s = conf_child(root, CONF_PROXY); s; s = conf_next(s))
        build_proxy(b, s);
    const struct conf_stmt *dash = conf_child(root, CONF_DASHBOARD);
    struct addr a;
    if (dash && parse_listen(b, &dash->args[0], &a)) {
        if (!addr_is_loopback(&a) && a.family != AF_UNIX)
            conf_error(b->diags, b->conf, &dash->args[0].pos, "the dashboard may listen on loopback only");
        else
            listener_for(b, &dash->args[0], &a, LISTENER_ADMIN);
    }
    build_own_addresses(b);
    g->specs = (struct listener_spec *)need(b, (g->n_listeners + 1) * sizeof *g->specs);
    for (unsigned i = 0; g->specs && i < g->n_listeners; i++)
        g->specs[i] = g->listeners[i].spec;
}

static void generation_free(struct generation *g)
{
    condition_context_free(g->cleanups);
    arena_fini(&g->arena);
    conf_unref(g->conf);
    mem_free(g);
}

struct generation *generation_new(struct conf *conf, struct conf_diags *diags, uint64_t number)
{
    struct generation *g = (struct generation *)mem_calloc(1, sizeof *g);
    if (!g) {
        conf_error(diags, NULL, NULL, "out of memory");
        return NULL;
    }
    atomic_init(&g->refs, 1);
    arena_init(&g->arena, 0);
    g->number = number;
    g->conf = conf_ref(conf);
    struct builder b = {.g = g, .conf = conf, .diags = diags, .a = &g->arena, .cond = {.conf = conf, .diags = diags, .arena = &g->arena}};
    build_all(&b);
    g->cleanups = b.cond.cleanups;
    if (conf_diags_errors(diags) == 0)
        return g;
    generation_free(g);
    return NULL;
}

struct generation *generation_ref(struct generation *g)
{
    atomic_fetch_add_explicit(&g->refs, 1, memory_order_relaxed);
    return g;
}

void generation_unref(struct generation *g)
{
    if (g && atomic_fetch_sub_explicit(&g->refs, 1, memory_order_acq_rel) == 1)
        generation_free(g);
}

struct conf *generation_conf(const struct generation *g)
{
    return g->conf;
}

const struct listener_spec *generation_listeners(const struct generation *g, unsigned *ret_n)
{
    *ret_n = g->n_listeners;
    return g->specs;
}

const struct listener *generation_listener(const struct generation *g, const struct addr *a)
{
    for (unsigned i = 0; i < g->n_listeners; i++)
        if (addr_eq(&g->listeners[i].spec.addr, a))
            return &g->listeners[i];
    return NULL;
}

struct span generation_access_log(const struct generation *g)
{
    return g->log == ACCESS_LOG_OFF ? SPAN_NONE : g->log_dest;
}
