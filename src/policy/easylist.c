// SPDX-License-Identifier: Apache-2.0
#include "policy/easylist.h"

#include <libpsl.h>

#include "base/ascii.h"
#include "base/mem.h"
#include "http/query.h"

// ---- The index

enum { COUNTS = 1 << 18, CROWD = 8, ENTITY_LABELS = 4, FILTER_BITS_LEAST = 16, FILTER_BITS_A_KEY = 8 }; // CROWD: a rule whose rarest key more rules have is found by the page it is for

static uint32_t mix(uint32_t key)
{
    return key * 2654435761u;
}

static bool slots_init(struct easylist_slots *t)
{
    unsigned bits = FILTER_BITS_LEAST;
    if (!t->n)
        return true;
    for (t->n_slots = 64; t->n_slots < t->n * 2;)
        t->n_slots *= 2;
    while (bits < 32 && (uint64_t)1 << bits < (uint64_t)t->n * FILTER_BITS_A_KEY)
        bits++;
    t->shift = 32 - bits;
    t->v = (uint64_t *)mem_calloc(t->n_slots, sizeof *t->v);
    t->filter = (uint64_t *)mem_calloc((size_t)1 << (bits - 6), sizeof *t->filter);
    return t->v && t->filter;
}

static void slots_fini(struct easylist_slots *t)
{
    mem_free(t->v);
    mem_free(t->filter);
}

static bool may_have(const struct easylist_slots *t, uint32_t key)
{
    uint32_t bit = mix(key) >> t->shift;
    return t->filter[bit / 64] >> (bit & 63) & 1;
}

static uint64_t *slot_of(const struct easylist_slots *t, uint32_t key)
{
    uint32_t at = (uint32_t)((uint64_t)mix(key) * t->n_slots >> 32);
    while (t->v[at] && t->v[at] >> 32 != key)
        at = (at + 1) & (t->n_slots - 1);
    return &t->v[at];
}

// The place of a key that is going to be there.
static uint64_t *slot_for(struct easylist_slots *t, uint32_t key)
{
    uint32_t bit = mix(key) >> t->shift;
    t->filter[bit / 64] |= (uint64_t)1 << (bit & 63);
    return slot_of(t, key);
}

static struct easylist_table *table_of(struct easylist *l, const struct easylist_rule *r)
{
    return r->flags & EASYLIST_REMOVE ? &l->remove : r->flags & EASYLIST_EXCEPTION ? &l->except : &l->block;
}

// How often each key stands in the rules: a rule is found by its rarest one.
struct counts {
    uint32_t keys[COUNTS], grams[COUNTS];
};

static uint32_t *count_of(uint32_t *counts, uint32_t key)
{
    return &counts[mix(key) >> 14]; // COUNTS of them
}

static struct easylist_key rarest(const struct easylist_key *keys, unsigned n, uint32_t *counts)
{
    struct easylist_key k = n ? keys[0] : (struct easylist_key){0, EASYLIST_NOWHERE};
    for (unsigned i = 1; i < n; i++)
        if (*count_of(counts, keys[i].key) < *count_of(counts, k.key))
            k = keys[i];
    return k;
}

// What many rules have in common is no way to find one.
static bool is_crowded(struct counts *c, const struct easylist_rule *r)
{
    struct easylist_key keys[EASYLIST_KEYS_MAX];
    unsigned n = easylist_keys(r, keys);
    return !n || *count_of(c->keys, rarest(keys, n, c->keys).key) > CROWD;
}

static struct counts *count_keys(const struct easylist *l)
{
    struct easylist_key keys[EASYLIST_KEYS_MAX];
    struct counts *c = (struct counts *)mem_calloc(1, sizeof *c);
    for (uint32_t i = 0; c && i < l->n_rules; i++) {
        unsigned n = easylist_keys(&l->rules[i], keys);
        for (unsigned k = 0; k < n; k++)
            ++*count_of(c->keys, keys[k].key);
    }
    for (uint32_t i = 0; c && i < l->n_rules; i++) {
        unsigned n = is_crowded(c, &l->rules[i]) ? easylist_grams(&l->rules[i], keys) : 0;
        for (unsigned k = 0; k < n; k++)
            ++*count_of(c->grams, keys[k].key);
    }
    return c;
}

enum home { BY_KEY, BY_GRAM, BY_PAGE, LOOSE };

// The next name of a page that the rule is for; exceptions from these only narrow it.
static bool next_page(struct span *rest, struct span *ret)
{
    while (rest->ptr && rest->len) {
        *ret = span_cut(rest, '|');
        if (ret->len && ret->ptr[0] != '~')
            return true;
    }
    return false;
}

// How many pages' domains the rule is for, where it is for those alone; 0: for others too.
static uint32_t count_pages(const struct easylist_rule *r)
{
    uint32_t n = 0;
    struct span name;
    for (struct span rest = r->extra ? r->extra->domains : SPAN_NONE; next_page(&rest, &name);)
        n++;
    return n;
}

static uint32_t folded_key(struct span name)
{
    char lower[256];
    size_t n = MIN(name.len, sizeof lower);
    for (size_t i = 0; i < n; i++)
        lower[i] = (char)ascii_lower((unsigned char)name.ptr[i]);
    return easylist_host_key(span_of(lower, n));
}

// What a rule is found by: its rarest key; where that is crowded the page that it is for, or its rarest gram.
static enum home home_of(const struct easylist_rule *r, struct counts *c, struct easylist_key *ret)
{
    struct easylist_key keys[EASYLIST_KEYS_MAX];
    unsigned n = easylist_keys(r, keys);
    struct easylist_key key = rarest(keys, n, c->keys);
    uint32_t crowd = n ? *count_of(c->keys, key.key) : UINT32_MAX;
    *ret = key;
    if (crowd <= CROWD)
        return BY_KEY;
    if (count_pages(r)) {
        ret->at = EASYLIST_NOWHERE;
        return BY_PAGE;
    }
    n = easylist_grams(r, keys);
    key = rarest(keys, n, c->grams);
    if (!n || *count_of(c->grams, key.key) >= crowd)
        return crowd == UINT32_MAX ? LOOSE : BY_KEY;
    *ret = key;
    return BY_GRAM;
}

static void place_by_pages(struct easylist *l, struct easylist_table *t, uint32_t rule)
{
    struct span name;
    for (struct span rest = l->rules[rule - 1].extra->domains; next_page(&rest, &name);) {
        uint32_t key = folded_key(name);
        t->has_entities |= span_ends(name, SPAN(".*"));
        uint64_t *slot = slot_for(&t->pages, key);
        l->nodes[l->n_nodes++] = (struct easylist_node){rule, (uint32_t)*slot};
        *slot = (uint64_t)key << 32 | l->n_nodes;
    }
}

static void place(struct easylist *l, uint32_t rule, struct counts *c)
{
    struct easylist_rule *r = &l->rules[rule - 1];
    struct easylist_table *t = table_of(l, r);
    struct easylist_key key;
    enum home home = home_of(r, c, &key);
    r->key_at = key.at;
    if (home == BY_PAGE) {
        place_by_pages(l, t, rule);
    } else if (home == LOOSE) {
        r->next = t->loose;
        t->loose = rule;
    } else {
        uint64_t *slot = slot_for(home == BY_KEY ? &t->keys : &t->grams, key.key);
        r->next = (uint32_t)*slot;
        *slot = (uint64_t)key.key << 32 | rule;
    }
}

static uint32_t count_homes(struct easylist *l, struct counts *c)
{
    uint32_t n_nodes = 0;
    struct easylist_key key;
    for (uint32_t i = 0; i < l->n_rules; i++) {
        struct easylist_table *t = table_of(l, &l->rules[i]);
        enum home home = home_of(&l->rules[i], c, &key);
        uint32_t pages = home == BY_PAGE ? count_pages(&l->rules[i]) : 0;
        t->n++;
        t->keys.n += home == BY_KEY;
        t->grams.n += home == BY_GRAM;
        t->pages.n += pages;
        n_nodes += pages;
    }
    return n_nodes;
}

static bool table_init(struct easylist_table *t)
{
    return slots_init(&t->keys) && slots_init(&t->grams) && slots_init(&t->pages);
}

bool easylist_finish(struct easylist *l)
{
    mem_free(l->bad);
    l->bad = NULL;
    l->n_bad = l->cap_bad = 0;
    if (!l->n_rules)
        return true;
    struct counts *c = count_keys(l);
    l->nodes = c ? (struct easylist_node *)mem_calloc(count_homes(l, c) + 1, sizeof *l->nodes) : NULL;
    bool ok = l->nodes && table_init(&l->block) && table_init(&l->except) && table_init(&l->remove);
    for (uint32_t i = l->n_rules; ok && i > 0; i--) // from the last: a chain has the first in front
        place(l, i, c);
    mem_free(c);
    return ok;
}

void easylist_fini(struct easylist *l)
{
    mem_free(l->rules);
    mem_free(l->bad);
    mem_free(l->nodes);
    for (unsigned i = 0; i < 3; i++) {
        struct easylist_table *t = i == 0 ? &l->block : i == 1 ? &l->except : &l->remove;
        slots_fini(&t->keys);
        slots_fini(&t->grams);
        slots_fini(&t->pages);
    }
}

// ---- Options

// `google.*` is google with any public suffix behind it.
static bool entity_has(struct span entity, struct span host)
{
    struct span name = span_first(entity, entity.len - 1); // with its dot
    char suffix[256];
    for (struct span rest = host; rest.len; rest = span_skip(rest, span_find(rest, '.') + 1)) {
        struct span behind = span_skip(rest, name.len);
        if (!span_starts_ci(rest, name) || behind.len == 0 || behind.len >= sizeof suffix)
            continue;
        memcpy(suffix, behind.ptr, behind.len);
        suffix[behind.len] = '\0';
        if (psl_is_public_suffix(psl_builtin(), suffix))
            return true;
    }
    return false;
}

static bool host_is_in(struct span host, struct span domain)
{
    if (span_ends(domain, SPAN(".*")))
        return entity_has(domain, host);
    return span_ends_ci(host, domain) && (host.len == domain.len || host.ptr[host.len - domain.len - 1] == '.');
}

// Of the names that hold the host the longest decides; where none does, a host passes unless there are names that it should have had.
static bool hosts_fit(struct span names, struct span host)
{
    bool any_plain = false, fits = false;
    size_t longest = 0;
    for (struct span rest = names; rest.ptr;) {
        struct span name = span_cut(&rest, '|');
        bool negated = span_starts(name, SPAN("~"));
        if (negated)
            name = span_skip(name, 1);
        any_plain |= !negated;
        if (host.len && name.len >= longest && host_is_in(host, name)) {
            longest = name.len;
            fits = !negated;
        }
    }
    return longest ? fits : !any_plain;
}

static bool method_fits(struct span methods, struct span method)
{
    bool any_plain = false;
    for (struct span rest = methods; rest.ptr;) {
        struct span m = span_cut(&rest, '|');
        bool negated = span_starts(m, SPAN("~"));
        any_plain |= !negated;
        if (span_eq_ci(negated ? span_skip(m, 1) : m, method))
            return !negated;
    }
    return !any_plain;
}

static bool extra_fits(const struct easylist_extra *e, struct request_view *v, const struct condition_input *in)
{
    struct span host = in->req->authority.host;
    return (!e->domains.len || hosts_fit(e->domains, v->page)) && (!e->to.len || hosts_fit(e->to, host)) &&
           (!e->not_to.len || !hosts_fit(e->not_to, host)) && (!e->methods.len || method_fits(e->methods, in->req->method_text));
}

static bool party_fits(const struct easylist_rule *r, struct request_view *v, const struct condition_input *in)
{
    if (!(r->flags & (EASYLIST_THIRD_PARTY | EASYLIST_FIRST_PARTY)))
        return true;
    bool third = request_party(v, in) == PARTY_THIRD;
    return !(r->flags & EASYLIST_THIRD_PARTY && !third) && !(r->flags & EASYLIST_FIRST_PARTY && third);
}

// What is cheap to tell first, and what most rules in hand fail by: their pattern, at the one place where it can begin.
static enum match rule_match(const struct easylist_rule *r, struct request_view *v, const struct condition_input *in, size_t at)
{
    if (r->types != RESOURCE_ANY && !(v->type ? r->types & v->type : r->types & RESOURCE_DOCUMENT && r->types != RESOURCE_DOCUMENT))
        return MATCH_NO;
    bool pinned = at != EASYLIST_NOWHERE && r->key_at != EASYLIST_NOWHERE, is_regex = r->flags & EASYLIST_REGEX;
    if (pinned && !is_regex && !easylist_pattern_fits(r, v, at))
        return MATCH_NO;
    if ((r->extra && !extra_fits(r->extra, v, in)) || (!pinned && !is_regex && !easylist_pattern_fits(r, v, at)) || !party_fits(r, v, in))
        return MATCH_NO;
    return is_regex ? pattern_try(r->extra->regex, v->url, NULL) : MATCH_YES;
}

// ---- Finding

// Calls fn for each rule that could fit, until it says that this is enough.
struct search {
    const struct easylist *l;
    struct request_view *v;
    const struct condition_input *in;
    bool (*fn)(struct search *s, const struct easylist_rule *r);
    size_t at; // where the key stands in the URL that the rules in hand were found by
    const struct easylist_rule *found;
    enum match match;
    uint16_t mask, flags; // only rules whose flags under the mask are these
    struct span param;    // removeparam: `NAME=VALUE` that is looked at
};

static bool try_rule(struct search *s, const struct easylist_rule *r)
{
    return (r->flags & s->mask) == s->flags && s->fn(s, r);
}

static bool try_chain(struct search *s, uint32_t first)
{
    for (uint32_t i = first; i; i = s->l->rules[i - 1].next)
        if (try_rule(s, &s->l->rules[i - 1]))
            return true;
    return false;
}

static bool try_key(struct search *s, const struct easylist_slots *t, uint32_t key, size_t at)
{
    if (likely(!may_have(t, key)))
        return false;
    uint64_t slot = *slot_of(t, key);
    s->at = at;
    return slot && try_chain(s, (uint32_t)slot);
}

static bool try_page(struct search *s, const struct easylist_table *t, struct span name)
{
    uint32_t key = easylist_host_key(name);
    if (likely(!may_have(&t->pages, key)))
        return false;
    for (uint32_t i = (uint32_t)*slot_of(&t->pages, key); i; i = s->l->nodes[i - 1].next)
        if (try_rule(s, &s->l->rules[s->l->nodes[i - 1].rule - 1]))
            return true;
    return false;
}

// `google.*`: what stands before one of the page's dots. Whether a public suffix is behind it is looked at where a rule is found.
static bool try_entities(struct search *s, const struct easylist_table *t, struct span page)
{
    char text[256];
    size_t n = span_find(page, '.') + 1;
    for (unsigned k = 0; k < ENTITY_LABELS && n < page.len && n < sizeof text; k++) {
        memcpy(text, page.ptr, n);
        text[n] = '*';
        if (try_page(s, t, span_of(text, n + 1)))
            return true;
        n += span_find(span_skip(page, n), '.') + 1;
    }
    return false;
}

static bool try_pages(struct search *s, const struct easylist_table *t)
{
    if (!t->pages.n)
        return false;
    for (struct span page = s->v->page; page.len; page = span_skip(page, span_find(page, '.') + 1))
        if (try_page(s, t, page) || (t->has_entities && try_entities(s, t, page)))
            return true;
    return false;
}

static bool try_keys(struct search *s, const struct easylist_table *t)
{
    const struct request_view *v = s->v;
    if (!t->keys.n)
        return false;
    for (struct span host = span_of(v->folded.ptr + v->host_at, v->host_len); host.len; host = span_skip(host, span_find(host, '.') + 1))
        if (try_key(s, &t->keys, easylist_host_key(host), (size_t)(host.ptr - v->folded.ptr)))
            return true;
    for (unsigned i = 0; i < v->n_tokens; i++) {
        uint32_t key = v->tokens[i] & ~(1u << 31);
        if (try_key(s, &t->keys, key ? key : 1, v->token_at[i]))
            return true;
    }
    return false;
}

static bool try_grams(struct search *s, const struct easylist_table *t)
{
    struct span url = s->v->folded;
    for (size_t i = 0; t->grams.n && i + EASYLIST_GRAM_BYTES <= url.len; i++) {
        uint32_t gram = easylist_gram(url.ptr + i);
        if (unlikely(may_have(&t->grams, gram)) && try_key(s, &t->grams, gram, i))
            return true;
    }
    return false;
}

static void search(struct search *s, const struct easylist_table *t)
{
    if (!t->n || try_keys(s, t) || try_grams(s, t))
        return;
    s->at = EASYLIST_NOWHERE;
    if (!try_pages(s, t))
        (void)try_chain(s, t->loose);
}

static bool take_first(struct search *s, const struct easylist_rule *r)
{
    enum match m = rule_match(r, s->v, s->in, s->at);
    if (m == MATCH_NO)
        return false;
    if (!s->found || m == MATCH_YES)
        s->found = r;
    s->match = match_or(s->match, m);
    return m == MATCH_YES;
}

static struct search find(const struct easylist *l, const struct easylist_table *t, struct request_view *v, const struct condition_input *in, uint16_t flags)
{
    struct search s = {.l = l, .v = v, .in = in, .fn = take_first, .mask = flags, .flags = flags};
    search(&s, t);
    return s;
}

enum match easylist_match(const struct easylist *l, struct request_view *v, const struct condition_input *in, struct list_place *ret)
{
    struct search b = find(l, &l->block, v, in, 0);
    if (b.match != MATCH_NO && !(b.found->flags & EASYLIST_IMPORTANT && b.match == MATCH_YES) && find(l, &l->except, v, in, 0).match == MATCH_YES)
        b = l->n_important ? find(l, &l->block, v, in, EASYLIST_IMPORTANT) : (struct search){.match = MATCH_NO};
    if (b.match != MATCH_NO)
        *ret = (struct list_place){b.found->line, b.found->source};
    return b.match;
}

// ---- removeparam

static bool takes_param(const struct easylist_extra *e, struct span name, struct span whole)
{
    bool fits = e->param_regex ? pattern_try(e->param_regex, whole, NULL) == MATCH_YES : !e->param.len || span_eq(e->param, name);
    return fits != e->param_negated;
}

// An exception without a name is for all parameters.
static bool take_param(struct search *s, const struct easylist_rule *r)
{
    struct span rest = s->param, name = span_cut(&rest, '=');
    if (!takes_param(r->extra, name, s->param) || rule_match(r, s->v, s->in, s->at) != MATCH_YES)
        return false;
    s->found = r;
    return true;
}

struct cleaning {
    const struct easylist *l;
    struct request_view *v;
    const struct condition_input *in;
};

static bool goes(void *arg, struct span param)
{
    const struct cleaning *c = (const struct cleaning *)arg;
    struct search s = {.l = c->l, .v = c->v, .in = c->in, .fn = take_param, .param = param, .mask = EASYLIST_EXCEPTION};
    search(&s, &c->l->remove);
    if (!s.found)
        return false;
    struct search except = {.l = c->l, .v = c->v, .in = c->in, .fn = take_param, .param = param, .mask = EASYLIST_EXCEPTION, .flags = EASYLIST_EXCEPTION};
    search(&except, &c->l->remove);
    return !except.found;
}

enum err easylist_clean_query(const struct easylist *l, struct request_view *v, const struct condition_input *in, struct span query, struct span *ret)
{
    struct cleaning c = {l, v, in};
    *ret = query;
    return l->remove.n && query.len ? query_without(query, goes, &c, in->arena, ret) : ERR_OK;
}
