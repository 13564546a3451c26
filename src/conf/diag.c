// SPDX-License-Identifier: Apache-2.0
// What is wrong, said so that it can be mended: file, line, column, the line with a caret, and a suggestion.
#include <stdarg.h>
#include <stdio.h>

#include "base/ascii.h"
#include "base/mem.h"
#include "conf/internal.h"

struct diag {
    bool error;
    const char *file;
    struct conf_pos pos;
    struct span line; // of the source
    struct span text;
    const char *suggestion;
    struct diag *next;
};

struct conf_diags {
    struct arena arena;
    struct diag *first, **last;
    unsigned n_errors, n_warnings, n_kept;
};

struct conf_diags *conf_diags_new(void)
{
    struct conf_diags *d = (struct conf_diags *)mem_calloc(1, sizeof *d);
    if (d) {
        arena_init(&d->arena, 0);
        d->last = &d->first;
    }
    return d;
}

void conf_diags_free(struct conf_diags *d)
{
    if (!d)
        return;
    arena_fini(&d->arena);
    mem_free(d);
}

unsigned conf_diags_errors(const struct conf_diags *d)
{
    return d->n_errors;
}

unsigned conf_diags_warnings(const struct conf_diags *d)
{
    return d->n_warnings;
}

static struct span source_line(const struct conf *c, const struct conf_pos *pos)
{
    struct span rest = c->texts[pos->file].text, line = SPAN_NONE;
    for (uint32_t i = 0; i < pos->line && rest.ptr; i++)
        line = span_cut(&rest, '\n');
    if (line.len && line.ptr[line.len - 1] == '\r')
        line.len--;
    return line;
}

static void add(struct conf_diags *d, bool error, const struct conf *c, const struct conf_pos *pos, const char *suggestion,
                const char *fmt, va_list ap)
{
    if (error)
        d->n_errors++;
    else
        d->n_warnings++;
    struct diag *x = d->n_kept < CONF_DIAGS_MAX ? (struct diag *)arena_zalloc(&d->arena, sizeof *x) : NULL;
    if (!x)
        return;
    d->n_kept++;
    x->error = error;
    x->text = arena_vprintf(&d->arena, fmt, ap);
    if (!x->text.ptr)
        x->text = SPAN("out of memory");
    x->suggestion = suggestion;
    if (c && pos && pos->line && pos->file < c->n_texts) {
        x->file = arena_cstr(&d->arena, span_str(c->texts[pos->file].name));
        x->pos = *pos;
        if (!arena_dup(&d->arena, source_line(c, pos), &x->line))
            x->line = SPAN_NONE;
    }
    *d->last = x;
    d->last = &x->next;
}

void conf_error(struct conf_diags *d, const struct conf *c, const struct conf_pos *pos, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    add(d, true, c, pos, NULL, fmt, ap);
    va_end(ap);
}

void conf_warning(struct conf_diags *d, const struct conf *c, const struct conf_pos *pos, const char *fmt, ...)
{
    va_list ap;
    va_start(ap, fmt);
    add(d, false, c, pos, NULL, fmt, ap);
    va_end(ap);
}

void diag_suggest(struct conf_diags *d, const struct conf *c, const struct conf_pos *pos, struct span word, const char *const *words,
                  unsigned n, const char *fmt, ...)
{
    const char *near = conf_did_you_mean(word, words, n);
    va_list ap;
    va_start(ap, fmt);
    add(d, true, c, pos, near ? arena_cstr(&d->arena, span_str(near)) : NULL, fmt, ap);
    va_end(ap);
}

// ---- Nearest word

enum { WORD_MAX = 64 };

// Edits (with swaps of neighbours) between two words; both short.
static unsigned distance(struct span a, struct span b)
{
    unsigned row[3][WORD_MAX + 1];
    unsigned *before = row[0], *prev = row[1], *cur = row[2];
    for (unsigned j = 0; j <= b.len; j++)
        prev[j] = j;
    for (unsigned i = 1; i <= a.len; i++) {
        cur[0] = i;
        for (unsigned j = 1; j <= b.len; j++) {
            char x = a.ptr[i - 1], y = b.ptr[j - 1];
            unsigned v = MIN(prev[j] + 1, cur[j - 1] + 1);
            v = MIN(v, prev[j - 1] + (x != y));
            if (i > 1 && j > 1 && x == b.ptr[j - 2] && a.ptr[i - 2] == y)
                v = MIN(v, before[j - 2] + 1);
            cur[j] = v;
        }
        unsigned *t = before;
        before = prev;
        prev = cur;
        cur = t;
    }
    return prev[b.len];
}

const char *conf_did_you_mean(struct span word, const char *const *words, unsigned n)
{
    const char *best = NULL;
    unsigned best_d = 4;
    if (word.len == 0 || word.len > WORD_MAX)
        return NULL;
    for (unsigned i = 0; i < n; i++) {
        struct span w = span_str(words[i]);
        if (w.len > WORD_MAX)
            continue;
        unsigned d = distance(word, w);
        if (d < best_d && d < MAX(word.len, w.len) && d * 2 <= MAX(word.len, w.len)) {
            best = words[i];
            best_d = d;
        }
    }
    return best;
}

// ---- Out

static struct span one_text(struct arena *a, const struct diag *x)
{
    const char *level = x->error ? "error" : "warning";
    struct span hint = x->suggestion ? arena_printf(a, "; did you mean `%s`?", x->suggestion) : SPAN("");
    if (!x->file)
        return arena_printf(a, "%s: %.*s%.*s\n", level, SPAN_ARG(x->text), SPAN_ARG(hint));
    struct span head = arena_printf(a, "%s:%u:%u: %s: %.*s%.*s\n", x->file, x->pos.line, x->pos.col, level, SPAN_ARG(x->text),
                                    SPAN_ARG(hint));
    if (x->line.len > 500)
        return head;
    // The caret goes below the word: tabs before it stay tabs.
    size_t col = MIN((size_t)x->pos.col - 1, x->line.len);
    char *pad = arena_bytes(a, col + 1);
    for (size_t i = 0; pad && i < col; i++)
        pad[i] = x->line.ptr[i] == '\t' ? '\t' : ' ';
    struct span tail = arena_printf(a, "    %.*s\n    %.*s^\n", SPAN_ARG(x->line), pad ? (int)col : 0, pad ? pad : "");
    return arena_join(a, head, tail);
}

struct span conf_diags_text(struct conf_diags *d)
{
    struct span all = SPAN("");
    for (const struct diag *x = d->first; x; x = x->next)
        all = arena_join(&d->arena, all, one_text(&d->arena, x));
    unsigned left = d->n_errors + d->n_warnings - d->n_kept;
    if (left)
        all = arena_join(&d->arena, all, arena_printf(&d->arena, d->n_kept < CONF_DIAGS_MAX ? "out of memory: %u findings cannot be told\n" : "and %u more\n", left));
    return all;
}

struct span conf_diags_json(struct conf_diags *d)
{
    struct arena *a = &d->arena;
    struct span all = SPAN("[");
    for (const struct diag *x = d->first; x; x = x->next) {
        struct span s = arena_printf(a, "%s\n  {\"level\": \"%s\", \"file\": %.*s, \"line\": %u, \"column\": %u, \"text\": %.*s, \"suggestion\": %.*s}",
                                     x == d->first ? "" : ",", x->error ? "error" : "warning", SPAN_ARG(json_string(a, x->file ? span_str(x->file) : SPAN_NONE)),
                                     x->pos.line, x->pos.col, SPAN_ARG(json_string(a, x->text)),
                                     SPAN_ARG(x->suggestion ? json_string(a, span_str(x->suggestion)) : SPAN("null")));
        all = arena_join(a, all, s);
    }
    return arena_join(a, all, d->first ? SPAN("\n]\n") : SPAN("]\n"));
}
