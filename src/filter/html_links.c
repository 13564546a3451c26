// SPDX-License-Identifier: Apache-2.0
// Links in HTML. A tag is looked at when it is whole; all else passes at once.
#include "base/ascii.h"
#include "base/mem.h"
#include "filter/css_links.h"
#include "filter/html_tokens.h"
#include "filter/links.h"

struct html_links {
    struct filter f;
    struct html_tokens h;
    const struct link_map *map;
    struct css_links css;
};

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

// In the place of a link what it becomes; all around it passes.
static void put_link(struct html_links *l, struct span url)
{
    struct link_change c;
    while (url.len && (unsigned char)url.ptr[0] <= ' ') // what a URL's parser takes off
        url = span_skip(url, 1);
    if (!link_match(l->map, url, &c))
        return;
    tokens_pass(&l->h.t, url.ptr);
    if (!l->h.t.error)
        l->h.t.error = link_put_change(l->map, &c, l->h.t.out);
    l->h.t.from = url.ptr + c.cut;
}

// Candidates with their descriptors, by commas (HTML 4.8.4.2.1).
static void put_srcset(struct html_links *l, struct span s)
{
    size_t i = 0;
    while (i < s.len) {
        while (i < s.len && (is_space(s.ptr[i]) || s.ptr[i] == ','))
            i++;
        size_t from = i;
        while (i < s.len && !is_space(s.ptr[i]))
            i++;
        size_t end = i;
        while (end > from && s.ptr[end - 1] == ',')
            end--;
        put_link(l, span_of(s.ptr + from, end - from));
        bool bare = end < i; // a comma behind the URL: no descriptor
        for (unsigned depth = 0; !bare && i < s.len; i++) {
            if (s.ptr[i] == '(')
                depth++;
            else if (s.ptr[i] == ')' && depth)
                depth--;
            else if (s.ptr[i] == ',' && !depth)
                break;
        }
    }
}

static void put_refresh(struct html_links *l, struct span content)
{
    size_t start, len;
    if (link_in_refresh(content, &start, &len))
        put_link(l, span_of(content.ptr + start, len));
}

static void put_style(struct html_links *l, struct span value)
{
    if (span_find(value, '(') == value.len && span_find(value, '@') == value.len)
        return; // neither url() nor @import
    tokens_pass(&l->h.t, value.ptr);
    if (!l->h.t.error)
        l->h.t.error = css_links_attribute(l->map, value, l->h.t.out);
    l->h.t.from = value.ptr + value.len;
}

static bool is_refresh(const struct html_tokens *h, const char *tag)
{
    if (h->name_len != 4 || !span_eq_ci(span_of(tag + 1, 4), SPAN("meta")))
        return false;
    for (unsigned i = 0; i < html_attrs(h); i++) {
        const struct html_attr *a = &h->attrs[i];
        if (span_eq_ci(span_of(tag + a->name, a->name_len), SPAN("http-equiv")) &&
            span_eq_ci(span_trim(span_of(tag + a->value, a->value_len)), SPAN("refresh")))
            return true;
    }
    return false;
}

enum attr_kind { ATTR_OTHER, ATTR_URL, ATTR_SRCSET, ATTR_STYLE, ATTR_CONTENT };

static enum attr_kind attr_kind(struct span name)
{
    static const struct {
        struct span name;
        enum attr_kind kind;
    } rows[] = {
        {SPAN_INIT("href"), ATTR_URL},      {SPAN_INIT("src"), ATTR_URL},        {SPAN_INIT("action"), ATTR_URL},  {SPAN_INIT("formaction"), ATTR_URL},
        {SPAN_INIT("poster"), ATTR_URL},    {SPAN_INIT("data"), ATTR_URL},       {SPAN_INIT("cite"), ATTR_URL},    {SPAN_INIT("background"), ATTR_URL},
        {SPAN_INIT("srcset"), ATTR_SRCSET}, {SPAN_INIT("style"), ATTR_STYLE},    {SPAN_INIT("content"), ATTR_CONTENT}, {SPAN_INIT("xlink:href"), ATTR_URL},
    };
    // Most attributes are class, id and the like.
    if (name.len < 3 || name.len > 10 || !memchr("hsafpdcbx", name.ptr[0] | 0x20, 9))
        return ATTR_OTHER;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].name.len == name.len && span_eq_ci(rows[i].name, name))
            return rows[i].kind;
    return ATTR_OTHER;
}

// The whole tag, its links rewritten.
static void on_tag(struct html_tokens *h, const char *tag, uint32_t len)
{
    struct html_links *l = container_of(h, struct html_links, h);
    (void)len;
    for (unsigned i = 0; !h->end_tag && i < html_attrs(h); i++) {
        const struct html_attr *a = &h->attrs[i];
        struct span value = span_of(tag + a->value, a->value_len);
        if (!value.len)
            continue;
        switch (attr_kind(span_of(tag + a->name, a->name_len))) {
        case ATTR_URL:
            put_link(l, value);
            break;
        case ATTR_SRCSET:
            put_srcset(l, value);
            break;
        case ATTR_STYLE:
            put_style(l, value);
            break;
        case ATTR_CONTENT:
            if (is_refresh(h, tag))
                put_refresh(l, value);
            break;
        case ATTR_OTHER:
            break;
        }
    }
}

static void on_style(struct html_tokens *h, const char *p, size_t n, bool end)
{
    struct html_links *l = container_of(h, struct html_links, h);
    l->css.t.out = h->t.out;
    if (!h->t.error)
        h->t.error = tokens_feed(&l->css.t, p, n, end);
    if (end) {
        tokens_fini(&l->css.t);
        css_links_init(&l->css, l->map);
    }
}

static enum err run(struct filter *f, struct chunkq *in, struct chunkq *out, enum filter_more more, bool *ret_done)
{
    return tokens_run(&container_of(f, struct html_links, f)->h.t, in, out, more, ret_done);
}

static void html_free(struct filter *f)
{
    struct html_links *l = container_of(f, struct html_links, f);
    tokens_fini(&l->h.t);
    tokens_fini(&l->css.t);
    mem_free(l);
}

static const struct filter_ops ops = {"rewrite-links html", run, html_free};

static struct filter *make(const struct link_map *m, bool xml)
{
    struct html_links *l = (struct html_links *)mem_calloc(1, sizeof *l);
    if (!l)
        return NULL;
    l->f.ops = &ops;
    l->map = m;
    html_tokens_init(&l->h, on_tag, on_style);
    l->h.xml = xml;
    css_links_init(&l->css, m);
    return &l->f;
}

struct filter *html_links_new(const struct link_map *m)
{
    return make(m, false);
}

struct filter *xhtml_links_new(const struct link_map *m)
{
    return make(m, true);
}
