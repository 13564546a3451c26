// SPDX-License-Identifier: Apache-2.0
#include "proxy/quotas.h"

#include <stdio.h>
#include <time.h>

#include "base/hash.h"
#include "policy/throttle.h"
#include "policy/zone.h"
#include "proxy/ask.h"

enum {
    PIECE_BYTES = 64 * 1024, // by as much a transfer may go beyond
    SLOW_PIECES = 8,         // a second, once it goes slowly
    DAY_S = 86400,
    WHO_MAX_BYTES = 200,
};

// ---- Periods

struct date {
    int64_t year;
    unsigned month, day;
};

// The civil date of a day since 1970, by the proleptic Gregorian calendar: years are counted from March on,
// so that leap days come last.
static struct date date_of(int64_t days)
{
    int64_t z = days + 719468, era = (z >= 0 ? z : z - 146096) / 146097;
    unsigned doe = (unsigned)(z - era * 146097), yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100), mp = (5 * doy + 2) / 153;
    unsigned month = mp < 10 ? mp + 3 : mp - 9;
    return (struct date){(int64_t)yoe + era * 400 + (month <= 2), month, doy - (153 * mp + 2) / 5 + 1};
}

static int64_t local_day(const struct quota *q, int64_t s)
{
    int64_t local = s + (q->zone ? zone_offset_s(q->zone, s) : 0);
    return local >= 0 ? local / DAY_S : (local - DAY_S + 1) / DAY_S;
}

static bool is_same_period(const struct quota *q, struct date now, int64_t s)
{
    struct date d = date_of(local_day(q, s));
    return d.year == now.year && d.month == now.month && (q->monthly || d.day == now.day);
}

// Days have 23 to 25 hours where clocks are changed, and some zones have left one out: the end is looked for.
int64_t quota_period(const struct quota *q, int64_t now_s, char out[QUOTA_PERIOD_BYTES], struct span *ret)
{
    struct date d = date_of(local_day(q, now_s));
    unsigned year = (unsigned)MIN(MAX(d.year, (int64_t)0), (int64_t)9999);
    int n = q->monthly ? snprintf(out, QUOTA_PERIOD_BYTES, "%04u-%02u", year, d.month)
                       : snprintf(out, QUOTA_PERIOD_BYTES, "%04u-%02u-%02u", year, d.month, d.day);
    *ret = span_of(out, (size_t)n);
    int64_t in = now_s, beyond = now_s + (q->monthly ? 33 : 2) * (int64_t)DAY_S;
    while (beyond - in > 1) {
        int64_t middle = in + (beyond - in) / 2;
        if (is_same_period(q, d, middle))
            in = middle;
        else
            beyond = middle;
    }
    return beyond;
}

// ---- Whose

// Of IPv6 the first 64 bits, which one customer has. A name that is too long is cut, and told apart by a
// hash.
static struct span who_of(const struct exchange *x, const struct quota *q, char out[WHO_MAX_BYTES + 24])
{
    char ip[ADDR_IP_TEXT_MAX];
    if (q->by_user && x->user.len) {
        if (x->user.len <= WHO_MAX_BYTES)
            return span_of(out, (size_t)snprintf(out, WHO_MAX_BYTES + 24, "user %.*s", SPAN_ARG(x->user)));
        return span_of(out, (size_t)snprintf(out, WHO_MAX_BYTES + 24, "user %.*s#%016llx", WHO_MAX_BYTES - 10,
                                             x->user.ptr, (unsigned long long)hash_fast(x->user)));
    }
    struct addr a = addr_canonical(&x->client_addr);
    if (a.family == AF_INET6)
        memset(a.v6 + 8, 0, 8);
    size_t n = addr_format_ip(&a, ip);
    return span_of(out, (size_t)snprintf(out, WHO_MAX_BYTES + 24, "client %.*s", (int)n, ip));
}

struct loading {
    struct quota_key key;
    struct quota_entry *entry;
};

static void run_load(void *arg)
{
    struct loading *l = (struct loading *)arg;
    l->entry = quota_load(&l->key);
}

static enum err hold(struct exchange *x, struct quota_hold *h)
{
    char who[WHO_MAX_BYTES + 24], period[QUOTA_PERIOD_BYTES];
    struct loading l = {.key = {.scope = h->quota->scope, .who = who_of(x, h->quota, who)}};
    h->ends_s = l.key.ends_s =
        quota_period(h->quota, (int64_t)(loop_wall_ms() / 1000), period, &l.key.period);
    l.entry = quota_find(&l.key);
    enum err e = l.entry ? ERR_OK : quota_is_open() ? loop_offload(run_load, &l) : (run_load(&l), ERR_OK);
    h->entry = l.entry;
    return e;
}

// ---- Counting

// A new period has begun, or the clock was set: what moves from now on counts there.
static enum err follow_clock(struct exchange *x, struct quota_hold *h)
{
    int64_t now_s = (int64_t)(loop_wall_ms() / 1000);
    if (likely(now_s < h->ends_s && now_s >= h->ends_s - (h->quota->monthly ? 32 : 2) * (int64_t)DAY_S))
        return ERR_OK;
    quota_release(h->entry);
    h->entry = NULL;
    return hold(x, h);
}

static void count(struct quota_holds *all, uint64_t n)
{
    all->counted += n;
    for (unsigned i = 0; i < all->n; i++)
        if (all->v[i].entry)
            (void)quota_add(all->v[i].entry, n);
}

static bool is_used_up(const struct quota_hold *h)
{
    return h->entry && quota_used(h->entry) >= h->quota->limit_bytes;
}

// The strictest of what is used up; NULL: none is.
static const struct quota_hold *used_up(const struct quota_holds *all)
{
    const struct quota_hold *found = NULL;
    for (unsigned i = 0; i < all->n; i++)
        if (is_used_up(&all->v[i]) && (!found || all->v[i].quota->rate < found->quota->rate))
            found = &all->v[i];
    return found;
}

static enum err refuse(struct exchange *x, const struct quota_hold *h)
{
    const struct quota *q = h->quota;
    struct date d = date_of(local_day(q, h->ends_s));
    x->rule = q->where;
    x->message = arena_printf(
        x->arena, "The quota of %.*s a %s is used up. The next one begins on %04u-%02u-%02u, 00:00 (%.*s).",
        SPAN_ARG(q->size), q->monthly ? "month" : "day", (unsigned)d.year, d.month, d.day,
        SPAN_ARG(q->zone_name));
    return ERR_QUOTA_USED;
}

static void release(struct quota_holds *all)
{
    for (unsigned i = 0; i < all->n; i++)
        quota_release(all->v[i].entry);
    all->n = 0;
}

enum err quotas_admit(struct exchange *x)
{
    const struct quotas *qs = quotas_of(x);
    if (likely(!qs))
        return ERR_OK;
    struct quota_holds *all =
        (struct quota_holds *)arena_zalloc(x->arena, sizeof *all + qs->n * sizeof *all->v);
    enum err e = all ? ERR_OK : ERR_NO_MEMORY;
    for (unsigned i = 0; i < qs->n && !e; i++) {
        all->v[all->n].quota = &qs->v[i];
        e = hold(x, &all->v[all->n++]);
    }
    const struct quota_hold *h = e ? NULL : used_up(all);
    if (h && !h->quota->rate)
        e = refuse(x, h);
    if (e && all)
        release(all);
    else
        x->quotas = all;
    return e;
}

size_t quotas_piece(const struct exchange *x, size_t want)
{
    if (likely(!x->quotas))
        return want;
    const struct quota_hold *h = used_up(x->quotas);
    want = MIN(want, (size_t)PIECE_BYTES);
    return h && h->quota->rate ? (size_t)MIN((uint64_t)want, MAX(h->quota->rate / SLOW_PIECES, (uint64_t)1))
                               : want;
}

// All transfers of a user share the rate.
static enum err slow_down(const struct quota_hold *h, size_t n)
{
    struct throttle_table *table = throttle_table_shared();
    struct throttle_key k;
    uint64_t rate = h->quota->rate, wait_ns = 0;
    throttle_key_set(&k, hash_fast(h->quota->scope), 'q', h->entry->key.who);
    if (table)
        wait_ns = throttle_charge(table, &k, (uint64_t)n * 1000000000 / rate, loop_clock_us() * 1000);
    return wait_ns >= 1000000 ? fiber_sleep(wait_ns / 1000000) : ERR_OK;
}

enum err quotas_pay(struct exchange *x, size_t n)
{
    struct quota_holds *all = x->quotas;
    if (likely(!all) || !n)
        return ERR_OK;
    enum err e = ERR_OK;
    for (unsigned i = 0; i < all->n && !e; i++)
        e = follow_clock(x, &all->v[i]);
    count(all, n);
    const struct quota_hold *h = used_up(all);
    return e || likely(!h) || !h->quota->rate ? e : slow_down(h, n);
}

enum err quotas_check(struct exchange *x)
{
    const struct quota_hold *h = used_up(x->quotas);
    if (likely(!h) || h->quota->rate)
        return ERR_OK;
    x->rule = h->quota->where;
    return ERR_QUOTA_USED;
}

void quotas_settle(struct exchange *x)
{
    struct quota_holds *all = x->quotas;
    uint64_t moved = x->client->bytes_in + x->client->bytes_out;
    if (moved > all->counted && !x->inspect) // what a decrypted tunnel carries has counted inside
        count(all, moved - all->counted);
    release(all);
    x->quotas = NULL;
}

// ---- What is shown

void ask_say_quotas(struct ask *k)
{
    const struct generation *g = k->gen;
    unsigned said = 0;
    for (unsigned i = 0; i < g->n_proxies + g->n_sites; i++) {
        const struct quotas *qs =
            i < g->n_proxies ? g->proxies[i]->quotas : g->sites[i - g->n_proxies]->quotas;
        for (unsigned j = 0; qs && j < qs->n; j++, said++) {
            const struct quota *q = &qs->v[j];
            char text[QUOTA_PERIOD_BYTES];
            struct span period;
            unsigned users, over;
            (void)quota_period(q, (int64_t)time(NULL), text, &period);
            quota_summary(q->scope, period, q->limit_bytes, &users, &over);
            ask_say(k,
                    k->json ? "%s{\"quota\": \"%.*s\", \"size\": \"%.*s\", \"period\": \"%.*s\", \"users\": "
                              "%u, \"used_up\": %u}"
                            : "%squota %.*s: %.*s, in %.*s %u users, of whom %u have used it up\n",
                    k->json ? (said ? ", " : ", \"quotas\": [") : "", SPAN_ARG(q->where), SPAN_ARG(q->size),
                    SPAN_ARG(period), users, over);
        }
    }
    if (k->json && said)
        ask_say(k, "]");
}
