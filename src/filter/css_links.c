// SPDX-License-Identifier: Apache-2.0
#include "filter/css_links.h"

#include "base/ascii.h"
#include "base/mem.h"

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

static bool is_ident(char c)
{
    return ascii_is_alnum((unsigned char)c) || c == '_' || c == '-' || c == '\\' || (unsigned char)c >= 0x80;
}

static void put_link(struct css_links *c, struct span url)
{
    if (!c->t.error)
        c->t.error = link_put(c->map, url, c->t.out);
}

// The bytes of a quote at p, which in an attribute may be a character reference; 0: none. *ret_quote is what it stands for.
static size_t quote_at(const struct css_links *c, struct span s, char *ret_quote)
{
    static const struct {
        struct span text;
        char quote;
    } references[] = {{SPAN_INIT("&quot;"), '"'}, {SPAN_INIT("&#34;"), '"'}, {SPAN_INIT("&#x22;"), '"'}, {SPAN_INIT("&apos;"), '\''}, {SPAN_INIT("&#39;"), '\''}, {SPAN_INIT("&#x27;"), '\''}};
    if (s.len && (s.ptr[0] == '"' || s.ptr[0] == '\'')) {
        *ret_quote = s.ptr[0];
        return 1;
    }
    for (size_t i = 0; c->in_attribute && i < ARRAY_LEN(references); i++) {
        if (span_starts_ci(s, references[i].text)) {
            *ret_quote = references[i].quote;
            return references[i].text.len;
        }
    }
    return 0;
}

// A quoted string at s: its whole length with both quotes and where its inside lies; 0: its end is not here.
static size_t string_at(const struct css_links *c, struct span s, size_t *ret_start, size_t *ret_len)
{
    char quote = 0, other = 0;
    size_t open = quote_at(c, s, &quote);
    for (size_t i = open; i < s.len; i++) {
        size_t close = quote_at(c, span_skip(s, i), &other);
        if (close && other == quote) {
            *ret_start = open;
            *ret_len = i - open;
            return i + close;
        }
        if (s.ptr[i] == '\\')
            i++;
        else if (s.ptr[i] == '\n')
            break; // a bad string ends here
    }
    return 0;
}

// `url(...)` at s, all of it. 0: its end is not here.
static size_t url_at(struct css_links *c, struct span s)
{
    size_t i = 4, start = 0, len = 0;
    char quote = 0;
    while (i < s.len && is_space(s.ptr[i]))
        i++;
    struct span inside = span_skip(s, i);
    if (quote_at(c, inside, &quote)) {
        size_t n = string_at(c, inside, &start, &len);
        if (!n)
            return 0;
        tokens_put(&c->t, s.ptr, i + start);
        put_link(c, span_of(inside.ptr + start, len));
        tokens_put(&c->t, inside.ptr + start + len, n - start - len);
        return i + n; // the parenthesis is ordinary text
    }
    size_t end = span_find(inside, ')');
    if (end == inside.len)
        return 0;
    len = end;
    while (len && is_space(inside.ptr[len - 1]))
        len--;
    tokens_put(&c->t, s.ptr, i);
    put_link(c, span_first(inside, len));
    tokens_put(&c->t, inside.ptr + len, end - len);
    return i + end;
}

static bool can_begin(struct span s, struct span word)
{
    return s.len < word.len && span_starts_ci(word, s);
}

// One token in the normal state at s; 0: more is needed.
static size_t token(struct css_links *c, struct span s, bool end)
{
    char ch = s.ptr[0], quote = 0;
    size_t n = 0, start = 0, len = 0;
    if (!end && ((ch == '/' && s.len < 2) || ((ch == 'u' || ch == 'U') && can_begin(s, SPAN("url("))) || (ch == '@' && can_begin(s, SPAN("@import"))) ||
                 (c->in_attribute && ch == '&' && s.len < 6)))
        return 0;
    if (ch == '/' && s.len > 1 && s.ptr[1] == '*') {
        c->state = CSS_COMMENT;
        n = 2;
    } else if (span_starts_ci(s, SPAN("url(")) && !is_ident(c->before)) {
        c->after_import = false;
        n = url_at(c, s);
        if (n || !end)
            return n;
        n = 1;
    } else if (span_starts_ci(s, SPAN("@import"))) {
        c->after_import = true;
        n = 7;
    } else if (quote_at(c, s, &quote)) {
        if (!c->after_import) {
            c->state = CSS_STRING;
            c->quote = quote;
            n = quote_at(c, s, &quote);
        } else if ((n = string_at(c, s, &start, &len))) {
            c->after_import = false;
            tokens_put(&c->t, s.ptr, start);
            put_link(c, span_of(s.ptr + start, len));
            tokens_put(&c->t, s.ptr + start + len, n - start - len);
            return n;
        } else if (!end) {
            return 0;
        } else {
            n = 1;
        }
    } else {
        if (!is_space(ch))
            c->after_import = false;
        n = 1;
    }
    tokens_put(&c->t, s.ptr, n);
    return n;
}

// What neither begins a token nor ends the wait for an import's string.
static size_t plain_run(const struct css_links *c, struct span s)
{
    size_t i = 0;
    while (i < s.len) {
        char ch = s.ptr[i];
        if (ch == 'u' || ch == 'U' || ch == '@' || ch == '/' || ch == '"' || ch == '\'' || (c->in_attribute && ch == '&'))
            break;
        i++;
    }
    return c->after_import ? 0 : i;
}

static size_t in_string(struct css_links *c, struct span s)
{
    char other = 0;
    for (size_t i = 0; i < s.len; i++) {
        size_t close = quote_at(c, span_skip(s, i), &other);
        if ((close && other == c->quote) || s.ptr[i] == '\n') {
            c->state = CSS_NORMAL;
            return i + (close ? close : 1);
        }
        if (s.ptr[i] == '\\' && i + 1 < s.len)
            i++;
        else if (s.ptr[i] == '\\')
            return i; // what it escapes is not here yet
    }
    return s.len;
}

// Of states that pass bytes on until their end: how many.
static size_t passing(struct css_links *c, struct span s, bool end)
{
    size_t n;
    if (c->state == CSS_STRING) {
        n = in_string(c, s);
        if (c->in_attribute && !end && c->state == CSS_STRING && n == s.len && n < 8)
            return 0; // a reference may be cut
    } else if (c->state == CSS_COMMENT) {
        n = span_find_span(s, SPAN("*/"));
        if (n <= s.len) {
            c->state = CSS_NORMAL;
            n += 2;
        } else {
            n = s.len && s.ptr[s.len - 1] == '*' ? s.len - 1 : s.len;
        }
    } else { // a url() that is too long to be looked at
        n = span_find(s, ')');
        if (n < s.len)
            c->state = CSS_NORMAL;
    }
    if (end && n == 0)
        n = s.len;
    tokens_put(&c->t, s.ptr, n);
    return n;
}

static size_t step(struct tokens *t, const char *p, size_t len, bool end)
{
    struct css_links *c = container_of(t, struct css_links, t);
    size_t at = 0;
    while (at < len) {
        struct span s = span_of(p + at, len - at);
        size_t n;
        if (c->state != CSS_NORMAL) {
            n = passing(c, s, end);
        } else if ((n = plain_run(c, s))) {
            tokens_put(t, s.ptr, n);
        } else if (c->seen && s.len < c->seen * 2 && s.len < TOKENS_HOLD_MAX && !end) {
            break; // looked at when there is twice as much, so that slow pieces do not cost a square
        } else {
            bool too_long = s.len >= TOKENS_HOLD_MAX;
            n = token(c, span_first(s, TOKENS_HOLD_MAX), end && !too_long);
            c->seen = n ? 0 : s.len;
            if (!n && too_long) {
                c->state = quote_at(c, s, &c->quote) ? CSS_STRING : CSS_LONG_URL;
                c->seen = 0;
                n = 1;
                tokens_put(t, s.ptr, n);
            }
        }
        if (!n)
            break;
        at += n;
        c->before = p[at - 1];
    }
    return at;
}

void css_links_init(struct css_links *c, const struct link_map *m)
{
    memset(c, 0, sizeof *c);
    c->t.step = step;
    c->map = m;
    c->before = ' ';
}

enum err css_links_attribute(const struct link_map *m, struct span value, struct chunkq *out)
{
    struct css_links c;
    css_links_init(&c, m);
    c.in_attribute = true;
    c.t.out = out;
    enum err e = tokens_feed(&c.t, value.ptr, value.len, true);
    tokens_fini(&c.t);
    return e;
}

struct css_filter {
    struct filter f;
    struct css_links css;
};

static enum err run(struct filter *f, struct chunkq *in, struct chunkq *out, enum filter_more more, bool *ret_done)
{
    return tokens_run(&container_of(f, struct css_filter, f)->css.t, in, out, more, ret_done);
}

static void css_free(struct filter *f)
{
    struct css_filter *c = container_of(f, struct css_filter, f);
    tokens_fini(&c->css.t);
    mem_free(c);
}

static const struct filter_ops ops = {"rewrite-links css", run, css_free};

struct filter *css_links_new(const struct link_map *m)
{
    struct css_filter *c = (struct css_filter *)mem_calloc(1, sizeof *c);
    if (!c)
        return NULL;
    c->f.ops = &ops;
    css_links_init(&c->css, m);
    return &c->f;
}
