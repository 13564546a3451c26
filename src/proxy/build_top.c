// SPDX-License-Identifier: Apache-2.0
// What stands at the top level: deadlines, limits, trust, names, the log.
#include "proxy/build.h"

struct timeouts build_timeouts(const struct conf_stmt *block, const struct timeouts *outer)
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
        .tarpit = conf_number_or(t, CONF_T_TARPIT, outer->tarpit),
        .slow = conf_number_or(t, CONF_T_SLOW, outer->slow),
    };
}

struct timeouts build_timeouts_default(void)
{
    return (struct timeouts){
        .header = conf_number(NULL, CONF_T_HEADER),
        .handshake = conf_number(NULL, CONF_T_HANDSHAKE),
        .idle = conf_number(NULL, CONF_T_IDLE),
        .connect = conf_number(NULL, CONF_T_CONNECT),
        .first_byte = conf_number(NULL, CONF_T_FIRST_BYTE),
        .between_bytes = conf_number(NULL, CONF_T_BETWEEN_BYTES),
        .tunnel_idle = conf_number(NULL, CONF_T_TUNNEL_IDLE),
        .tarpit = conf_number(NULL, CONF_T_TARPIT),
        .slow = conf_number(NULL, CONF_T_SLOW),
    };
}

void build_limits(struct builder *b)
{
    const struct conf_stmt *l = conf_child(conf_root(b->conf), CONF_LIMITS);
    uint64_t line = conf_number(l, CONF_L_REQUEST_LINE), bytes = conf_number(l, CONF_L_FIELD_BYTES);
    b->g->limits = (struct limits){
        .connections = (unsigned)conf_number(l, CONF_L_CONNECTIONS),
        .per_client = (unsigned)conf_number(l, CONF_L_PER_CLIENT),
        .handshakes = (unsigned)conf_number(l, CONF_L_HANDSHAKES),
        .h1 = {.line_bytes = (uint32_t)MIN(line, (uint64_t)(1 << 20)),
               .fields = (uint32_t)conf_number(l, CONF_L_FIELDS),
               .fields_bytes = (uint32_t)MIN(bytes, (uint64_t)(1 << 20))},
        .response = {.line_bytes = (uint32_t)MIN(line, (uint64_t)(1 << 20)),
                     .fields = (uint32_t)conf_number(l, CONF_L_RESPONSE_FIELDS),
                     .fields_bytes =
                         (uint32_t)MIN(conf_number(l, CONF_L_RESPONSE_FIELD_BYTES), (uint64_t)(1 << 20))},
        .slowest = conf_number(l, CONF_L_SLOWEST),
        .lag_ms = conf_number(l, CONF_L_LAG),
        .interim = (unsigned)conf_number(l, CONF_L_INTERIM),
        .body = conf_number(l, CONF_L_BODY),
    };
}

void build_trust(struct builder *b)
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

void build_names(struct builder *b)
{
    struct generation *g = b->g;
    dns_hosts_init(&g->hosts, b->a);
    for (const struct conf_stmt *h = conf_child(conf_root(b->conf), CONF_HOSTS); h; h = conf_next(h)) {
        for (const struct conf_stmt *s = h->first_child; s; s = s->next) {
            for (unsigned i = 1; i < s->n_args; i++) {
                struct addr ip;
                if (!addr_parse_ip(s->args[i].text, &ip))
                    conf_error(b->diags, b->conf, &s->args[i].pos, "`%.*s` is no address",
                               SPAN_ARG(s->args[i].text));
                else if (dns_hosts_add(&g->hosts, s->args[0].text, &ip))
                    conf_error(b->diags, b->conf, &s->args[0].pos, "`%.*s` is no name of a host",
                               SPAN_ARG(s->args[0].text));
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
    g->resolvers = (struct addr *)build_alloc(b, DNS_RESOLVERS_MAX * sizeof *g->resolvers);
    const struct conf_stmt *r = conf_child(conf_root(b->conf), CONF_RESOLVER);
    for (unsigned i = 0; r && g->resolvers && i < r->n_args && g->n_resolvers < DNS_RESOLVERS_MAX; i++) {
        struct addr *a = &g->resolvers[g->n_resolvers];
        if (addr_parse_ip(r->args[i].text, a))
            a->port = 53;
        else if (!addr_parse(r->args[i].text, NULL, a)) {
            conf_error(b->diags, b->conf, &r->args[i].pos,
                       "`%.*s` is no address of a resolver: 192.0.2.1 or 192.0.2.1:53",
                       SPAN_ARG(r->args[i].text));
            continue;
        }
        g->n_resolvers++;
    }
    if (!r && g->resolvers && src && conf_source_read(src, "/etc/resolv.conf", &text, &why))
        g->n_resolvers = dns_resolvers_from_file(text, g->resolvers, DNS_RESOLVERS_MAX);
}

enum { WHOLE = 10000 }; // hundredths of a percent

static void build_access_log(struct builder *b, const struct conf_stmt *s)
{
    struct generation *g = b->g;
    struct span form = s->args[1].text;
    const struct conf_value *sample = conf_option(s, "sample");
    if (span_eq(form, SPAN("off")))
        g->log = ACCESS_LOG_OFF;
    else if (span_eq(form, SPAN("json")) || span_eq(form, SPAN("combined")))
        g->log = form.len == 4 ? ACCESS_LOG_JSON : ACCESS_LOG_COMBINED;
    else
        conf_error(b->diags, b->conf, &s->args[1].pos,
                   "`%.*s` is no form of the access log: json, combined or off", SPAN_ARG(form));
    if (conf_plain_args(s) > 2)
        g->log_dest = s->args[2].text;
    if (sample)
        g->log_sample = (uint32_t)sample->num;
    if (s->when)
        g->log_when = condition_set_new(&b->cond, s->when);
}

static void build_error_log(struct builder *b, const struct conf_stmt *s)
{
    static const char *const levels[] = {
        [LOG_DEBUG] = "debug", [LOG_INFO] = "info", [LOG_WARN] = "warn", [LOG_ERROR] = "error"};
    struct span word = s->args[1].text;
    unsigned i = 0;
    while (i < ARRAY_LEN(levels) && !span_eq(word, span_str(levels[i])))
        i++;
    if (i == ARRAY_LEN(levels))
        conf_error(b->diags, b->conf, &s->args[1].pos,
                   "`%.*s` is no level of the error log: debug, info, warn or error", SPAN_ARG(word));
    else
        b->g->error_level = (enum log_level)i;
    if (conf_option(s, "sample") || s->when)
        conf_error(b->diags, b->conf, &s->pos, "`sample` and `when` are for the access log");
    if (conf_plain_args(s) < 3)
        return;
    b->g->error_dest = s->args[2].text;
    if (span_eq(s->args[2].text, SPAN("journald")) || span_starts(s->args[2].text, SPAN("syslog")))
        conf_error(
            b->diags, b->conf, &s->args[2].pos,
            "the error log goes to stderr, stdout or a file; a unit of systemd brings stderr to the journal");
}

void build_log(struct builder *b)
{
    struct generation *g = b->g;
    g->log = ACCESS_LOG_JSON;
    g->log_sample = WHOLE;
    g->error_level = LOG_INFO;
    g->keeps_history = conf_child(conf_root(b->conf), CONF_ADMIN) != NULL;
    g->log_dest = SPAN("stdout");
    g->error_dest = SPAN("stderr");
    for (const struct conf_stmt *s = conf_child(conf_root(b->conf), CONF_LOG); s; s = conf_next(s))
        (span_eq(s->args[0].text, SPAN("access")) ? build_access_log : build_error_log)(b, s);
    g->nowhere = metrics_nowhere();
    if (!g->nowhere)
        conf_error(b->diags, NULL, NULL, "out of memory");
}

void build_own_addresses(struct builder *b)
{
    struct addr *v = (struct addr *)build_alloc(b, (b->g->n_listeners + 1) * sizeof *v);
    for (unsigned i = 0; v && i < b->g->n_listeners; i++)
        if (b->g->listeners[i].kind != LISTENER_SITES)
            v[b->g->own.n++] = b->g->listeners[i].spec.addr;
    b->g->own.addrs = v;
}
