// SPDX-License-Identifier: Apache-2.0
#include "policy/easylist.h"

#include <libpsl.h>

#include "base/mem.h"

// ---- The index

static bool table_init(struct easylist_table *t)
{
    if (!t->n)
        return true;
    for (t->n_slots = 64; t->n_slots < t->n * 2;)
        t->n_slots *= 2;
    t->slots = (uint64_t *)mem_calloc(t->n_slots, sizeof *t->slots);
    return t->slots != NULL;
}

static uint64_t *slot_of(const struct easylist_table *t, uint32_t key)
{
    uint32_t at = (key * 2654435761u) & (t->n_slots - 1);
    while (t->slots[at] && t->slots[at] >> 32 != key)
        at = (at + 1) & (t->n_slots - 1);
    return &t->slots[at];
}

static struct easylist_table *table_of(struct easylist *l, const struct easylist_rule *r)
{
    return r->flags & EASYLIST_REMOVE ? &l->remove : r->flags & EASYLIST_EXCEPTION ? &l->except : &l->block;
}

// How often each run of letters and digits stands in the patterns: a rule is found by its rarest one.
static uint32_t *count_tokens(const struct easylist *l)
{
    uint32_t *counts = (uint32_t *)mem_calloc(1 << 16, sizeof *counts);
    for (uint32_t i = 0; counts && i < l->n_rules; i++) {
        uint32_t key = easylist_key(&l->rules[i], NULL);
        counts[key & 0xffff]++;
    }
    return counts;
}

bool easylist_finish(struct easylist *l)
{
    mem_free(l->bad);
    l->bad = NULL;
    l->n_bad = l->cap_bad = 0;
    if (!l->n_rules)
        return true;
    for (uint32_t i = 0; i < l->n_rules; i++)
        table_of(l, &l->rules[i])->n++;
    uint32_t *counts = count_tokens(l);
    bool ok = counts && table_init(&l->block) && table_init(&l->except) && table_init(&l->remove);
    for (uint32_t i = l->n_rules; ok && i > 0; i--) { // from the last: a chain has the first in front
        struct easylist_rule *r = &l->rules[i - 1];
        struct easylist_table *t = table_of(l, r);
        uint32_t key = easylist_key(r, counts);
        if (!key) {
            r->next = t->loose;
            t->loose = i;
            continue;
        }
        uint64_t *slot = slot_of(t, key);
        r->next = (uint32_t)*slot;
        *slot = (uint64_t)key << 32 | i;
    }
    mem_free(counts);
    return ok;
}

void easylist_fini(struct easylist *l)
{
    mem_free(l->rules);
    mem_free(l->bad);
    mem_free(l->block.slots);
    mem_free(l->except.slots);
    mem_free(l->remove.slots);
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

static bool extra_fits(const struct easylist_extra *e, const struct request_view *v, const struct condition_input *in)
{
    struct span host = in->req->authority.host;
    return (!e->domains.len || hosts_fit(e->domains, v->page)) && (!e->to.len || hosts_fit(e->to, host)) &&
           (!e->not_to.len || !hosts_fit(e->not_to, host)) && (!e->methods.len || method_fits(e->methods, in->req->method_text));
}

// What is cheap to tell first.
static enum match rule_match(const struct easylist_rule *r, const struct request_view *v, const struct condition_input *in)
{
    if (r->types != RESOURCE_ANY && !(v->type ? r->types & v->type : r->types & RESOURCE_DOCUMENT && r->types != RESOURCE_DOCUMENT))
        return MATCH_NO;
    if ((r->flags & EASYLIST_THIRD_PARTY && v->party != PARTY_THIRD) || (r->flags & EASYLIST_FIRST_PARTY && v->party == PARTY_THIRD))
        return MATCH_NO;
    if (r->extra && !extra_fits(r->extra, v, in))
        return MATCH_NO;
    if (r->flags & EASYLIST_REGEX)
        return pattern_try(r->extra->regex, v->url, NULL);
    return easylist_pattern_fits(r, v) ? MATCH_YES : MATCH_NO;
}

// ---- Finding

// Calls fn for each rule that could fit, until it says that this is enough.
struct search {
    const struct easylist *l;
    const struct request_view *v;
    const struct condition_input *in;
    bool (*fn)(struct search *s, const struct easylist_rule *r);
    const struct easylist_rule *found;
    enum match match;
    uint16_t mask, flags; // only rules whose flags under the mask are these
    struct span param;    // removeparam: `NAME=VALUE` that is looked at
};

static bool try_chain(struct search *s, uint32_t first)
{
    for (uint32_t i = first; i; i = s->l->rules[i - 1].next)
        if ((s->l->rules[i - 1].flags & s->mask) == s->flags && s->fn(s, &s->l->rules[i - 1]))
            return true;
    return false;
}

static bool try_key(struct search *s, const struct easylist_table *t, uint32_t key)
{
    uint64_t slot = *slot_of(t, key);
    return slot && try_chain(s, (uint32_t)slot);
}

static void search(struct search *s, const struct easylist_table *t)
{
    const struct request_view *v = s->v;
    if (!t->n)
        return;
    for (struct span host = span_of(v->folded.ptr + v->host_at, v->host_len); host.len; host = span_skip(host, span_find(host, '.') + 1))
        if (try_key(s, t, easylist_host_key(host)))
            return;
    for (unsigned i = 0; i < v->n_tokens; i++) {
        uint32_t key = v->tokens[i] & ~(1u << 31);
        if (try_key(s, t, key ? key : 1))
            return;
    }
    (void)try_chain(s, t->loose);
}

static bool take_first(struct search *s, const struct easylist_rule *r)
{
    enum match m = rule_match(r, s->v, s->in);
    if (m == MATCH_NO)
        return false;
    if (!s->found || m == MATCH_YES)
        s->found = r;
    s->match = match_or(s->match, m);
    return m == MATCH_YES;
}

static struct search find(const struct easylist *l, const struct easylist_table *t, const struct request_view *v, const struct condition_input *in, uint16_t flags)
{
    struct search s = {.l = l, .v = v, .in = in, .fn = take_first, .mask = flags, .flags = flags};
    search(&s, t);
    return s;
}

enum match easylist_match(const struct easylist *l, const struct request_view *v, const struct condition_input *in, struct list_place *ret)
{
    struct search b = {0};
    if (l->n_important)
        b = find(l, &l->block, v, in, EASYLIST_IMPORTANT);
    if (b.match != MATCH_YES) {
        b = find(l, &l->block, v, in, 0);
        if (b.match != MATCH_NO && find(l, &l->except, v, in, 0).match == MATCH_YES)
            return MATCH_NO;
    }
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
    if (!takes_param(r->extra, name, s->param) || rule_match(r, s->v, s->in) != MATCH_YES)
        return false;
    s->found = r;
    return true;
}

static bool goes(const struct easylist *l, const struct request_view *v, const struct condition_input *in, struct span param)
{
    struct search s = {.l = l, .v = v, .in = in, .fn = take_param, .param = param, .mask = EASYLIST_EXCEPTION};
    search(&s, &l->remove);
    if (!s.found)
        return false;
    struct search except = {.l = l, .v = v, .in = in, .fn = take_param, .param = param, .mask = EASYLIST_EXCEPTION, .flags = EASYLIST_EXCEPTION};
    search(&except, &l->remove);
    return !except.found;
}

enum err easylist_clean_query(const struct easylist *l, const struct request_view *v, const struct condition_input *in, struct span query, struct span *ret)
{
    *ret = query;
    if (!l->remove.n || !query.len)
        return ERR_OK;
    char *out = NULL;
    size_t n = 0;
    for (struct span rest = query; rest.ptr;) {
        size_t before = (size_t)(rest.ptr - query.ptr);
        struct span param = span_cut(&rest, '&');
        bool gone = goes(l, v, in, param);
        if (gone && !out) {
            out = arena_bytes(in->arena, query.len);
            if (!out)
                return ERR_NO_MEMORY;
            n = before ? before - 1 : 0; // without the `&`
            memcpy(out, query.ptr, n);
        } else if (!gone && out) {
            if (n)
                out[n++] = '&';
            memcpy(out + n, param.ptr, param.len);
            n += param.len;
        }
    }
    if (out)
        *ret = n ? span_of(out, n) : SPAN_NONE;
    return ERR_OK;
}
