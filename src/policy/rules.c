// SPDX-License-Identifier: Apache-2.0
#include "policy/rules.h"

static bool action_of(const struct conf_stmt *s, enum rule_action *ret)
{
    if (s->row->id != CONF_DENY && s->row->id != CONF_ALLOW)
        return false;
    *ret = s->row->id == CONF_DENY ? RULE_DENY : RULE_ALLOW;
    return true;
}

bool rules_new(struct condition_context *k, const struct conf_stmt *block, struct rules *ret)
{
    enum rule_action action;
    unsigned n = 0;
    *ret = (struct rules){NULL, 0};
    for (const struct conf_stmt *s = block ? block->first_child : NULL; s; s = s->next)
        n += action_of(s, &action);
    if (!n)
        return true;
    struct rule *v = (struct rule *)condition_alloc(k, n * sizeof *v);
    if (!v)
        return false;
    ret->v = v;
    bool ok = true;
    for (const struct conf_stmt *s = block->first_child; s; s = s->next) {
        if (!action_of(s, &action))
            continue;
        struct rule *r = &v[ret->n++];
        *r = (struct rule){action, condition_set_new(k, s->when), conf_where(k->conf, s)};
        ok &= r->when != NULL;
    }
    if (!ok)
        *ret = (struct rules){NULL, 0};
    return ok;
}

const struct rule *rules_decide(const struct rules *r, const struct condition_input *in)
{
    for (unsigned i = 0; i < r->n; i++) {
        enum match m = condition_set_judge(r->v[i].when, in);
        if (m == MATCH_YES || (m == MATCH_UNSURE && r->v[i].action == RULE_DENY))
            return &r->v[i];
    }
    return NULL;
}
