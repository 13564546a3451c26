// SPDX-License-Identifier: Apache-2.0
#include "http/structured.h"

#include "base/ascii.h"
#include "http/field.h"

static int peek(struct span s)
{
    return s.len ? (unsigned char)s.ptr[0] : -1;
}

static void skip_while(struct span *s, bool tabs)
{
    while (s->len && (s->ptr[0] == ' ' || (tabs && s->ptr[0] == '\t')))
        *s = span_skip(*s, 1);
}

// ---- Bare items: each takes its bytes off *s; false where they are malformed

enum { INTEGER_DIGITS = 15, DECIMAL_DIGITS = 12, FRACTION_DIGITS = 3 };

static bool take_number(struct span *s, struct sf_item *ret)
{
    bool negative = peek(*s) == '-';
    if (negative)
        *s = span_skip(*s, 1);
    int64_t v = 0;
    size_t n = 0, fraction = 0;
    for (; n < s->len && ascii_is_digit((unsigned char)s->ptr[n]); n++) {
        if (n >= INTEGER_DIGITS)
            return false;
        v = v * 10 + (s->ptr[n] - '0');
    }
    if (n == 0)
        return false;
    ret->type = SF_INTEGER;
    if (n < s->len && s->ptr[n] == '.') {
        if (n > DECIMAL_DIGITS)
            return false;
        ret->type = SF_DECIMAL;
        for (n++; n < s->len && ascii_is_digit((unsigned char)s->ptr[n]); n++) {
            if (++fraction > FRACTION_DIGITS)
                return false;
            v = v * 10 + (s->ptr[n] - '0');
        }
        if (fraction == 0)
            return false;
        for (; fraction < FRACTION_DIGITS; fraction++)
            v *= 10;
    }
    ret->num = negative ? -v : v;
    *s = span_skip(*s, n);
    return true;
}

// Behind the opening quote.
static bool take_string(struct span *s, struct sf_item *ret)
{
    for (size_t i = 0; i < s->len; i++) {
        unsigned char c = (unsigned char)s->ptr[i];
        if (c == '"') {
            ret->type = SF_STRING;
            ret->text = span_first(*s, i);
            *s = span_skip(*s, i + 1);
            return true;
        }
        if (c == '\\' && (++i == s->len || (s->ptr[i] != '"' && s->ptr[i] != '\\')))
            return false;
        if (c < 0x20 || c > 0x7e)
            return false;
    }
    return false;
}

// Behind `%"`: lower-case percent-encoding; whether it is UTF-8 inside is the business of who decodes it.
static bool take_display(struct span *s, struct sf_item *ret)
{
    for (size_t i = 0; i < s->len; i++) {
        unsigned char c = (unsigned char)s->ptr[i];
        if (c == '"') {
            ret->type = SF_DISPLAY;
            ret->text = span_first(*s, i);
            *s = span_skip(*s, i + 1);
            return true;
        }
        if (c < 0x20 || c > 0x7e)
            return false;
        if (c == '%') {
            for (unsigned k = 0; k < 2; k++) {
                if (++i == s->len || ascii_hex((unsigned char)s->ptr[i]) < 0 || ascii_lower((unsigned char)s->ptr[i]) != (unsigned char)s->ptr[i])
                    return false;
            }
        }
    }
    return false;
}

static bool take_bytes(struct span *s, struct sf_item *ret)
{
    size_t end = span_find(*s, ':');
    if (end == s->len)
        return false;
    for (size_t i = 0; i < end; i++) {
        unsigned char c = (unsigned char)s->ptr[i];
        if (!ascii_is_alnum(c) && c != '+' && c != '/' && c != '=')
            return false;
    }
    ret->type = SF_BYTES;
    ret->text = span_first(*s, end);
    *s = span_skip(*s, end + 1);
    return true;
}

static bool take_token(struct span *s, struct sf_item *ret)
{
    size_t n = 1;
    while (n < s->len && (http_is_tchar((unsigned char)s->ptr[n]) || s->ptr[n] == ':' || s->ptr[n] == '/'))
        n++;
    ret->type = SF_TOKEN;
    ret->text = span_first(*s, n);
    *s = span_skip(*s, n);
    return true;
}

static bool take_boolean(struct span *s, struct sf_item *ret)
{
    int c = peek(*s);
    if (c != '0' && c != '1')
        return false;
    ret->type = SF_BOOLEAN;
    ret->num = c - '0';
    *s = span_skip(*s, 1);
    return true;
}

static bool take_bare(struct span *s, struct sf_item *ret)
{
    int c = peek(*s);
    *ret = (struct sf_item){.text = SPAN_NONE, .params = SPAN_NONE};
    if (c == '-' || (c >= 0 && ascii_is_digit((unsigned char)c)))
        return take_number(s, ret);
    if (c == '*' || (c >= 0 && ascii_is_alpha((unsigned char)c)))
        return take_token(s, ret);
    if (c < 0)
        return false;
    *s = span_skip(*s, 1);
    switch (c) {
    case '"':
        return take_string(s, ret);
    case ':':
        return take_bytes(s, ret);
    case '?':
        return take_boolean(s, ret);
    case '@':
        if (!take_number(s, ret) || ret->type != SF_INTEGER)
            return false;
        ret->type = SF_DATE;
        return true;
    case '%':
        if (peek(*s) != '"')
            return false;
        *s = span_skip(*s, 1);
        return take_display(s, ret);
    default:
        return false;
    }
}

static bool take_key(struct span *s, struct span *ret)
{
    size_t n = 0;
    for (; n < s->len; n++) {
        unsigned char c = (unsigned char)s->ptr[n];
        bool lower = c >= 'a' && c <= 'z';
        if (!(lower || c == '*' || (n > 0 && (ascii_is_digit(c) || c == '_' || c == '-' || c == '.'))))
            break;
    }
    *ret = span_first(*s, n);
    *s = span_skip(*s, n);
    return n > 0;
}

// ---- Parameters, items, inner lists

enum sf_step sf_param_next(struct span *rest, struct sf_member *ret)
{
    if (peek(*rest) != ';')
        return SF_END;
    *rest = span_skip(*rest, 1);
    skip_while(rest, false);
    if (!take_key(rest, &ret->key))
        return SF_BROKEN;
    ret->item = (struct sf_item){.type = SF_BOOLEAN, .num = 1, .text = SPAN_NONE, .params = SPAN_NONE};
    if (peek(*rest) != '=')
        return SF_NEXT;
    *rest = span_skip(*rest, 1);
    return take_bare(rest, &ret->item) ? SF_NEXT : SF_BROKEN;
}

static bool take_params(struct span *s, struct sf_item *item)
{
    struct span before = *s;
    struct sf_member m;
    enum sf_step step;
    while ((step = sf_param_next(s, &m)) == SF_NEXT)
        ;
    item->params = span_first(before, before.len - s->len);
    return step == SF_END;
}

static bool take_item(struct span *s, struct sf_item *ret)
{
    return take_bare(s, ret) && take_params(s, ret);
}

enum sf_step sf_inner_next(struct span *rest, struct sf_item *ret)
{
    skip_while(rest, false);
    if (rest->len == 0)
        return SF_END;
    if (!take_item(rest, ret))
        return SF_BROKEN;
    return rest->len == 0 || peek(*rest) == ' ' ? SF_NEXT : SF_BROKEN;
}

// Behind `(`.
static bool take_inner_list(struct span *s, struct sf_item *ret)
{
    struct span before = *s;
    for (;;) {
        skip_while(s, false);
        if (peek(*s) == ')')
            break;
        struct sf_item item;
        if (!take_item(s, &item) || (peek(*s) != ' ' && peek(*s) != ')'))
            return false;
    }
    *ret = (struct sf_item){.type = SF_INNER_LIST, .text = span_first(before, before.len - s->len)};
    *s = span_skip(*s, 1);
    return take_params(s, ret);
}

static bool take_item_or_list(struct span *s, struct sf_item *ret)
{
    if (peek(*s) != '(')
        return take_item(s, ret);
    *s = span_skip(*s, 1);
    return take_inner_list(s, ret);
}

// ---- Top level

// What follows a member: the end, or a comma and another member.
static enum sf_step end_member(struct span *rest)
{
    skip_while(rest, true);
    if (rest->len == 0)
        return SF_NEXT;
    if (peek(*rest) != ',')
        return SF_BROKEN;
    *rest = span_skip(*rest, 1);
    skip_while(rest, true);
    return rest->len ? SF_NEXT : SF_BROKEN;
}

enum sf_step sf_list_next(struct span *rest, struct sf_item *ret)
{
    skip_while(rest, false);
    if (rest->len == 0)
        return SF_END;
    return take_item_or_list(rest, ret) ? end_member(rest) : SF_BROKEN;
}

enum sf_step sf_dict_next(struct span *rest, struct sf_member *ret)
{
    skip_while(rest, false);
    if (rest->len == 0)
        return SF_END;
    if (!take_key(rest, &ret->key))
        return SF_BROKEN;
    bool ok;
    if (peek(*rest) == '=') {
        *rest = span_skip(*rest, 1);
        ok = take_item_or_list(rest, &ret->item);
    } else {
        ret->item = (struct sf_item){.type = SF_BOOLEAN, .num = 1, .text = SPAN_NONE};
        ok = take_params(rest, &ret->item);
    }
    return ok ? end_member(rest) : SF_BROKEN;
}

bool sf_dict_is_valid(struct span value)
{
    struct sf_member m;
    enum sf_step step;
    while ((step = sf_dict_next(&value, &m)) == SF_NEXT)
        ;
    return step == SF_END;
}

bool sf_list_is_valid(struct span value)
{
    struct sf_item item;
    enum sf_step step;
    while ((step = sf_list_next(&value, &item)) == SF_NEXT)
        ;
    return step == SF_END;
}

bool sf_item_parse(struct span value, struct sf_item *ret)
{
    struct sf_item item;
    skip_while(&value, false);
    if (!take_item(&value, &item))
        return false;
    skip_while(&value, false);
    if (value.len)
        return false;
    *ret = item;
    return true;
}
