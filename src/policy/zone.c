// SPDX-License-Identifier: Apache-2.0
#include "policy/zone.h"

#include "base/ascii.h"

enum {
    DAY_S = 86400,
    HEADER_BYTES = 44,
    YEAR_LAST = 2200,    // until then the file's rule for the future is written out
    YEARS_MAX = 301,     // of them; nothing before 1900 counts
    TIMES_MAX = 10000,   // real files have some 250 changes
    OFFSET_MAX_S = 93600 // RFC 8536 3.2: 26 hours at most
};

struct change {
    int64_t at; // UTC
    int32_t offset;
};
struct zone {
    int32_t first; // before the first change
    unsigned n, cap;
    struct change *v;
};

// ---- The binary part

static uint64_t be(const unsigned char *p, unsigned n)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < n; i++)
        v = v << 8 | p[i];
    return v;
}

static int64_t signed_be(const unsigned char *p, unsigned n)
{
    return n == 4 ? (int64_t)(int32_t)(uint32_t)be(p, 4) : (int64_t)be(p, 8);
}

struct header {
    size_t isut, isstd, leap, time, type, chars;
};

static bool read_header(const unsigned char *p, size_t len, struct header *h)
{
    if (len < HEADER_BYTES || memcmp(p, "TZif", 4) != 0)
        return false;
    size_t *out[] = {&h->isut, &h->isstd, &h->leap, &h->time, &h->type, &h->chars};
    for (unsigned i = 0; i < ARRAY_LEN(out); i++)
        *out[i] = (size_t)be(p + 20 + (size_t)4 * i, 4);
    // Leap seconds would make its times other than those of the system's clock.
    return h->time <= TIMES_MAX && h->type > 0 && h->type <= 256 && h->chars <= 10000 && h->leap == 0 &&
           h->isut <= 256 && h->isstd <= 256;
}

// t: bytes of a time.
static size_t body_bytes(const struct header *h, size_t t)
{
    return h->time * (t + 1) + h->type * 6 + h->chars + h->leap * (t + 4) + h->isstd + h->isut;
}

static void add(struct zone *z, int64_t at, int32_t offset)
{
    if (z->n < z->cap && (z->n == 0 || z->v[z->n - 1].at < at))
        z->v[z->n++] = (struct change){at, offset};
}

static bool read_offset(const unsigned char *type, int32_t *ret)
{
    int64_t v = signed_be(type, 4);
    *ret = (int32_t)v;
    return v >= -OFFSET_MAX_S && v <= OFFSET_MAX_S;
}

static bool read_changes(const unsigned char *p, const struct header *h, size_t t, struct zone *z)
{
    const unsigned char *times = p, *index = times + h->time * t, *types = index + h->time;
    if (!read_offset(types, &z->first))
        return false;
    for (size_t i = 0; i < h->time; i++) {
        int32_t offset;
        if (index[i] >= h->type || !read_offset(types + (size_t)index[i] * 6, &offset))
            return false;
        add(z, signed_be(times + i * t, (unsigned)t), offset);
    }
    return true;
}

// ---- The rule for what comes behind the last change: STD offset DST[offset],start[/time],end[/time] (POSIX
// TZ, as RFC 8536 3.3.1 widens it)

enum day_form { DAY_WEEKDAY, DAY_JULIAN, DAY_ZERO }; // Mm.w.d, Jn (29 February never counts), n (it counts)
struct rule_day {
    enum day_form form;
    int month, week, day;
    int32_t time;
};
struct rule {
    int32_t std, dst;
    bool has_dst;
    struct rule_day start, end;
};

static bool take(struct span *s, char c)
{
    if (!s->len || s->ptr[0] != c)
        return false;
    *s = span_skip(*s, 1);
    return true;
}

// A name of three letters or more, or in angle brackets.
static bool skip_name(struct span *s)
{
    size_t n = 0;
    if (take(s, '<')) {
        n = span_find(*s, '>');
        if (n == s->len)
            return false;
        *s = span_skip(*s, n + 1);
        return true;
    }
    while (n < s->len && ascii_is_alpha((unsigned char)s->ptr[n]))
        n++;
    *s = span_skip(*s, n);
    return n >= 3;
}

static bool read_number(struct span *s, int max, int *ret)
{
    int v = 0;
    size_t n = 0;
    while (n < s->len && ascii_is_digit((unsigned char)s->ptr[n]) && v <= max)
        v = v * 10 + (s->ptr[n++] - '0');
    *s = span_skip(*s, n);
    *ret = v;
    return n > 0 && v <= max;
}

// [+-]h[:mm[:ss]]
static bool read_hms(struct span *s, int max_hours, int32_t *ret)
{
    bool minus = take(s, '-');
    int h, m = 0, sec = 0;
    if (!minus)
        take(s, '+');
    if (!read_number(s, max_hours, &h) || (take(s, ':') && !read_number(s, 59, &m)) ||
        (take(s, ':') && !read_number(s, 59, &sec)))
        return false;
    *ret = (minus ? -1 : 1) * (h * 3600 + m * 60 + sec);
    return true;
}

static bool read_rule_day(struct span *s, struct rule_day *r)
{
    bool ok;
    *r = (struct rule_day){.form = DAY_ZERO, .time = 7200};
    if (!take(s, ','))
        return false;
    if (take(s, 'M')) {
        r->form = DAY_WEEKDAY;
        ok = read_number(s, 12, &r->month) && take(s, '.') && read_number(s, 5, &r->week) && take(s, '.') &&
             read_number(s, 6, &r->day) && r->month >= 1 && r->week >= 1;
    } else if (take(s, 'J')) {
        r->form = DAY_JULIAN;
        ok = read_number(s, 365, &r->day) && r->day >= 1;
    } else {
        ok = read_number(s, 365, &r->day);
    }
    return ok && (!take(s, '/') || read_hms(s, 167, &r->time));
}

static bool read_rule(struct span s, struct rule *r)
{
    *r = (struct rule){0};
    if (!skip_name(&s) || !read_hms(&s, 24, &r->std))
        return false;
    r->std = -r->std; // POSIX counts west of Greenwich
    if (s.len == 0)
        return true;
    if (!skip_name(&s))
        return false;
    r->dst = r->std + 3600;
    if (s.len && s.ptr[0] != ',') {
        if (!read_hms(&s, 24, &r->dst))
            return false;
        r->dst = -r->dst;
    }
    r->has_dst = true;
    return read_rule_day(&s, &r->start) && read_rule_day(&s, &r->end) && s.len == 0;
}

static bool is_leap(int64_t y)
{
    return y % 4 == 0 && (y % 100 != 0 || y % 400 == 0);
}

// Days since 1970-01-01 of the first of a month (Hinnant's civil calendar).
static int64_t days_of(int64_t y, int month)
{
    y -= month <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400, yoe = y - era * 400;
    int64_t doy = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5;
    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

// In local time.
static int64_t rule_moment(int64_t year, const struct rule_day *r)
{
    int64_t day = days_of(year, 1) + r->day;
    if (r->form == DAY_JULIAN) {
        day += r->day >= 60 && is_leap(year) ? 0 : -1; // day 60 is 1 March in every year
    } else if (r->form == DAY_WEEKDAY) {               // the fifth such weekday is the last
        int64_t first = days_of(year, r->month);
        int64_t next = r->month == 12 ? days_of(year + 1, 1) : days_of(year, r->month + 1);
        int64_t weekday = ((first + 4) % 7 + 7) % 7;
        day = first + (r->day + 7 - weekday) % 7 + 7 * (r->week - 1);
        if (day >= next)
            day -= 7;
    }
    return day * DAY_S + r->time;
}

static int64_t year_of(int64_t at)
{
    int64_t y = 1970 + at / (int64_t)(365.2425 * DAY_S);
    return y < 1900 ? 1900 : y;
}

static void extend(struct zone *z, const struct rule *r)
{
    if (!r->has_dst) {
        if (z->n == 0)
            z->first = r->std;
        return;
    }
    int64_t first = z->n ? year_of(z->v[z->n - 1].at) - 1 : 1970;
    for (int64_t y = first; y <= YEAR_LAST; y++) {
        struct change start = {rule_moment(y, &r->start) - r->std, r->dst};
        struct change end = {rule_moment(y, &r->end) - r->dst, r->std};
        bool south = end.at < start.at;
        add(z, south ? end.at : start.at, south ? end.offset : start.offset);
        add(z, south ? start.at : end.at, south ? start.offset : end.offset);
    }
}

// ---- Files

// The rule stands in a line of its own behind the second block; empty: none.
static bool read_footer(struct span foot, struct zone *z)
{
    struct rule r;
    if (!take(&foot, '\n') || span_find(foot, '\n') == foot.len)
        return false;
    foot = span_first(foot, span_find(foot, '\n'));
    if (foot.len == 0)
        return true;
    if (!read_rule(foot, &r))
        return false;
    extend(z, &r);
    return true;
}

const struct zone *zone_parse(struct span file, struct arena *a)
{
    const unsigned char *p = (const unsigned char *)file.ptr;
    size_t len = file.len, t = 4;
    struct header h;
    if (!read_header(p, len, &h))
        return NULL;
    if (p[4] >= '2') { // the first block is for old readers, the second has times of 64 bits
        size_t skip = HEADER_BYTES + body_bytes(&h, 4);
        if (skip > len || !read_header(p + skip, len - skip, &h))
            return NULL;
        p += skip;
        len -= skip;
        t = 8;
    }
    size_t end = HEADER_BYTES + body_bytes(&h, t);
    struct zone *z = (struct zone *)arena_zalloc(a, sizeof *z);
    if (end > len || !z)
        return NULL;
    z->cap = (unsigned)h.time + 2 * (YEARS_MAX + 1);
    z->v = (struct change *)arena_zalloc(a, z->cap * sizeof *z->v);
    if (!z->v || !read_changes(p + HEADER_BYTES, &h, t, z))
        return NULL;
    if (t == 8 && !read_footer(span_of((const char *)p + end, len - end), z))
        return NULL;
    return z;
}

bool zone_is_name(struct span s)
{
    if (s.len < 2 || s.len > 64 || !ascii_is_alpha((unsigned char)s.ptr[0]))
        return false;
    for (size_t i = 0; i < s.len; i++) { // no dot, so no way out of the folder
        unsigned char c = (unsigned char)s.ptr[i];
        if (!ascii_is_alnum(c) && c != '/' && c != '_' && c != '-' && c != '+')
            return false;
    }
    return true;
}

const struct zone *zone_load(struct span name, struct conf_source *files, struct arena *a,
                             const char **ret_why)
{
    *ret_why = "this is no time zone's name";
    if (!zone_is_name(name))
        return NULL;
    *ret_why = "out of memory";
    if (span_eq(name, SPAN("UTC")))
        return (const struct zone *)arena_zalloc(a, sizeof(struct zone));
    struct span path = arena_printf(a, "/usr/share/zoneinfo/%.*s", SPAN_ARG(name)), file;
    if (!path.ptr)
        return NULL;
    struct conf_source own;
    conf_source_init(&own, true);
    const struct zone *z = NULL;
    const char *why;
    bool there = conf_source_read(files ? files : &own, path.ptr, &file, &why);
    *ret_why = there ? "the file of this time zone is damaged"
                     : "this machine knows no such time zone (Debian's package tzdata has them all)";
    if (there)
        z = zone_parse(file, a);
    conf_source_fini(&own);
    return z;
}

int32_t zone_offset_s(const struct zone *z, int64_t utc_s)
{
    unsigned lo = 0, hi = z->n;
    while (lo < hi) {
        unsigned mid = lo + (hi - lo) / 2;
        if (z->v[mid].at <= utc_s)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo ? z->v[lo - 1].offset : z->first;
}
