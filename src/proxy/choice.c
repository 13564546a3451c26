// SPDX-License-Identifier: Apache-2.0
#include "proxy/choice.h"

#include "base/num.h"
#include "proxy/affinity.h"
#include "proxy/content.h"
#include "proxy/page.h"

// A place that the client brings, drawn once for it: it stays where it is when shares change, as far as they let it.
static uint32_t place_by_cookie(struct exchange *x, struct span name)
{
    uint64_t place;
    if (num_parse_dec(affinity_cookie(x, name), CHOICE_PLACES - 1, &place))
        return (uint32_t)place;
    x->split_place = pick_random(CHOICE_PLACES) + 1;
    return x->split_place - 1;
}

static uint32_t place_of(struct exchange *x, const struct pool_choice *c)
{
    uint64_t key;
    if (c->by == POOL_KEY_COOKIE)
        return place_by_cookie(x, c->by_name);
    if (c->by && affinity_key(x, c->by, c->by_name, &key))
        return (uint32_t)((key >> 32) * CHOICE_PLACES >> 32);
    return pick_random(CHOICE_PLACES);
}

static struct pool *by_share(struct exchange *x, const struct pool_choice *c)
{
    uint32_t place = place_of(x, c);
    for (unsigned i = 0; i + 1 < c->n; i++)
        if (place < c->until[i])
            return c->pools[i];
    return c->pools[c->n - 1];
}

// The first that has a server which is well; else the first.
static struct pool *in_order(struct exchange *x, const struct pool_choice *c)
{
    for (unsigned i = 0; i < c->n; i++) {
        x->choice_at = i;
        if (pool_is_well(c->pools[i]))
            return c->pools[i];
    }
    x->choice_at = 0;
    return c->pools[0];
}

struct pool *choice_first(struct exchange *x)
{
    const struct pool_choice *c = x->route->choice;
    if (likely(!c))
        return x->route->pool;
    return c->in_order ? in_order(x, c) : by_share(x, c);
}

struct pool *choice_next(struct exchange *x)
{
    const struct pool_choice *c = x->route->choice;
    return c && c->in_order && x->choice_at + 1 < c->n ? c->pools[++x->choice_at] : NULL;
}

bool choice_last_word(struct exchange *x, enum err e)
{
    const struct pool_choice *c = x->route ? x->route->choice : NULL;
    if (!c || !c->respond_status || err_info(e)->fault != ERR_FAULT_UPSTREAM)
        return false;
    struct span text = text_render(&c->respond_text, x, NULL);
    chunkq_clear(&x->content);
    content_drop_filters(x);
    memset(&x->resp, 0, sizeof x->resp);
    fields_init(&x->resp.fields, x->arena);
    x->answer = ANSWER_LOCAL;
    return text.ptr && !page_retry_after(c->retry_after_s, x->arena, &x->resp.fields) &&
           !page_text(c->respond_status, text, &x->resp, &x->content);
}
