// SPDX-License-Identifier: Apache-2.0
#include "policy/zone.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/ascii.h"

enum { FILE_MAX_BYTES = 256 * 1024, YEAR_LAST = 2100 };

struct change {
    int64_t at; // UTC
    int32_t offset;
};
struct zone {
    int32_t first; // before the first change
    unsigned n;
    struct change *v;
};

static int64_t be(const unsigned char *p, unsigned n)
{
    uint64_t v = 0;
    for (unsigned i = 0; i < n; i++)
        v = v << 8 | p[i];
    return n == 4 ? (int64_t)(int32_t)v : (int64_t)v;
}

struct header {
    size_t isut, isstd, leap, time, type, chars;
};

static bool read_header(const unsigned char *p, size_t len, struct header *h)
{
    if (len < 44 || memcmp(p, "TZif", 4) != 0)
        return false;
    size_t *out[] = {&h->isut, &h->isstd, &h->leap, &h->time, &h->type, &h->chars};
    for (unsigned i = 0; i < 6; i++)
        *out[i] = (size_t)(uint32_t)be(p + 20 + 4 * i, 4);
    return h->time < 10000 && h->type < 256 && h->type > 0 && h->chars < 10000 && h->leap < 1000 && h->isut < 256 && h->isstd < 256;
}

static size_t body_bytes(const struct header *h, size_t t)
{
    return h->time * (t + 1) + h->type * 6 + h->chars + h->leap * (t + 4) + h->isstd + h->isut;
}

// ---- The rule for times behind the last change: STD offset DST[offset],Mm.w.d[/time],Mm.w.d[/time] (POSIX TZ)

struct rule_day {
    unsigned month, week, day;
    int32_t time;
};
struct rule {
    int32_t std, dst;
    bool has_dst;
    struct rule_day start, end;
};

static void skip_name(const char **p)
{
    if (**p == '<') {
        while (**p && **p != '>')
            ++*p;
        *p += **p == '>';
        return;
    }
    while (ascii_is_alpha((unsigned char)**p))
        ++*p;
}

static int32_t read_hms(const char **p)
{
    int sign = 1, v[3] = {0, 0, 0};
    if (**p == '-' || **p == '+')
        sign = *(*p)++ == '-' ? -1 : 1;
    for (int i = 0; i < 3; i++) {
        for (int d = 0; d < 3 && ascii_is_digit((unsigned char)**p); d++)
            v[i] = v[i] * 10 + (*(*p)++ - '0');
        if (**p != ':')
            break;
        ++*p;
    }
    return sign * (v[0] * 3600 + v[1] * 60 + v[2]);
}

static bool read_rule_day(const char **p, struct rule_day *r)
{
    if ((*p)[0] != ',' || (*p)[1] != 'M')
        return false;
    *p += 2;
    unsigned *out[] = {&r->month, &r->week, &r->day};
    for (int i = 0; i < 3; i++) {
        *out[i] = 0;
        while (ascii_is_digit((unsigned char)**p) && *out[i] < 100)
            *out[i] = *out[i] * 10 + (unsigned)(*(*p)++ - '0');
        *p += i < 2 && **p == '.';
    }
    r->time = 7200;
    if (**p == '/') {
        ++*p;
        r->time = read_hms(p);
    }
    return r->month >= 1 && r->month <= 12 && r->week >= 1 && r->week <= 5 && r->day < 7;
}

static bool read_rule(const char *p, struct rule *r)
{
    *r = (struct rule){0};
    skip_name(&p);
    r->std = -read_hms(&p);
    if (!*p)
        return true;
    skip_name(&p);
    r->dst = *p && *p != ',' ? -read_hms(&p) : r->std + 3600;
    r->has_dst = read_rule_day(&p, &r->start) && read_rule_day(&p, &r->end);
    return true;
}

static int64_t days_of(int64_t y, unsigned m, unsigned d)
{
    y -= m <= 2;
    int64_t era = y / 400;
    unsigned yoe = (unsigned)(y - era * 400), doy = (153 * (m > 2 ? m - 3 : m + 9) + 2) / 5 + d - 1;
    return era * 146097 + (int64_t)(yoe * 365 + yoe / 4 - yoe / 100 + doy) - 719468;
}

// The moment in local time of the w-th such weekday of a month; the fifth is the last.
static int64_t rule_moment(int64_t year, const struct rule_day *r)
{
    int64_t first = days_of(year, r->month, 1);
    int64_t next = r->month == 12 ? days_of(year + 1, 1, 1) : days_of(year, r->month + 1, 1);
    int64_t day = first + ((int64_t)r->day + 7 - (first + 4) % 7) % 7 + 7 * ((int64_t)r->week - 1);
    if (day >= next)
        day -= 7;
    return day * 86400 + r->time;
}

static void add(struct zone *z, int64_t at, int32_t offset)
{
    if (z->n && z->v[z->n - 1].at >= at)
        return;
    z->v[z->n++] = (struct change){at, offset};
}

static void extend(struct zone *z, const struct rule *r)
{
    if (!r->has_dst)
        return;
    for (int64_t y = 2000; y <= YEAR_LAST; y++) {
        struct change start = {rule_moment(y, &r->start) - r->std, r->dst}, end = {rule_moment(y, &r->end) - r->dst, r->std};
        bool south = end.at < start.at;
        add(z, south ? end.at : start.at, south ? end.offset : start.offset);
        add(z, south ? start.at : end.at, south ? start.offset : end.offset);
    }
}

static const struct zone *parse(const unsigned char *p, size_t len, struct arena *a)
{
    struct header h;
    if (!read_header(p, len, &h))
        return NULL;
    size_t t = 4;
    if (p[4] >= '2') { // the second block has 64-bit times
        size_t skip = 44 + body_bytes(&h, 4);
        if (skip > len || !read_header(p + skip, len - skip, &h))
            return NULL;
        p += skip;
        len -= skip;
        t = 8;
    }
    if (44 + body_bytes(&h, t) > len)
        return NULL;
    const unsigned char *times = p + 44, *index = times + h.time * t, *types = index + h.time;
    struct zone *z = (struct zone *)arena_zalloc(a, sizeof *z);
    if (!z || !(z->v = (struct change *)arena_zalloc(a, (h.time + 2 * (YEAR_LAST - 1999)) * sizeof *z->v)))
        return NULL;
    z->first = (int32_t)be(types, 4);
    for (size_t i = 0; i < h.time; i++) {
        if (index[i] >= h.type)
            return NULL;
        add(z, be(times + i * t, (unsigned)t), (int32_t)be(types + (size_t)index[i] * 6, 4));
    }
    if (t == 8) {
        const unsigned char *foot = p + 44 + body_bytes(&h, t);
        size_t n = len - (size_t)(foot - p);
        struct rule r;
        char *text = n > 2 && foot[0] == '\n' ? arena_cstr(a, span_first(span_of((const char *)foot + 1, n - 1), span_find(span_of((const char *)foot + 1, n - 1), '\n'))) : NULL;
        if (text && *text && read_rule(text, &r))
            extend(z, &r);
    }
    return z;
}

static bool is_zone_name(struct span s)
{
    if (s.len < 2 || s.len > 64 || !ascii_is_alpha((unsigned char)s.ptr[0]) || span_find_span(s, SPAN("..")) < s.len)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        unsigned char c = (unsigned char)s.ptr[i];
        if (!ascii_is_alnum(c) && c != '/' && c != '_' && c != '-' && c != '+')
            return false;
    }
    return true;
}

const struct zone *zone_load(struct span name, struct arena *a, const char **ret_why)
{
    if (!is_zone_name(name))
        return NULL;
    struct span path = arena_printf(a, "/usr/share/zoneinfo/%.*s", SPAN_ARG(name));
    if (span_eq(name, SPAN("UTC")) || span_eq(name, SPAN("GMT")))
        return (const struct zone *)arena_zalloc(a, sizeof(struct zone));
    int fd = path.ptr ? open(path.ptr, O_RDONLY | O_CLOEXEC) : -1;
    unsigned char *p = (unsigned char *)arena_alloc(a, FILE_MAX_BYTES);
    ssize_t n = fd >= 0 && p ? read(fd, p, FILE_MAX_BYTES) : -1;
    if (fd >= 0)
        close(fd);
    const struct zone *z = n > 0 ? parse(p, (size_t)n, a) : NULL;
    if (!z)
        *ret_why = "this machine has no such time zone (Debian's package tzdata has them)";
    return z;
}

int32_t zone_offset_s(const struct zone *z, int64_t utc_s)
{
    unsigned lo = 0, hi = z->n;
    while (lo < hi) {
        unsigned mid = (lo + hi) / 2;
        if (z->v[mid].at <= utc_s)
            lo = mid + 1;
        else
            hi = mid;
    }
    return lo ? z->v[lo - 1].offset : z->first;
}
