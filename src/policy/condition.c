// SPDX-License-Identifier: Apache-2.0
#include "policy/condition.h"

#define CONDITION(name) extern const struct condition_ops condition_##name;
#include "policy/conditions.tbl"
#undef CONDITION

static const struct condition_ops *const all[] = {
#define CONDITION(name) &condition_##name,
#include "policy/conditions.tbl"
#undef CONDITION
};

struct condition_set {
    unsigned n, needs;
    struct condition v[];
};

// ---- What compiling shares

struct condition_cleanup {
    struct condition_cleanup *next;
    void (*fn)(void *);
    void *arg;
};

void *condition_alloc(struct condition_context *k, size_t size)
{
    void *p = arena_zalloc(k->arena, size);
    if (!p)
        conf_error(k->diags, NULL, NULL, "out of memory");
    return p;
}

bool condition_on_free(struct condition_context *k, void (*fn)(void *), void *arg)
{
    struct condition_cleanup *c = (struct condition_cleanup *)condition_alloc(k, sizeof *c);
    if (!c) {
        fn(arg);
        return false;
    }
    *c = (struct condition_cleanup){k->cleanups, fn, arg};
    k->cleanups = c;
    return true;
}

void condition_context_free(struct condition_cleanup *c)
{
    for (; c; c = c->next)
        c->fn(c->arg);
}

static void free_pattern(void *p)
{
    pattern_free((struct pattern *)p);
}

struct pattern *condition_pattern(struct condition_context *k, const struct conf_value *v, bool fold_case)
{
    const char *why;
    struct pattern *p = pattern_new(v->text, fold_case, k->arena, &why);
    if (!p) {
        conf_error(k->diags, k->conf, &v->pos, "%s", why);
        return NULL;
    }
    return condition_on_free(k, free_pattern, p) ? p : NULL;
}

bool condition_patterns(struct condition_context *k, const struct conf_stmt *s, unsigned first,
                        bool fold_case, struct pattern_list *ret)
{
    unsigned n = s->n_args > first ? s->n_args - first : 0;
    ret->n = n;
    ret->v = (struct pattern **)condition_alloc(k, (n + 1) * sizeof *ret->v);
    for (unsigned i = 0; ret->v && i < n; i++)
        if (!(ret->v[i] = condition_pattern(k, &s->args[first + i], fold_case)))
            return false;
    return ret->v != NULL;
}

enum match pattern_list_try(const struct pattern_list *l, struct span s)
{
    enum match m = MATCH_NO;
    for (unsigned i = 0; i < l->n && m != MATCH_YES; i++)
        m = match_or(m, pattern_try(l->v[i], s, NULL));
    return m;
}

// ---- Sets

static const struct condition_ops *ops_of(enum conf_id id)
{
    for (size_t i = 0; i < ARRAY_LEN(all); i++)
        if (all[i]->id == id)
            return all[i];
    return NULL;
}

// What costs most to find out is asked last.
static bool is_dear(const struct condition *c)
{
    enum conf_id id = c->ops ? c->ops->id : CONF_NONE;
    return id == CONF_C_LIST || id == CONF_C_TIME || id == CONF_C_COOKIE || id == CONF_C_COUNTRY;
}

static void put_in_order(struct condition_set *set)
{
    unsigned cheap = 0; // those before this one are
    for (unsigned i = 0; i < set->n; i++) {
        struct condition c = set->v[i];
        if (is_dear(&c))
            continue;
        memmove(&set->v[cheap + 1], &set->v[cheap], (i - cheap) * sizeof c);
        set->v[cheap++] = c;
    }
}

const struct condition_set *condition_set_new(struct condition_context *k, const struct conf_stmt *when)
{
    unsigned n = 0;
    for (const struct conf_stmt *s = when ? when->first_child : NULL; s; s = s->next)
        n++;
    struct condition_set *set =
        (struct condition_set *)condition_alloc(k, sizeof *set + n * sizeof set->v[0]);
    if (!set)
        return NULL;
    bool ok = true; // go on after an error, so that all of them are told
    for (const struct conf_stmt *s = when ? when->first_child : NULL; s; s = s->next) {
        struct condition *c = &set->v[set->n++];
        c->negated = s->negated;
        c->ops = ops_of(s->row->id);
        if (!c->ops)
            conf_error(k->diags, k->conf, &s->pos, "`%s` cannot be asked here", s->row->word);
        ok &= c->ops && c->ops->compile(k, s, c);
        c->needs |= c->ops ? c->ops->needs : 0;
        set->needs |= c->needs;
    }
    put_in_order(set);
    return ok ? set : NULL;
}

static enum match judge(const struct condition_set *s, const struct condition_input *in, enum conf_id without)
{
    bool unsure = false;
    for (unsigned i = 0; i < s->n; i++) {
        if (s->v[i].ops->id == without)
            continue;
        enum match m = s->v[i].ops->match(&s->v[i], in);
        if (s->v[i].negated)
            m = match_not(m);
        if (m == MATCH_NO)
            return m;
        unsure |= m == MATCH_UNSURE;
    }
    return unsure ? MATCH_UNSURE : MATCH_YES;
}

enum match condition_set_judge(const struct condition_set *s, const struct condition_input *in)
{
    return judge(s, in, CONF_NONE);
}

enum match condition_set_judge_without(const struct condition_set *s, enum conf_id without, const struct condition_input *in)
{
    return judge(s, in, without);
}

unsigned condition_set_needs(const struct condition_set *s)
{
    return s->needs;
}

void condition_set_each(const struct condition_set *s, enum conf_id id, void (*fn)(void *arg, const struct condition *c), void *arg)
{
    for (unsigned i = 0; i < s->n; i++)
        if (s->v[i].ops->id == id)
            fn(arg, &s->v[i]);
}

bool condition_set_match(const struct condition_set *s, const struct condition_input *in)
{
    struct condition_input one = *in;
    one.path_loose = in->path;
    return condition_set_judge(s, &one) == MATCH_YES;
}

bool condition_set_is_empty(const struct condition_set *s)
{
    return s->n == 0;
}
