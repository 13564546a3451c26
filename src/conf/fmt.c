// SPDX-License-Identifier: Apache-2.0
// The canonical layout: four spaces a level, one statement a line, comments kept; doing it twice changes nothing.
#include "conf/internal.h"

struct out {
    struct arena *a;
    char *p;
    size_t n, cap;
    bool failed;
};

static void put(struct out *o, struct span s)
{
    if (o->n + s.len > o->cap) {
        size_t cap = MAX(o->cap * 2, o->n + s.len + 1024);
        char *p = arena_bytes(o->a, cap);
        if (!p) {
            o->failed = true;
            return;
        }
        if (o->n)
            memcpy(p, o->p, o->n);
        o->p = p;
        o->cap = cap;
    }
    memcpy(o->p + o->n, s.ptr, s.len);
    o->n += s.len;
}

struct layout {
    struct out out;
    unsigned depth;
    bool at_start;  // of a line
    bool blank;     // an empty line was there, and goes before what comes
    bool any;       // something was written
};

static void begin(struct layout *l)
{
    if (!l->at_start) {
        put(&l->out, SPAN(" "));
        return;
    }
    if (l->blank && l->any)
        put(&l->out, SPAN("\n"));
    l->blank = false;
    for (unsigned i = 0; i < l->depth; i++)
        put(&l->out, SPAN("    "));
    l->at_start = false;
    l->any = true;
}

static void end_line(struct layout *l)
{
    if (!l->at_start)
        put(&l->out, SPAN("\n"));
    l->at_start = true;
}

// A one-line block `when { a; b }` stays on its line where it was written so.
static bool closes_on_line(const struct lexer *l)
{
    unsigned open = 1;
    for (size_t i = l->at; i < l->text.len && l->text.ptr[i] != '\n' && l->text.ptr[i] != '#'; i++) {
        if (l->text.ptr[i] == '"')
            return false;
        if (l->text.ptr[i] == '{')
            open++;
        else if (l->text.ptr[i] == '}' && --open == 0)
            return true;
    }
    return false;
}

bool conf_fmt(struct span text, const char *name, struct conf_diags *diags, struct arena *a, struct span *ret)
{
    struct conf *c = (struct conf *)arena_zalloc(a, sizeof *c);
    if (!c)
        return false;
    arena_init(&c->arena, 0);
    c->texts[c->n_texts++] = (struct conf_text){name, text};
    struct lexer lex;
    lexer_init(&lex, c, diags, 0);
    lex.comments = lex.raw = true;
    struct layout l = {.out = {.a = a}, .at_start = true};
    unsigned inline_depth = 0, newlines = 0;
    bool opened = false; // a block has just begun
    for (;;) {
        struct token t = lexer_next(&lex);
        if (t.kind == TOKEN_EOF)
            break;
        if (t.kind == TOKEN_END) {
            if (inline_depth) {
                if (!t.newline)
                    put(&l.out, SPAN(";"));
                continue;
            }
            newlines = t.newline ? newlines + 1 : newlines;
            l.blank |= newlines >= 2 && !opened;
            if (!(t.newline && l.at_start))
                end_line(&l);
            continue;
        }
        // A comment behind a statement stays behind it; one that stood alone begins a line.
        if (t.kind == TOKEN_COMMENT && newlines == 0 && l.at_start && l.any && t.pos.line > 0) {
            if (l.out.n && l.out.p[l.out.n - 1] == '\n')
                l.out.n--;
            l.at_start = false;
        }
        newlines = 0;
        opened = t.kind == TOKEN_OPEN;
        switch (t.kind) {
        case TOKEN_OPEN:
            begin(&l);
            put(&l.out, SPAN("{"));
            if (inline_depth || closes_on_line(&lex)) {
                inline_depth++;
                break;
            }
            l.depth++;
            end_line(&l);
            break;
        case TOKEN_CLOSE:
            if (inline_depth) {
                inline_depth--;
                put(&l.out, SPAN(" }"));
                break;
            }
            end_line(&l);
            l.blank = false;
            if (l.depth)
                l.depth--;
            begin(&l);
            put(&l.out, SPAN("}"));
            break;
        default:
            begin(&l);
            put(&l.out, t.source);
        }
    }
    end_line(&l);
    arena_fini(&c->arena);
    *ret = span_of(l.out.p, l.out.n);
    return !l.out.failed && conf_diags_errors(diags) == 0;
}
