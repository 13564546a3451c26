// SPDX-License-Identifier: Apache-2.0
// `quota` and `quota-store` statements.
#include "conf/source.h"
#include "policy/zone.h"
#include "proxy/quotas.h"

// `by user`, `by client-ip`; by users where nothing is said.
static bool reads_user(struct builder *b, const struct conf_stmt *s)
{
    const struct conf_value *by = conf_option(s, "by");
    if (!by || span_eq(by->text, SPAN("user")))
        return true;
    if (!span_eq(by->text, SPAN("client-ip")) && !span_eq(by->text, SPAN("client")))
        conf_error(b->diags, b->conf, &by->pos, "`%.*s`: quotas are kept `by user` or `by client-ip`",
                   SPAN_ARG(by->text));
    return false;
}

static void read_zone(struct builder *b, const struct conf_stmt *s, struct quota *q)
{
    const struct conf_value *v = conf_option(s, "zone");
    const char *why = "this is no time zone (Europe/Paris)";
    q->zone_name = SPAN("UTC");
    if (!v || span_eq(v->text, SPAN("UTC")))
        return;
    q->zone = zone_is_name(v->text) ? zone_load(v->text, conf_files(b->conf), b->a, &why) : NULL;
    q->zone_name = v->text;
    if (!q->zone)
        conf_error(b->diags, b->conf, &v->pos, "`%.*s`: %s", SPAN_ARG(v->text), why);
}

static void read_one(struct builder *b, const struct conf_stmt *s, struct span scope, struct quota *q)
{
    const struct conf_value *rate = conf_option(s, "throttle");
    q->size = s->args[0].text;
    q->limit_bytes = s->args[0].num;
    q->monthly = span_eq(s->args[2].text, SPAN("month"));
    q->by_user = reads_user(b, s);
    q->rate = rate ? rate->num : 0;
    q->where = conf_where(b->conf, s);
    read_zone(b, s, q);
    // Another size or rate is still the same quota; another period, key or zone is another one.
    q->scope = arena_printf(b->a, "%.*s %s %s %.*s", SPAN_ARG(scope), q->monthly ? "month" : "day",
                            q->by_user ? "user" : "client", SPAN_ARG(q->zone_name));
    if (!q->limit_bytes)
        conf_error(b->diags, b->conf, &s->args[0].pos, "a size of at least 1B is wanted here");
    if (rate && !rate->num)
        conf_error(b->diags, b->conf, &rate->pos, "a rate of at least 1B/s is wanted here");
    if (!q->scope.ptr || q->scope.len > QUOTA_TEXT_MAX)
        conf_error(b->diags, b->conf, &s->pos, "%s",
                   q->scope.ptr ? "the name of what the quota belongs to is too long" : "out of memory");
}

const struct quotas *build_quotas(struct builder *b, const struct conf_stmt *block, struct span scope)
{
    unsigned n = 0;
    for (const struct conf_stmt *s = conf_child(block, CONF_QUOTA); s; s = conf_next(s))
        n++;
    struct quotas *all = n ? (struct quotas *)build_alloc(b, sizeof *all) : NULL;
    struct quota *v = all ? (struct quota *)build_alloc(b, n * sizeof *v) : NULL;
    if (!v)
        return NULL;
    all->v = v;
    for (const struct conf_stmt *s = conf_child(block, CONF_QUOTA); s; s = conf_next(s)) {
        struct quota *q = &v[all->n];
        read_one(b, s, scope, q);
        for (unsigned i = 0; i < all->n; i++)
            if (span_eq(v[i].scope, q->scope))
                conf_error(b->diags, b->conf, &s->pos, "there is a quota of the same kind already");
        all->n++;
    }
    b->g->wants_quotas = true;
    return all;
}

// As a cache's folder: made by the supervisor and passed along.
void build_quota_store(struct builder *b)
{
    const struct conf_stmt *s = conf_child(conf_root(b->conf), CONF_QUOTA_STORE);
    struct conf_source *src = conf_files(b->conf);
    struct span path = conf_word(conf_root(b->conf), CONF_QUOTA_STORE);
    const char *why = NULL;
    b->g->quota_folder = -1;
    if (!b->g->wants_quotas) {
        if (s)
            conf_warning(b->diags, b->conf, &s->pos, "there is no quota to be stored");
        return;
    }
    char *full = path.len && path.ptr[0] == '/'
                     ? arena_cstr(b->a, path)
                     : arena_cstr(b->a, arena_printf(b->a, "%s/%.*s", conf_folder(b->conf), SPAN_ARG(path)));
    if (src && full)
        b->g->quota_folder = conf_source_own_folder(src, full, &why);
    if (why)
        conf_error(b->diags, s ? b->conf : NULL, s ? &s->args[0].pos : NULL,
                   "the folder %s of the quotas cannot be used: %s", full, why);
}
