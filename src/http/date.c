// SPDX-License-Identifier: Apache-2.0
#include "http/date.h"

#include "base/ascii.h"
#include "base/num.h"

static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
static const char days[] = "SunMonTueWedThuFriSat";

// Days since 1970-01-01 of a date in the Gregorian calendar (proleptic), by eras of 400 years that begin in March.
static int64_t days_of(int64_t y, unsigned m, unsigned d)
{
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    unsigned yoe = (unsigned)(y - era * 400);
    unsigned doy = (153 * (m > 2 ? m - 3 : m + 9) + 2) / 5 + d - 1;
    unsigned doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + (int64_t)doe - 719468;
}

static void date_of(int64_t z, int64_t *ret_y, unsigned *ret_m, unsigned *ret_d)
{
    z += 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    unsigned doe = (unsigned)(z - era * 146097);
    unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    unsigned mp = (5 * doy + 2) / 153;
    *ret_d = doy - (153 * mp + 2) / 5 + 1;
    *ret_m = mp < 10 ? mp + 3 : mp - 9;
    *ret_y = (int64_t)yoe + era * 400 + (*ret_m <= 2);
}

struct cursor {
    struct span s;
    bool bad;
};

static void expect(struct cursor *c, const char *lit)
{
    struct span l = span_str(lit);
    if (!span_starts(c->s, l))
        c->bad = true;
    c->s = span_skip(c->s, l.len);
}

static unsigned digits(struct cursor *c, size_t n)
{
    uint64_t v = 0;
    if (c->s.len < n || !num_parse_dec(span_first(c->s, n), 9999, &v))
        c->bad = true;
    c->s = span_skip(c->s, n);
    return (unsigned)v;
}

static unsigned month(struct cursor *c)
{
    struct span m = span_first(c->s, 3);
    c->s = span_skip(c->s, 3);
    for (unsigned i = 0; i < 12; i++)
        if (span_eq(m, span_of(months + (size_t)i * 3, 3)))
            return i + 1;
    c->bad = true;
    return 1;
}

static void clock_time(struct cursor *c, unsigned *h, unsigned *m, unsigned *s)
{
    *h = digits(c, 2);
    expect(c, ":");
    *m = digits(c, 2);
    expect(c, ":");
    *s = digits(c, 2);
}

static bool is_day_name(struct span s, bool whole)
{
    static const char *const names[] = {"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};
    for (unsigned i = 0; i < 7; i++)
        if (span_eq(s, whole ? span_str(names[i]) : span_first(span_str(names[i]), 3)))
            return true;
    return false;
}

bool http_date_parse(struct span s, int64_t now_s, int64_t *ret)
{
    struct cursor c = {s, false};
    unsigned d = 1, mo = 1, h = 0, mi = 0, se = 0;
    int64_t y = 1970;
    size_t comma = span_find(s, ',');
    if (comma < s.len) {
        bool rfc850 = comma > 3;
        if (!is_day_name(span_first(s, comma), rfc850))
            return false;
        c.s = span_skip(s, comma + 1);
        expect(&c, " ");
        d = digits(&c, 2);
        expect(&c, rfc850 ? "-" : " ");
        mo = month(&c);
        expect(&c, rfc850 ? "-" : " ");
        y = digits(&c, rfc850 ? 2 : 4);
        if (rfc850) { // more than 50 years ahead is the past (RFC 9110 5.6.7)
            int64_t now_y;
            unsigned m2, d2;
            date_of(now_s >= 0 ? now_s / 86400 : 0, &now_y, &m2, &d2);
            y += now_y / 100 * 100;
            if (y > now_y + 50)
                y -= 100;
        }
        expect(&c, " ");
        clock_time(&c, &h, &mi, &se);
        expect(&c, " GMT");
    } else { // asctime
        if (!is_day_name(span_first(s, 3), false))
            return false;
        c.s = span_skip(s, 3);
        expect(&c, " ");
        mo = month(&c);
        expect(&c, " ");
        if (c.s.len && c.s.ptr[0] == ' ') {
            c.s = span_skip(c.s, 1);
            d = digits(&c, 1);
        } else {
            d = digits(&c, 2);
        }
        expect(&c, " ");
        clock_time(&c, &h, &mi, &se);
        expect(&c, " ");
        y = digits(&c, 4);
    }
    static const unsigned char month_days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    if (c.bad || c.s.len || d < 1 || d > month_days[mo - 1] || h > 23 || mi > 59 || se > 60)
        return false;
    *ret = days_of(y, mo, d) * 86400 + (int64_t)h * 3600 + (int64_t)mi * 60 + (int64_t)se;
    return true;
}

static void two(char *out, unsigned v)
{
    out[0] = (char)('0' + v / 10);
    out[1] = (char)('0' + v % 10);
}

void http_date_format(int64_t s, char out[HTTP_DATE_BYTES])
{
    int64_t max = INT64_C(253402300799); // the end of year 9999
    s = s < 0 ? 0 : s > max ? max : s;
    int64_t day = s / 86400, y;
    unsigned m, d, rest = (unsigned)(s % 86400);
    date_of(day, &y, &m, &d);
    memcpy(out, days + (size_t)((day + 4) % 7) * 3, 3);
    memcpy(out + 3, ", ", 2);
    two(out + 5, d);
    out[7] = ' ';
    memcpy(out + 8, months + (size_t)(m - 1) * 3, 3);
    out[11] = ' ';
    two(out + 12, (unsigned)y / 100);
    two(out + 14, (unsigned)y % 100);
    out[16] = ' ';
    two(out + 17, rest / 3600);
    out[19] = ':';
    two(out + 20, rest / 60 % 60);
    out[22] = ':';
    two(out + 23, rest % 60);
    memcpy(out + 25, " GMT", 4);
}
