// SPDX-License-Identifier: Apache-2.0
// Reading the lines of an EasyList.
#include "base/ascii.h"
#include "base/mem.h"
#include "policy/easylist.h"
#include "policy/lines.h"

enum { PATTERN_MAX = 4096 };

// A rule while it is read.
struct draft {
    struct condition_context *context;
    struct easylist_rule rule;
    struct easylist_extra extra;
    bool has_extra, bad; // bad: `badfilter`
    unsigned types, not_types;
    const char *why;
};

static void free_pattern(void *p)
{
    pattern_free((struct pattern *)p);
}

// ---- Options

enum option_kind { TYPE, PARTY, FLAG, DOMAINS, TO, NOT_TO, METHODS, REMOVE, ALL, BAD, NOTHING };

static const struct option {
    struct span name;
    enum option_kind kind;
    unsigned value;
} options[] = {
    {SPAN_INIT("script"), TYPE, RESOURCE_SCRIPT},
    {SPAN_INIT("image"), TYPE, RESOURCE_IMAGE},
    {SPAN_INIT("stylesheet"), TYPE, RESOURCE_STYLESHEET},
    {SPAN_INIT("css"), TYPE, RESOURCE_STYLESHEET},
    {SPAN_INIT("object"), TYPE, RESOURCE_OBJECT},
    {SPAN_INIT("xmlhttprequest"), TYPE, RESOURCE_XHR},
    {SPAN_INIT("xhr"), TYPE, RESOURCE_XHR},
    {SPAN_INIT("subdocument"), TYPE, RESOURCE_SUBDOCUMENT},
    {SPAN_INIT("frame"), TYPE, RESOURCE_SUBDOCUMENT},
    {SPAN_INIT("ping"), TYPE, RESOURCE_PING},
    {SPAN_INIT("beacon"), TYPE, RESOURCE_PING},
    {SPAN_INIT("websocket"), TYPE, RESOURCE_WEBSOCKET},
    {SPAN_INIT("document"), TYPE, RESOURCE_DOCUMENT},
    {SPAN_INIT("doc"), TYPE, RESOURCE_DOCUMENT},
    {SPAN_INIT("media"), TYPE, RESOURCE_MEDIA},
    {SPAN_INIT("font"), TYPE, RESOURCE_FONT},
    {SPAN_INIT("other"), TYPE, RESOURCE_OTHER},
    {SPAN_INIT("all"), ALL, 0},
    {SPAN_INIT("third-party"), PARTY, EASYLIST_THIRD_PARTY},
    {SPAN_INIT("3p"), PARTY, EASYLIST_THIRD_PARTY},
    {SPAN_INIT("first-party"), PARTY, EASYLIST_FIRST_PARTY},
    {SPAN_INIT("1p"), PARTY, EASYLIST_FIRST_PARTY},
    {SPAN_INIT("important"), FLAG, EASYLIST_IMPORTANT},
    {SPAN_INIT("match-case"), FLAG, EASYLIST_MATCH_CASE},
    {SPAN_INIT("domain"), DOMAINS, 0},
    {SPAN_INIT("from"), DOMAINS, 0},
    {SPAN_INIT("to"), TO, 0},
    {SPAN_INIT("denyallow"), NOT_TO, 0},
    {SPAN_INIT("method"), METHODS, 0},
    {SPAN_INIT("removeparam"), REMOVE, 0},
    {SPAN_INIT("queryprune"), REMOVE, 0},
    {SPAN_INIT("badfilter"), BAD, 0},
    {SPAN_INIT("_"), NOTHING, 0}, // some lists put it there so that an option does not stand last
};

static const struct option *option_named(struct span name)
{
    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        if (span_eq_ci(options[i].name, name))
            return &options[i];
    return NULL;
}

// `a.example|~b.example|c.*`; regular expressions among them are not known here.
static bool take_hosts(struct draft *d, struct span value, struct span *ret)
{
    struct span rest = value;
    while (rest.ptr) {
        struct span host = span_cut(&rest, '|');
        if (span_starts(host, SPAN("~")))
            host = span_skip(host, 1);
        if (!host.len || host.ptr[0] == '/')
            return false;
    }
    *ret = value;
    d->has_extra = true;
    return value.len > 0;
}

static bool take_remove(struct draft *d, struct span value)
{
    const char *why;
    d->rule.flags |= EASYLIST_REMOVE;
    d->has_extra = true;
    if (span_starts(value, SPAN("~"))) {
        d->extra.param_negated = true;
        value = span_skip(value, 1);
    }
    d->extra.param = value;
    if (!span_starts(value, SPAN("/")))
        return true;
    bool fold = span_ends(value, SPAN("/i"));
    size_t end = span_rfind(value, '/');
    struct arena *a = d->context->arena;
    struct span text = end ? arena_printf(a, "~%.*s", SPAN_ARG(span_of(value.ptr + 1, end - 1))) : SPAN_NONE;
    d->extra.param_regex = text.ptr ? pattern_new(text, fold, a, &why) : NULL;
    return d->extra.param_regex && condition_on_free(d->context, free_pattern, d->extra.param_regex);
}

// False: not known here.
static bool take_option(struct draft *d, struct span word)
{
    bool negated = span_starts(word, SPAN("~"));
    struct span value = negated ? span_skip(word, 1) : word, name = span_cut(&value, '=');
    const struct option *o = option_named(name);
    bool takes_value = o && o->kind >= DOMAINS && o->kind <= REMOVE;
    if (!o || (value.ptr && !takes_value) || (negated && o->kind != TYPE && o->kind != PARTY))
        return span_find_span(name, SPAN("__")) == 0 && name.len && span_find(name, '_') == 0; // `___`: nothing either
    switch (o->kind) {
    case TYPE:
        *(negated ? &d->not_types : &d->types) |= o->value;
        return true;
    case PARTY:
        d->rule.flags |= (uint16_t)(negated ? o->value ^ (EASYLIST_THIRD_PARTY | EASYLIST_FIRST_PARTY) : o->value);
        return true;
    case FLAG:
        d->rule.flags |= (uint16_t)o->value;
        return true;
    case DOMAINS:
        return take_hosts(d, value, &d->extra.domains);
    case TO:
        return take_hosts(d, value, &d->extra.to);
    case NOT_TO:
        return take_hosts(d, value, &d->extra.not_to);
    case METHODS:
        d->extra.methods = value;
        d->has_extra = true;
        return value.len > 0;
    case REMOVE:
        return take_remove(d, value);
    case ALL:
        d->types = RESOURCE_ANY;
        return true;
    case BAD:
        d->bad = true;
        return true;
    case NOTHING:
        return true;
    }
    return false;
}

static bool take_options(struct draft *d, struct span text)
{
    while (text.ptr) {
        struct span word = span_trim(span_cut(&text, ','));
        // A comma inside of a regular expression belongs to it.
        while (text.ptr && span_find_span(word, SPAN("=/")) < word.len && !(span_ends(word, SPAN("/")) || span_ends(word, SPAN("/i")))) {
            struct span more = span_cut(&text, ',');
            word.len = (size_t)(more.ptr + more.len - word.ptr);
        }
        if (!take_option(d, word)) {
            d->why = "an option of the rule is not known here";
            return false;
        }
    }
    unsigned types = d->types ? d->types : RESOURCE_ANY;
    d->rule.types = (uint16_t)(types & ~d->not_types);
    return true;
}

// ---- Patterns

static bool fold_pattern(struct draft *d, struct span p)
{
    size_t i = 0;
    while (i < p.len && ascii_lower((unsigned char)p.ptr[i]) == (unsigned char)p.ptr[i])
        i++;
    d->rule.pattern = p.ptr;
    d->rule.len = (uint16_t)p.len;
    if (i == p.len || d->rule.flags & EASYLIST_MATCH_CASE)
        return true;
    char *lower = arena_bytes(d->context->arena, p.len);
    for (i = 0; lower && i < p.len; i++)
        lower[i] = (char)ascii_lower((unsigned char)p.ptr[i]);
    d->rule.pattern = lower;
    return lower != NULL;
}

static bool take_regex(struct draft *d, struct span p)
{
    struct arena *a = d->context->arena;
    struct span text = arena_printf(a, "~%.*s", SPAN_ARG(span_of(p.ptr + 1, p.len - 2)));
    d->extra.regex = text.ptr ? pattern_new(text, !(d->rule.flags & EASYLIST_MATCH_CASE), a, &d->why) : NULL;
    d->has_extra = true;
    d->rule.flags |= EASYLIST_REGEX;
    d->rule.pattern = "";
    return d->extra.regex && condition_on_free(d->context, free_pattern, d->extra.regex);
}

static bool take_pattern(struct draft *d, struct span p)
{
    if (p.len > 2 && p.ptr[0] == '/' && p.ptr[p.len - 1] == '/')
        return take_regex(d, p);
    if (span_starts(p, SPAN("||"))) {
        d->rule.flags |= EASYLIST_HOST;
        p = span_skip(p, 2);
    } else if (span_starts(p, SPAN("|"))) {
        d->rule.flags |= EASYLIST_START;
        p = span_skip(p, 1);
    }
    if (span_ends(p, SPAN("|"))) {
        d->rule.flags |= EASYLIST_END;
        p.len--;
    }
    while (p.len && p.ptr[0] == '*' && !(d->rule.flags & EASYLIST_HOST)) { // `*x` is `x`, whatever it was anchored to
        d->rule.flags &= (uint16_t)~EASYLIST_START;
        p = span_skip(p, 1);
    }
    while (p.len && p.ptr[p.len - 1] == '*') {
        d->rule.flags &= (uint16_t)~EASYLIST_END;
        p.len--;
    }
    if (p.len > PATTERN_MAX) {
        d->why = "the rule is too long";
        return false;
    }
    return fold_pattern(d, p);
}

// ---- Lines

static bool is_hiding(struct span line)
{
    static const struct span marks[] = {SPAN_INIT("##"),  SPAN_INIT("#@#"), SPAN_INIT("#?#"), SPAN_INIT("#@?#"), SPAN_INIT("#$#"),
                                        SPAN_INIT("#%#"), SPAN_INIT("#@%#"), SPAN_INIT("#@$#"), SPAN_INIT("#^"), SPAN_INIT("$$")};
    for (size_t i = 0; i < ARRAY_LEN(marks); i++)
        if (span_find_span(line, marks[i]) < line.len)
            return true;
    return false;
}

static bool begins_option(struct span s)
{
    return s.len && (ascii_is_alnum((unsigned char)s.ptr[0]) || s.ptr[0] == '~' || s.ptr[0] == '_');
}

// Where the options begin: behind the end of a regular expression, otherwise at the last `$` that could begin some.
static size_t options_at(struct span s)
{
    if (span_starts(s, SPAN("/"))) {
        for (size_t i = s.len; i > 2; i--)
            if (s.ptr[i - 1] == '$' && s.ptr[i - 2] == '/' && begins_option(span_skip(s, i)))
                return i - 1;
        if (span_ends(s, SPAN("/")))
            return s.len;
    }
    for (size_t i = s.len; i > 0; i--)
        if (s.ptr[i - 1] == '$' && begins_option(span_skip(s, i)))
            return i - 1;
    return s.len;
}

static bool take_line(struct draft *d, struct span line)
{
    d->why = "the rule cannot be read";
    if (span_starts(line, SPAN("@@"))) {
        d->rule.flags |= EASYLIST_EXCEPTION;
        line = span_skip(line, 2);
    }
    size_t at = options_at(line);
    d->rule.types = RESOURCE_ANY;
    if (at < line.len && !take_options(d, span_skip(line, at + 1)))
        return false;
    if (!take_pattern(d, span_first(line, at)))
        return false;
    // What would take every request there is was not meant.
    bool limited = d->has_extra || d->rule.types != RESOURCE_ANY || d->rule.flags & (EASYLIST_FIRST_PARTY | EASYLIST_THIRD_PARTY);
    if (!d->rule.len && !(d->rule.flags & EASYLIST_REGEX) && !limited) {
        d->why = "the rule takes everything";
        return false;
    }
    return true;
}

static bool grow(void **v, uint32_t n, uint32_t *cap, size_t size)
{
    if (n < *cap)
        return true;
    uint32_t more = *cap ? *cap * 2 : 256;
    void *p = more < UINT32_MAX / 4 ? mem_realloc(*v, more * size) : NULL;
    if (!p)
        return false;
    *v = p;
    *cap = more;
    return true;
}

static bool keep_extra(struct draft *d)
{
    if (!d->has_extra)
        return true;
    struct easylist_extra *e = (struct easylist_extra *)arena_alloc(d->context->arena, sizeof *e);
    if (!e)
        return false;
    *e = d->extra;
    d->rule.extra = e;
    return true;
}

// A rule that `badfilter` takes back is written as that rule is, with the option behind: what is before it names the rule.
static bool keep_bad(struct easylist *l, struct span line)
{
    size_t at = span_find_span(line, SPAN("badfilter"));
    struct span text = span_first(line, at ? at - 1 : 0); // without the `,` or `$` before it
    if (!grow((void **)&l->bad, l->n_bad, &l->cap_bad, sizeof *l->bad))
        return false;
    l->bad[l->n_bad++] = text;
    return true;
}

static bool keep(struct easylist *l, struct draft *d)
{
    if (!keep_extra(d) || !grow((void **)&l->rules, l->n_rules, &l->cap_rules, sizeof *l->rules))
        return false;
    l->n_important += (d->rule.flags & EASYLIST_IMPORTANT) != 0;
    l->rules[l->n_rules++] = d->rule;
    return true;
}

static bool is_bad(const struct easylist *l, struct span line)
{
    for (uint32_t i = 0; i < l->n_bad; i++)
        if (span_eq(l->bad[i], line))
            return true;
    return false;
}

static bool read_bad(struct easylist *l, struct lines lines)
{
    struct span line;
    while (lines_next(&lines, &line))
        if (span_find_span(line, SPAN("badfilter")) < line.len && line.ptr[0] != '!' && !keep_bad(l, line))
            return false;
    return true;
}

static bool is_comment(struct span line)
{
    return !line.len || line.ptr[0] == '!' || line.ptr[0] == '[' || (line.ptr[0] == '#' && (line.len == 1 || line.ptr[1] == ' '));
}

static bool read_rules(struct easylist *l, struct lines *lines, uint16_t source, uint32_t *ret_hiding)
{
    struct span line;
    while (lines_next(lines, &line)) {
        if (is_comment(line) || is_bad(l, line))
            continue;
        if (is_hiding(line)) {
            ++*ret_hiding;
            continue;
        }
        struct draft d = {.context = lines->context, .rule = {.line = lines->number, .source = source}};
        if (!take_line(&d, line))
            lines_broken(lines, d.why);
        else if (!d.bad && !keep(l, &d))
            return false;
    }
    return true;
}

bool easylist_read(struct easylist *l, struct condition_context *k, const struct conf_value *file, uint16_t source)
{
    struct lines lines;
    uint32_t hiding = 0;
    if (!lines_open(&lines, k, file))
        return false;
    if (!read_bad(l, lines) || !read_rules(l, &lines, source, &hiding)) {
        conf_error(k->diags, NULL, NULL, "out of memory");
        return false;
    }
    lines_close(&lines);
    return true;
}
