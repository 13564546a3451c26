// SPDX-License-Identifier: Apache-2.0
// Typed values: numbers with mandatory units, and the arguments of a statement held against its row.
#include "base/num.h"
#include "conf/internal.h"

struct unit {
    const char *word;
    uint64_t factor;
};
static const struct unit durations[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}};
static const struct unit sizes[] = {{"B", 1},         {"KiB", 1 << 10},          {"MiB", 1 << 20},       {"GiB", 1 << 30},
                                    {"TiB", 1ULL << 40}, {"kB", 1000}, {"MB", 1000000}, {"GB", 1000000000}};

static bool with_unit(struct span s, const struct unit *units, size_t n, const char *want, uint64_t *ret, const char **ret_why)
{
    size_t i = 0;
    while (i < s.len && s.ptr[i] >= '0' && s.ptr[i] <= '9')
        i++;
    struct span unit = span_skip(s, i);
    uint64_t v;
    *ret_why = want;
    if (!num_parse_dec(span_first(s, i), UINT64_MAX, &v))
        return false;
    for (size_t k = 0; k < n; k++) {
        if (!span_eq(unit, span_str(units[k].word)))
            continue;
        if (num_mul(v, units[k].factor, ret) && *ret <= INT64_MAX)
            return true;
        *ret_why = "the number is too large";
        return false;
    }
    return false;
}

bool conf_parse_number(enum conf_type type, struct span s, uint64_t *ret, const char **ret_why)
{
    switch (type) {
    case CONF_T_INT:
        *ret_why = "a whole number is wanted here, without a unit";
        return num_parse_dec(s, INT64_MAX, ret);
    case CONF_T_DURATION:
        return with_unit(s, durations, ARRAY_LEN(durations), "a duration with its unit is wanted here: 500ms, 10s, 5m, 2h or 1d", ret, ret_why);
    case CONF_T_SIZE:
        return with_unit(s, sizes, ARRAY_LEN(sizes), "a size with its unit is wanted here: 512B, 8KiB, 64MiB or 1GiB", ret, ret_why);
    case CONF_T_RATE:
        *ret_why = "a rate is wanted here: 50/s or 10MiB/s";
        if (!span_ends(s, SPAN("/s")))
            return false;
        s = span_first(s, s.len - 2);
        return num_parse_dec(s, INT64_MAX, ret) || with_unit(s, sizes, ARRAY_LEN(sizes), *ret_why, ret, ret_why);
    case CONF_T_PERCENT: {
        *ret_why = "a percentage is wanted here: 5% or 20%";
        uint64_t v;
        if (!span_ends(s, SPAN("%")) || !num_parse_dec(span_first(s, s.len - 1), 100, &v))
            return false;
        *ret = v * 100;
        return true;
    }
    default:
        *ret_why = "";
        return false;
    }
}

// ---- Arguments against their row

struct checker {
    struct conf *c;
    struct conf_diags *d;
    struct conf_stmt *s;
    bool ok;
};

static bool alternatives(struct checker *k, const struct conf_value *v, struct span list)
{
    const char *words[16];
    unsigned n = 0;
    struct span rest = list;
    while (rest.ptr && n < ARRAY_LEN(words)) {
        struct span w = span_cut(&rest, '|');
        if (span_eq(w, v->text))
            return true;
        if (!(words[n++] = arena_cstr(&k->c->arena, w)))
            return false;
    }
    diag_suggest(k->d, k->c, &v->pos, v->text, words, n, "`%.*s` is not possible here; possible: %.*s", SPAN_ARG(v->text), SPAN_ARG(list));
    return false;
}

static bool number_in_range(struct checker *k, struct conf_value *v, struct span type)
{
    const char *why;
    uint64_t min = 0, max = UINT64_MAX;
    v->type = CONF_T_INT;
    if (!conf_parse_number(CONF_T_INT, v->text, &v->num, &why)) {
        conf_error(k->d, k->c, &v->pos, "`%.*s`: %s", SPAN_ARG(v->text), why);
        return false;
    }
    struct span rest = span_skip(type, 4);
    if (type.len > 4 && (!num_parse_dec(span_cut(&rest, ':'), UINT64_MAX, &min) || !num_parse_dec(rest, UINT64_MAX, &max)))
        return false;
    if (v->num >= min && v->num <= max)
        return true;
    conf_error(k->d, k->c, &v->pos, "`%.*s` is out of range: %llu to %llu is possible", SPAN_ARG(v->text), (unsigned long long)min,
               (unsigned long long)max);
    return false;
}

static bool value_check(struct checker *k, struct conf_value *v, struct span type)
{
    static const struct {
        struct span name;
        enum conf_type type;
    } numbers[] = {{SPAN_INIT("dur"), CONF_T_DURATION}, {SPAN_INIT("size"), CONF_T_SIZE}, {SPAN_INIT("rate"), CONF_T_RATE},
                   {SPAN_INIT("pct"), CONF_T_PERCENT}};
    const char *why;
    if (type.ptr[0] == '=')
        return alternatives(k, v, span_skip(type, 1));
    if (span_starts(type, SPAN("int")))
        return number_in_range(k, v, type);
    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        if (!span_eq(type, numbers[i].name))
            continue;
        v->type = numbers[i].type;
        if (conf_parse_number(v->type, v->text, &v->num, &why))
            return true;
        conf_error(k->d, k->c, &v->pos, "`%.*s`: %s", SPAN_ARG(v->text), why);
        return false;
    }
    if (v->text.len == 0 && span_eq(type, SPAN("name"))) {
        conf_error(k->d, k->c, &v->pos, "a name may not be empty");
        return false;
    }
    return true; // name, word, text: what they mean is for the room that reads them
}

// The next piece of a row's arguments: a type with its repeat sign, or an option in brackets.
static struct span next_spec(struct span *rest)
{
    while (rest->len && rest->ptr[0] == ' ')
        *rest = span_skip(*rest, 1);
    size_t n = rest->len && rest->ptr[0] == '[' ? span_find(*rest, ']') + 1 : span_find(*rest, ' ');
    struct span s = span_first(*rest, n);
    *rest = span_skip(*rest, n);
    return s;
}

// Whether word i begins an option of the row; *ret_type is its value's type (empty: it has none).
static bool is_option(const struct conf_row *row, const struct conf_value *v, struct span *ret_type)
{
    struct span rest = span_str(row->args);
    if (v->quoted)
        return false;
    while (rest.len) {
        struct span spec = next_spec(&rest);
        if (spec.len < 2 || spec.ptr[0] != '[')
            continue;
        struct span inner = span_of(spec.ptr + 1, spec.len - 2);
        struct span word = span_cut(&inner, ' ');
        if (span_eq(word, v->text)) {
            *ret_type = inner.ptr ? inner : SPAN("");
            return true;
        }
    }
    return false;
}

static unsigned check_option(struct checker *k, unsigned i, struct span type)
{
    struct conf_value *args = k->s->args;
    char *word = arena_cstr(&k->c->arena, args[i].text);
    args[i].option = word;
    if (type.len == 0)
        return i + 1;
    bool many = type.ptr[type.len - 1] == '+';
    if (many)
        type.len--;
    unsigned first = ++i;
    struct span other;
    while (i < k->s->n_args && (many || i == first) && !is_option(k->s->row, &args[i], &other)) {
        args[i].option = word;
        k->ok &= value_check(k, &args[i], type);
        i++;
    }
    if (i == first) {
        conf_error(k->d, k->c, &args[first - 1].pos, "a value is missing behind `%s`", word);
        k->ok = false;
    }
    return i;
}

static void missing(struct checker *k, struct span type)
{
    struct span what = span_starts(type, SPAN("dur"))    ? SPAN("a duration, for instance 10s")
                       : span_starts(type, SPAN("size")) ? SPAN("a size, for instance 8KiB")
                       : span_starts(type, SPAN("int"))  ? SPAN("a number")
                       : span_starts(type, SPAN("name")) ? SPAN("a name")
                       : type.ptr[0] == '='              ? span_skip(type, 1)
                                                         : SPAN("a value");
    conf_error(k->d, k->c, &k->s->pos, "`%s` wants %.*s here", k->s->row->word, SPAN_ARG(what));
    k->ok = false;
}

// The plain arguments, in order, up to the first option.
static unsigned check_plain(struct checker *k)
{
    struct span rest = span_str(k->s->row->args), other;
    unsigned i = 0;
    while (rest.len) {
        struct span type = next_spec(&rest);
        if (type.len == 0 || type.ptr[0] == '[')
            continue;
        char repeat = type.ptr[type.len - 1];
        if (repeat == '?' || repeat == '+' || repeat == '*')
            type.len--;
        else
            repeat = 0;
        unsigned first = i;
        bool many = repeat == '+' || repeat == '*';
        while (i < k->s->n_args && (many || i == first) && !is_option(k->s->row, &k->s->args[i], &other))
            k->ok &= value_check(k, &k->s->args[i], type), i++;
        if (i == first && repeat != '?' && repeat != '*') {
            missing(k, type);
            return k->s->n_args;
        }
    }
    return i;
}

bool args_check(struct conf *c, struct conf_diags *d, struct conf_stmt *s)
{
    struct checker k = {c, d, s, true};
    unsigned i = check_plain(&k);
    while (i < s->n_args) {
        struct span type;
        if (is_option(s->row, &s->args[i], &type)) {
            i = check_option(&k, i, type);
            continue;
        }
        conf_error(d, c, &s->args[i].pos, "`%.*s` is one word too many for `%s`", SPAN_ARG(s->args[i].text), s->row->word);
        return false;
    }
    return k.ok;
}
