// SPDX-License-Identifier: Apache-2.0
#include "policy/list.h"

#include "base/mem.h"
#include "net/prefix.h"
#include "policy/easylist.h"
#include "policy/list_read.h"

struct list_entry {
    struct list_entry *next;
    struct span name;
    const struct list *list; // NULL: it was in error
};

// ---- Compiling

static void list_free(void *p)
{
    struct list *l = (struct list *)p;
    domain_index_fini(&l->domains);
    url_index_fini(&l->urls);
    easylist_fini(&l->rules);
    mem_free(l->prefixes);
    mem_free(l->prefix_places);
}

static const struct {
    enum conf_id id;
    bool (*read)(struct list *l, struct condition_context *k, const struct conf_value *v, uint16_t source);
} readers[] = {
    {CONF_LIST_DOMAIN, list_read_domain}, {CONF_LIST_DOMAINS, list_read_domains},     {CONF_LIST_HOSTS, list_read_hosts},
    {CONF_LIST_URLS, list_read_urls},     {CONF_LIST_ADDRESSES, list_read_addresses}, {CONF_LIST_REGEX, list_read_regex},
    {CONF_LIST_EASYLIST, list_read_easylist},
};

static bool read_statement(struct list *l, struct condition_context *k, const struct conf_stmt *s)
{
    bool ok = true;
    for (size_t r = 0; r < ARRAY_LEN(readers); r++) {
        for (unsigned i = 0; readers[r].id == s->row->id && i < s->n_args; i++) {
            if (l->n_sources == LIST_SOURCES_MAX) {
                conf_error(k->diags, k->conf, &s->args[i].pos, "the list has too many files");
                return false;
            }
            bool inline_ = s->row->id == CONF_LIST_DOMAIN;
            l->sources[l->n_sources] = inline_ ? conf_where(k->conf, s) : s->args[i].text;
            ok &= readers[r].read(l, k, &s->args[i], l->n_sources);
            l->n_sources += !inline_ || i + 1 == s->n_args;
        }
    }
    return ok;
}

static bool finish(struct list *l, struct condition_context *k)
{
    url_index_finish(&l->urls);
    bool ok = domain_index_finish(&l->domains) && easylist_finish(&l->rules) && (!l->n_prefixes || prefix_set_build(&l->addresses, k->arena, l->prefixes, l->n_prefixes));
    mem_free(l->prefixes);
    l->prefixes = NULL;
    if (!ok)
        conf_error(k->diags, NULL, NULL, "out of memory");
    return ok;
}

static const struct list *compile(struct condition_context *k, const struct conf_stmt *s)
{
    struct list *l = (struct list *)condition_alloc(k, sizeof *l);
    if (!l || !condition_on_free(k, list_free, l))
        return NULL;
    l->name = s->args[0].text;
    l->sources = (struct span *)condition_alloc(k, LIST_SOURCES_MAX * sizeof *l->sources);
    bool ok = l->sources != NULL;
    for (const struct conf_stmt *x = s->first_child; ok && x; x = x->next)
        ok &= read_statement(l, k, x);
    return ok && finish(l, k) ? l : NULL;
}

static const struct list_entry *entry_of(struct condition_context *k, struct span name)
{
    for (const struct list_entry *e = k->lists; e; e = e->next)
        if (span_eq(e->name, name))
            return e;
    const struct conf_stmt *s = conf_definition(k->conf, CONF_LIST, name);
    struct list_entry *e = s ? (struct list_entry *)condition_alloc(k, sizeof *e) : NULL;
    if (!e)
        return NULL; // who checked the tree has told
    *e = (struct list_entry){k->lists, name, compile(k, s)};
    k->lists = e;
    return e;
}

const struct list *list_named(struct condition_context *k, const struct conf_value *name)
{
    const struct list_entry *e = entry_of(k, name->text);
    return e ? e->list : NULL;
}

void list_compile_all(struct condition_context *k)
{
    for (const struct conf_stmt *s = conf_child(conf_root(k->conf), CONF_LIST); s; s = conf_next(s))
        (void)entry_of(k, s->args[0].text);
}

bool list_has_addresses(const struct list *l)
{
    return l->n_prefixes > 0;
}

// ---- Asking

// Of several addresses that a name has all must be in the list for it to be sure.
static enum match match_addresses(const struct list *l, const struct condition_input *in, struct list_place *ret)
{
    struct addr literal;
    const struct addr *v = in->dest;
    unsigned n = in->n_dest, found = 0;
    uint32_t value = 0;
    if (!l->n_prefixes)
        return MATCH_NO;
    if (!n && addr_parse_ip(in->req->authority.host, &literal))
        v = &literal, n = 1;
    for (unsigned i = 0; i < n; i++) {
        if (prefix_set_find(&l->addresses, &v[i], &value)) {
            *ret = l->prefix_places[value];
            found++;
        }
    }
    return found == 0 ? MATCH_NO : found == n ? MATCH_YES : MATCH_UNSURE;
}

static enum match match_regex(const struct list *l, const struct condition_input *in, struct list_place *ret)
{
    enum match m = MATCH_NO;
    struct request_view *v = l->n_regexes ? request_view(in) : NULL;
    if (l->n_regexes && !v)
        return MATCH_UNSURE;
    for (const struct list_regex *r = l->regexes; r && m != MATCH_YES; r = r->next) {
        enum match one = pattern_try(r->pattern, v->url, NULL);
        if (one != MATCH_NO)
            *ret = r->at;
        m = match_or(m, one);
    }
    return m;
}

static enum match match_urls(const struct list *l, const struct condition_input *in, struct list_place *ret)
{
    struct request_view *v = l->urls.n ? request_view(in) : NULL;
    if (!l->urls.n)
        return MATCH_NO;
    return !v ? MATCH_UNSURE : url_index_find(&l->urls, v->bare, ret) ? MATCH_YES : MATCH_NO;
}

static enum match match_rules(const struct list *l, const struct condition_input *in, struct list_place *ret)
{
    struct request_view *v = l->rules.n_rules ? request_view(in) : NULL;
    if (!l->rules.n_rules)
        return MATCH_NO;
    return v ? easylist_match(&l->rules, v, in, ret) : MATCH_UNSURE;
}

static void say_where(const struct list *l, const struct list_place *at, const struct condition_input *in, struct list_hit *ret)
{
    ret->list = l->name;
    ret->source = l->sources[at->source];
    if (at->line && in->arena)
        ret->source = arena_printf(in->arena, "%.*s:%u", SPAN_ARG(ret->source), at->line);
}

enum match list_match(const struct list *l, const struct condition_input *in, struct list_hit *ret)
{
    static enum match (*const matchers[])(const struct list *, const struct condition_input *, struct list_place *) = {match_urls, match_rules, match_addresses, match_regex};
    const struct authority *a = &in->req->authority;
    struct list_place at = {0, 0};
    enum match m = domain_index_find(&l->domains, a->host, a->kind == HOST_NAME, &at) ? MATCH_YES : MATCH_NO;
    for (size_t i = 0; i < ARRAY_LEN(matchers) && m != MATCH_YES; i++)
        m = match_or(m, matchers[i](l, in, &at));
    if (m != MATCH_NO && ret)
        say_where(l, &at, in, ret);
    return m;
}

bool list_cleans_queries(const struct list *l)
{
    return l->rules.remove.n > 0;
}

enum err list_clean_query(const struct list *l, const struct condition_input *in, struct span query, struct span *ret)
{
    struct request_view *v = list_cleans_queries(l) && query.len ? request_view(in) : NULL;
    *ret = query;
    if (!list_cleans_queries(l) || !query.len)
        return ERR_OK;
    return v ? easylist_clean_query(&l->rules, v, in, query, ret) : ERR_NO_MEMORY;
}
