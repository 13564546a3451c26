// SPDX-License-Identifier: Apache-2.0
#include "policy/dates.h"

#include "base/ascii.h"
#include "base/num.h"
#include "policy/lines.h"

struct range {
    struct range *next;
    int64_t first, last; // days since 1970-01-01; of a date of every year: 100 * month + day
};
struct dates {
    struct range *fixed, *yearly;
};

// ---- The calendar (Howard Hinnant, "chrono-compatible low-level date algorithms")

static int64_t day_of(int64_t year, unsigned month, unsigned day)
{
    year -= month <= 2;
    int64_t era = (year >= 0 ? year : year - 399) / 400;
    int64_t of_era = year - era * 400, of_year = (153 * (int64_t)(month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
    return era * 146097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719468;
}

// 100 * month + day
static int64_t month_and_day(int64_t day)
{
    day += 719468;
    int64_t era = (day >= 0 ? day : day - 146096) / 146097, of_era = day - era * 146097;
    int64_t year = (of_era - of_era / 1460 + of_era / 36524 - of_era / 146096) / 365;
    int64_t of_year = of_era - (365 * year + year / 4 - year / 100), m = (5 * of_year + 2) / 153;
    return (m < 10 ? m + 3 : m - 9) * 100 + of_year - (153 * m + 2) / 5 + 1;
}

static bool is_leap(uint64_t y)
{
    return y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
}

static bool month_has(uint64_t year, uint64_t month, uint64_t day)
{
    static const uint8_t days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return month >= 1 && month <= 12 && day >= 1 && day <= (uint64_t)days[month - 1] + (month == 2 && is_leap(year));
}

// ---- Reading

static bool parse_yearly(struct span s, int64_t *ret)
{
    uint64_t month, day;
    if (s.len != 5 || s.ptr[2] != '-' || !num_parse_dec(span_first(s, 2), 12, &month) || !num_parse_dec(span_skip(s, 3), 31, &day) || !month_has(2000, month, day))
        return false;
    *ret = (int64_t)(month * 100 + day);
    return true;
}

static bool parse_date(struct span s, int64_t *ret)
{
    uint64_t year, month, day;
    if (s.len != 10 || s.ptr[4] != '-' || s.ptr[7] != '-' || !num_parse_dec(span_first(s, 4), 9999, &year) || !num_parse_dec(span_of(s.ptr + 5, 2), 12, &month) ||
        !num_parse_dec(span_skip(s, 8), 31, &day) || !month_has(year, month, day))
        return false;
    *ret = day_of((int64_t)year, (unsigned)month, (unsigned)day);
    return true;
}

// Hours have a colon behind their first digits, dates a hyphen.
bool dates_is_date(struct span s)
{
    size_t n = 0;
    while (n < s.len && ascii_is_digit((unsigned char)s.ptr[n]))
        n++;
    return n >= 2 && n < s.len && s.ptr[n] == '-';
}

static bool add(struct condition_context *k, struct dates **d, bool yearly, int64_t first, int64_t last)
{
    if (!*d)
        *d = (struct dates *)condition_alloc(k, sizeof **d);
    struct range *r = *d ? (struct range *)condition_alloc(k, sizeof *r) : NULL;
    if (!r)
        return false;
    struct range **list = yearly ? &(*d)->yearly : &(*d)->fixed;
    *r = (struct range){*list, first, last};
    *list = r;
    return true;
}

const char *dates_add(struct condition_context *k, struct span word, struct dates **d)
{
    size_t dots = span_find_span(word, SPAN(".."));
    struct span first = dots < word.len ? span_first(word, dots) : word, last = dots < word.len ? span_skip(word, dots + 2) : word;
    int64_t a, b;
    bool yearly = parse_yearly(first, &a) && parse_yearly(last, &b), fixed = !yearly && parse_date(first, &a) && parse_date(last, &b);
    if (!yearly && !fixed)
        return "this is no date: 2026-12-24, 2026-12-24..2027-01-06 or 12-25";
    if (fixed && a > b)
        return "the last date is before the first";
    return add(k, d, yearly, a, b) ? NULL : "out of memory";
}

bool dates_read(struct condition_context *k, const struct conf_value *file, struct dates **d)
{
    struct lines l;
    struct span line;
    if (!lines_open(&l, k, file))
        return false;
    if (!*d) // an empty file has no day
        *d = (struct dates *)condition_alloc(k, sizeof **d);
    while (*d && lines_next(&l, &line)) {
        size_t end = 0;
        while (end < line.len && line.ptr[end] != ' ' && line.ptr[end] != '\t' && line.ptr[end] != '#') // a name may stand behind the date
            end++;
        const char *why = end ? dates_add(k, span_first(line, end), d) : NULL;
        if (why)
            lines_broken(&l, why);
    }
    lines_close(&l);
    return *d != NULL;
}

bool dates_has(const struct dates *d, int64_t day)
{
    for (const struct range *r = d->fixed; r; r = r->next)
        if (day >= r->first && day <= r->last)
            return true;
    int64_t md = d->yearly ? month_and_day(day) : 0;
    for (const struct range *r = d->yearly; r; r = r->next)
        if (r->first <= r->last ? md >= r->first && md <= r->last : md >= r->first || md <= r->last) // over new year
            return true;
    return false;
}
