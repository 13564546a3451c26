// SPDX-License-Identifier: Apache-2.0
#include "policy/group.h"

#include "base/hash.h"
#include "net/prefix.h"
#include "policy/lines.h"

struct group_entry {
    struct group_entry *next;
    struct span name;
    const struct group *group; // NULL: it was in error
};

struct member {
    struct member *next;
    struct span name;
};

struct group {
    struct span name;
    struct member **slots; // by hash_keyed
    size_t n_slots, n_users;
    struct member *members; // while it is read
    struct prefix_set clients;
};

// ---- Compiling

static bool add_user(struct group *g, struct condition_context *k, struct span name)
{
    struct member *m = (struct member *)condition_alloc(k, sizeof *m);
    if (!m)
        return false;
    *m = (struct member){g->members, name};
    g->members = m;
    g->n_users++;
    return true;
}

static struct span next_word(struct span *rest)
{
    size_t n = 0;
    *rest = span_trim(*rest);
    while (n < rest->len && rest->ptr[n] != ' ' && rest->ptr[n] != '\t')
        n++;
    struct span word = span_first(*rest, n);
    *rest = span_skip(*rest, n);
    return word;
}

// A name a line; or, as Apache's group files have it, `GROUP: NAME NAME...`, of which the lines of this group count.
static bool read_users(struct group *g, struct condition_context *k, const struct conf_value *file)
{
    struct lines l;
    struct span line;
    if (!lines_open(&l, k, file))
        return false;
    while (lines_next(&l, &line)) {
        if (!line.len || line.ptr[0] == '#')
            continue;
        struct span names = line, group = span_cut(&names, ':');
        if (names.ptr && !span_eq(span_trim(group), g->name))
            continue;
        if (!names.ptr)
            names = line;
        for (struct span word = next_word(&names); word.len; word = next_word(&names))
            if (!add_user(g, k, word))
                return false;
    }
    lines_close(&l);
    return true;
}

static bool read_clients(struct group *g, struct condition_context *k, const struct conf_stmt *block)
{
    unsigned n = 0;
    for (const struct conf_stmt *s = conf_child(block, CONF_GROUP_CLIENT); s; s = conf_next(s))
        n += s->n_args;
    struct prefix_entry *v = (struct prefix_entry *)condition_alloc(k, (n + 1) * sizeof *v);
    bool ok = v != NULL;
    n = 0;
    for (const struct conf_stmt *s = conf_child(block, CONF_GROUP_CLIENT); v && s; s = conf_next(s)) {
        for (unsigned i = 0; i < s->n_args; i++) {
            const char *why;
            if (prefix_parse(s->args[i].text, &v[n].prefix, &why)) {
                n++;
                continue;
            }
            conf_error(k->diags, k->conf, &s->args[i].pos, "`%.*s`: %s", SPAN_ARG(s->args[i].text), why);
            ok = false;
        }
    }
    if (ok && n && !prefix_set_build(&g->clients, k->arena, v, n)) {
        conf_error(k->diags, NULL, NULL, "out of memory");
        return false;
    }
    return ok;
}

static bool index_users(struct group *g, struct condition_context *k)
{
    for (g->n_slots = 8; g->n_slots < g->n_users;)
        g->n_slots *= 2;
    g->slots = (struct member **)condition_alloc(k, g->n_slots * sizeof *g->slots);
    for (struct member *m = g->members, *next; g->slots && m; m = next) {
        struct member **to = &g->slots[hash_keyed(m->name) & (g->n_slots - 1)];
        next = m->next;
        m->next = *to;
        *to = m;
    }
    return g->slots != NULL;
}

static const struct group *compile(struct condition_context *k, const struct conf_stmt *block)
{
    struct group *g = (struct group *)condition_alloc(k, sizeof *g);
    bool ok = g != NULL;
    if (g)
        g->name = block->args[0].text;
    for (const struct conf_stmt *s = conf_child(block, CONF_GROUP_USER); ok && s; s = conf_next(s))
        for (unsigned i = 0; ok && i < s->n_args; i++)
            ok = add_user(g, k, s->args[i].text);
    for (const struct conf_stmt *s = conf_child(block, CONF_GROUP_USERS); ok && s; s = conf_next(s))
        ok = read_users(g, k, &s->args[0]);
    return ok && read_clients(g, k, block) && index_users(g, k) ? g : NULL;
}

static const struct group_entry *entry_of(struct condition_context *k, struct span name)
{
    for (const struct group_entry *e = k->groups; e; e = e->next)
        if (span_eq(e->name, name))
            return e;
    const struct conf_stmt *s = conf_definition(k->conf, CONF_GROUP, name);
    struct group_entry *e = s ? (struct group_entry *)condition_alloc(k, sizeof *e) : NULL;
    if (!e)
        return NULL; // who checked the tree has told
    *e = (struct group_entry){k->groups, name, compile(k, s)};
    k->groups = e;
    return e;
}

const struct group *group_named(struct condition_context *k, const struct conf_value *name)
{
    const struct group_entry *e = entry_of(k, name->text);
    return e ? e->group : NULL;
}

void group_compile_all(struct condition_context *k)
{
    for (const struct conf_stmt *s = conf_child(conf_root(k->conf), CONF_GROUP); s; s = conf_next(s))
        (void)entry_of(k, s->args[0].text);
}

// ---- Asking

bool group_has(const struct group *g, struct span user, const struct addr *client)
{
    const struct member *m = user.len ? g->slots[hash_keyed(user) & (g->n_slots - 1)] : NULL;
    while (m && !span_eq(m->name, user))
        m = m->next;
    return m || ((g->clients.n_v4 || g->clients.n_v6) && prefix_set_find(&g->clients, client, NULL));
}

bool group_has_users(const struct group *g)
{
    return g->n_users > 0;
}
