// SPDX-License-Identifier: Apache-2.0
// Conditions on who asks, and on what is in a list: user, group, list.
#include "policy/group.h"
#include "policy/list.h"

static bool compile_user(struct condition_context *k, const struct conf_stmt *s, struct condition *c)
{
    struct pattern_list *l = (struct pattern_list *)condition_alloc(k, sizeof *l);
    c->data = l;
    return l && condition_patterns(k, s, 0, false, l);
}

// Nobody has no name, which no pattern fits.
static enum match match_user(const struct condition *c, const struct condition_input *in)
{
    return in->user.len ? pattern_list_try((const struct pattern_list *)c->data, in->user) : MATCH_NO;
}
const struct condition_ops condition_user = {CONF_C_USER, compile_user, match_user, CONDITION_NEEDS_USER};

struct group_refs {
    unsigned n;
    const struct group *v[];
};

static bool compile_group(struct condition_context *k, const struct conf_stmt *s, struct condition *c)
{
    struct group_refs *r = (struct group_refs *)condition_alloc(k, sizeof *r + s->n_args * sizeof r->v[0]);
    c->data = r;
    for (unsigned i = 0; r && i < s->n_args; i++) {
        r->v[r->n] = group_named(k, &s->args[i]);
        if (!r->v[r->n])
            return false;
        c->needs |= group_has_users(r->v[r->n++]) ? CONDITION_NEEDS_USER : 0;
    }
    return r != NULL;
}

static enum match match_group(const struct condition *c, const struct condition_input *in)
{
    const struct group_refs *r = (const struct group_refs *)c->data;
    for (unsigned i = 0; i < r->n; i++)
        if (group_has(r->v[i], in->user, in->client))
            return MATCH_YES;
    return MATCH_NO;
}
const struct condition_ops condition_group = {CONF_C_GROUP, compile_group, match_group, 0};

static bool compile_list(struct condition_context *k, const struct conf_stmt *s, struct condition *c)
{
    struct list_refs *r = (struct list_refs *)condition_alloc(k, sizeof *r + s->n_args * sizeof r->v[0]);
    c->data = r;
    for (unsigned i = 0; r && i < s->n_args; i++) {
        r->v[r->n] = list_named(k, &s->args[i]);
        if (!r->v[r->n])
            return false;
        c->needs |= list_has_addresses(r->v[r->n++]) ? CONDITION_NEEDS_ADDRESSES : 0;
    }
    return r != NULL;
}

static enum match match_list(const struct condition *c, const struct condition_input *in)
{
    const struct list_refs *r = (const struct list_refs *)c->data;
    enum match m = MATCH_NO;
    for (unsigned i = 0; i < r->n && m != MATCH_YES; i++)
        m = match_or(m, list_match(r->v[i], in, in->hit));
    return m;
}
const struct condition_ops condition_list = {CONF_C_LIST, compile_list, match_list, 0};
