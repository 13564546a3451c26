// SPDX-License-Identifier: Apache-2.0
// The tree as JSON, and the table as a reference manual.
#include <stdio.h>

#include "conf/internal.h"

struct span json_string(struct arena *a, struct span s)
{
    if (!s.ptr)
        return SPAN("null");
    char *p = arena_bytes(a, s.len * 6 + 3);
    if (!p)
        return SPAN("null");
    size_t n = 0;
    p[n++] = '"';
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (c == '"' || c == '\\')
            p[n++] = '\\', p[n++] = (char)c;
        else if (c < 0x20)
            n += (size_t)snprintf(p + n, 7, "\\u%04x", c);
        else
            p[n++] = (char)c;
    }
    p[n++] = '"';
    return span_of(p, n);
}

struct text {
    struct arena *a;
    char *p;
    size_t n, cap;
    bool public; // without what is secret
};

static void put(struct text *t, struct span s)
{
    if (t->n + s.len > t->cap) {
        size_t cap = MAX(t->cap * 2, t->n + s.len + 4096);
        char *p = arena_bytes(t->a, cap);
        if (!p)
            return;
        if (t->n)
            memcpy(p, t->p, t->n);
        t->p = p;
        t->cap = cap;
    }
    if (s.len)
        memcpy(t->p + t->n, s.ptr, s.len);
    t->n += s.len;
}

// What not everybody may read; not where it is only a file's name.
static bool is_secret(const struct conf_value *v)
{
    bool kind = v->option && (strcmp(v->option, "secret") == 0 || strcmp(v->option, "password") == 0);
    return kind && !span_eq(v->text, span_str(v->option)) && !span_starts(v->text, SPAN("file:"));
}

static void put_words(struct text *t, const struct conf_stmt *s)
{
    put(t, SPAN("["));
    for (unsigned i = 0; i < s->n_args; i++) {
        if (i)
            put(t, SPAN(", "));
        put(t, t->public && is_secret(&s->args[i]) ? SPAN("\"***\"") : json_string(t->a, s->args[i].text));
    }
    put(t, SPAN("]"));
}

static void put_head(struct text *t, const struct conf_stmt *s)
{
    put(t, SPAN("{\"statement\": "));
    put(t, json_string(t->a, s->row ? span_str(s->row->word) : SPAN("configuration")));
    if (s->negated)
        put(t, SPAN(", \"not\": true"));
    put(t, SPAN(", \"arguments\": "));
    put_words(t, s);
    if (s->when) {
        put(t, SPAN(", \"when\": ["));
        for (const struct conf_stmt *x = s->when->first_child; x; x = x->next) {
            put(t, arena_printf(t->a, "%s{\"condition\": \"%s\", \"not\": %s, \"arguments\": ", x == s->when->first_child ? "" : ", ",
                                x->row->word, x->negated ? "true" : "false"));
            put_words(t, x);
            put(t, SPAN("}"));
        }
        put(t, SPAN("]"));
    }
    if (s->target) {
        put(t, SPAN(", \"target\": "));
        put_words(t, s->target);
        if (s->target->has_block)
            put(t, SPAN(", \"choice\": ["));
        for (const struct conf_stmt *x = s->target->first_child; x; x = x->next) {
            put(t, arena_printf(t->a, "%s{\"statement\": \"%s\", \"arguments\": ", x == s->target->first_child ? "" : ", ", x->row->word));
            put_words(t, x);
            put(t, SPAN("}"));
        }
        if (s->target->has_block)
            put(t, SPAN("]"));
    }
}

static struct span json_of(const struct conf *c, bool public, struct arena *a)
{
    struct text t = {.a = a, .public = public};
    const struct conf_stmt *root = &c->root;
    for (const struct conf_stmt *s = root; s;) {
        put_head(&t, s);
        if (s->first_child) {
            put(&t, SPAN(", \"block\": [\n"));
            s = s->first_child;
            continue;
        }
        put(&t, SPAN("}"));
        while (s && s != root && !s->next) {
            s = s->parent;
            put(&t, SPAN("\n]}"));
        }
        if (!s || s == root)
            break;
        put(&t, SPAN(",\n"));
        s = s->next;
    }
    put(&t, SPAN("\n"));
    return span_of(t.p, t.n);
}

struct span conf_json(const struct conf *c, struct arena *a)
{
    return json_of(c, false, a);
}

struct span conf_json_public(const struct conf *c, struct arena *a)
{
    return json_of(c, true, a);
}

static void reference_of_block(struct text *t, unsigned where)
{
    unsigned n;
    const struct conf_row *rows = conf_rows(&n);
    bool any = false;
    for (unsigned i = 0; i < n; i++) {
        const struct conf_row *r = &rows[i];
        if (!(r->where & where))
            continue;
        if (!any)
            put(t, arena_printf(t->a, "\n## In %s\n\n| statement | arguments | default | what it does |\n| --- | --- | --- | --- |\n", conf_block_name(where)));
        any = true;
        put(t, arena_printf(t->a, "| `%s`%s | ", r->word, r->flags & CONF_ONCE ? "" : " (may repeat)"));
        for (const char *p = r->args; *p; p++) // a bar would end the cell
            put(t, *p == '|' ? SPAN("\\|") : span_of(p, 1));
        put(t, arena_printf(t->a, "%s%s | %s%s%s | ", r->flags & CONF_WHEN ? " `[when { }]`" : "", r->block ? " `{ }`" : "",
                            *r->def ? "`" : "", r->def, *r->def ? "`" : ""));
        for (const char *p = r->doc; *p; p++)
            put(t, *p == '|' ? SPAN("\\|") : span_of(p, 1));
        put(t, SPAN(" |\n"));
    }
}

struct span conf_reference(struct arena *a)
{
    struct text t = {.a = a};
    put(&t, SPAN("# Configuration reference\n\nGenerated from `src/conf/statements.tbl` (`weir help configuration`); do not edit.\n\n"
                 "Types: `dur` a duration (`500ms`, `10s`, `5m`, `2h`, `1d`), `size` (`512B`, `8KiB`, `64MiB`, `1GiB`), `int:MIN:MAX` a number in a range, "
                 "`=a|b` one of these words, `name`, `word` and `text` words. `?`: may be missing; `+`: one or more; `*`: any number; `[word type]`: an option.\n"));
    for (unsigned bit = 0; bit < 32; bit++)
        reference_of_block(&t, 1u << bit);
    return span_of(t.p, t.n);
}
