// SPDX-License-Identifier: Apache-2.0
// From tokens to the tree. No recursion on input: blocks nest at most CONF_DEPTH_MAX deep.
#include <stdlib.h>

#include "base/mem.h"
#include "conf/internal.h"

static const struct conf_row rows[N_CONF_IDS] = {
#define STATEMENT(id, word, where, block, args, flags, def, doc)                                              \
    [CONF_##id] = {CONF_##id, word, where, block, args, flags, def, doc},
#include "conf/statements.tbl"
#undef STATEMENT
};

const struct conf_row *conf_rows(unsigned *ret_n)
{
    *ret_n = N_CONF_IDS - 1;
    return rows + 1;
}

const struct conf_row *row_find(struct span word, unsigned where)
{
    const struct conf_row *any = NULL;
    for (unsigned i = 1; i < N_CONF_IDS; i++) {
        if (!(rows[i].where & where))
            continue;
        if (rows[i].flags & CONF_ANY_WORD)
            any = &rows[i];
        else if (span_eq(span_str(rows[i].word), word))
            return &rows[i];
    }
    return any;
}

unsigned row_words(unsigned where, const char **out, unsigned max)
{
    unsigned n = 0;
    for (unsigned i = 1; i < N_CONF_IDS && n < max; i++)
        if ((rows[i].where & where) && !(rows[i].flags & CONF_ANY_WORD))
            out[n++] = rows[i].word;
    return n;
}

const char *conf_block_name(unsigned where)
{
    static const char *const names[] = {"the top level", "a site", "a route", "a pool", "a proxy", "egress", "a policy", "timeouts",
                                        "limits", "hosts", "when", "a test", "a cache", "a list", "a group", "tls", "split or failover", "acme", "the dashboard"};
    for (unsigned i = 0; i < ARRAY_LEN(names); i++)
        if (where == 1u << i)
            return names[i];
    return "here";
}

// ---- Building

struct parser {
    struct conf *conf;
    struct conf_diags *diags;
    struct conf_source *src;
    struct lexer lex;
    struct token tok;
    unsigned depth;
    bool out_of_memory;
};

static void next(struct parser *p)
{
    p->tok = lexer_next(&p->lex);
}

static struct conf_stmt *stmt_new(struct parser *p, const struct conf_row *row, struct conf_pos pos, struct conf_stmt *parent)
{
    struct conf_stmt *s = (struct conf_stmt *)arena_zalloc(&p->conf->arena, sizeof *s);
    if (!s) {
        p->out_of_memory = true;
        return NULL;
    }
    s->row = row;
    s->pos = pos;
    s->parent = parent;
    return s;
}

static void link_child(struct conf_stmt *parent, struct conf_stmt *s)
{
    if (parent->last_child)
        parent->last_child->next = s;
    else
        parent->first_child = s;
    parent->last_child = s;
}

static void parse_block(struct parser *p, struct conf_stmt *parent, unsigned where, const struct conf_pos *open);

// Words up to something that is none of them; `when` and `->` stop too where the row has such.
static bool take_words(struct parser *p, struct conf_stmt *s, unsigned flags)
{
    unsigned cap = 8;
    s->args = (struct conf_value *)arena_zalloc(&p->conf->arena, cap * sizeof *s->args);
    // In these blocks no value is the word of a statement, so that begins the next one: `timeouts { header 10s  idle 60s }`.
    unsigned compact = s->row ? s->row->where & IN_COMPACT : 0;
    while (s->args && p->tok.kind == TOKEN_WORD && !(compact && s->n_args && row_find(p->tok.text, compact))) {
        if (!p->tok.quoted && ((flags & CONF_WHEN && span_eq(p->tok.text, SPAN("when"))) ||
                               (flags & CONF_TARGET && span_eq(p->tok.text, SPAN("->")))))
            break;
        if (s->n_args == cap) {
            struct conf_value *more = (struct conf_value *)arena_zalloc(&p->conf->arena, cap * 2 * sizeof *more);
            if (!more)
                break;
            memcpy(more, s->args, cap * sizeof *more);
            s->args = more;
            cap *= 2;
        }
        if (s->n_args >= CONF_WORDS_MAX) {
            conf_error(p->diags, p->conf, &p->tok.pos, "the statement has too many words");
            return false;
        }
        s->args[s->n_args++] = (struct conf_value){.text = p->tok.text, .pos = p->tok.pos, .quoted = p->tok.quoted};
        next(p);
    }
    return s->args != NULL;
}

// `client not in A B`: `not` and `in` are words of the language, not arguments.
static void normalise_condition(struct conf_stmt *s)
{
    while (s->n_args && !s->args[0].quoted &&
           (span_eq(s->args[0].text, SPAN("not")) || span_eq(s->args[0].text, SPAN("in")))) {
        s->negated ^= s->args[0].text.len == 3;
        s->args++;
        s->n_args--;
    }
}

// `message TEXT` at the end of a rule is no part of its condition: what is left of the arguments is the option alone. Returns how many
// words stand before it.
static unsigned split_message(struct conf_stmt *s)
{
    unsigned n = s->n_args >= 2 ? s->n_args - 2 : 0;
    struct conf_value *v = s->args + n;
    if (s->n_args < 2 || v[0].quoted || !span_eq(v[0].text, SPAN("message")))
        return s->n_args;
    v[0].option = v[1].option = "message";
    return n;
}

// `deny method TRACE`: the arguments are a condition of their own.
static void inline_condition(struct parser *p, struct conf_stmt *s)
{
    unsigned i = 0, n = split_message(s);
    bool negated = false;
    struct conf_value *words = s->args;
    s->args += n;
    s->n_args -= n;
    if (n && !words[0].quoted && span_eq(words[0].text, SPAN("not")))
        negated = true, i = 1;
    if (i >= n)
        return;
    const struct conf_value *word = &words[i];
    const struct conf_row *row = row_find(word->text, IN_WHEN);
    if (!row) {
        const char *known[64];
        unsigned n_known = row_words(IN_WHEN, known, 64);
        diag_suggest(p->diags, p->conf, &word->pos, word->text, known, n_known, "`%.*s` is no condition", SPAN_ARG(word->text));
        return;
    }
    struct conf_stmt *when = stmt_new(p, NULL, word->pos, s), *cond = when ? stmt_new(p, row, word->pos, when) : NULL;
    if (!cond)
        return;
    cond->args = words + i + 1;
    cond->n_args = n - i - 1;
    cond->negated = negated;
    normalise_condition(cond);
    args_check(p->conf, p->diags, cond);
    link_child(when, cond);
    s->when = when;
}

static void parse_when(struct parser *p, struct conf_stmt *s)
{
    struct conf_pos pos = p->tok.pos;
    next(p);
    if (p->tok.kind != TOKEN_OPEN) {
        conf_error(p->diags, p->conf, &pos, "`when` wants a block of conditions: when { path /x/*; method GET }");
        return;
    }
    if (!s->when)
        s->when = stmt_new(p, NULL, pos, s);
    if (!s->when)
        return;
    struct conf_pos open = p->tok.pos;
    next(p);
    parse_block(p, s->when, IN_WHEN, &open);
    if (!s->when->first_child)
        conf_error(p->diags, p->conf, &pos, "`when` has no condition: it would never mean anything");
}

static void parse_target(struct parser *p, struct conf_stmt *s)
{
    struct conf_pos pos = p->tok.pos;
    next(p);
    s->target = stmt_new(p, NULL, p->tok.pos, s);
    if (!s->target || !take_words(p, s->target, 0))
        return;
    if (s->target->n_args == 0) {
        conf_error(p->diags, p->conf, &pos, "a target is missing behind `->`");
        return;
    }
    struct span word = s->target->args[0].text;
    bool chooses = s->row->id == CONF_ROUTE && (span_eq(word, SPAN("split")) || span_eq(word, SPAN("failover")));
    if (!chooses || p->tok.kind != TOKEN_OPEN)
        return;
    struct conf_pos open = p->tok.pos;
    s->target->has_block = true;
    next(p);
    parse_block(p, s->target, IN_CHOICE, &open);
}

static void skip_statement(struct parser *p)
{
    unsigned open = 0;
    while (p->tok.kind != TOKEN_EOF) {
        if (p->tok.kind == TOKEN_OPEN)
            open++;
        else if (p->tok.kind == TOKEN_CLOSE && open == 0)
            return;
        else if (p->tok.kind == TOKEN_CLOSE && --open == 0) {
            next(p);
            return;
        } else if (p->tok.kind == TOKEN_END && open == 0)
            return;
        next(p);
    }
}

static void unknown(struct parser *p, unsigned where)
{
    const char *words[N_CONF_IDS];
    unsigned n = row_words(where, words, N_CONF_IDS);
    struct span w = p->tok.text;
    bool elsewhere = false;
    for (unsigned i = 1; i < N_CONF_IDS; i++)
        elsewhere |= !(rows[i].flags & CONF_ANY_WORD) && span_eq(span_str(rows[i].word), w);
    if (elsewhere)
        conf_error(p->diags, p->conf, &p->tok.pos, "`%.*s` cannot stand in %s", SPAN_ARG(w), conf_block_name(where));
    else
        diag_suggest(p->diags, p->conf, &p->tok.pos, w, words, n, "unknown statement `%.*s` in %s", SPAN_ARG(w), conf_block_name(where));
}

static void parse_include(struct parser *p, const struct conf_stmt *s);

static void finish_statement(struct parser *p, struct conf_stmt *s)
{
    if (s->row->flags & CONF_CONDITION)
        normalise_condition(s);
    if (s->row->flags & CONF_INLINE_COND)
        inline_condition(p, s);
    if (p->tok.kind == TOKEN_WORD && (s->row->flags & CONF_WHEN) && span_eq(p->tok.text, SPAN("when")))
        parse_when(p, s);
    if (p->tok.kind == TOKEN_WORD && (s->row->flags & CONF_TARGET) && span_eq(p->tok.text, SPAN("->")))
        parse_target(p, s);
    else if (s->row->flags & CONF_TARGET)
        conf_error(p->diags, p->conf, &s->pos, "`%s` wants `-> TARGET`", s->row->word);
    if (!(s->row->flags & CONF_INLINE_COND))
        args_check(p->conf, p->diags, s);
}

static void parse_statement(struct parser *p, struct conf_stmt *parent, unsigned where)
{
    bool negated = false;
    if (where == IN_WHEN && !p->tok.quoted && span_eq(p->tok.text, SPAN("not"))) {
        negated = true;
        next(p);
    }
    const struct conf_row *row = p->tok.kind == TOKEN_WORD ? row_find(p->tok.text, where) : NULL;
    if (!row) {
        unknown(p, where);
        skip_statement(p);
        return;
    }
    struct conf_stmt *s = stmt_new(p, row, p->tok.pos, parent);
    if (!s)
        return;
    if (!(row->flags & CONF_ANY_WORD))
        next(p);
    if (!take_words(p, s, row->flags))
        p->out_of_memory = true;
    s->negated = negated;
    finish_statement(p, s);
    link_child(parent, s);
    if (p->tok.kind == TOKEN_OPEN) {
        struct conf_pos pos = p->tok.pos;
        next(p);
        if (row->block == IN_NOWHERE) {
            conf_error(p->diags, p->conf, &pos, "`%s` has no block", row->word);
            parse_block(p, s, where, &pos);
        } else {
            s->has_block = true;
            parse_block(p, s, row->block, &pos);
        }
    } else if (row->block != IN_NOWHERE && !(row->flags & CONF_BLOCK_OPTIONAL)) {
        conf_error(p->diags, p->conf, &s->pos, "`%s` wants a block: %s ... { ... }", row->word, row->word);
    }
    if (row->id == CONF_INCLUDE && s->n_args == 1)
        parse_include(p, s);
}

// Statements up to the closing brace (which is taken) of the block that began at open, or up to the end of the file at top level (NULL).
static void parse_block(struct parser *p, struct conf_stmt *parent, unsigned where, const struct conf_pos *open)
{
    if (++p->depth > CONF_DEPTH_MAX) {
        conf_error(p->diags, p->conf, &p->tok.pos, "the blocks are nested too deep");
        p->tok.kind = TOKEN_EOF;
    }
    while (!p->out_of_memory) {
        while (p->tok.kind == TOKEN_END)
            next(p);
        if (p->tok.kind == TOKEN_EOF) {
            if (open)
                conf_error(p->diags, p->conf, open, "the block that begins here is not closed: a `}` is missing");
            break;
        }
        if (p->tok.kind == TOKEN_CLOSE) {
            if (open) {
                next(p);
                break;
            }
            conf_error(p->diags, p->conf, &p->tok.pos, "a `}` too many");
            next(p);
            continue;
        }
        if (p->tok.kind == TOKEN_OPEN) {
            conf_error(p->diags, p->conf, &p->tok.pos, "a block without a statement before it");
            skip_statement(p);
            continue;
        }
        parse_statement(p, parent, where);
        if (p->tok.kind == TOKEN_WORD && !(where & IN_COMPACT)) {
            conf_error(p->diags, p->conf, &p->tok.pos, "a newline or `;` is missing before `%.*s`", SPAN_ARG(p->tok.text));
            skip_statement(p);
        }
    }
    p->depth--;
}

// ---- Files

static bool add_text(struct parser *p, const char *name, struct span text, const struct conf_pos *pos)
{
    struct conf *c = p->conf;
    if (c->n_texts == CONF_FILES_MAX || text.len > CONF_TEXT_MAX) {
        conf_error(p->diags, c, pos, "%s: the configuration is too large", name);
        return false;
    }
    if (span_find(text, '\0') < text.len) {
        conf_error(p->diags, c, pos, "%s is not a text file", name);
        return false;
    }
    c->texts[c->n_texts++] = (struct conf_text){arena_cstr(&c->arena, span_str(name)), text};
    return c->texts[c->n_texts - 1].name != NULL;
}

static void parse_text(struct parser *p, unsigned file)
{
    struct lexer lex = p->lex;
    struct token tok = p->tok;
    lexer_init(&p->lex, p->conf, p->diags, file);
    next(p);
    parse_block(p, &p->conf->root, IN_TOP, NULL);
    p->lex = lex;
    p->tok = tok;
}

static void parse_include(struct parser *p, const struct conf_stmt *s)
{
    struct conf *c = p->conf;
    struct span pattern = s->args[0].text;
    if (p->depth >= CONF_DEPTH_MAX / 2) {
        conf_error(p->diags, c, &s->pos, "the files include each other too deep");
        return;
    }
    struct span full = pattern.len && pattern.ptr[0] == '/' ? pattern : arena_printf(&c->arena, "%s/%.*s", c->folder, SPAN_ARG(pattern));
    char *path = arena_cstr(&c->arena, full);
    const char **found = p->src && path ? conf_source_glob(p->src, path) : NULL;
    bool plain = span_find(pattern, '*') == pattern.len && span_find(pattern, '?') == pattern.len;
    if ((!found || !found[0]) && plain)
        conf_error(p->diags, c, &s->args[0].pos, "%.*s cannot be read: there is no such file", SPAN_ARG(pattern));
    for (unsigned i = 0; found && found[i]; i++) {
        struct span text;
        const char *why;
        if (!conf_source_read(p->src, found[i], &text, &why)) {
            conf_error(p->diags, c, &s->args[0].pos, "%s cannot be read: %s", found[i], why);
            continue;
        }
        size_t folder_len = strlen(c->folder) + 1; // named by its path from the configuration's folder
        const char *name = pattern.ptr[0] == '/' || strlen(found[i]) <= folder_len ? found[i] : found[i] + folder_len;
        if (!arena_dup(&c->arena, text, &text)) // the source may be gone before the tree is
            p->out_of_memory = true;
        else if (add_text(p, name, text, &s->args[0].pos))
            parse_text(p, c->n_texts - 1);
    }
}

static struct conf *conf_new(void)
{
    struct conf *c = (struct conf *)mem_calloc(1, sizeof *c);
    if (c) {
        atomic_init(&c->refs, 1);
        arena_init(&c->arena, 0);
    }
    return c;
}

static struct conf *load(struct conf_source *src, const char *name, const char *folder, struct span text, struct conf_diags *diags)
{
    struct conf *c = conf_new();
    if (!c) {
        conf_error(diags, NULL, NULL, "out of memory");
        return NULL;
    }
    struct parser p = {.conf = c, .diags = diags, .src = src};
    c->source = src;
    c->folder = arena_cstr(&c->arena, span_str(folder));
    struct span copy;
    if (c->folder && arena_dup(&c->arena, text, &copy) && add_text(&p, name, copy, NULL)) {
        parse_text(&p, 0);
        tree_check(c, diags);
    }
    if (p.out_of_memory || c->arena.failed) // a part may be missing anywhere
        conf_error(diags, NULL, NULL, "out of memory");
    if (conf_diags_errors(diags) == 0)
        return c;
    conf_unref(c);
    return NULL;
}

struct conf *conf_load(struct conf_source *src, const char *path, struct conf_diags *diags)
{
    struct span text;
    const char *why;
    if (!conf_source_read(src, path, &text, &why)) {
        conf_error(diags, NULL, NULL, "%s cannot be read: %s", path, why);
        return NULL;
    }
    struct arena a;
    arena_init(&a, 0);
    size_t slash = span_rfind(span_str(path), '/');
    char *folder = slash == strlen(path) ? arena_cstr(&a, SPAN(".")) : arena_cstr(&a, span_of(path, MAX(slash, (size_t)1)));
    struct conf *c = folder ? load(src, path, folder, text, diags) : NULL;
    arena_fini(&a);
    return c;
}

struct conf *conf_load_text(struct span text, const char *name, struct conf_diags *diags)
{
    return load(NULL, name, ".", text, diags);
}

struct conf *conf_ref(struct conf *c)
{
    atomic_fetch_add_explicit(&c->refs, 1, memory_order_relaxed);
    return c;
}

void conf_unref(struct conf *c)
{
    if (!c || atomic_fetch_sub_explicit(&c->refs, 1, memory_order_acq_rel) != 1)
        return;
    if (c->owns_source) {
        conf_source_fini(c->source);
        mem_free(c->source);
    }
    arena_fini(&c->arena);
    mem_free(c);
}
