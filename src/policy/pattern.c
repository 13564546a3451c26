// SPDX-License-Identifier: Apache-2.0
#include "policy/pattern.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <pthread.h>

#include "base/ascii.h"

enum { MATCH_LIMIT = 20000, DEPTH_LIMIT = 500, HEAP_LIMIT_KIB = 1024, SUBJECT_MAX_BYTES = 64 * 1024 };

enum kind { ANY, EXACT, PREFIX, GLOB, REGEX };

struct pattern {
    enum kind kind;
    bool fold;
    struct span text; // of PREFIX: what is before the `*`
    struct span whole;
    pcre2_code *code;
};

// One a thread, freed when it ends.
static pthread_key_t match_key, context_key;
static pthread_once_t keys_once = PTHREAD_ONCE_INIT;

static void free_match(void *p)
{
    pcre2_match_data_free((pcre2_match_data *)p);
}

static void free_context(void *p)
{
    pcre2_match_context_free((pcre2_match_context *)p);
}

static void make_keys(void)
{
    pthread_key_create(&match_key, free_match);
    pthread_key_create(&context_key, free_context);
}

static bool thread_data(pcre2_match_data **ret_match, pcre2_match_context **ret_context)
{
    pthread_once(&keys_once, make_keys);
    *ret_match = (pcre2_match_data *)pthread_getspecific(match_key);
    *ret_context = (pcre2_match_context *)pthread_getspecific(context_key);
    if (!*ret_match && (*ret_match = pcre2_match_data_create(10, NULL)))
        pthread_setspecific(match_key, *ret_match);
    if (!*ret_context && (*ret_context = pcre2_match_context_create(NULL))) {
        pcre2_set_match_limit(*ret_context, MATCH_LIMIT);
        pcre2_set_depth_limit(*ret_context, DEPTH_LIMIT);
        pcre2_set_heap_limit(*ret_context, HEAP_LIMIT_KIB);
        pthread_setspecific(context_key, *ret_context);
    }
    return *ret_match && *ret_context;
}

static bool compile(struct pattern *p, struct arena *a, const char **ret_why)
{
    int code;
    PCRE2_SIZE at;
    struct span re = span_skip(p->whole, 1);
    uint32_t options = PCRE2_NEVER_BACKSLASH_C | PCRE2_DOLLAR_ENDONLY | (p->fold ? PCRE2_CASELESS : 0);
    p->code = pcre2_compile((PCRE2_SPTR)re.ptr, re.len, options, &code, &at, NULL);
    if (p->code)
        return true;
    PCRE2_UCHAR text[128];
    pcre2_get_error_message(code, text, sizeof text);
    *ret_why = arena_printf(a, "the regular expression is wrong at character %zu: %s", (size_t)at + 1, (char *)text).ptr;
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

static bool same(const struct pattern *p, char a, char b)
{
    return a == b || (p->fold && ascii_lower((unsigned char)a) == ascii_lower((unsigned char)b));
}

// Linear backtracking to the last star only: O(n * m) at worst, no recursion.
static bool glob_match(const struct pattern *p, struct span s, struct span *ret_rest)
{
    struct span g = p->text;
    size_t i = 0, j = 0, star = SIZE_MAX, mark = 0;
    while (i < s.len) {
        if (j < g.len && g.ptr[j] == '*') {
            star = j++;
            mark = i;
        } else if (j < g.len && same(p, g.ptr[j], s.ptr[i])) {
            i++, j++;
        } else if (star != SIZE_MAX) {
            j = star + 1;
            i = ++mark;
        } else {
            return false;
        }
    }
    while (j < g.len && g.ptr[j] == '*')
        star = j++, mark = i;
    if (j != g.len)
        return false;
    if (ret_rest)
        *ret_rest = star == SIZE_MAX ? SPAN("") : span_of(s.ptr + mark, s.len - mark - (g.len - star - 1));
    return true;
}

static bool regex_match(const struct pattern *p, struct span s, struct span *ret_rest)
{
    pcre2_match_data *m;
    pcre2_match_context *context;
    if (s.len > SUBJECT_MAX_BYTES || !thread_data(&m, &context))
        return false;
    int n = pcre2_match(p->code, (PCRE2_SPTR)(s.len ? s.ptr : ""), s.len, 0, 0, m, context);
    if (n < 0)
        return false;
    if (ret_rest) {
        const PCRE2_SIZE *v = pcre2_get_ovector_pointer(m);
        *ret_rest = n > 1 && v[2] != PCRE2_UNSET ? span_of(s.ptr + v[2], v[3] - v[2]) : SPAN("");
    }
    return true;
}

bool pattern_match(const struct pattern *p, struct span s, struct span *ret_rest)
{
    switch (p->kind) {
    case ANY:
        if (ret_rest)
            *ret_rest = s;
        return true;
    case EXACT:
        if (ret_rest)
            *ret_rest = SPAN("");
        return p->fold ? span_eq_ci(p->text, s) : span_eq(p->text, s);
    case PREFIX:
        if (!(p->fold ? span_starts_ci(s, p->text) : span_starts(s, p->text)))
            return false;
        if (ret_rest)
            *ret_rest = span_skip(s, p->text.len);
        return true;
    case GLOB:
        return glob_match(p, s, ret_rest);
    case REGEX:
        return regex_match(p, s, ret_rest);
    }
    return false;
}
