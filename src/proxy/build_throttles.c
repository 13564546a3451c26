// SPDX-License-Identifier: Apache-2.0
// `limit` statements.
#include "base/hash.h"
#include "base/num.h"
#include "proxy/throttles.h"

// "50/s", "10/m", "1000/h": how far apart, and how many come at once where nothing else is said.
static bool parse_rate(struct span s, uint64_t *ret_interval_ns, uint32_t *ret_n)
{
    static const struct {
        struct span word;
        uint64_t seconds;
    } units[] = {{SPAN_INIT("s"), 1}, {SPAN_INIT("m"), 60}, {SPAN_INIT("h"), 3600}};
    struct span unit = s, number = span_cut(&unit, '/');
    uint64_t n;
    if (!unit.ptr || !num_parse_dec(number, THROTTLE_BURST_MAX, &n) || n == 0)
        return false;
    for (size_t i = 0; i < ARRAY_LEN(units); i++) {
        if (!span_eq(unit, units[i].word))
            continue;
        *ret_interval_ns = units[i].seconds * 1000000000 / n;
        *ret_n = (uint32_t)n;
        return true;
    }
    return false;
}

static void build_amount(struct builder *b, const struct conf_stmt *s, struct throttle *t)
{
    const struct conf_value *v = &s->args[1], *burst = conf_option(s, "burst");
    uint64_t n;
    if (t->kind == THROTTLE_RATE) {
        if (!parse_rate(v->text, &t->interval_ns, &t->most))
            conf_error(b->diags, b->conf, &v->pos, "`%.*s`: a rate is wanted here: 50/s, 10/m or 1000/h", SPAN_ARG(v->text));
        if (burst)
            t->most = (uint32_t)burst->num;
        return;
    }
    if (!num_parse_dec(v->text, 10000000, &n) || n == 0)
        conf_error(b->diags, b->conf, &v->pos, "`%.*s`: a whole number of at least 1 is wanted here, without a unit", SPAN_ARG(v->text));
    else
        t->most = (uint32_t)n;
    if (burst)
        conf_error(b->diags, b->conf, &burst->pos, "only a rate has a burst");
}

static void build_key(struct builder *b, const struct conf_stmt *s, struct throttle *t)
{
    unsigned n;
    const struct span *by = build_option_words(b, s, "by", &n);
    const struct conf_value *at = conf_option(s, "by");
    uint64_t bits;
    t->by = THROTTLE_BY_CLIENT;
    t->v6_bits = 64;
    if (!by || !n)
        return;
    if (span_eq(by[0], SPAN("client-ip")) && n == 1)
        return;
    if (span_eq(by[0], SPAN("client-ip")) && n == 2 && span_starts(by[1], SPAN("/")) && num_parse_dec(span_skip(by[1], 1), 128, &bits) && bits)
        t->v6_bits = (uint8_t)bits;
    else if (span_eq(by[0], SPAN("user")) && n == 1)
        t->by = THROTTLE_BY_USER;
    else if (span_eq(by[0], SPAN("host")) && n == 1)
        t->by = THROTTLE_BY_HOST;
    else if (span_eq(by[0], SPAN("header")) && n == 2)
        t->by = THROTTLE_BY_HEADER, t->header = by[1];
    else
        conf_error(b->diags, b->conf, &at->pos, "the form is `by client-ip [/BITS of an IPv6 address]`, `by user`, `by header NAME` or `by host`");
}

// Counting goes on over a reload where the same statement stands in the same place. nth tells two that are alike apart.
static uint64_t owner_of(struct builder *b, const struct conf_stmt *s, struct span scope, unsigned nth)
{
    struct span text = arena_printf(b->a, "%.*s\n%u", SPAN_ARG(scope), nth);
    for (unsigned i = 0; i < s->n_args && text.ptr; i++)
        text = arena_printf(b->a, "%.*s %.*s", SPAN_ARG(text), SPAN_ARG(s->args[i].text));
    if (!text.ptr)
        conf_error(b->diags, NULL, NULL, "out of memory");
    return text.ptr ? hash_keyed(text) : 0;
}

void build_throttle_key(struct builder *b, const struct conf_stmt *s, struct span scope, unsigned nth, struct throttle *t)
{
    t->owner = owner_of(b, s, scope, nth);
    t->where = conf_where(b->conf, s);
    build_key(b, s, t);
}

// `limit body` is build_guard.c's.
static bool is_of_content(const struct conf_stmt *s)
{
    return span_eq(s->args[0].text, SPAN("body"));
}

const struct throttles *build_throttles(struct builder *b, const struct conf_stmt *block, struct span scope)
{
    unsigned n = 0;
    for (const struct conf_stmt *s = conf_child(block, CONF_LIMIT); s; s = conf_next(s))
        n += !is_of_content(s);
    if (!n)
        return NULL;
    struct throttles *ts = (struct throttles *)build_alloc(b, sizeof *ts);
    struct throttle *v = (struct throttle *)build_alloc(b, n * sizeof *v);
    if (!ts || !v)
        return NULL;
    ts->v = v;
    for (const struct conf_stmt *s = conf_child(block, CONF_LIMIT); s; s = conf_next(s)) {
        if (is_of_content(s))
            continue;
        struct throttle *t = &v[ts->n++];
        struct span word = s->args[0].text;
        t->kind = span_eq(word, SPAN("rate")) ? THROTTLE_RATE : span_eq(word, SPAN("requests")) ? THROTTLE_REQUESTS : THROTTLE_CONNECTIONS;
        build_amount(b, s, t);
        build_throttle_key(b, s, scope, ts->n, t);
    }
    return ts;
}
