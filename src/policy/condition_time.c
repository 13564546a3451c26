// SPDX-License-Identifier: Apache-2.0
// `time [DAYS] [HH:MM-HH:MM] [ZONE]`: several days and ranges are alternatives; a range over midnight belongs to the day on which
// it begins; ZONE is an IANA name (daylight saving as its file says), default UTC.
#include "base/num.h"
#include "policy/condition.h"
#include "policy/zone.h"

enum { RANGES_MAX = 16, DAY_S = 86400 };

struct hours {
    uint8_t days; // bit 0: Sunday
    unsigned n_ranges;
    struct {
        uint32_t first, last; // seconds of the day; last <= first: over midnight
    } ranges[RANGES_MAX];
    const struct zone *zone;
};

static const char *const day_names[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};

static int day_of(struct span s)
{
    for (int i = 0; i < 7; i++)
        if (span_eq_ci(s, span_str(day_names[i])))
            return i;
    return -1;
}

static bool parse_days(struct span s, struct hours *h)
{
    while (s.ptr) {
        struct span last = span_cut(&s, ','), first = span_cut(&last, '-');
        int a = day_of(first), b = last.ptr ? day_of(last) : a;
        if (a < 0 || b < 0)
            return false;
        for (int d = a;; d = (d + 1) % 7) {
            h->days |= (uint8_t)(1 << d);
            if (d == b)
                break;
        }
    }
    return true;
}

static bool parse_clock(struct span s, uint32_t *ret)
{
    struct span m = s, h = span_cut(&m, ':');
    uint64_t hour, minute;
    if (h.len < 1 || h.len > 2 || m.len != 2 || !num_parse_dec(h, 24, &hour) || !num_parse_dec(m, 59, &minute) || (hour == 24 && minute))
        return false;
    *ret = (uint32_t)(hour * 3600 + minute * 60);
    return true;
}

static bool parse_range(struct span s, struct hours *h)
{
    struct span last = s, first = span_cut(&last, '-');
    if (h->n_ranges == RANGES_MAX || !parse_clock(first, &h->ranges[h->n_ranges].first) || !parse_clock(last, &h->ranges[h->n_ranges].last))
        return false;
    h->n_ranges++;
    return true;
}

static bool compile_time(struct condition_context *k, const struct conf_stmt *s, struct condition *c)
{
    struct hours *h = (struct hours *)arena_zalloc(k->arena, sizeof *h);
    c->data = h;
    for (unsigned i = 0; h && i < s->n_args; i++) {
        struct span word = s->args[i].text;
        const char *why = "it is neither days (mon-fri), nor hours (09:00-17:30), nor a time zone (Europe/Paris)";
        if (parse_days(word, h) || parse_range(word, h) || (h->zone = zone_load(word, k->arena, &why)))
            continue;
        conf_error(k->diags, k->conf, &s->args[i].pos, "`%.*s`: %s", SPAN_ARG(word), why);
        return false;
    }
    if (h && !h->days)
        h->days = 0x7f;
    return h != NULL;
}

static bool has_day(const struct hours *h, int64_t day)
{
    return h->days >> ((day % 7 + 11) % 7) & 1; // 1970-01-01 was a Thursday
}

static bool match_time(const struct condition *c, const struct condition_input *in)
{
    const struct hours *h = (const struct hours *)c->data;
    int64_t local = in->wall_s + (h->zone ? zone_offset_s(h->zone, in->wall_s) : 0);
    int64_t day = local >= 0 ? local / DAY_S : (local - DAY_S + 1) / DAY_S;
    uint32_t s = (uint32_t)(local - day * DAY_S);
    if (h->n_ranges == 0)
        return has_day(h, day);
    for (unsigned i = 0; i < h->n_ranges; i++) {
        uint32_t a = h->ranges[i].first, b = h->ranges[i].last;
        bool over = b <= a;
        if (s >= a && (over || s < b) && has_day(h, day))
            return true;
        if (over && s < b && has_day(h, day - 1))
            return true;
    }
    return false;
}
const struct condition_ops condition_time = {CONF_C_TIME, compile_time, match_time};
