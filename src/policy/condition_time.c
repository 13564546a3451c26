// SPDX-License-Identifier: Apache-2.0
// `time [DAYS] [DATE...] [dates FILE] [HH:MM-HH:MM] [ZONE]`: several days, dates and ranges are alternatives; a range over midnight belongs
// to the day on which it begins; ZONE is an IANA name (daylight saving as its file says), default UTC.
#include "base/num.h"
#include "policy/condition.h"
#include "policy/dates.h"
#include "policy/zone.h"

enum { RANGES_MAX = 16, DAY_S = 86400 };

struct hours {
    uint8_t days; // bit 0: Sunday
    unsigned n_ranges;
    struct {
        uint32_t first, last; // seconds of the day; last < first: over midnight
    } ranges[RANGES_MAX];
    const struct zone *zone;
    struct dates *dates; // NULL: every day; otherwise these alone
};

static const char *const day_names[] = {"sun", "mon", "tue", "wed", "thu", "fri", "sat"};

static int day_of(struct span s)
{
    for (int i = 0; i < 7; i++)
        if (span_eq_ci(s, span_str(day_names[i])))
            return i;
    return -1;
}

static bool parse_days(struct span s, uint8_t *ret)
{
    while (s.ptr) {
        struct span last = span_cut(&s, ','), first = span_cut(&last, '-');
        int a = day_of(first), b = last.ptr ? day_of(last) : a;
        if (a < 0 || b < 0)
            return false;
        for (int d = a;; d = (d + 1) % 7) {
            *ret |= (uint8_t)(1 << d);
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
    if (h.len < 1 || h.len > 2 || m.len != 2 || !num_parse_dec(h, 24, &hour) ||
        !num_parse_dec(m, 59, &minute) || (hour == 24 && minute))
        return false;
    *ret = (uint32_t)(hour * 3600 + minute * 60);
    return true;
}

static bool parse_range(struct span s, uint32_t *ret_first, uint32_t *ret_last)
{
    struct span last = s, first = span_cut(&last, '-');
    return parse_clock(first, ret_first) && parse_clock(last, ret_last);
}

struct zone_entry {
    struct zone_entry *next;
    struct span name;
    const struct zone *zone;
};

static const struct zone *zone_of(struct condition_context *k, struct span name, const char **ret_why)
{
    for (const struct zone_entry *e = k->zones; e; e = e->next)
        if (span_eq(e->name, name))
            return e->zone;
    struct zone_entry *e = (struct zone_entry *)arena_alloc(k->arena, sizeof *e);
    *ret_why = "out of memory";
    if (!e)
        return NULL;
    *e = (struct zone_entry){k->zones, name, zone_load(name, conf_files(k->conf), k->arena, ret_why)};
    if (e->zone)
        k->zones = e;
    return e->zone;
}

// One word of the statement; NULL, or what is wrong with it.
static const char *take_word(struct condition_context *k, struct span word, struct hours *h)
{
    const char *why;
    uint32_t first, last;
    uint8_t days = 0;
    if (parse_days(word, &days)) {
        h->days |= days;
        return NULL;
    }
    if (dates_is_date(word))
        return dates_add(k, word, &h->dates);
    if (parse_range(word, &first, &last)) {
        if (first == DAY_S || first == last)
            return "these hours are empty; the whole day is 00:00-24:00";
        if (h->n_ranges == RANGES_MAX)
            return "there are too many hours in one condition";
        h->ranges[h->n_ranges].first = first;
        h->ranges[h->n_ranges++].last = last;
        return NULL;
    }
    if (!zone_is_name(word))
        return "this is neither days (mon-fri), nor a date (2026-12-24), nor hours (09:00-17:30), nor a time zone (Europe/Paris)";
    if (h->zone)
        return "one condition has one time zone";
    h->zone = zone_of(k, word, &why);
    return h->zone ? NULL : why;
}

static bool compile_time(struct condition_context *k, const struct conf_stmt *s, struct condition *c)
{
    struct hours *h = (struct hours *)condition_alloc(k, sizeof *h);
    c->data = h;
    for (unsigned i = 0; h && i < s->n_args; i++) {
        if (span_eq(s->args[i].text, SPAN("dates")) && i + 1 < s->n_args) {
            if (!dates_read(k, &s->args[++i], &h->dates))
                return false;
            continue;
        }
        const char *why = take_word(k, s->args[i].text, h);
        if (why) {
            conf_error(k->diags, k->conf, &s->args[i].pos, "`%.*s`: %s", SPAN_ARG(s->args[i].text), why);
            return false;
        }
    }
    if (h && !h->days)
        h->days = 0x7f;
    return h != NULL;
}

static bool has_day(const struct hours *h, int64_t day)
{
    if (h->dates && !dates_has(h->dates, day))
        return false;
    return h->days >> ((day % 7 + 11) % 7) & 1; // 1970-01-01 was a Thursday; day may be negative
}

static enum match match_time(const struct condition *c, const struct condition_input *in)
{
    const struct hours *h = (const struct hours *)c->data;
    int64_t local = in->wall_s + (h->zone ? zone_offset_s(h->zone, in->wall_s) : 0);
    int64_t day = local >= 0 ? local / DAY_S : (local - DAY_S + 1) / DAY_S;
    uint32_t s = (uint32_t)(local - day * DAY_S);
    bool yes = h->n_ranges == 0 && has_day(h, day);
    for (unsigned i = 0; i < h->n_ranges && !yes; i++) {
        uint32_t first = h->ranges[i].first, last = h->ranges[i].last;
        bool over = last < first;
        yes = (s >= first && (over || s < last) && has_day(h, day)) ||
              (over && s < last && has_day(h, day - 1)); // since yesterday
    }
    return yes ? MATCH_YES : MATCH_NO;
}
const struct condition_ops condition_time = {CONF_C_TIME, compile_time, match_time, 0};
