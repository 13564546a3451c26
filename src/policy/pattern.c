// SPDX-License-Identifier: Apache-2.0
#include "policy/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <pthread.h>

#include "base/ascii.h"
#include "base/mem.h"

// What one match may cost: some milliseconds, and this much memory a thread.
enum {
    MATCH_LIMIT = 100000,
    DEPTH_LIMIT = 100000,
    HEAP_LIMIT_KIB = 8192,
    JIT_STACK_FIRST_BYTES = 32 * 1024,
    JIT_STACK_MAX_BYTES = 512 * 1024,
};

enum kind { ANY, EXACT, PREFIX, GLOB, REGEX };

struct pattern {
    enum kind kind;
    bool fold;
    struct span text; // of PREFIX: what is before the `*`
    struct span whole;
    pcre2_code *code;
};

// ---- What PCRE2 works with

static void *pcre_alloc(size_t n, void *arg)
{
    (void)arg;
    return mem_alloc(n);
}

static void pcre_free(void *p, void *arg)
{
    (void)arg;
    mem_free(p);
}

// A thread's workspace, freed when the thread ends.
struct workspace {
    pcre2_match_data *data;
    pcre2_match_context *limits;
    pcre2_jit_stack
        *stack; // ours, since a fiber's is too small; NULL is fine: PCRE2 then has 32 KiB of its own
};
static pthread_key_t workspace_key;
static pthread_once_t workspace_once = PTHREAD_ONCE_INIT;
static bool workspace_keyed;

static void workspace_free(void *p)
{
    struct workspace *w = (struct workspace *)p;
    pcre2_match_data_free(w->data);
    pcre2_match_context_free(w->limits);
    pcre2_jit_stack_free(w->stack);
    mem_free(w);
}

static void workspace_make_key(void)
{
    workspace_keyed = pthread_key_create(&workspace_key, workspace_free) == 0;
}

static bool workspace_fill(struct workspace *w)
{
    pcre2_general_context *g = pcre2_general_context_create(pcre_alloc, pcre_free, NULL);
    if (!g)
        return false;
    w->data = pcre2_match_data_create(PATTERN_GROUPS, g);
    w->limits = pcre2_match_context_create(g);
    w->stack = pcre2_jit_stack_create(JIT_STACK_FIRST_BYTES, JIT_STACK_MAX_BYTES, g);
    pcre2_general_context_free(g);
    if (!w->data || !w->limits || !w->stack)
        return false;
    pcre2_set_match_limit(w->limits, MATCH_LIMIT);
    pcre2_set_depth_limit(w->limits, DEPTH_LIMIT);
    pcre2_set_heap_limit(w->limits, HEAP_LIMIT_KIB);
    pcre2_jit_stack_assign(w->limits, NULL, w->stack);
    return true;
}

static const struct workspace *workspace_get(void)
{
    pthread_once(&workspace_once, workspace_make_key);
    if (!workspace_keyed)
        return NULL;
    struct workspace *w = (struct workspace *)pthread_getspecific(workspace_key);
    if (w)
        return w;
    w = (struct workspace *)mem_calloc(1, sizeof *w);
    if (!w)
        return NULL;
    if (workspace_fill(w) && pthread_setspecific(workspace_key, w) == 0)
        return w;
    workspace_free(w);
    return NULL;
}

// ---- Compiling

static pcre2_code *regex_code(struct span re, uint32_t options, int *ret_code, PCRE2_SIZE *ret_at)
{
    pcre2_code *code = NULL;
    pcre2_general_context *g = pcre2_general_context_create(pcre_alloc, pcre_free, NULL);
    pcre2_compile_context *c = g ? pcre2_compile_context_create(g) : NULL;
    *ret_code = PCRE2_ERROR_NOMEMORY;
    if (c)
        code = pcre2_compile((PCRE2_SPTR)re.ptr, re.len, options, ret_code, ret_at, c);
    pcre2_compile_context_free(c);
    pcre2_general_context_free(g);
    return code;
}

static bool compile(struct pattern *p, struct arena *a, const char **ret_why)
{
    int code;
    PCRE2_SIZE at = 0;
    // Octets, not characters: what peers send need not be UTF-8. A line end is a character like any other.
    uint32_t options = PCRE2_NEVER_UTF | PCRE2_NEVER_UCP | PCRE2_DOTALL | PCRE2_DOLLAR_ENDONLY |
                       (p->fold ? PCRE2_CASELESS : 0);
    p->code = regex_code(span_skip(p->whole, 1), options, &code, &at);
    if (p->code) {
        // Where the system forbids executable memory the interpreter does it.
        (void)pcre2_jit_compile(p->code, PCRE2_JIT_COMPLETE);
        return true;
    }
    if (code == PCRE2_ERROR_NOMEMORY || code == PCRE2_ERROR_HEAP_FAILED)
        return false;
    PCRE2_UCHAR text[128];
    pcre2_get_error_message(code, text, sizeof text);
    // Counted with the `~`, as it stands in the file.
    struct span why =
        arena_printf(a, "the regular expression is wrong at character %zu: %s", (size_t)at + 2, (char *)text);
    if (why.ptr)
        *ret_why = why.ptr;
    return false;
}

struct pattern *pattern_new(struct span text, bool fold_case, struct arena *a, const char **ret_why)
{
    struct pattern *p = (struct pattern *)arena_zalloc(a, sizeof *p);
    *ret_why = "out of memory";
    if (!p || !arena_dup(a, text, &p->whole))
        return NULL;
    p->fold = fold_case;
    p->text = p->whole;
    size_t star = span_find(text, '*');
    if (text.len && text.ptr[0] == '~') {
        p->kind = REGEX;
        return compile(p, a, ret_why) ? p : NULL;
    }
    if (star == text.len)
        p->kind = EXACT;
    else if (text.len == 1)
        p->kind = ANY;
    else if (star == text.len - 1)
        p->kind = PREFIX, p->text = span_first(p->whole, star);
    else
        p->kind = GLOB;
    return p;
}

void pattern_free(struct pattern *p)
{
    if (p && p->code)
        pcre2_code_free(p->code);
}

struct span pattern_text(const struct pattern *p)
{
    return p->whole;
}

// ---- Matching

static bool same(const struct pattern *p, char a, char b)
{
    return a == b || (p->fold && ascii_lower((unsigned char)a) == ascii_lower((unsigned char)b));
}

// What is before the first star, what is behind the last one, and the pieces between these in order, each where it comes first.
static bool glob_is(struct span g, struct span s)
{
    size_t head = span_find(g, '*'), tail = span_rfind(g, '*') + 1;
    struct span end = span_skip(g, tail);
    if (s.len < head + end.len || !span_ends(s, end) || !span_starts(s, span_first(g, head)))
        return false;
    s = span_of(s.ptr + head, s.len - head - end.len);
    for (struct span rest = span_of(g.ptr + head, tail - head); rest.ptr;) {
        struct span piece = span_cut(&rest, '*');
        size_t at = piece.len ? span_find_span(s, piece) : 0;
        if (piece.len && at >= s.len)
            return false;
        s = span_skip(s, at + piece.len);
    }
    return true;
}

// Going back to the last star only is enough: O(length of the pattern * length of s) at worst.
static bool glob_match(const struct pattern *p, struct span s, struct span *ret_rest)
{
    struct span g = p->text;
    size_t i = 0, j = 0;
    size_t star = SIZE_MAX, first = 0, next = 0; // the last star, where what it stands for begins and may end
    while (i < s.len) {
        if (j < g.len && g.ptr[j] == '*') {
            star = j++;
            first = next = i;
        } else if (j < g.len && same(p, g.ptr[j], s.ptr[i])) {
            i++, j++;
        } else if (star != SIZE_MAX) {
            j = star + 1;
            i = ++next;
        } else {
            return false;
        }
    }
    while (j < g.len && g.ptr[j] == '*')
        star = j++, first = next = i;
    if (j != g.len)
        return false;
    if (ret_rest)
        *ret_rest = span_of(s.ptr + first, next - first);
    return true;
}

static enum match regex_search(const struct pattern *p, struct span s, size_t from, struct span groups[PATTERN_GROUPS])
{
    const struct workspace *w = s.len <= PATTERN_REGEX_SUBJECT_MAX_BYTES ? workspace_get() : NULL;
    if (!w)
        return MATCH_UNSURE;
    int n = pcre2_match(p->code, (PCRE2_SPTR)(s.len ? s.ptr : ""), s.len, from, 0, w->data, w->limits);
    if (n == PCRE2_ERROR_NOMATCH)
        return MATCH_NO;
    if (n < 0)
        return MATCH_UNSURE; // it met a limit
    const PCRE2_SIZE *v = pcre2_get_ovector_pointer(w->data);
    unsigned filled = n ? (unsigned)n : PATTERN_GROUPS; // n is 0 where there were more groups than we read
    for (unsigned i = 0; groups && i < PATTERN_GROUPS; i++)
        groups[i] = i < filled && v[2 * i] != PCRE2_UNSET ? span_of(s.ptr + v[2 * i], v[2 * i + 1] - v[2 * i]) : SPAN("");
    return MATCH_YES;
}

static bool plain_match(const struct pattern *p, struct span s, struct span *ret_rest)
{
    struct span rest = SPAN("");
    bool yes = true;
    switch (p->kind) {
    case ANY:
        rest = s;
        break;
    case EXACT:
        yes = p->fold ? span_eq_ci(p->text, s) : span_eq(p->text, s);
        break;
    case PREFIX:
        yes = p->fold ? span_starts_ci(s, p->text) : span_starts(s, p->text);
        rest = span_skip(s, p->text.len);
        break;
    default:
        return p->fold || ret_rest ? glob_match(p, s, ret_rest) : glob_is(p->text, s);
    }
    if (yes && ret_rest)
        *ret_rest = rest;
    return yes;
}

enum match pattern_try(const struct pattern *p, struct span s, struct span *ret_rest)
{
    if (p->kind == REGEX) {
        struct span groups[PATTERN_GROUPS];
        enum match m = regex_search(p, s, 0, ret_rest ? groups : NULL);
        if (ret_rest && m == MATCH_YES)
            *ret_rest = groups[1];
        return m;
    }
    return plain_match(p, s, ret_rest) ? MATCH_YES : MATCH_NO;
}

enum match pattern_search(const struct pattern *p, struct span s, size_t from, struct span groups[PATTERN_GROUPS])
{
    if (p->kind == REGEX)
        return regex_search(p, s, from, groups);
    for (unsigned i = 0; i < PATTERN_GROUPS; i++)
        groups[i] = SPAN("");
    groups[0] = s;
    return from == 0 && plain_match(p, s, &groups[1]) ? MATCH_YES : MATCH_NO;
}
