// SPDX-License-Identifier: Apache-2.0
// Patterns of EasyList: `*`, `^` and anchors against a URL, and by what they are found.
#include "base/ascii.h"
#include "policy/easylist.h"

// `^`: anything but a letter, a digit, or one of `_-.%`. Octets of other alphabets count as letters.
static bool is_separator(unsigned char c)
{
    return !(ascii_is_alnum(c) || c == '_' || c == '-' || c == '.' || c == '%' || c >= 0x80);
}

static bool fits_char(char p, char c)
{
    return p == '^' ? is_separator((unsigned char)c) : p == c;
}

// What of a pattern is left when the URL is at its end: `*` and `^` fit that.
static bool fits_nothing(struct span p)
{
    for (size_t i = 0; i < p.len; i++)
        if (p.ptr[i] != '*' && p.ptr[i] != '^')
            return false;
    return true;
}

// From here on, up to the end where whole is set. The last `*` is the only place to go back to, so the work is bounded by the product.
static bool fits_here(struct span p, struct span s, bool whole)
{
    size_t i = 0, k = 0, star = SIZE_MAX, star_at = 0;
    for (;;) {
        if (i == p.len && (!whole || k == s.len))
            return true;
        if (i < p.len && p.ptr[i] == '*') {
            star = i++;
            star_at = k;
        } else if (k < s.len && i < p.len && fits_char(p.ptr[i], s.ptr[k])) {
            i++;
            k++;
        } else if (k == s.len && fits_nothing(span_skip(p, i))) {
            return true;
        } else if (star != SIZE_MAX && star_at < s.len) {
            i = star + 1;
            k = ++star_at;
        } else {
            return false;
        }
    }
}

static bool fits_anywhere(struct span p, struct span s, bool whole)
{
    if (p.len && p.ptr[0] != '^' && p.ptr[0] != '*' && !whole) { // the common case: jump from one first letter to the next
        for (size_t i = 0; i < s.len; i++) {
            i += span_find(span_skip(s, i), p.ptr[0]);
            if (i < s.len && fits_here(p, span_skip(s, i), false))
                return true;
        }
        return false;
    }
    for (size_t i = 0; i <= s.len; i++)
        if (fits_here(p, span_skip(s, i), whole))
            return true;
    return false;
}

static bool is_label_start(struct span s, const struct request_view *v, size_t i)
{
    return i >= v->host_at && i < v->host_at + v->host_len && (i == v->host_at || s.ptr[i - 1] == '.');
}

static bool fits_host(struct span p, struct span s, const struct request_view *v, bool whole)
{
    for (size_t i = v->host_at; i < v->host_at + v->host_len; i++)
        if (is_label_start(s, v, i) && fits_here(p, span_skip(s, i), whole))
            return true;
    return false;
}

bool easylist_pattern_fits(const struct easylist_rule *r, const struct request_view *v, size_t at)
{
    struct span p = span_of(r->pattern, r->len), s = r->flags & EASYLIST_MATCH_CASE ? v->url : v->folded;
    bool whole = r->flags & EASYLIST_END;
    if (at != EASYLIST_NOWHERE && r->key_at != EASYLIST_NOWHERE) { // there is one place only where it can begin
        size_t first = at - r->key_at;
        if (at < r->key_at || (r->flags & EASYLIST_START && first) || (r->flags & EASYLIST_HOST && !is_label_start(s, v, first)))
            return false;
        return fits_here(p, span_skip(s, first), whole);
    }
    if (r->flags & EASYLIST_HOST)
        return fits_host(p, s, v, whole);
    if (r->flags & EASYLIST_START)
        return fits_here(p, s, whole);
    return fits_anywhere(p, s, whole);
}

// ---- Keys

uint32_t easylist_host_key(struct span host)
{
    return token_hash(host) | 1u << 31; // apart from the tokens, which have this bit clear
}

// A pattern with capitals is found by what it is without them.
static uint32_t token_key(struct span token)
{
    char lower[64];
    size_t n = MIN(token.len, sizeof lower);
    for (size_t i = 0; i < n; i++)
        lower[i] = (char)ascii_lower((unsigned char)token.ptr[i]);
    uint32_t h = token_hash(span_of(lower, n)) & ~(1u << 31);
    return h ? h : 1;
}

// The host of `||host^...` and `||host/...`: whole, so that it is a key.
static struct span whole_host(const struct easylist_rule *r)
{
    size_t n = 0;
    while (n < r->len && (ascii_is_alnum((unsigned char)r->pattern[n]) || r->pattern[n] == '-' || r->pattern[n] == '.' || r->pattern[n] == '_'))
        n++;
    bool ends = n < r->len && (r->pattern[n] == '^' || r->pattern[n] == '/' || r->pattern[n] == ':');
    return ends && n && n <= 253 && r->pattern[n - 1] != '.' ? span_of(r->pattern, n) : SPAN_NONE;
}

// A run of letters and digits stands whole in every URL that fits where what is beside it in the pattern cannot be more of them.
static bool is_bounded(const struct easylist_rule *r, size_t first, size_t end)
{
    bool before = first ? r->pattern[first - 1] != '*' : r->flags & (EASYLIST_HOST | EASYLIST_START);
    bool behind = end < r->len ? r->pattern[end] != '*' : r->flags & EASYLIST_END;
    return before && behind;
}

unsigned easylist_keys(const struct easylist_rule *r, struct easylist_key out[EASYLIST_KEYS_MAX])
{
    unsigned n = 0;
    size_t star = span_find(span_of(r->pattern, r->len), '*');
    if (r->flags & EASYLIST_REGEX)
        return 0;
    struct span host = (r->flags & (EASYLIST_HOST | EASYLIST_MATCH_CASE)) == EASYLIST_HOST ? whole_host(r) : SPAN_NONE;
    if (host.ptr)
        out[n++] = (struct easylist_key){easylist_host_key(host), 0};
    // What is in the host stands for less than the whole of it.
    for (size_t i = host.len, first = host.len; i <= r->len && n < EASYLIST_KEYS_MAX; i++) {
        if (i < r->len && ascii_is_alnum((unsigned char)r->pattern[i]))
            continue;
        if (i > first + 1 && i - first <= 64 && is_bounded(r, first, i))
            out[n++] = (struct easylist_key){token_key(span_of(r->pattern + first, i - first)), (uint16_t)(first < star ? first : EASYLIST_NOWHERE)};
        first = i + 1;
    }
    return n;
}

unsigned easylist_grams(const struct easylist_rule *r, struct easylist_key out[EASYLIST_KEYS_MAX])
{
    size_t star = span_find(span_of(r->pattern, r->len), '*');
    unsigned n = 0;
    if (r->flags & EASYLIST_REGEX)
        return easylist_regex_grams(span_skip(pattern_text(r->extra->regex), 1), out);
    for (size_t i = 0; i + EASYLIST_GRAM_BYTES <= r->len && n < EASYLIST_KEYS_MAX; i++) {
        char lower[EASYLIST_GRAM_BYTES];
        bool literal = true;
        for (size_t k = 0; k < sizeof lower; k++) {
            lower[k] = (char)ascii_lower((unsigned char)r->pattern[i + k]);
            literal &= lower[k] != '*' && lower[k] != '^';
        }
        if (literal)
            out[n++] = (struct easylist_key){easylist_gram(lower), (uint16_t)(i < star ? i : EASYLIST_NOWHERE)};
    }
    return n;
}
