// SPDX-License-Identifier: Apache-2.0
#include "policy/list_read.h"

#include "base/ascii.h"
#include "base/mem.h"
#include "http/uri.h"
#include "policy/domain.h"
#include "policy/lines.h"

static bool no_memory(struct condition_context *k)
{
    conf_error(k->diags, NULL, NULL, "out of memory");
    return false;
}

// Without a comment at the line's end.
static struct span content_of(struct span line)
{
    for (size_t i = 0; i < line.len; i++)
        if (line.ptr[i] == '#' && (i == 0 || line.ptr[i - 1] == ' ' || line.ptr[i - 1] == '\t'))
            return span_trim(span_first(line, i));
    return line;
}

// ---- Names

static bool add_domain(struct list *l, struct span name, struct list_place at)
{
    bool below = name.ptr[0] == '.';
    return domain_index_add(&l->domains, below ? span_skip(name, 1) : name, below, at);
}

bool list_read_domain(struct list *l, struct condition_context *k, const struct conf_value *v, uint16_t source)
{
    struct span name;
    if (!domain_read(v->text, &name)) {
        domain_report(k, v);
        return false;
    }
    return add_domain(l, name, (struct list_place){0, source}) || no_memory(k);
}

bool list_read_domains(struct list *l, struct condition_context *k, const struct conf_value *v, uint16_t source)
{
    struct lines lines;
    struct span line, name;
    if (!lines_open(&lines, k, v))
        return false;
    while (lines_next(&lines, &line)) {
        line = content_of(line);
        if (!line.len)
            continue;
        if (!domain_read(line, &name))
            lines_broken(&lines, "this is no domain: `x.example` is that name, `.x.example` it and all below it");
        else if (!add_domain(l, name, (struct list_place){lines.number, source}))
            return no_memory(k);
    }
    lines_close(&lines);
    return true;
}

// Names that every hosts file has for the machine itself.
static bool is_own_name(struct span name)
{
    static const struct span own[] = {SPAN_INIT("localhost"),     SPAN_INIT("localhost.localdomain"), SPAN_INIT("localhost4"),
                                      SPAN_INIT("localhost6"),    SPAN_INIT("local"),                 SPAN_INIT("broadcasthost"),
                                      SPAN_INIT("ip6-localhost"), SPAN_INIT("ip6-loopback"),          SPAN_INIT("ip6-localnet"),
                                      SPAN_INIT("ip6-mcastprefix"), SPAN_INIT("ip6-allnodes"),        SPAN_INIT("ip6-allrouters"),
                                      SPAN_INIT("ip6-allhosts"),  SPAN_INIT("0.0.0.0"),               SPAN_INIT("localhost6.localdomain6"),
                                      SPAN_INIT("localhost4.localdomain4")};
    for (size_t i = 0; i < ARRAY_LEN(own); i++)
        if (span_eq_ci(own[i], name))
            return true;
    return false;
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

// `ADDRESS NAME...`: each name is blocked, whatever the address.
bool list_read_hosts(struct list *l, struct condition_context *k, const struct conf_value *v, uint16_t source)
{
    struct lines lines;
    struct span line, name;
    struct addr ip;
    if (!lines_open(&lines, k, v))
        return false;
    while (lines_next(&lines, &line)) {
        struct span rest = content_of(line), first = next_word(&rest);
        if (!first.len)
            continue;
        struct span zoned = span_first(first, span_find(first, '%')); // fe80::1%lo0
        if (!addr_parse_ip(zoned, &ip) || !span_trim(rest).len) {
            lines_broken(&lines, "this is no line of a hosts file: ADDRESS NAME...");
            continue;
        }
        for (struct span word = next_word(&rest); word.len; word = next_word(&rest)) {
            if (is_own_name(word))
                continue;
            if (word.ptr[0] == '.' || !domain_read(word, &name))
                lines_broken(&lines, "this is no name of a host");
            else if (!domain_index_add(&l->domains, name, false, (struct list_place){lines.number, source}))
                return no_memory(k);
        }
    }
    lines_close(&lines);
    return true;
}

// ---- URLs

// HOST[:PORT]/PATH[?QUERY] as a view's `bare`. A NULL pointer where it is no URL.
static struct span bare_url(struct span s, struct arena *a)
{
    struct authority authority;
    size_t colon = span_find_span(s, SPAN("://"));
    struct span scheme = colon < s.len ? span_first(s, colon) : SPAN_NONE, rest = colon < s.len ? span_skip(s, colon + 3) : s;
    rest = span_first(rest, span_find(rest, '#'));
    bool https = span_eq_ci(scheme, SPAN("https"));
    if (scheme.len && !https && !span_eq_ci(scheme, SPAN("http")))
        return SPAN_NONE;
    size_t end = 0;
    while (end < rest.len && rest.ptr[end] != '/' && rest.ptr[end] != '?')
        end++;
    struct span target = span_skip(rest, end), query = target, path = span_cut(&query, '?'), clean = SPAN("/");
    if (authority_parse(span_first(rest, end), a, &authority) || (path.len && path_normalise(path, a, &clean)))
        return SPAN_NONE;
    bool own_port = !authority.port || (https ? authority.port == 443 : authority.port == 80);
    const char *open = authority.kind == HOST_IPV6 ? "[" : "", *close = authority.kind == HOST_IPV6 ? "]" : "";
    struct span port = own_port ? SPAN("") : arena_printf(a, ":%u", authority.port);
    return arena_printf(a, "%s%.*s%s%.*s%.*s%s%.*s", open, SPAN_ARG(authority.host), close, SPAN_ARG(port), SPAN_ARG(clean), query.ptr ? "?" : "", SPAN_ARG(query));
}

bool list_read_urls(struct list *l, struct condition_context *k, const struct conf_value *v, uint16_t source)
{
    struct lines lines;
    struct span line;
    if (!lines_open(&lines, k, v))
        return false;
    while (lines_next(&lines, &line)) {
        line = content_of(line);
        if (!line.len)
            continue;
        struct span url = bare_url(line, k->arena);
        if (!url.ptr)
            lines_broken(&lines, "this is no URL: [http://]HOST[:PORT]/PATH");
        else if (!url_index_add(&l->urls, url, (struct list_place){lines.number, source}))
            return no_memory(k);
    }
    lines_close(&lines);
    return true;
}

// ---- Addresses

static bool add_prefix(struct list *l, const struct prefix *p, struct list_place at)
{
    if (l->n_prefixes == l->cap_prefixes) {
        size_t cap = l->cap_prefixes ? l->cap_prefixes * 2 : 64;
        struct prefix_entry *e = (struct prefix_entry *)mem_realloc(l->prefixes, cap * sizeof *e);
        if (e)
            l->prefixes = e;
        struct list_place *places = e ? (struct list_place *)mem_realloc(l->prefix_places, cap * sizeof *places) : NULL;
        if (!places)
            return false;
        l->prefix_places = places;
        l->cap_prefixes = cap;
    }
    l->prefix_places[l->n_prefixes] = at;
    l->prefixes[l->n_prefixes] = (struct prefix_entry){*p, (uint32_t)l->n_prefixes};
    l->n_prefixes++;
    return true;
}

bool list_read_addresses(struct list *l, struct condition_context *k, const struct conf_value *v, uint16_t source)
{
    struct lines lines;
    struct span line;
    struct prefix p;
    const char *why;
    if (!lines_open(&lines, k, v))
        return false;
    while (lines_next(&lines, &line)) {
        struct span rest = content_of(line), first = span_trim(span_cut(&rest, ';')); // comments as Spamhaus writes them
        if (!first.len)
            continue;
        if (!prefix_parse(first, &p, &why))
            lines_broken(&lines, why);
        else if (!add_prefix(l, &p, (struct list_place){lines.number, source}))
            return no_memory(k);
    }
    lines_close(&lines);
    return true;
}

// ---- Regular expressions

static void free_pattern(void *p)
{
    pattern_free((struct pattern *)p);
}

bool list_read_regex(struct list *l, struct condition_context *k, const struct conf_value *v, uint16_t source)
{
    struct lines lines;
    struct span line;
    if (!lines_open(&lines, k, v))
        return false;
    while (lines_next(&lines, &line)) {
        const char *why;
        if (!line.len || line.ptr[0] == '#')
            continue;
        if (l->n_regexes == LIST_REGEXES_MAX) {
            lines_broken(&lines, "there are too many regular expressions in this list");
            continue;
        }
        struct span text = arena_printf(k->arena, "~%.*s", SPAN_ARG(line));
        struct list_regex *r = (struct list_regex *)condition_alloc(k, sizeof *r);
        if (!r || !text.ptr)
            return false;
        r->pattern = pattern_new(text, true, k->arena, &why);
        if (!r->pattern) {
            lines_broken(&lines, why);
            continue;
        }
        if (!condition_on_free(k, free_pattern, r->pattern))
            return false;
        r->at = (struct list_place){lines.number, source};
        if (l->last_regex)
            l->last_regex->next = r;
        else
            l->regexes = r;
        l->last_regex = r;
        l->n_regexes++;
    }
    lines_close(&lines);
    return true;
}

bool list_read_easylist(struct list *l, struct condition_context *k, const struct conf_value *v, uint16_t source)
{
    return easylist_read(&l->rules, k, v, source);
}
