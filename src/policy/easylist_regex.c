// SPDX-License-Identifier: Apache-2.0
// What a regular expression cannot do without: runs of literal characters outside of groups, classes and alternatives.
#include "base/ascii.h"
#include "policy/easylist.h"

struct scan {
    struct span re;
    size_t at;
    char run[256]; // the literal characters in hand, in lower case
    size_t len;
    struct easylist_key *out;
    unsigned n;
};

static void end_run(struct scan *s)
{
    for (size_t i = 0; i + EASYLIST_GRAM_BYTES <= s->len && s->n < EASYLIST_KEYS_MAX; i++)
        s->out[s->n++] = (struct easylist_key){easylist_gram(s->run + i), EASYLIST_NOWHERE};
    s->len = 0;
}

static void literal(struct scan *s, char c)
{
    if (s->len == sizeof s->run)
        end_run(s);
    s->run[s->len++] = (char)ascii_lower((unsigned char)c);
}

// Behind the closing bracket of a class.
static void skip_class(struct scan *s)
{
    size_t i = s->at + 1;
    if (i < s->re.len && s->re.ptr[i] == '^')
        i++;
    for (size_t first = i; i < s->re.len && (i == first || s->re.ptr[i] != ']'); i++)
        i += s->re.ptr[i] == '\\';
    s->at = i + 1;
}

// Behind the closing parenthesis of a group, whatever is in it.
static void skip_group(struct scan *s)
{
    unsigned depth = 0;
    while (s->at < s->re.len) {
        char c = s->re.ptr[s->at];
        if (c == '[') {
            skip_class(s);
            continue;
        }
        s->at += c == '\\' ? 2 : 1;
        depth += c == '(';
        if (c == ')' && --depth == 0)
            return;
    }
}

// False: it is not understood, and nothing is known of the expression.
static bool escape(struct scan *s)
{
    char c = s->at + 1 < s->re.len ? s->re.ptr[s->at + 1] : '\0';
    s->at += 2;
    if (!ascii_is_alnum((unsigned char)c)) {
        literal(s, c);
        return c != '\0';
    }
    end_run(s);
    return memchr("dDwWsSbBnrt", c, 11) != NULL;
}

// What may be missing is no part of the run.
static void quantifier(struct scan *s, char c)
{
    if (c != '+' && s->len)
        s->len--;
    end_run(s);
    s->at += c == '{' ? span_find(span_skip(s->re, s->at), '}') + 1 : 1;
}

static bool step(struct scan *s)
{
    char c = s->re.ptr[s->at];
    switch (c) {
    case '|':
        return false;
    case '\\':
        return escape(s);
    case '(':
        end_run(s);
        skip_group(s);
        return true;
    case '[':
        end_run(s);
        skip_class(s);
        return true;
    case '?':
    case '*':
    case '+':
    case '{':
        quantifier(s, c);
        return true;
    case '.':
    case '^':
    case '$':
        end_run(s);
        s->at++;
        return true;
    default:
        literal(s, c);
        s->at++;
        return true;
    }
}

unsigned easylist_regex_grams(struct span re, struct easylist_key out[EASYLIST_KEYS_MAX])
{
    struct scan s = {.re = re, .out = out};
    while (s.at < re.len)
        if (!step(&s))
            return 0;
    end_run(&s);
    return s.n;
}
