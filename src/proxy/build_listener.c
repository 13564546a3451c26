// SPDX-License-Identifier: Apache-2.0
// Listeners and which names stand at them.
#include "proxy/build.h"
#include "proxy/front.h"

#include "base/ascii.h"
#include "base/hash.h"

bool build_address(struct builder *b, const struct conf_value *v, struct addr *ret)
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

struct listener *build_listener(struct builder *b, const struct conf_value *v, const struct addr *a, enum listener_kind kind)
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
        t->exact = (struct site_name *)build_alloc(b, t->n_slots * sizeof *t->exact);
        t->suffix = (struct site_name *)build_alloc(b, (total + 1) * sizeof *t->suffix);
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
            unsigned k = (unsigned)hash_fast(au.host) & (t->n_slots - 1);
            while (exact[k].site && !span_eq(exact[k].name, au.host))
                k = (k + 1) & (t->n_slots - 1);
            taken = exact[k].site != NULL;
            exact[k] = (struct site_name){au.host, site};
        }
        if (taken)
            conf_error(b->diags, b->conf, &s->args[i].pos, "the name `%.*s` stands at this address already", SPAN_ARG(s->args[i].text));
    }
}

void build_introduction(struct builder *b, const struct conf_stmt *at, struct listener *l)
{
    const struct conf_value *word = at->row->id == CONF_LISTEN ? conf_option(at, "proxy-protocol") : NULL;
    if (l->sited && (word != NULL) != (l->settings.introduce != NULL))
        conf_error(b->diags, b->conf, &at->pos, "another site listens at this address %s `proxy-protocol`", word ? "without" : "with");
    l->sited = true;
    if (!word)
        return;
    l->settings.introduce = front_introduce;
    if (!conf_child(conf_root(b->conf), CONF_TRUST))
        conf_warning(b->diags, b->conf, &word->pos, "nobody is trusted to say who the client is, so every connection here is closed: write `trust client-ip from PREFIX...`");
}

static void add_site(struct builder *b, const struct conf_stmt *s, const struct site *site, unsigned names, const struct conf_value *v,
                     const struct conf_stmt *at, bool tls)
{
    struct timeouts t = build_timeouts(s, &b->g->timeouts);
    struct addr a;
    struct listener *l = build_address(b, v, &a) ? build_listener(b, v, &a, LISTENER_SITES) : NULL;
    if (!l)
        return;
    build_introduction(b, at, l);
    l->settings.header_ms = t.header;
    l->settings.idle_ms = t.idle;
    l->settings.between_ms = t.between_bytes;
    l->settings.handshake_ms = t.handshake;
    l->settings.h2c |= conf_child(s, CONF_H2C) != NULL;
    add_names(b, l, s, site, names);
    build_tls_listener(b, at, l, site, tls);
}

void build_site_listeners(struct builder *b, const struct conf_stmt *s, const struct site *site, unsigned names)
{
    const struct conf_stmt *listen = conf_child(s, CONF_LISTEN);
    if (!listen) {
        add_site(b, s, site, names, &(struct conf_value){.text = SPAN(":80"), .pos = s->pos}, s, false);
        if (conf_child(s, CONF_TLS) || site->passthrough)
            add_site(b, s, site, names, &(struct conf_value){.text = SPAN(":443"), .pos = s->pos}, s, true);
    }
    for (; listen; listen = conf_next(listen))
        add_site(b, s, site, names, &listen->args[0], listen, conf_option(listen, "tls") != NULL);
}
