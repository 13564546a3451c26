// SPDX-License-Identifier: Apache-2.0
#include "policy/condition.h"

#include "policy/pattern.h"

#define CONDITION(name) extern const struct condition_ops condition_##name;
#include "policy/conditions.tbl"
#undef CONDITION

static const struct condition_ops *const all[] = {
#define CONDITION(name) &condition_##name,
#include "policy/conditions.tbl"
#undef CONDITION
};

struct condition_set {
    unsigned n;
    struct condition v[];
};

struct condition_cleanup {
    struct condition_cleanup *next;
    void (*fn)(void *);
    void *arg;
};

void condition_on_free(struct condition_context *k, void (*fn)(void *), void *arg)
{
    struct condition_cleanup *c = (struct condition_cleanup *)arena_alloc(k->arena, sizeof *c);
    if (!c)
        return;
    *c = (struct condition_cleanup){k->cleanups, fn, arg};
    k->cleanups = c;
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

bool condition_patterns(struct condition_context *k, const struct conf_stmt *s, unsigned first, bool fold_case, struct pattern_list *ret)
{
    unsigned n = s->n_args > first ? s->n_args - first : 0;
    ret->n = n;
    ret->v = (struct pattern **)arena_zalloc(k->arena, (n + 1) * sizeof *ret->v);
    for (unsigned i = 0; ret->v && i < n; i++) {
        const char *why;
        ret->v[i] = pattern_new(s->args[first + i].text, fold_case, k->arena, &why);
        if (!ret->v[i]) {
            conf_error(k->diags, k->conf, &s->args[first + i].pos, "%s", why);
            return false;
        }
        condition_on_free(k, free_pattern, ret->v[i]);
    }
    return ret->v != NULL;
}

bool pattern_list_match(const struct pattern_list *l, struct span s)
{
    for (unsigned i = 0; i < l->n; i++)
        if (pattern_match(l->v[i], s, NULL))
            return true;
    return false;
}

const struct condition_set *condition_set_new(struct condition_context *k, const struct conf_stmt *when)
{
    unsigned n = 0;
    for (const struct conf_stmt *s = when ? when->first_child : NULL; s; s = s->next)
        n++;
    struct condition_set *set = (struct condition_set *)arena_zalloc(k->arena, sizeof *set + n * sizeof set->v[0]);
    if (!set)
        return NULL;
    for (const struct conf_stmt *s = when ? when->first_child : NULL; s; s = s->next) {
        struct condition *c = &set->v[set->n++];
        for (size_t i = 0; i < ARRAY_LEN(all); i++)
            if (all[i]->id == s->row->id)
                c->ops = all[i];
        c->negated = s->negated;
        if (!c->ops || !c->ops->compile(k, s, c))
            return NULL;
    }
    return set;
}

bool condition_set_match(const struct condition_set *s, const struct condition_input *in)
{
    for (unsigned i = 0; i < s->n; i++)
        if (s->v[i].ops->match(&s->v[i], in) == s->v[i].negated)
            return false;
    return true;
}

bool condition_set_is_empty(const struct condition_set *s)
{
    return s->n == 0;
}
