// SPDX-License-Identifier: Apache-2.0
// `split` and `failover`: routes with several pools.
#include "proxy/build.h"
#include "proxy/choice.h"

static enum pool_key key_named(struct span word)
{
    static const struct {
        const char *word;
        enum pool_key key;
    } keys[] = {{"client-ip", POOL_KEY_CLIENT_IP}, {"path", POOL_KEY_PATH}, {"cookie", POOL_KEY_COOKIE}, {"header", POOL_KEY_HEADER}, {"query", POOL_KEY_QUERY}};
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        if (span_eq(word, span_str(keys[i].word)))
            return keys[i].key;
    return POOL_KEY_NONE;
}

static void add_pools(struct builder *b, const struct conf_stmt *t, struct pool_choice *c)
{
    uint32_t left = CHOICE_PLACES, at = 0;
    for (const struct conf_stmt *s = conf_child(t, CONF_CHOICE_POOL); s; s = conf_next(s))
        left -= s->n_args > 1 ? (uint32_t)MIN(s->args[1].num, (uint64_t)left) : 0;
    for (const struct conf_stmt *s = conf_child(t, CONF_CHOICE_POOL); s; s = conf_next(s)) {
        at += s->n_args > 1 ? (uint32_t)s->args[1].num : left;
        c->until[c->n] = at;
        c->pools[c->n] = build_pool_named(b, s->args[0].text);
        c->n += c->pools[c->n] != NULL;
    }
}

void build_choice(struct builder *b, const struct conf_stmt *t, struct route *r)
{
    unsigned n = 0;
    for (const struct conf_stmt *s = conf_child(t, CONF_CHOICE_POOL); s; s = conf_next(s))
        n++;
    struct pool_choice *c = (struct pool_choice *)build_alloc(b, sizeof *c);
    if (!c)
        return;
    c->pools = (struct pool **)build_alloc(b, (n + 1) * sizeof *c->pools);
    c->until = (uint32_t *)build_alloc(b, (n + 1) * sizeof *c->until);
    if (!c->pools || !c->until)
        return;
    c->in_order = span_eq(t->args[0].text, SPAN("failover"));
    add_pools(b, t, c);
    if (t->n_args > 2) {
        c->by = key_named(t->args[2].text);
        c->by_name = t->n_args > 3 ? t->args[3].text : SPAN_NONE;
    }
    const struct conf_stmt *respond = conf_child(t, CONF_CHOICE_RESPOND);
    if (respond) {
        c->respond_status = (unsigned)respond->args[0].num;
        c->retry_after_s = build_retry_after(respond);
        if (conf_plain_args(respond) > 1)
            c->respond_text = text_build(b, &respond->args[1], TEXT_PLAIN);
    }
    r->target = TARGET_POOL;
    r->pool = c->n ? c->pools[0] : NULL;
    r->choice = c;
}
