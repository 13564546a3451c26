// SPDX-License-Identifier: Apache-2.0
#include "policy/policy.h"

#include "policy/challenge.h"
#include "policy/list.h"

// ---- Compiling

static const struct {
    enum conf_id id;
    enum policy_action action;
} statements[] = {{CONF_DENY, POLICY_DENY},           {CONF_ALLOW, POLICY_ALLOW},       {CONF_P_REDIRECT, POLICY_REDIRECT}, {CONF_P_RESPOND, POLICY_RESPOND},
                  {CONF_TARPIT, POLICY_TARPIT},     {CONF_CHALLENGE, POLICY_CHALLENGE},     {CONF_P_STRIP, POLICY_STRIP},     {CONF_P_THROTTLE, POLICY_THROTTLE}, {CONF_P_LOG, POLICY_LOG}};

static bool action_of(const struct conf_stmt *s, enum policy_action *ret)
{
    for (size_t i = 0; i < ARRAY_LEN(statements); i++) {
        if (statements[i].id == s->row->id) {
            *ret = statements[i].action;
            return true;
        }
    }
    return false;
}

// The first condition as it is written; a rule without conditions has none.
static struct span label_of(struct condition_context *k, const struct conf_stmt *s)
{
    const struct conf_stmt *c = s->when ? s->when->first_child : NULL;
    struct span out = SPAN("");
    if (!c)
        return out;
    out = arena_printf(k->arena, "%s%s", c->negated ? "not " : "", c->row->word);
    for (unsigned i = 0; i < c->n_args; i++)
        out = arena_printf(k->arena, "%.*s %.*s", SPAN_ARG(out), SPAN_ARG(c->args[i].text));
    return out;
}

static unsigned strip_of(const struct conf_stmt *s)
{
    static const struct span words[] = {SPAN_INIT("images"), SPAN_INIT("video"), SPAN_INIT("audio"), SPAN_INIT("scripts"), SPAN_INIT("trackers")};
    unsigned bits = 0;
    for (unsigned i = 0; i < s->n_args; i++)
        for (unsigned w = 0; w < ARRAY_LEN(words); w++)
            bits |= (unsigned)span_eq(s->args[i].text, words[w]) << w;
    return bits;
}

static bool redirect_status(struct condition_context *k, const struct conf_stmt *s, unsigned *ret)
{
    static const uint16_t possible[] = {301, 302, 303, 307, 308};
    const char *why;
    uint64_t status = 302;
    bool ok = s->n_args < 2 || conf_parse_number(CONF_T_INT, s->args[0].text, &status, &why);
    for (size_t i = 0; ok && i < ARRAY_LEN(possible); i++) {
        if (possible[i] == status) {
            *ret = (unsigned)status;
            return true;
        }
    }
    conf_error(k->diags, k->conf, &s->args[0].pos, "`%.*s` is no status of a redirect: 301, 302, 303, 307 or 308", SPAN_ARG(s->args[0].text));
    return false;
}

// One condition's is enough: all must hold.
static struct gate gate_of_set(const struct conf_stmt *when)
{
    struct gate g = {GATE_OPEN, UINT64_MAX};
    for (const struct conf_stmt *c = when ? when->first_child : NULL; c && g.kind == GATE_OPEN; c = c->next)
        g = gate_of(c);
    return g;
}

static bool fill(struct condition_context *k, const struct conf_stmt *s, struct policy_rule *r)
{
    const struct conf_value *message = conf_option(s, "message");
    r->stmt = s;
    r->where = conf_where(k->conf, s);
    r->label = label_of(k, s);
    r->message = message ? message->text : SPAN_NONE;
    r->when = condition_set_new(k, s->when);
    r->gate = gate_of_set(s->when);
    if (r->action == POLICY_STRIP)
        r->strip = strip_of(s);
    if (r->action == POLICY_THROTTLE)
        r->rate = s->args[0].num;
    if (r->action == POLICY_RESPOND)
        r->status = (unsigned)s->args[0].num;
    if (r->action == POLICY_REDIRECT && !redirect_status(k, s, &r->status))
        return false;
    if (r->action == POLICY_CHALLENGE && challenge_init()) {
        conf_error(k->diags, NULL, NULL, "out of memory");
        return false;
    }
    return r->when != NULL;
}

struct cleaning {
    bool any;
};

static void note_cleaning(void *arg, const struct condition *c)
{
    struct cleaning *k = (struct cleaning *)arg;
    const struct list_refs *r = (const struct list_refs *)c->data;
    for (unsigned i = 0; i < r->n && !c->negated; i++)
        k->any |= list_cleans_queries(r->v[i]);
}

bool policy_new(struct condition_context *k, const struct conf_stmt *block, struct span where, struct policy *ret)
{
    const struct conf_stmt *def = conf_child(block, CONF_DEFAULT);
    enum policy_action action;
    unsigned n = 0;
    *ret = (struct policy){.default_deny = span_eq(conf_word(block, CONF_DEFAULT), SPAN("deny")), .default_where = def ? conf_where(k->conf, def) : where};
    for (const struct conf_stmt *s = block ? block->first_child : NULL; s; s = s->next)
        n += action_of(s, &action);
    struct policy_rule *v = (struct policy_rule *)condition_alloc(k, (n + 1) * sizeof *v);
    bool ok = v != NULL;
    struct cleaning cleaning = {false};
    for (const struct conf_stmt *s = block ? block->first_child : NULL; v && s; s = s->next) {
        if (!action_of(s, &action))
            continue;
        struct policy_rule *r = &v[ret->n];
        r->action = action;
        if (!fill(k, s, r)) {
            ok = false;
            continue;
        }
        ret->n++;
        ret->needs |= condition_set_needs(r->when) | (action == POLICY_STRIP ? CONDITION_NEEDS_ANSWER | CONDITION_NEEDS_CONTENT : 0);
        if (action == POLICY_DENY)
            condition_set_each(r->when, CONF_C_LIST, note_cleaning, &cleaning);
    }
    ret->v = v;
    ret->cleans_queries = cleaning.any;
    return ok;
}

// ---- Deciding

static void modify(const struct policy_rule *r, struct policy_outcome *o)
{
    if (r->action == POLICY_STRIP)
        o->strip |= r->strip;
    if (r->action == POLICY_THROTTLE && (!o->throttle || r->rate < o->throttle))
        o->throttle = r->rate;
    if (r->action == POLICY_LOG && o->n_logs < POLICY_LOGS_MAX)
        o->logs[o->n_logs++] = r;
}

static void lower_limit(void *arg, const struct condition *c)
{
    uint64_t *limit = (uint64_t *)arg;
    *limit = MIN(*limit, condition_size_least(c));
}

// Whether all that is open about a rule is how long the answer will be.
static bool hangs_on_size(const struct policy_rule *r, const struct condition_input *in, struct policy_outcome *o)
{
    uint64_t least = UINT64_MAX;
    if (!in->answer || in->answer->size != UINT64_MAX || r->action >= POLICY_STRIP)
        return false;
    condition_set_each(r->when, CONF_C_SIZE, lower_limit, &least);
    if (least == UINT64_MAX || condition_set_judge_without(r->when, CONF_C_SIZE, in) != MATCH_YES)
        return false;
    if (r->action != POLICY_ALLOW)
        o->size_limit = MIN(o->size_limit, least);
    return true;
}

void policy_decide(const struct policy *p, const struct condition_input *in, struct policy_outcome *ret)
{
    struct policy_outcome o = {.refused = p->default_deny, .size_limit = UINT64_MAX};
    bool may_allow = false, may_refuse = false; // by a rule before, once the answer is there
    struct gate_input gates;
    if (p->n)
        gate_input_of(in, &gates);
    for (unsigned i = 0; i < p->n; i++) {
        const struct policy_rule *r = &p->v[i];
        if (gate_is_shut(&r->gate, &gates) || (r->action == POLICY_CHALLENGE && in->solved))
            continue;
        enum match m = condition_set_judge(r->when, in);
        bool waits = m == MATCH_UNSURE && !in->answer && condition_set_needs(r->when) & CONDITION_NEEDS_ANSWER;
        if (m == MATCH_NO || (m == MATCH_UNSURE && !waits && r->action == POLICY_ALLOW))
            continue;
        if (m == MATCH_UNSURE && hangs_on_size(r, in, &o))
            continue;
        if (waits) {
            may_allow |= r->action == POLICY_ALLOW;
            may_refuse |= r->action != POLICY_ALLOW;
            continue;
        }
        if (r->action >= POLICY_STRIP) {
            modify(r, &o);
            continue;
        }
        o.rule = r;
        o.refused = r->action != POLICY_ALLOW;
        break;
    }
    o.pending = o.refused ? may_allow : may_refuse;
    *ret = o;
}

struct span policy_where(const struct policy *p, const struct policy_outcome *o)
{
    return o->rule ? o->rule->where : p->default_where;
}

// ---- removeparam

struct clean {
    const struct condition_input *in;
    struct span query;
    enum err err;
};

static void clean_one(void *arg, const struct condition *c)
{
    struct clean *k = (struct clean *)arg;
    const struct list_refs *r = (const struct list_refs *)c->data;
    for (unsigned i = 0; i < r->n && !c->negated && !k->err; i++)
        k->err = list_clean_query(r->v[i], k->in, k->query, &k->query);
}

// Where the rule's other conditions hold: the list itself does not, or the request would have been denied.
enum err policy_clean_query(const struct policy *p, const struct condition_input *in, struct span query, struct span *ret)
{
    struct clean k = {in, query, ERR_OK};
    for (unsigned i = 0; p->cleans_queries && i < p->n && !k.err; i++)
        if (p->v[i].action == POLICY_DENY && condition_set_judge_without(p->v[i].when, CONF_C_LIST, in) != MATCH_NO)
            condition_set_each(p->v[i].when, CONF_C_LIST, clean_one, &k);
    *ret = k.query;
    return k.err;
}
