// SPDX-License-Identifier: Apache-2.0
// Routes: what a path leads to.
#include "proxy/guard.h"
#include "proxy/mirror.h"
#include "proxy/scan.h"
#include "proxy/throttles.h"

static void free_files(void *p)
{
    files_root_close((struct files_root *)p);
}

static void open_files(struct builder *b, const struct conf_value *dir, struct route *r)
{
    const char *why;
    struct span path = dir->text.len && dir->text.ptr[0] == '/' ? dir->text : arena_printf(b->a, "%s/%.*s", conf_folder(b->conf), SPAN_ARG(dir->text));
    char *cpath = arena_cstr(b->a, path);
    struct conf_source *src = conf_files(b->conf);
    int fd = src && cpath ? conf_source_folder(src, cpath, &why) : -1;
    if (cpath && (fd >= 0 || !src))
        r->files = src ? files_root_open_fd(fd, b->a, &why) : files_root_open(cpath, b->a, &why);
    if (r->files && !condition_on_free(&b->cond, free_files, r->files))
        r->files = NULL;
    else if (!r->files)
        conf_error(b->diags, b->conf, &dir->pos, "the folder %.*s cannot be served: %s", SPAN_ARG(dir->text), cpath ? why : "out of memory");
}

static void build_retry(struct builder *b, const struct conf_stmt *s, struct route *r)
{
    const struct conf_stmt *own = conf_child(s, CONF_RETRY);
    struct retry_rules *rules = own ? (struct retry_rules *)build_alloc(b, sizeof *rules) : NULL;
    if (rules)
        *rules = retry_rules_of(own);
    r->retry = rules;
}

static void build_mirror(struct builder *b, const struct conf_stmt *s, struct route *r)
{
    const struct conf_stmt *m = conf_child(s, CONF_MIRROR);
    struct mirror *mirror = m ? (struct mirror *)build_alloc(b, sizeof *mirror) : NULL;
    if (!mirror)
        return;
    if (r->target != TARGET_POOL)
        conf_error(b->diags, b->conf, &m->pos, "only requests that go to a pool can be copied to another one");
    mirror->pool = build_pool_named(b, m->args[1].text);
    mirror->share = m->n_args > 2 ? (uint32_t)m->args[2].num : 10000;
    r->mirror = mirror->pool ? mirror : NULL;
}

unsigned build_retry_after(const struct conf_stmt *s)
{
    const struct conf_value *v = conf_option(s, "retry-after");
    return v ? (unsigned)((v->num + 999) / 1000) : 0;
}

static void build_target(struct builder *b, const struct conf_stmt *s, struct route *r)
{
    const struct conf_stmt *t = s->target;
    struct span word = t->args[0].text;
    if (span_eq(word, SPAN("pool"))) {
        r->target = TARGET_POOL;
        r->pool = build_pool_named(b, t->args[1].text);
    } else if (span_eq(word, SPAN("split")) || span_eq(word, SPAN("failover"))) {
        build_choice(b, t, r);
    } else if (span_eq(word, SPAN("tls-passthrough"))) {
        r->target = TARGET_PASSTHROUGH;
        r->pool = build_pool_named(b, t->args[t->n_args - 1].text);
        if (r->pool && r->pool->tls)
            conf_error(b->diags, b->conf, &t->args[0].pos, "the pool has `tls`: what is passed on as it is has TLS of its own already");
    } else if (span_eq(word, SPAN("redirect"))) {
        r->target = TARGET_REDIRECT;
        r->status = (unsigned)t->args[1].num;
        r->text = text_build(b, &t->args[2], TEXT_FIELD);
    } else if (span_eq(word, SPAN("respond"))) {
        r->target = TARGET_RESPOND;
        r->status = (unsigned)t->args[1].num;
        r->retry_after_s = build_retry_after(t);
        if (conf_plain_args(t) > 2)
            r->text = text_build(b, &t->args[2], TEXT_PLAIN);
    } else {
        const struct conf_stmt *block = conf_child(s, CONF_PRECOMPRESSED) ? s : s->parent;
        r->target = TARGET_FILES;
        r->precompressed = span_eq(conf_word(block, CONF_PRECOMPRESSED), SPAN("on"));
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
    struct span *v = u ? (struct span *)build_alloc(b, u->n_args * sizeof *v) : NULL;
    for (unsigned i = 0; v && i < u->n_args; i++)
        v[i] = u->args[i].text;
    if (v) {
        r->upgrades = v;
        r->n_upgrades = u->n_args;
    }
}

static void build_rewrites(struct builder *b, const struct conf_stmt *s, struct route *r)
{
    unsigned n = 0;
    for (const struct conf_stmt *w = conf_child(s, CONF_REWRITE); w; w = conf_next(w))
        n++;
    struct path_rewrite *v = (struct path_rewrite *)build_alloc(b, (n + 1) * sizeof *v);
    for (const struct conf_stmt *w = conf_child(s, CONF_REWRITE); v && w; w = conf_next(w)) {
        v[r->n_rewrites++] = (struct path_rewrite){condition_pattern(&b->cond, &w->args[0], false), text_build(b, &w->args[1], TEXT_GROUPS)};
        if (!span_starts(w->args[1].text, SPAN("/")))
            conf_error(b->diags, b->conf, &w->args[1].pos, "a path begins with `/`");
    }
    r->rewrites = v;
}

// Routes of one pattern are told apart by their order.
struct span build_route_scope(struct builder *b, const struct conf_stmt *route)
{
    unsigned nth = 0;
    for (const struct conf_stmt *r = conf_child(route->parent, CONF_ROUTE); r && r != route; r = conf_next(r))
        nth += span_eq(r->args[0].text, route->args[0].text);
    return arena_printf(b->a, "site %.*s route %.*s %u", SPAN_ARG(route->parent->args[0].text), SPAN_ARG(route->args[0].text), nth);
}

void build_route(struct builder *b, const struct conf_stmt *s, const struct timeouts *outer, const struct auth *outer_auth, struct route *r)
{
    r->where = conf_where(b->conf, s);
    r->path = condition_pattern(&b->cond, &s->args[0], false);
    if (s->when)
        r->when = condition_set_new(&b->cond, s->when);
    build_target(b, s, r);
    r->early_data = build_early_data(s);
    build_retry(b, s, r);
    build_mirror(b, s, r);
    struct span priority = conf_word(s, CONF_PRIORITY);
    r->priority = span_eq(priority, SPAN("high")) ? PRIORITY_HIGH : span_eq(priority, SPAN("low")) ? PRIORITY_LOW : PRIORITY_NORMAL;
    r->timeouts = build_timeouts(s, outer);
    build_route_timeouts(s, &r->timeouts);
    rules_new(&b->cond, s, &r->deny);
    r->auth = auth_new(&b->cond, s, outer_auth);
    build_fields(b, s, &r->fields);
    r->guard = build_guard(b, s, build_guard(b, s->parent, NULL));
    r->throttles = build_throttles(b, s, build_route_scope(b, s));
    build_upgrades(b, s, r);
    build_rewrites(b, s, r);
    r->decompress = build_decompress(b, s, build_decompress(b, s->parent, NULL));
    r->compress = build_compress(b, s, build_compress(b, s->parent, NULL));
    r->cache = build_cache_use(b, s, build_cache_use(b, s->parent, NULL));
    r->scanning = build_scan(b, s, build_scan(b, s->parent, NULL));
    r->links = build_rewrite_links(b, s);
    build_replacements(b, s, &r->replacements);
    r->cors = build_cors(b, s, build_cors(b, s->parent, NULL));
    r->security = build_security_headers(s, build_security_headers(s->parent, SECURITY_OFF));
    r->pages = build_error_pages(b, s, build_error_pages(b, s->parent, NULL));
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
