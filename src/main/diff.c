// SPDX-License-Identifier: Apache-2.0
#include "main/diff.h"

static struct span words(const struct conf_stmt *s, struct arena *a)
{
    struct span out = s->row ? span_str(s->row->flags & CONF_ANY_WORD ? "" : s->row->word) : SPAN("");
    for (unsigned i = 0; i < s->n_args; i++)
        out = arena_printf(a, "%.*s%s%.*s", SPAN_ARG(out), out.len ? " " : "", SPAN_ARG(s->args[i].text));
    for (const struct conf_stmt *c = s->when ? s->when->first_child : NULL; c; c = c->next) {
        struct span w = words(c, a); // conditions have no conditions: one level
        out = arena_printf(a, "%.*s %s%s%.*s", SPAN_ARG(out), c == s->when->first_child ? "when " : "and ", c->negated ? "not " : "", SPAN_ARG(w));
    }
    for (unsigned i = 0; s->target && i < s->target->n_args; i++)
        out = arena_printf(a, "%.*s %s%.*s", SPAN_ARG(out), i ? "" : "-> ", SPAN_ARG(s->target->args[i].text));
    for (const struct conf_stmt *c = s->target ? s->target->first_child : NULL; c; c = c->next) {
        struct span w = words(c, a); // nor have these
        out = arena_printf(a, "%.*s %s%.*s", SPAN_ARG(out), c == s->target->first_child ? "" : "and ", SPAN_ARG(w));
    }
    return out;
}

// The whole of a statement: the blocks that it stands in, and itself.
static struct span full(const struct conf_stmt *s, struct arena *a)
{
    struct span out = words(s, a);
    for (const struct conf_stmt *p = s->parent; p && p->row; p = p->parent) {
        struct span w = words(p, a);
        out = arena_printf(a, "%.*s: %.*s", SPAN_ARG(w), SPAN_ARG(out));
    }
    return out;
}

struct flat {
    const struct conf_stmt *s;
    struct span text;
    bool matched;
};

static struct flat *flatten(const struct conf *c, struct arena *a, unsigned *ret_n)
{
    unsigned n = 0, cap = 0;
    struct flat *v = NULL;
    const struct conf_stmt *root = conf_root(c);
    for (const struct conf_stmt *s = root->first_child; s;) {
        if (n == cap) {
            cap = cap ? cap * 2 : 64;
            struct flat *more = (struct flat *)arena_zalloc(a, cap * sizeof *more);
            if (!more)
                break;
            if (n)
                memcpy(more, v, n * sizeof *v);
            v = more;
        }
        v[n++] = (struct flat){s, full(s, a), false};
        if (s->first_child) {
            s = s->first_child;
            continue;
        }
        while (s && s != root && !s->next)
            s = s->parent;
        s = s && s != root ? s->next : NULL;
    }
    *ret_n = n;
    return v;
}

struct span conf_diff(const struct conf *before, const struct conf *after, struct arena *a)
{
    unsigned n_old, n_new, from = 0;
    struct flat *old = flatten(before, a, &n_old), *new_ = flatten(after, a, &n_new);
    struct span out = SPAN("");
    for (unsigned i = 0; i < n_new; i++) {
        bool found = false;
        for (unsigned k = 0; k < n_old && !found; k++) { // what comes next in the old one most likely
            struct flat *o = &old[(from + k) % n_old];
            if (!o->matched && span_eq(o->text, new_[i].text)) {
                o->matched = found = true;
                from = (from + k + 1) % n_old;
            }
        }
        if (!found)
            out = arena_join(a, out, arena_printf(a, "+ %.*s: %.*s\n", SPAN_ARG(conf_where(after, new_[i].s)), SPAN_ARG(new_[i].text)));
    }
    for (unsigned k = 0; k < n_old; k++)
        if (!old[k].matched)
            out = arena_join(a, out, arena_printf(a, "- %.*s: %.*s\n", SPAN_ARG(conf_where(before, old[k].s)), SPAN_ARG(old[k].text)));
    return out.len ? out : SPAN("nothing changed\n");
}
