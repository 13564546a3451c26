// SPDX-License-Identifier: Apache-2.0
#include "http/cache_control.h"

#include "base/ascii.h"
#include "http/structured.h"

enum kind { FLAG, SECONDS, QUALIFIED, MAX_STALE };

static const struct directive {
    struct span name;
    enum kind kind;
    size_t at;      // offset of the flag or number
    int64_t broken; // what a number that cannot be read counts as: the strict end
} directives[] = {
#define AT(m) offsetof(struct cache_control, m)
    {SPAN_INIT("max-age"), SECONDS, AT(max_age), 0},
    {SPAN_INIT("s-maxage"), SECONDS, AT(s_maxage), 0},
    {SPAN_INIT("no-store"), FLAG, AT(no_store), 0},
    {SPAN_INIT("no-cache"), QUALIFIED, AT(no_cache), 0},
    {SPAN_INIT("private"), QUALIFIED, AT(private_), 0},
    {SPAN_INIT("public"), FLAG, AT(public_), 0},
    {SPAN_INIT("must-revalidate"), FLAG, AT(must_revalidate), 0},
    {SPAN_INIT("proxy-revalidate"), FLAG, AT(proxy_revalidate), 0},
    {SPAN_INIT("must-understand"), FLAG, AT(must_understand), 0},
    {SPAN_INIT("no-transform"), FLAG, AT(no_transform), 0},
    {SPAN_INIT("immutable"), FLAG, AT(immutable), 0},
    {SPAN_INIT("only-if-cached"), FLAG, AT(only_if_cached), 0},
    {SPAN_INIT("min-fresh"), SECONDS, AT(min_fresh), CACHE_SECONDS_MAX},
    {SPAN_INIT("max-stale"), MAX_STALE, AT(max_stale), CACHE_SECONDS_NONE},
    {SPAN_INIT("stale-while-revalidate"), SECONDS, AT(stale_while_revalidate), 0},
    {SPAN_INIT("stale-if-error"), SECONDS, AT(stale_if_error), 0},
#undef AT
};

static const struct directive *directive_named(struct span name)
{
    for (size_t i = 0; i < ARRAY_LEN(directives); i++)
        if (span_eq_ci(directives[i].name, name))
            return &directives[i];
    return NULL;
}

static bool *flag_of(struct cache_control *c, const struct directive *d)
{
    return (bool *)((char *)c + d->at);
}

static int64_t *seconds_of(struct cache_control *c, const struct directive *d)
{
    return (int64_t *)(void *)((char *)c + d->at);
}

bool cache_seconds_parse(struct span s, int64_t *ret)
{
    int64_t v = 0;
    for (size_t i = 0; i < s.len; i++) {
        if (!ascii_is_digit((unsigned char)s.ptr[i]))
            return false;
        v = MIN(v * 10 + (s.ptr[i] - '0'), (int64_t)CACHE_SECONDS_MAX);
    }
    if (s.len == 0)
        return false;
    *ret = v;
    return true;
}

static void init(struct cache_control *c)
{
    memset(c, 0, sizeof *c);
    c->max_age = c->s_maxage = c->min_fresh = c->max_stale = c->stale_while_revalidate = c->stale_if_error = CACHE_SECONDS_NONE;
}

// Of several the strictest: the longest min-fresh, otherwise the shortest.
static void set_seconds(struct cache_control *c, const struct directive *d, int64_t v)
{
    int64_t *at = seconds_of(c, d);
    bool longest = d->broken == CACHE_SECONDS_MAX;
    if (*at == CACHE_SECONDS_NONE || (longest ? v > *at : v < *at))
        *at = v;
}

static bool are_names(struct span list)
{
    struct span item;
    bool any = false;
    while (list_next(&list, &item)) {
        if (!http_is_token(item))
            return false;
        any = true;
    }
    return any;
}

static void set_qualified(struct cache_control *c, const struct directive *d, struct span names)
{
    bool private_ = d->at == offsetof(struct cache_control, private_);
    unsigned *n = private_ ? &c->n_private : &c->n_no_cache;
    struct span *lists = private_ ? c->private_fields : c->no_cache_fields;
    if (*n == CACHE_FIELD_LISTS || !are_names(names))
        *flag_of(c, d) = true;
    else
        lists[(*n)++] = names;
}

static struct span unquoted(struct span s)
{
    return s.len >= 2 && s.ptr[0] == '"' && s.ptr[s.len - 1] == '"' ? span_of(s.ptr + 1, s.len - 2) : s;
}

// value: what stands behind `=`; a NULL pointer where there is none. exact: no white space stood around the `=`.
static void apply(struct cache_control *c, const struct directive *d, struct span value, bool exact)
{
    int64_t v;
    switch (d->kind) {
    case FLAG:
        *flag_of(c, d) = true;
        break;
    case SECONDS:
        set_seconds(c, d, exact && cache_seconds_parse(unquoted(value), &v) ? v : d->broken);
        break;
    case MAX_STALE:
        if (!value.ptr)
            set_seconds(c, d, CACHE_SECONDS_MAX);
        else if (exact && cache_seconds_parse(unquoted(value), &v))
            set_seconds(c, d, v);
        break;
    case QUALIFIED:
        if (value.ptr && exact)
            set_qualified(c, d, unquoted(value));
        else
            *flag_of(c, d) = true;
        break;
    }
}

static void parse_directive(struct cache_control *c, struct span item)
{
    size_t eq = span_find(item, '=');
    struct span name = span_first(item, eq), value = eq < item.len ? span_skip(item, eq + 1) : SPAN_NONE;
    struct span trimmed = span_trim(name);
    const struct directive *d = directive_named(trimmed);
    c->present = true;
    if (d)
        apply(c, d, eq < item.len && !value.len ? SPAN("") : span_trim(value), trimmed.len == name.len && span_trim(value).len == value.len);
}

// A quote that nothing closes would hide the directives behind it.
static bool quotes_are_balanced(struct span s)
{
    bool quoted = false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] == '"')
            quoted = !quoted;
        else if (quoted && s.ptr[i] == '\\')
            i++;
    }
    return !quoted;
}

void cache_control_parse(const struct fields *f, struct cache_control *ret)
{
    init(ret);
    for (const struct field *x = fields_get(f, FIELD_CACHE_CONTROL); x; x = fields_next(f, x)) {
        struct span rest = x->value, item;
        if (quotes_are_balanced(rest)) {
            while (list_next(&rest, &item))
                parse_directive(ret, item);
            continue;
        }
        while (rest.ptr) {
            item = span_trim(span_cut(&rest, ','));
            if (item.len)
                parse_directive(ret, item);
        }
        ret->no_cache = true;
    }
}

// ---- Targeted fields

// Field names of an inner list of strings or tokens; anything else counts as the whole message.
static void targeted_fields(struct cache_control *c, const struct directive *d, const struct sf_item *v)
{
    if (v->type == SF_STRING || v->type == SF_TOKEN) {
        set_qualified(c, d, v->text);
        return;
    }
    struct span rest = v->text;
    struct sf_item item;
    while (sf_inner_next(&rest, &item) == SF_NEXT)
        set_qualified(c, d, item.text);
}

static void apply_targeted(struct cache_control *c, const struct directive *d, const struct sf_item *v)
{
    bool flag = v->type == SF_BOOLEAN;
    switch (d->kind) {
    case FLAG:
        if (flag)
            *flag_of(c, d) = v->num;
        break;
    case QUALIFIED:
        if (flag)
            *flag_of(c, d) = v->num;
        else if (v->type == SF_STRING || v->type == SF_TOKEN || v->type == SF_INNER_LIST)
            targeted_fields(c, d, v);
        break;
    case SECONDS:
        if (v->type == SF_INTEGER)
            *seconds_of(c, d) = v->num < 0 ? 0 : MIN(v->num, (int64_t)CACHE_SECONDS_MAX);
        break;
    case MAX_STALE:
        break; // of requests only
    }
}

bool cache_control_parse_targeted(const struct fields *f, struct span name, struct arena *a, struct cache_control *ret)
{
    const struct field *first = fields_find(f, name);
    if (!first)
        return false;
    struct span value = first->value;
    for (const struct field *x = fields_find_next(f, first); x; x = fields_find_next(f, x)) {
        value = arena_printf(a, "%.*s, %.*s", SPAN_ARG(value), SPAN_ARG(x->value));
        if (!value.ptr)
            return false;
    }
    if (!span_trim(value).len || !sf_dict_is_valid(value))
        return false;
    struct cache_control c;
    struct sf_member m;
    init(&c);
    while (sf_dict_next(&value, &m) == SF_NEXT) {
        const struct directive *d = directive_named(m.key);
        c.present = true;
        if (d)
            apply_targeted(&c, d, &m.item);
    }
    *ret = c;
    return true;
}
