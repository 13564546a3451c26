// SPDX-License-Identifier: Apache-2.0
#include <stdlib.h>

#include "base/ascii.h"
#include "conf/internal.h"

void lexer_init(struct lexer *l, struct conf *c, struct conf_diags *d, unsigned file)
{
    *l = (struct lexer){.conf = c, .diags = d, .text = c->texts[file].text, .pos = {(uint16_t)file, 1, 1}};
}

static int peek(const struct lexer *l, size_t ahead)
{
    return l->at + ahead < l->text.len ? (unsigned char)l->text.ptr[l->at + ahead] : -1;
}

static void advance(struct lexer *l, size_t n)
{
    for (; n && l->at < l->text.len; n--, l->at++) {
        if (l->text.ptr[l->at] == '\n') {
            l->pos.line++;
            l->pos.col = 1;
        } else if (l->pos.col < UINT16_MAX) {
            l->pos.col++;
        }
    }
}

// White space, comments and continued lines.
static bool skip_blank(struct lexer *l, struct token *comment)
{
    for (;;) {
        int c = peek(l, 0);
        if (c == ' ' || c == '\t' || (c == '\r' && peek(l, 1) == '\n')) {
            advance(l, 1);
        } else if (c == '\\' && (peek(l, 1) == '\n' || (peek(l, 1) == '\r' && peek(l, 2) == '\n'))) {
            advance(l, peek(l, 1) == '\n' ? 2 : 3);
        } else if (c == '#') {
            struct conf_pos pos = l->pos;
            size_t n = 0;
            while (peek(l, n) >= 0 && peek(l, n) != '\n')
                n++;
            struct span text = span_of(l->text.ptr + l->at, n);
            advance(l, n);
            if (l->comments) {
                *comment = (struct token){.kind = TOKEN_COMMENT, .text = text, .source = text, .pos = pos};
                return true;
            }
        } else {
            return false;
        }
    }
}

// `{name}` inside a word: a variable, not a block. Returns its length, or 0.
static size_t variable_at(const struct lexer *l, size_t ahead)
{
    size_t n = 1;
    for (; n < 64; n++) {
        int c = peek(l, ahead + n);
        if (c == '}')
            return n > 1 ? n + 1 : 0;
        if (c < 0 || !(ascii_is_alnum((unsigned char)c) || c == '-' || c == '_' || c == ':' || c == '.'))
            return 0;
    }
    return 0;
}

static bool ends_word(const struct lexer *l, size_t n)
{
    int c = peek(l, n);
    return c < 0 || c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == ';' || c == '{' || c == '}' || c == '"';
}

static size_t bare_length(const struct lexer *l)
{
    size_t n = 0;
    for (;;) {
        if (peek(l, n) == '$' && peek(l, n + 1) == '{') {
            size_t k = n + 2;
            while (peek(l, k) >= 0 && peek(l, k) != '}' && peek(l, k) != '\n')
                k++;
            n = k + (peek(l, k) == '}');
            continue;
        }
        if (peek(l, n) == '{') {
            size_t v = variable_at(l, n);
            if (!v)
                return n;
            n += v;
            continue;
        }
        if (peek(l, n) == '\\' && (peek(l, n + 1) == '\n' || peek(l, n + 1) == '\r'))
            return n;
        if (ends_word(l, n))
            return n;
        n++;
    }
}

// Puts the environment's values in place of ${NAME} and ${NAME:-default}.
static struct span expand(struct lexer *l, struct span s, const struct conf_pos *pos)
{
    struct arena *a = &l->conf->arena;
    struct span out = SPAN("");
    while (s.len) {
        size_t i = span_find_span(s, SPAN("${"));
        if (i > s.len)
            return arena_join(a, out, s);
        struct span inner = span_skip(s, i + 2);
        size_t end = span_find(inner, '}');
        if (end == inner.len) {
            conf_error(l->diags, l->conf, pos, "`${` without `}`");
            return out;
        }
        struct span name = span_first(inner, end), def = SPAN_NONE;
        size_t d = span_find_span(name, SPAN(":-"));
        if (d < name.len) {
            def = span_skip(name, d + 2);
            name = span_first(name, d);
        }
        char *key = arena_cstr(a, name);
        const char *value = key ? getenv(key) : NULL;
        if (!value && !def.ptr)
            conf_error(l->diags, l->conf, pos, "the environment has no variable %.*s; give it a value, or write ${%.*s:-DEFAULT}",
                       SPAN_ARG(name), SPAN_ARG(name));
        out = arena_join(a, arena_join(a, out, span_first(s, i)), value ? span_str(value) : def);
        s = span_skip(inner, end + 1);
    }
    return out;
}

static struct token quoted(struct lexer *l)
{
    struct token t = {.kind = TOKEN_WORD, .pos = l->pos, .quoted = true};
    size_t n = 1, used = 0;
    while (peek(l, n) >= 0 && peek(l, n) != '"' && peek(l, n) != '\n')
        n += peek(l, n) == '\\' ? 2 : 1;
    bool closed = peek(l, n) == '"';
    char *p = arena_bytes(&l->conf->arena, n + 1);
    for (size_t i = 1; p && i < n && peek(l, i) >= 0; i++) {
        int c = peek(l, i);
        if (c == '\\') {
            c = peek(l, ++i);
            if (c == 'n')
                c = '\n';
            else if (c != '"' && c != '\\')
                conf_error(l->diags, l->conf, &t.pos, "in quotes a backslash stands before `\"`, `\\` or `n` only");
        }
        if (c >= 0)
            p[used++] = (char)c;
    }
    if (!closed)
        conf_error(l->diags, l->conf, &t.pos, "the quotes are not closed on this line");
    n += closed;
    t.source = span_of(l->text.ptr + l->at, MIN(n, l->text.len - l->at));
    t.text = p ? span_of(p, used) : SPAN_NONE;
    advance(l, n);
    if (!ends_word(l, 0))
        conf_error(l->diags, l->conf, &l->pos, "a space is missing behind the closing quote");
    return t;
}

struct token lexer_next(struct lexer *l)
{
    struct token t = {.kind = TOKEN_EOF};
    if (skip_blank(l, &t))
        return t;
    t.pos = l->pos;
    int c = peek(l, 0);
    if (c < 0)
        return t;
    t.source = span_of(l->text.ptr + l->at, 1);
    if (c == '\n' || c == ';') {
        t.kind = TOKEN_END;
        t.newline = c == '\n';
        advance(l, 1);
        return t;
    }
    if (c == '}' || (c == '{' && !variable_at(l, 0))) {
        t.kind = c == '{' ? TOKEN_OPEN : TOKEN_CLOSE;
        advance(l, 1);
        return t;
    }
    if (c == '"') {
        t = quoted(l);
    } else {
        size_t n = bare_length(l);
        if (n == 0)
            n = 1; // a lone carriage return: an unknown word
        t.kind = TOKEN_WORD;
        t.source = t.text = span_of(l->text.ptr + l->at, n);
        advance(l, n);
    }
    if (!l->raw && span_find_span(t.text, SPAN("${")) < t.text.len)
        t.text = expand(l, t.text, &t.pos);
    return t;
}
