// SPDX-License-Identifier: Apache-2.0
#include "filter/html_tokens.h"

#include "base/ascii.h"

// What may end a name or a value.
enum { SPACE = 1, SLASH = 2, CLOSE = 4, EQUALS = 8 };
static const unsigned char kinds[256] = {[' '] = SPACE, ['\t'] = SPACE, ['\n'] = SPACE, ['\r'] = SPACE, ['\f'] = SPACE, ['/'] = SLASH, ['>'] = CLOSE, ['='] = EQUALS};

static bool is(char c, unsigned what)
{
    return kinds[(unsigned char)c] & what;
}

static uint32_t skip(const char *p, uint32_t i, uint32_t n, unsigned what)
{
    while (i < n && is(p[i], what))
        i++;
    return i;
}

static uint32_t skip_to(const char *p, uint32_t i, uint32_t n, unsigned what)
{
    while (i < n && !is(p[i], what))
        i++;
    return i;
}

static bool is_alpha(char c)
{
    return ascii_is_alpha((unsigned char)c);
}

// ---- Scanning a tag

static struct html_attr *attr_now(struct html_tokens *h)
{
    static struct html_attr nowhere;
    return h->n_attrs && h->n_attrs <= HTML_ATTRS_MAX ? &h->attrs[h->n_attrs - 1] : &nowhere;
}

static void attr_begin(struct html_tokens *h, uint32_t i)
{
    h->n_attrs++;
    *attr_now(h) = (struct html_attr){i, 0, 0, 0};
    h->self_closing = false;
}

static void value_begin(struct html_tokens *h, char c, uint32_t *i)
{
    h->tag_state = c == '"' ? TAG_DOUBLE : c == '\'' ? TAG_SINGLE : TAG_UNQUOTED;
    *i += h->tag_state != TAG_UNQUOTED;
    attr_now(h)->value = *i;
}

static void value_end(struct html_tokens *h, uint32_t i)
{
    struct html_attr *a = attr_now(h);
    a->value_len = i - a->value;
    h->tag_state = TAG_BEFORE;
}

// One state's worth of the tag, from i on: where the next one begins, n where its end is not here.
static uint32_t tag_part(struct html_tokens *h, const char *p, uint32_t i, uint32_t n)
{
    const char *quote;
    switch (h->tag_state) {
    case TAG_NAME:
        if ((i = skip_to(p, i, n, SPACE | SLASH | CLOSE)) == n)
            break;
        h->name_len = i - 1 - h->end_tag;
        h->tag_state = TAG_BEFORE;
        break;
    case TAG_BEFORE:
        for (; i < n && is(p[i], SPACE | SLASH); i++)
            h->self_closing = p[i] == '/';
        if (i == n || p[i] == '>')
            break;
        attr_begin(h, i++); // its first character may be `=`
        h->tag_state = TAG_ATTR;
        break;
    case TAG_ATTR:
        if ((i = skip_to(p, i, n, SPACE | SLASH | CLOSE | EQUALS)) == n)
            break;
        attr_now(h)->name_len = i - attr_now(h)->name;
        h->tag_state = TAG_AFTER;
        break;
    case TAG_AFTER:
        if ((i = skip(p, i, n, SPACE)) == n)
            break;
        h->tag_state = p[i] == '=' ? TAG_VALUE : TAG_BEFORE;
        i += p[i] == '=';
        break;
    case TAG_VALUE:
        if ((i = skip(p, i, n, SPACE)) == n || p[i] == '>')
            break;
        value_begin(h, p[i], &i);
        break;
    case TAG_DOUBLE:
    case TAG_SINGLE:
        quote = (const char *)memchr(p + i, h->tag_state == TAG_DOUBLE ? '"' : '\'', n - i);
        if (!quote)
            return n;
        value_end(h, (uint32_t)(quote - p));
        return (uint32_t)(quote - p) + 1;
    case TAG_UNQUOTED:
        if ((i = skip_to(p, i, n, SPACE | CLOSE)) < n)
            value_end(h, i);
        break;
    }
    return i;
}

// Goes on to the tag's `>`: where behind it, or 0 where it is not here.
static uint32_t tag_scan(struct html_tokens *h, const char *p, uint32_t n)
{
    uint32_t i = h->at;
    while (i < n) {
        if (p[i] == '>' && (h->tag_state == TAG_BEFORE || h->tag_state == TAG_VALUE))
            return i + 1;
        i = tag_part(h, p, i, n);
    }
    h->at = n;
    return 0;
}

static void tag_begin(struct html_tokens *h, bool end_tag)
{
    h->state = HTML_TAG;
    h->tag_state = TAG_NAME;
    h->end_tag = end_tag;
    h->self_closing = false;
    h->at = 1 + end_tag;
    h->n_attrs = 0;
}

static void style_ended(struct html_tokens *h, const char *at)
{
    if (!h->in_style)
        return;
    h->in_style = false;
    tokens_pass(&h->t, at);
    h->style(h, "", 0, true);
}

// Text of a style element: what is before it has passed.
static void style_text(struct html_tokens *h, struct span s)
{
    tokens_pass(&h->t, s.ptr);
    h->style(h, s.ptr, s.len, false);
    h->t.from = s.ptr + s.len;
}

static void raw_begin(struct html_tokens *h, struct span name)
{
    h->state = HTML_RAW;
    h->raw_len = name.len;
    for (size_t i = 0; i < name.len; i++)
        h->raw[i] = (char)ascii_lower((unsigned char)name.ptr[i]);
}

// Which state follows a start tag (13.2.6: what the tree builder would say to the tokenizer).
static void after_start_tag(struct html_tokens *h, struct span name, bool foreign)
{
    static const struct span raws[] = {SPAN_INIT("style"), SPAN_INIT("textarea"), SPAN_INIT("title"), SPAN_INIT("xmp"), SPAN_INIT("iframe"), SPAN_INIT("noembed"), SPAN_INIT("noframes")};
    if (name.len < 3 || name.len > 9)
        return;
    if (foreign) { // the one element whose text matters; no text is raw here
        h->in_style = !h->self_closing && span_eq_ci(name, SPAN("style"));
        return;
    }
    h->escape = h->dashes = 0;
    if (span_eq_ci(name, SPAN("script")))
        h->state = HTML_SCRIPT;
    else if (span_eq_ci(name, SPAN("plaintext")))
        h->state = HTML_PLAINTEXT;
    for (size_t i = 0; i < ARRAY_LEN(raws); i++) {
        if (raws[i].len == name.len && span_eq_ci(name, raws[i])) {
            h->in_style = i == 0;
            raw_begin(h, name);
        }
    }
}

static bool is_colored(const struct html_tokens *h, const char *tag)
{
    static const struct span names[] = {SPAN_INIT("color"), SPAN_INIT("face"), SPAN_INIT("size")};
    for (unsigned i = 0; i < html_attrs(h); i++)
        for (size_t k = 0; k < ARRAY_LEN(names); k++)
            if (span_eq_ci(span_of(tag + h->attrs[i].name, h->attrs[i].name_len), names[k]))
                return true;
    return false;
}

// tag: where it stands; NULL: it was too long to be kept.
static void tag_ended(struct html_tokens *h, struct span name, const char *tag)
{
    h->state = HTML_DATA;
    if (h->end_tag) {
        if (h->foreign.n)
            html_foreign_end(&h->foreign, name);
        return;
    }
    bool before = html_foreign_is(&h->foreign), foreign = h->xml;
    if (!h->xml && (before || name.len == 3 || name.len == 4)) // where none is open, svg and math alone change anything
        foreign = html_foreign_start(&h->foreign, name, h->self_closing, before && tag && is_colored(h, tag));
    after_start_tag(h, name, foreign);
}

static size_t in_tag(struct html_tokens *h, struct span s, bool end)
{
    uint32_t len = tag_scan(h, s.ptr, (uint32_t)MIN(s.len, (size_t)TOKENS_HOLD_MAX));
    if (len) {
        h->tag(h, s.ptr, len);
        tag_ended(h, span_of(s.ptr + 1 + h->end_tag, h->name_len), s.ptr);
        return len;
    }
    if (!end && s.len < TOKENS_HOLD_MAX)
        return 0;
    // Too long, or cut off by the content's end: unchanged. Its name, if it is to be known, was at its beginning.
    h->state = HTML_LONG_TAG;
    size_t n = MIN(s.len, (size_t)TOKENS_HOLD_MAX);
    h->raw_len = h->tag_state == TAG_NAME ? 0 : MIN(h->name_len, (uint32_t)HTML_NAME_MAX_BYTES);
    memcpy(h->raw, s.ptr + 1 + h->end_tag, h->raw_len);
    return n;
}

static size_t in_long_tag(struct html_tokens *h, struct span s)
{
    h->at = 0;
    h->n_attrs = HTML_ATTRS_MAX + 1; // none is looked at
    uint32_t len = tag_scan(h, s.ptr, (uint32_t)MIN(s.len, (size_t)UINT32_MAX));
    if (len) {
        char name[HTML_NAME_MAX_BYTES];
        memcpy(name, h->raw, h->raw_len);
        tag_ended(h, span_of(name, h->raw_len), NULL);
    }
    return len ? len : s.len;
}

// ---- What is not a tag

// `<!` in the data state: 0: more is needed.
static size_t open_declaration(struct html_tokens *h, struct span s, bool end)
{
    bool foreign = h->xml || html_foreign_is(&h->foreign);
    if (!end && ((s.len < 4 && span_starts(SPAN("<!--"), s)) || (foreign && s.len < 9 && span_starts(SPAN("<![CDATA["), s))))
        return 0;
    if (span_starts(s, SPAN("<!--"))) {
        h->state = HTML_COMMENT;
        h->comment = COMMENT_START;
        return 4;
    }
    if (foreign && span_starts(s, SPAN("<![CDATA["))) {
        h->state = HTML_CDATA;
        h->dashes = 0;
        return 9;
    }
    h->state = HTML_BOGUS;
    return 2;
}

// `<` in the data state: what begins here. 0: more is needed.
static size_t open_markup(struct html_tokens *h, struct span s, bool end)
{
    bool end_tag = s.len > 1 && s.ptr[1] == '/';
    if (s.len < 2U + end_tag)
        return end ? s.len : 0;
    char c = s.ptr[1 + end_tag];
    if (is_alpha(c)) {
        style_ended(h, s.ptr);
        tag_begin(h, end_tag);
        return in_tag(h, s, end);
    }
    if (end_tag)
        h->state = HTML_BOGUS;
    else if (c == '!')
        return open_declaration(h, s, end);
    else if (c == '?')
        h->state = HTML_BOGUS;
    return 1 + end_tag;
}

static size_t in_data(struct html_tokens *h, struct span s, bool end)
{
    size_t n = span_find(s, '<');
    if (n == 0)
        return open_markup(h, s, end);
    return n;
}

// One character of a comment (13.2.5.43 to 13.2.5.51). False: it ends the comment.
static bool comment_goes_on(struct html_tokens *h, char c)
{
    static const enum html_comment_state after_dash[] = {
        [COMMENT_START] = COMMENT_START_DASH, [COMMENT_START_DASH] = COMMENT_DASHES, [COMMENT_TEXT] = COMMENT_DASH,
        [COMMENT_DASH] = COMMENT_DASHES,      [COMMENT_DASHES] = COMMENT_DASHES,     [COMMENT_BANG] = COMMENT_DASH,
    };
    if (c == '>' && h->comment != COMMENT_TEXT && h->comment != COMMENT_DASH)
        return false;
    h->comment = c == '-' ? after_dash[h->comment] : c == '!' && h->comment == COMMENT_DASHES ? COMMENT_BANG : COMMENT_TEXT;
    return true;
}

static size_t in_comment(struct html_tokens *h, struct span s)
{
    for (size_t i = 0; i < s.len; i++) {
        if (h->comment == COMMENT_TEXT && (i += span_find(span_skip(s, i), '-')) >= s.len)
            return s.len;
        if (!comment_goes_on(h, s.ptr[i])) {
            h->state = HTML_DATA;
            return i + 1;
        }
    }
    return s.len;
}

static size_t in_cdata(struct html_tokens *h, struct span s)
{
    size_t i = 0;
    for (; i < s.len && h->state == HTML_CDATA; i++) {
        if (s.ptr[i] == '>' && h->dashes >= 2)
            h->state = HTML_DATA;
        h->dashes = s.ptr[i] == ']' ? h->dashes + 1 : 0;
    }
    return i;
}

static size_t to_close(struct html_tokens *h, struct span s)
{
    size_t n = span_find(s, '>');
    if (n == s.len)
        return n;
    h->state = HTML_DATA;
    return n + 1;
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
    return is(s.ptr[word.len + at], SPACE | SLASH | CLOSE);
}

static size_t in_raw(struct html_tokens *h, struct span s, bool end)
{
    size_t n = span_find(s, '<');
    if (n == 0) {
        int ends = word_at(s, true, span_of(h->raw, h->raw_len), end);
        if (ends < 0)
            return 0;
        if (ends) {
            style_ended(h, s.ptr);
            tag_begin(h, true);
            return in_tag(h, s, end);
        }
        n = 1;
    }
    return n;
}

static size_t script_text(struct html_tokens *h, struct span s)
{
    if (!h->escape)
        return span_find(s, '<');
    size_t i = 0;
    for (; i < s.len && s.ptr[i] != '<'; i++) {
        if (s.ptr[i] == '>' && h->dashes >= 2)
            h->escape = 0;
        h->dashes = s.ptr[i] == '-' ? h->dashes + 1 : 0;
    }
    return i;
}

// Script data with its escaped states (13.2.5.15 to 13.2.5.31): `<!--` hides a `<script>` and its end from the outer one.
static size_t in_script(struct html_tokens *h, struct span s, bool end)
{
    size_t n = script_text(h, s);
    if (n)
        return n;
    int closes = word_at(s, true, SPAN("script"), end), opens = word_at(s, false, SPAN("script"), end);
    if (closes < 0 || opens < 0 || (!end && s.len < 4 && span_starts(SPAN("<!--"), s)))
        return 0;
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
        return 4;
    }
    return 1;
}

static size_t in_state(struct html_tokens *h, struct span s, bool end)
{
    switch (h->state) {
    case HTML_DATA:
        return in_data(h, s, end);
    case HTML_TAG:
        return in_tag(h, s, end);
    case HTML_LONG_TAG:
        return in_long_tag(h, s);
    case HTML_COMMENT:
        return in_comment(h, s);
    case HTML_BOGUS:
        return to_close(h, s);
    case HTML_CDATA:
        return in_cdata(h, s);
    case HTML_RAW:
        return in_raw(h, s, end);
    case HTML_SCRIPT:
        return in_script(h, s, end);
    case HTML_PLAINTEXT:
        break;
    }
    return s.len;
}

static size_t step(struct tokens *t, const char *p, size_t len, bool end)
{
    struct html_tokens *h = container_of(t, struct html_tokens, t);
    size_t at = 0, n = 1;
    t->from = p;
    while (at < len && n) {
        bool in_style = h->in_style;
        n = in_state(h, span_of(p + at, len - at), end);
        if (in_style && h->in_style)
            style_text(h, span_of(p + at, n));
        at += n;
    }
    tokens_pass(t, p + at);
    if (end)
        style_ended(h, p + at);
    return at;
}

void html_tokens_init(struct html_tokens *h, void (*tag)(struct html_tokens *h, const char *tag, uint32_t len),
                      void (*style)(struct html_tokens *h, const char *p, size_t n, bool end))
{
    memset(h, 0, sizeof *h);
    h->t.step = step;
    h->tag = tag;
    h->style = style;
}
