// SPDX-License-Identifier: Apache-2.0
// The states of the WHATWG's HTML tokenizer (13.2.5) as far as they decide where a tag begins and ends and where its attributes
// lie; no tree. A tag is looked at when it is whole; all else passes at once.
#include "base/ascii.h"
#include "base/mem.h"
#include "filter/css_links.h"
#include "filter/links.h"
#include "filter/tokens.h"

enum html_state {
    HTML_DATA,
    HTML_TAG,          // in a tag, held until its end
    HTML_LONG_TAG,     // the same, too long to be held: passes unchanged
    HTML_COMMENT,
    HTML_BOGUS,        // <!x, <?x, </3: to the next `>`
    HTML_CDATA,        // within svg and math
    HTML_RAW,          // to the end tag of `raw`
    HTML_SCRIPT,       // with the escapes of scripts
    HTML_PLAINTEXT,
};

enum tag_state { TAG_NAME, TAG_BEFORE, TAG_ATTR, TAG_AFTER, TAG_VALUE, TAG_DOUBLE, TAG_SINGLE, TAG_UNQUOTED, TAG_AFTER_QUOTED };

enum { ATTRS_MAX = 128, NAME_MAX_BYTES = 16 };

struct attr {
    uint32_t name, name_len, value, value_len;
};

struct html_links {
    struct filter f;
    struct tokens t;
    const struct link_map *map;
    enum html_state state;
    // The tag under way; offsets count from its `<`
    enum tag_state tag;
    uint32_t at; // where the scan goes on
    uint32_t name_len;
    bool end_tag, self_closing;
    unsigned n_attrs;
    // Comments and scripts
    unsigned dashes; // how many `-` came last
    bool bang;       // `--!` came last
    unsigned escape; // of a script: 0, 1 escaped, 2 doubly
    // Raw text
    char raw[NAME_MAX_BYTES];
    size_t raw_len;
    bool in_style;
    unsigned foreign; // how deep in svg or math
    struct css_links css;
    struct attr attrs[ATTRS_MAX];
};

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\f';
}

static bool is_alpha(char c)
{
    return ascii_is_alpha((unsigned char)c);
}

// ---- Scanning a tag

static void attr_begin(struct html_links *h, uint32_t i)
{
    if (h->n_attrs < ATTRS_MAX)
        h->attrs[h->n_attrs] = (struct attr){i, 0, 0, 0};
    h->n_attrs++;
}

static struct attr *attr_now(struct html_links *h)
{
    return h->n_attrs && h->n_attrs <= ATTRS_MAX ? &h->attrs[h->n_attrs - 1] : NULL;
}

static void value_begin(struct html_links *h, uint32_t i)
{
    struct attr *a = attr_now(h);
    if (a)
        a->value = i;
}

static void value_end(struct html_links *h, uint32_t i)
{
    struct attr *a = attr_now(h);
    if (a)
        a->value_len = i - a->value;
}

static void attr_name_end(struct html_links *h, uint32_t i)
{
    struct attr *a = attr_now(h);
    if (a)
        a->name_len = i - a->name;
}

static enum tag_state before_attribute(struct html_links *h, char c, uint32_t i)
{
    if (is_space(c) || c == '/') {
        h->self_closing = c == '/';
        return TAG_BEFORE;
    }
    h->self_closing = false;
    attr_begin(h, i);
    return TAG_ATTR;
}

static enum tag_state attribute_name(struct html_links *h, char c, uint32_t i)
{
    if (!is_space(c) && c != '/' && c != '=')
        return TAG_ATTR;
    attr_name_end(h, i);
    h->self_closing = c == '/';
    return c == '=' ? TAG_VALUE : c == '/' ? TAG_BEFORE : TAG_AFTER;
}

static enum tag_state after_attribute_name(struct html_links *h, char c, uint32_t i)
{
    if (is_space(c))
        return TAG_AFTER;
    if (c == '=')
        return TAG_VALUE;
    return before_attribute(h, c, i);
}

static enum tag_state before_value(struct html_links *h, char c, uint32_t i)
{
    if (is_space(c))
        return TAG_VALUE;
    value_begin(h, c == '"' || c == '\'' ? i + 1 : i);
    return c == '"' ? TAG_DOUBLE : c == '\'' ? TAG_SINGLE : TAG_UNQUOTED;
}

// Goes on to the tag's `>`: where behind it, or 0 where it is not here.
static uint32_t tag_scan(struct html_links *h, const char *p, uint32_t n)
{
    for (uint32_t i = h->at; i < n; i++) {
        char c = p[i];
        if (h->tag == TAG_DOUBLE || h->tag == TAG_SINGLE) {
            const char *q = (const char *)memchr(p + i, h->tag == TAG_DOUBLE ? '"' : '\'', n - i);
            if (!q)
                break;
            i = (uint32_t)(q - p);
            value_end(h, i);
            h->tag = TAG_AFTER_QUOTED;
            continue;
        }
        if (c == '>') {
            if (h->tag == TAG_NAME)
                h->name_len = i - 1 - h->end_tag;
            else if (h->tag == TAG_ATTR)
                attr_name_end(h, i);
            else if (h->tag == TAG_UNQUOTED)
                value_end(h, i);
            return i + 1;
        }
        switch (h->tag) {
        case TAG_NAME:
            if (is_space(c) || c == '/') {
                h->name_len = i - 1 - h->end_tag;
                h->self_closing = c == '/';
                h->tag = TAG_BEFORE;
            }
            break;
        case TAG_BEFORE:
        case TAG_AFTER_QUOTED:
            h->tag = before_attribute(h, c, i);
            break;
        case TAG_ATTR:
            h->tag = attribute_name(h, c, i);
            break;
        case TAG_AFTER:
            h->tag = after_attribute_name(h, c, i);
            break;
        case TAG_VALUE:
            h->tag = before_value(h, c, i);
            break;
        case TAG_UNQUOTED:
            if (is_space(c)) {
                value_end(h, i);
                h->self_closing = false;
                h->tag = TAG_BEFORE;
            }
            break;
        case TAG_DOUBLE:
        case TAG_SINGLE:
            break;
        }
    }
    h->at = n;
    return 0;
}

static void tag_begin(struct html_links *h, bool end_tag)
{
    h->state = HTML_TAG;
    h->tag = TAG_NAME;
    h->end_tag = end_tag;
    h->self_closing = false;
    h->at = 1 + end_tag;
    h->n_attrs = 0;
}

// ---- What stands in a tag

static void put_link(struct html_links *h, struct span url)
{
    size_t space = 0;
    while (space < url.len && (unsigned char)url.ptr[space] <= ' ') // what a URL's parser takes off
        space++;
    tokens_put(&h->t, url.ptr, space);
    if (!h->t.error && url.len > space)
        h->t.error = link_put(h->map, span_skip(url, space), h->t.out);
}

// Candidates with their descriptors, by commas (HTML 4.8.4.2.1).
static void put_srcset(struct html_links *h, struct span s)
{
    size_t i = 0;
    while (i < s.len) {
        size_t from = i;
        while (i < s.len && (is_space(s.ptr[i]) || s.ptr[i] == ','))
            i++;
        tokens_put(&h->t, s.ptr + from, i - from);
        from = i;
        while (i < s.len && !is_space(s.ptr[i]))
            i++;
        size_t end = i;
        while (end > from && s.ptr[end - 1] == ',')
            end--;
        put_link(h, span_of(s.ptr + from, end - from));
        bool bare = end < i; // a comma behind the URL: no descriptor
        from = end;
        for (unsigned depth = 0; !bare && i < s.len; i++) {
            if (s.ptr[i] == '(')
                depth++;
            else if (s.ptr[i] == ')' && depth)
                depth--;
            else if (s.ptr[i] == ',' && !depth)
                break;
        }
        tokens_put(&h->t, s.ptr + from, i - from);
    }
}

static void put_refresh(struct html_links *h, struct span content)
{
    size_t start, len;
    if (!link_in_refresh(content, &start, &len)) {
        tokens_put(&h->t, content.ptr, content.len);
        return;
    }
    tokens_put(&h->t, content.ptr, start);
    put_link(h, span_of(content.ptr + start, len));
    tokens_put(&h->t, content.ptr + start + len, content.len - start - len);
}

static void put_style(struct html_links *h, struct span value)
{
    if (!h->t.error)
        h->t.error = css_links_attribute(h->map, value, h->t.out);
}

static bool is_refresh(const struct html_links *h, const char *tag)
{
    if (h->name_len != 4 || !span_eq_ci(span_of(tag + 1, 4), SPAN("meta")))
        return false;
    for (unsigned i = 0; i < MIN(h->n_attrs, (unsigned)ATTRS_MAX); i++) {
        const struct attr *a = &h->attrs[i];
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
    if (name.len < 3 || name.len > 10)
        return ATTR_OTHER;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (rows[i].name.len == name.len && span_eq_ci(rows[i].name, name))
            return rows[i].kind;
    return ATTR_OTHER;
}

// The whole tag goes out, its links rewritten.
static void put_tag(struct html_links *h, const char *tag, uint32_t len)
{
    uint32_t done = 0;
    for (unsigned i = 0; !h->end_tag && i < MIN(h->n_attrs, (unsigned)ATTRS_MAX); i++) {
        const struct attr *a = &h->attrs[i];
        enum attr_kind kind = attr_kind(span_of(tag + a->name, a->name_len));
        if (!a->value_len || kind == ATTR_OTHER || (kind == ATTR_CONTENT && !is_refresh(h, tag)))
            continue;
        struct span value = span_of(tag + a->value, a->value_len);
        tokens_put(&h->t, tag + done, a->value - done);
        if (kind == ATTR_URL)
            put_link(h, value);
        else if (kind == ATTR_SRCSET)
            put_srcset(h, value);
        else if (kind == ATTR_STYLE)
            put_style(h, value);
        else
            put_refresh(h, value);
        done = a->value + a->value_len;
    }
    tokens_put(&h->t, tag + done, len - done);
}

// Which state follows a start tag (13.2.6: what the tree builder would say to the tokenizer).
static enum html_state after_start_tag(struct html_links *h, struct span name)
{
    static const char *const raws[] = {"style", "textarea", "title", "xmp", "iframe", "noembed", "noframes"};
    if (span_eq_ci(name, SPAN("svg")) || span_eq_ci(name, SPAN("math"))) {
        h->foreign += !h->self_closing;
        return HTML_DATA;
    }
    if (h->foreign && h->self_closing)
        return HTML_DATA;
    h->escape = h->dashes = 0;
    if (span_eq_ci(name, SPAN("script"))) {
        h->raw_len = 6;
        memcpy(h->raw, "script", 6);
        return HTML_SCRIPT;
    }
    if (!h->foreign && span_eq_ci(name, SPAN("plaintext")))
        return HTML_PLAINTEXT;
    for (size_t i = 0; i < ARRAY_LEN(raws); i++) {
        if (!span_eq_ci(name, span_str(raws[i])) || (h->foreign && i > 0))
            continue;
        h->raw_len = strlen(raws[i]);
        memcpy(h->raw, raws[i], h->raw_len);
        h->in_style = i == 0;
        if (h->in_style) {
            tokens_fini(&h->css.t);
            css_links_init(&h->css, h->map);
        }
        return HTML_RAW;
    }
    return HTML_DATA;
}

static void tag_ended(struct html_links *h, struct span name)
{
    h->state = HTML_DATA;
    if (!h->end_tag)
        h->state = after_start_tag(h, name);
    else if (h->foreign && (span_eq_ci(name, SPAN("svg")) || span_eq_ci(name, SPAN("math"))))
        h->foreign--;
}

static size_t in_tag(struct html_links *h, struct span s, bool end)
{
    uint32_t len = tag_scan(h, s.ptr, (uint32_t)MIN(s.len, (size_t)TOKENS_HOLD_MAX));
    if (len) {
        put_tag(h, s.ptr, len);
        tag_ended(h, span_of(s.ptr + 1 + h->end_tag, h->name_len));
        return len;
    }
    if (!end && s.len < TOKENS_HOLD_MAX)
        return 0;
    // Too long, or cut off by the content's end: unchanged. Its name, if it is to be known, was at its beginning.
    h->state = HTML_LONG_TAG;
    size_t n = MIN(s.len, (size_t)TOKENS_HOLD_MAX);
    h->raw_len = MIN(h->name_len, (uint32_t)NAME_MAX_BYTES);
    memcpy(h->raw, s.ptr + 1 + h->end_tag, MIN(h->raw_len, n - 1));
    tokens_put(&h->t, s.ptr, n);
    return n;
}

static size_t in_long_tag(struct html_links *h, struct span s)
{
    h->at = 0;
    h->n_attrs = ATTRS_MAX + 1; // none is looked at
    uint32_t len = tag_scan(h, s.ptr, (uint32_t)s.len);
    tokens_put(&h->t, s.ptr, len ? len : s.len);
    if (len) {
        char name[NAME_MAX_BYTES];
        memcpy(name, h->raw, h->raw_len);
        tag_ended(h, span_of(name, h->raw_len));
    }
    return len ? len : s.len;
}

// ---- What is not a tag

// `<` in the data state: what begins here. 0: more is needed.
static size_t open_markup(struct html_links *h, struct span s, bool end)
{
    size_t n = 1;
    if (s.len < 2 && !end)
        return 0;
    char c = s.len > 1 ? s.ptr[1] : ' ';
    if (is_alpha(c)) {
        tag_begin(h, false);
        return in_tag(h, s, end);
    }
    if (c == '/') {
        if (s.len < 3 && !end)
            return 0;
        if (s.len > 2 && is_alpha(s.ptr[2])) {
            tag_begin(h, true);
            return in_tag(h, s, end);
        }
        if (s.len > 2)
            h->state = HTML_BOGUS;
        n = MIN(s.len, (size_t)2);
    } else if (c == '!') {
        if (!end && ((s.len < 4 && span_starts(SPAN("<!--"), s)) || (h->foreign && s.len < 9 && span_starts(SPAN("<![CDATA["), s))))
            return 0;
        if (span_starts(s, SPAN("<!--"))) {
            h->state = HTML_COMMENT;
            h->dashes = 2; // `<!-->` is a whole one
            h->bang = false;
            n = 4;
        } else if (h->foreign && span_starts(s, SPAN("<![CDATA["))) {
            h->state = HTML_CDATA;
            h->dashes = 0;
            n = 9;
        } else {
            h->state = HTML_BOGUS;
            n = 2;
        }
    } else if (c == '?') {
        h->state = HTML_BOGUS;
    }
    tokens_put(&h->t, s.ptr, n);
    return n;
}

static size_t in_data(struct html_links *h, struct span s, bool end)
{
    size_t n = span_find(s, '<');
    if (n == 0)
        return open_markup(h, s, end);
    tokens_put(&h->t, s.ptr, n);
    return n;
}

// Comments end at `-->` or `--!>`; one that has just begun also at `>` and `->` (where `dashes` begins with 2).
static size_t in_comment(struct html_links *h, struct span s)
{
    size_t i = 0;
    while (i < s.len && h->state == HTML_COMMENT) {
        if (!h->dashes && !h->bang) {
            size_t skip = span_find(span_skip(s, i), '-');
            i += skip;
            if (i == s.len)
                break;
        }
        char c = s.ptr[i++];
        if (c == '>' && (h->dashes >= 2 || h->bang))
            h->state = HTML_DATA;
        h->bang = c == '!' && h->dashes >= 2 && !h->bang;
        h->dashes = c == '-' ? h->dashes + 1 : 0;
    }
    tokens_put(&h->t, s.ptr, i);
    return i;
}

static size_t in_cdata(struct html_links *h, struct span s)
{
    size_t i = 0;
    for (; i < s.len && h->state == HTML_CDATA; i++) {
        if (s.ptr[i] == '>' && h->dashes >= 2)
            h->state = HTML_DATA;
        h->dashes = s.ptr[i] == ']' ? h->dashes + 1 : 0;
    }
    tokens_put(&h->t, s.ptr, i);
    return i;
}

static size_t to_close(struct html_links *h, struct span s)
{
    size_t n = span_find(s, '>');
    if (n < s.len) {
        h->state = HTML_DATA;
        n++;
    }
    tokens_put(&h->t, s.ptr, n);
    return n;
}

// Whether `<` + slash + word, then what ends a name, stands at s: 1 yes, 0 no, -1 cannot be told yet.
static int word_at(struct span s, bool slash, struct span word, bool end)
{
    size_t at = 1 + slash;
    for (size_t i = 0; i < word.len + at; i++) {
        if (i == s.len)
            return end ? 0 : -1;
        char want = i == 0 ? '<' : i < at ? '/' : word.ptr[i - at];
        if ((char)ascii_lower((unsigned char)s.ptr[i]) != want)
            return 0;
    }
    if (s.len == word.len + at)
        return end ? 0 : -1;
    char c = s.ptr[word.len + at];
    return is_space(c) || c == '/' || c == '>';
}

static void put_raw(struct html_links *h, const char *p, size_t n)
{
    if (!h->in_style) {
        tokens_put(&h->t, p, n);
        return;
    }
    h->css.t.out = h->t.out;
    if (!h->t.error)
        h->t.error = tokens_feed(&h->css.t, p, n, false);
}

static void raw_ended(struct html_links *h)
{
    if (!h->in_style)
        return;
    h->css.t.out = h->t.out;
    if (!h->t.error)
        h->t.error = tokens_feed(&h->css.t, "", 0, true);
    h->in_style = false;
}

static size_t in_raw(struct html_links *h, struct span s, bool end)
{
    size_t n = span_find(s, '<');
    if (n) {
        put_raw(h, s.ptr, n);
        return n;
    }
    int is = word_at(s, true, span_of(h->raw, h->raw_len), end);
    if (is < 0)
        return 0;
    if (is) {
        raw_ended(h);
        tag_begin(h, true);
        return in_tag(h, s, end);
    }
    put_raw(h, s.ptr, 1);
    return 1;
}

// Script data with its escaped states (13.2.5.15 to 13.2.5.31): `<!--` hides a `<script>` and its end from the outer one.
static size_t in_script(struct html_links *h, struct span s, bool end)
{
    size_t i = 0;
    while (i < s.len) {
        char c = s.ptr[i];
        if (c == '<')
            break;
        if (c == '>' && h->dashes >= 2)
            h->escape = 0;
        h->dashes = c == '-' ? h->dashes + 1 : 0;
        i++;
    }
    if (i) {
        tokens_put(&h->t, s.ptr, i);
        return i;
    }
    int closes = word_at(s, true, SPAN("script"), end), opens = word_at(s, false, SPAN("script"), end);
    if (closes < 0 || opens < 0 || (!end && s.len < 4 && span_starts(SPAN("<!--"), s)))
        return 0;
    size_t n = 1;
    if (closes && h->escape < 2) {
        tag_begin(h, true);
        return in_tag(h, s, end);
    }
    h->dashes = 0;
    if (closes) {
        h->escape = 1;
    } else if (opens && h->escape == 1) {
        h->escape = 2;
    } else if (!h->escape && span_starts(s, SPAN("<!--"))) {
        h->escape = 1;
        h->dashes = 2;
        n = 4;
    }
    tokens_put(&h->t, s.ptr, n);
    return n;
}

static size_t step(struct tokens *t, const char *p, size_t len, bool end)
{
    struct html_links *h = container_of(t, struct html_links, t);
    size_t at = 0;
    while (at < len) {
        struct span s = span_of(p + at, len - at);
        size_t n = 0;
        switch (h->state) {
        case HTML_DATA:
            n = in_data(h, s, end);
            break;
        case HTML_TAG:
            n = in_tag(h, s, end);
            break;
        case HTML_LONG_TAG:
            n = in_long_tag(h, s);
            break;
        case HTML_COMMENT:
            n = in_comment(h, s);
            break;
        case HTML_BOGUS:
            n = to_close(h, s);
            break;
        case HTML_CDATA:
            n = in_cdata(h, s);
            break;
        case HTML_RAW:
            n = in_raw(h, s, end);
            break;
        case HTML_SCRIPT:
            n = in_script(h, s, end);
            break;
        case HTML_PLAINTEXT:
            tokens_put(t, s.ptr, s.len);
            n = s.len;
            break;
        }
        if (!n)
            break;
        at += n;
    }
    if (end)
        raw_ended(h);
    return at;
}

static enum err run(struct filter *f, struct chunkq *in, struct chunkq *out, enum filter_more more, bool *ret_done)
{
    return tokens_run(&container_of(f, struct html_links, f)->t, in, out, more, ret_done);
}

static void html_free(struct filter *f)
{
    struct html_links *h = container_of(f, struct html_links, f);
    tokens_fini(&h->t);
    tokens_fini(&h->css.t);
    mem_free(h);
}

static const struct filter_ops ops = {"rewrite-links html", run, html_free};

struct filter *html_links_new(const struct link_map *m)
{
    struct html_links *h = (struct html_links *)mem_calloc(1, sizeof *h);
    if (!h)
        return NULL;
    h->f.ops = &ops;
    h->t.step = step;
    h->map = m;
    css_links_init(&h->css, m);
    return &h->f;
}
