// SPDX-License-Identifier: Apache-2.0
#include "policy/rules.h"

#include "policy/challenge.h"

static bool action_of(const struct conf_stmt *s, enum rule_action *ret)
{
    switch (s->row->id) {
    case CONF_DENY:
        *ret = RULE_DENY;
        return true;
    case CONF_ALLOW:
        *ret = RULE_ALLOW;
        return true;
    case CONF_TARPIT:
        *ret = RULE_TARPIT;
        return true;
    case CONF_CHALLENGE:
        *ret = RULE_CHALLENGE;
        return true;
    default:
        return false;
    }
}

// These rules decide on requests.
static bool may_be_asked(struct condition_context *k, const struct conf_stmt *s, const struct condition_set *when)
{
    if (!(condition_set_needs(when) & (CONDITION_NEEDS_ANSWER | CONDITION_NEEDS_ADDRESSES)))
        return true;
    conf_error(k->diags, k->conf, &s->pos, "conditions on the answer, and lists of addresses, can be asked in a proxy's policy only");
    return false;
}

bool rules_new(struct condition_context *k, const struct conf_stmt *block, struct rules *ret)
{
    enum rule_action action;
    unsigned n = 0;
    *ret = (struct rules){NULL, 0, 0};
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
        ok &= r->when != NULL && may_be_asked(k, s, r->when);
        ret->needs |= r->when ? condition_set_needs(r->when) : 0;
        if (action == RULE_CHALLENGE && challenge_init()) {
            conf_error(k->diags, NULL, NULL, "out of memory");
            ok = false;
        }
    }
    if (!ok)
        *ret = (struct rules){NULL, 0, 0};
    return ok;
}

const struct rule *rules_decide(const struct rules *r, const struct condition_input *in)
{
    for (unsigned i = 0; i < r->n; i++) {
        if (r->v[i].action == RULE_CHALLENGE && in->solved)
            continue;
        enum match m = condition_set_judge(r->v[i].when, in);
        if (m == MATCH_YES || (m == MATCH_UNSURE && r->v[i].action != RULE_ALLOW))
            return &r->v[i];
    }
    return NULL;
}
