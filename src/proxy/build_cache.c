// SPDX-License-Identifier: Apache-2.0
// `cache` and the statements about it: what stands in an inner block goes before the outer one, and the cache's own block is the
// outermost.
#include "proxy/build.h"

#include "cache/disk.h"

enum { DISK_WRITE_RATE_MIN = 64 * 1024 };

static void build_ttls(struct builder *b, const struct conf_stmt *block, struct cache_use *u)
{
    unsigned n = 0;
    for (const struct conf_stmt *s = conf_child(block, CONF_CACHE_TTL); s; s = conf_next(s))
        n++;
    struct freshness_ttl *v = n ? (struct freshness_ttl *)build_alloc(b, n * sizeof *v) : NULL;
    if (!v)
        return;
    n = 0;
    for (const struct conf_stmt *s = conf_child(block, CONF_CACHE_TTL); s; s = conf_next(s)) {
        struct freshness_ttl *t = &v[n++];
        uint16_t *statuses = (uint16_t *)build_alloc(b, s->n_args * sizeof *statuses);
        t->seconds = (int64_t)MIN(s->args[0].num / 1000, (uint64_t)CACHE_SECONDS_MAX);
        for (unsigned i = 1; statuses && i < s->n_args; i++)
            if (s->args[i].type == CONF_T_INT && s->args[i].num)
                statuses[t->n_statuses++] = (uint16_t)s->args[i].num;
        t->statuses = t->n_statuses ? statuses : NULL;
    }
    u->policy.ttls = v;
    u->policy.n_ttls = n;
}

static int64_t seconds_of(const struct conf_stmt *s, const char *option, int64_t otherwise)
{
    const struct conf_value *v = conf_option(s, option);
    return v ? (int64_t)MIN(v->num / 1000, (uint64_t)CACHE_SECONDS_MAX) : otherwise;
}

static const struct span *words_of(struct builder *b, const struct conf_stmt *s, unsigned *ret_n)
{
    struct span *v = (struct span *)build_alloc(b, s->n_args * sizeof *v);
    *ret_n = 0;
    for (unsigned i = 1; v && i < s->n_args; i++)
        v[(*ret_n)++] = s->args[i].text;
    return v;
}

static void build_key(struct builder *b, const struct conf_stmt *s, struct cache_use *u)
{
    struct span what = s->args[0].text;
    bool sort = span_eq(what, SPAN("sort-query")), device = span_eq(what, SPAN("device")), alone = sort || device;
    if (alone != (s->n_args == 1) && !span_eq(what, SPAN("ignore-query")))
        conf_error(b->diags, b->conf, &s->args[0].pos, alone ? "`key %.*s` takes no names" : "`key %.*s` needs names", SPAN_ARG(what));
    else if (device)
        u->key_device = true;
    else if (sort)
        u->key.sort_query = true;
    else if (span_eq(what, SPAN("ignore-query")) && s->n_args == 1)
        u->key.ignore_all_query = true;
    else if (span_eq(what, SPAN("ignore-query")))
        u->key.ignore_query = words_of(b, s, &u->key.n_ignore);
    else if (span_eq(what, SPAN("keep-query")))
        u->key.keep_query = words_of(b, s, &u->key.n_keep);
    else if (span_eq(what, SPAN("header")))
        u->key_headers = words_of(b, s, &u->n_key_headers);
    else
        u->key_cookies = words_of(b, s, &u->n_key_cookies);
}

static void build_bypass(struct builder *b, const struct conf_stmt *block, struct cache_use *u)
{
    unsigned n = u->n_bypass;
    for (const struct conf_stmt *s = conf_child(block, CONF_CACHE_BYPASS); s; s = conf_next(s))
        n++;
    if (n == u->n_bypass)
        return;
    const struct condition_set **v = (const struct condition_set **)build_alloc(b, n * sizeof *v);
    for (unsigned i = 0; v && i < u->n_bypass; i++)
        v[i] = u->bypass[i];
    for (const struct conf_stmt *s = conf_child(block, CONF_CACHE_BYPASS); v && s; s = conf_next(s)) {
        if (!s->when)
            conf_error(b->diags, b->conf, &s->pos, "`bypass` needs its conditions: bypass when { ... }");
        else if ((v[u->n_bypass] = condition_set_new(&b->cond, s->when)))
            u->n_bypass++;
    }
    u->bypass = v;
}

static void build_purge(struct builder *b, const struct conf_stmt *s, struct cache_use *u)
{
    struct prefix *v = (struct prefix *)build_alloc(b, s->n_args * sizeof *v);
    const char *why;
    u->purge_from = v;
    u->n_purge_from = 0;
    u->purge_soft = conf_option(s, "soft") != NULL;
    b->g->purges = true;
    for (unsigned i = 1; v && i < s->n_args && !s->args[i].option; i++) {
        if (prefix_parse(s->args[i].text, &v[u->n_purge_from], &why))
            u->n_purge_from++;
        else
            conf_error(b->diags, b->conf, &s->args[i].pos, "`%.*s`: %s", SPAN_ARG(s->args[i].text), why);
    }
}

// What one block says, over what u has.
static void apply(struct builder *b, const struct conf_stmt *block, struct cache_use *u)
{
    const struct conf_stmt *stale = conf_child(block, CONF_CACHE_STALE), *over = conf_child(block, CONF_CACHE_OVERRIDE),
                           *directives = conf_child(block, CONF_CACHE_DIRECTIVES), *uses = conf_child(block, CONF_CACHE_MIN_USES);
    if (conf_child(block, CONF_CACHE_TTL))
        build_ttls(b, block, u);
    if (stale) {
        u->policy.stale_while_revalidate_s = seconds_of(stale, "while-revalidate", u->policy.stale_while_revalidate_s);
        u->policy.stale_if_error_s = seconds_of(stale, "if-error", u->policy.stale_if_error_s);
    }
    if (over)
        u->policy.override_s = (int64_t)MIN(over->args[0].num / 1000, (uint64_t)CACHE_SECONDS_MAX);
    if (directives)
        u->ignore_directives = u->policy.ignores_request = span_eq(directives->args[0].text, SPAN("ignore"));
    if (conf_child(block, CONF_CACHE_PURGE))
        build_purge(b, conf_child(block, CONF_CACHE_PURGE), u);
    if (uses)
        u->min_uses = (unsigned)uses->args[0].num;
    for (const struct conf_stmt *s = conf_child(block, CONF_CACHE_KEY); s; s = conf_next(s))
        build_key(b, s, u);
    build_bypass(b, block, u);
}

static struct cache *cache_named(const struct generation *g, struct span name)
{
    for (unsigned i = 0; i < g->n_caches; i++)
        if (span_eq(g->caches[i].config.name, name))
            return g->caches[i].cache;
    return NULL;
}

static void no_such_cache(struct builder *b, const struct conf_value *name)
{
    const char *names[32];
    unsigned n = 0;
    for (const struct conf_stmt *s = conf_child(conf_root(b->conf), CONF_CACHE); s && n < ARRAY_LEN(names); s = conf_next(s))
        if ((names[n] = arena_cstr(b->a, s->args[0].text)))
            n++;
    const char *near = conf_did_you_mean(name->text, names, n);
    if (near)
        conf_error(b->diags, b->conf, &name->pos, "there is no cache `%.*s`; did you mean `%s`?", SPAN_ARG(name->text), near);
    else
        conf_error(b->diags, b->conf, &name->pos, "there is no cache `%.*s`", SPAN_ARG(name->text));
}

const struct cache_use *build_cache_use(struct builder *b, const struct conf_stmt *block, const struct cache_use *outer)
{
    const struct conf_stmt *use = conf_child(block, CONF_CACHE_USE);
    if (conf_child(block, CONF_NO_CACHE) || (!use && !outer))
        return NULL;
    struct cache_use *u = (struct cache_use *)build_alloc(b, sizeof *u);
    if (!u)
        return NULL;
    if (outer && (!use || span_eq(use->args[0].text, outer->name))) {
        *u = *outer;
    } else {
        const struct conf_stmt *d = conf_definition(b->conf, CONF_CACHE, use->args[0].text);
        u->min_uses = 1;
        u->policy.override_s = u->policy.stale_if_error_s = u->policy.stale_while_revalidate_s = CACHE_SECONDS_NONE;
        u->name = use->args[0].text;
        u->cache = cache_named(b->g, u->name);
        if (d)
            apply(b, d, u);
        else
            no_such_cache(b, &use->args[0]);
    }
    apply(b, block, u);
    return u;
}

static void close_cache(void *p)
{
    cache_close((struct cache *)p);
}

static bool is_used(const struct conf_stmt *block, struct span name)
{
    const struct conf_stmt *use = conf_child(block, CONF_CACHE_USE);
    return use && span_eq(use->args[0].text, name);
}

static void warn_unused(struct builder *b, const struct conf_value *name)
{
    for (const struct conf_stmt *s = conf_root(b->conf)->first_child; s; s = s->next) {
        if (is_used(s, name->text))
            return;
        for (const struct conf_stmt *r = conf_child(s, CONF_ROUTE); r; r = conf_next(r))
            if (is_used(r, name->text))
                return;
    }
    conf_warning(b->diags, b->conf, &name->pos, "nothing uses the cache `%.*s`", SPAN_ARG(name->text));
}

// The folder is made by the supervisor and passed along; `weir check` only looks.
static void build_folder(struct builder *b, const struct conf_stmt *s, struct cache_config *config)
{
    const struct conf_stmt *disk = conf_child(s, CONF_CACHE_DISK);
    struct conf_source *src = conf_files(b->conf);
    const char *why = NULL;
    if (!disk)
        return;
    struct span path = disk->args[0].text;
    char *cpath = path.len && path.ptr[0] == '/' ? arena_cstr(b->a, path)
                                                 : arena_cstr(b->a, arena_printf(b->a, "%s/%.*s", conf_folder(b->conf), SPAN_ARG(path)));
    if (disk->args[1].num < DISK_SIZE_MIN_BYTES)
        conf_error(b->diags, b->conf, &disk->args[1].pos, "a cache's folder needs 4MiB at least");
    config->folder = cpath;
    config->disk_bytes = disk->args[1].num;
    const struct conf_value *rate = conf_option(disk, "write-rate");
    if (rate && rate->num < DISK_WRITE_RATE_MIN)
        conf_error(b->diags, b->conf, &rate->pos, "a rate of 64KiB/s at least is wanted here");
    config->write_rate_bytes_s = rate ? rate->num : 0;
    if (src && cpath)
        config->folder_fd = conf_source_own_folder(src, cpath, &why);
    if (why)
        conf_error(b->diags, b->conf, &disk->args[0].pos, "the folder %.*s cannot be used: %s", SPAN_ARG(path), why);
}

void build_caches(struct builder *b)
{
    unsigned n = 0;
    for (const struct conf_stmt *s = conf_child(conf_root(b->conf), CONF_CACHE); s; s = conf_next(s))
        n++;
    struct generation_cache *v = n ? (struct generation_cache *)build_alloc(b, n * sizeof *v) : NULL;
    b->g->caches = v;
    for (const struct conf_stmt *s = conf_child(conf_root(b->conf), CONF_CACHE); v && s; s = conf_next(s)) {
        struct generation_cache *c = &v[b->g->n_caches];
        c->config = (struct cache_config){.name = s->args[0].text, .memory_bytes = conf_number(s, CONF_CACHE_MEMORY),
                                          .max_object_bytes = conf_number(s, CONF_CACHE_MAX_OBJECT), .folder_fd = -1};
        build_folder(b, s, &c->config);
        c->cache = cache_open(&c->config);
        if (!c->cache)
            conf_error(b->diags, NULL, NULL, "out of memory");
        else if (condition_on_free(&b->cond, close_cache, c->cache))
            b->g->n_caches++;
        warn_unused(b, &s->args[0]);
    }
}
