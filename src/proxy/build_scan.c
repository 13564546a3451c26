// SPDX-License-Identifier: Apache-2.0
// `scan` statements.
#include "balance/registry.h"
#include "proxy/scan.h"

enum { TIMEOUT_DEFAULT_MS = 60000, TRICKLE_DEFAULT_MS = 10000, CONNECTIONS_DEFAULT = 64 };

static void free_member(void *p)
{
    member_unref((struct member *)p);
}

static void free_server(void *p)
{
    server_shared_unref((struct server_shared *)p);
}

// Who counts connections to a service is the same over reloads. No pool has a space in its name.
static struct member *member_of(struct builder *b, struct span url)
{
    const struct addr anywhere = ADDR_NONE;
    struct server_shared *s = server_shared_get(SPAN("icap service"), url);
    struct member *m = s ? member_get(s, &anywhere) : NULL;
    if (!m)
        conf_error(b->diags, NULL, NULL, "out of memory");
    if (s && !condition_on_free(&b->cond, free_server, s))
        s = NULL;
    return m && condition_on_free(&b->cond, free_member, m) ? m : NULL;
}

// One of two words; the first where nothing is said.
static bool second_of(struct builder *b, const struct conf_value *v, const char *first, const char *second)
{
    bool is = v && span_eq(v->text, span_str(second));
    if (v && !is && !span_eq(v->text, span_str(first)))
        conf_error(b->diags, b->conf, &v->pos, "`%.*s`: %s or %s is wanted here", SPAN_ARG(v->text), first,
                   second);
    return is;
}

static uint64_t number_of(const struct conf_stmt *s, const char *option, uint64_t otherwise)
{
    const struct conf_value *v = conf_option(s, option);
    return v ? v->num : otherwise;
}

static const struct scan_rule *build_rule(struct builder *b, const struct conf_stmt *s)
{
    struct scan_rule *r = (struct scan_rule *)build_alloc(b, sizeof *r);
    const struct conf_value *fail = s->n_args > 1 && !s->args[1].option ? &s->args[1] : NULL;
    if (!r)
        return NULL;
    if (!icap_url_parse(s->args[0].text, b->a, &r->url))
        conf_error(b->diags, b->conf, &s->args[0].pos,
                   "`%.*s` is no ICAP service: icap://HOST:PORT/SERVICE is wanted here",
                   SPAN_ARG(s->args[0].text));
    else
        r->member = member_of(b, r->url.text);
    if (!fail)
        conf_error(b->diags, b->conf, &s->pos,
                   "`scan` wants to know what happens where the service fails: fail-open or fail-closed");
    r->fail_open = !second_of(b, fail, "fail-open", "fail-closed");
    r->refuses_larger = !second_of(b, conf_option(s, "larger"), "refuse", "pass");
    r->named = conf_option(s, "for") != NULL;
    r->max_bytes = number_of(s, "max", UINT64_MAX);
    r->timeout_ms = number_of(s, "timeout", TIMEOUT_DEFAULT_MS);
    r->trickle_ms = number_of(s, "trickle", TRICKLE_DEFAULT_MS);
    r->connections = (unsigned)number_of(s, "connections", CONNECTIONS_DEFAULT);
    r->where = conf_where(b->conf, s);
    if (!r->timeout_ms)
        conf_error(b->diags, b->conf, &conf_option(s, "timeout")->pos, "a time above zero is wanted here");
    return r;
}

static void put(struct builder *b, const struct conf_stmt *s, const struct scan_rule **to,
                const struct scan_rule *r)
{
    if (*to)
        conf_error(b->diags, b->conf, &s->pos,
                   "a second `scan` for the same: `for uploads` and `for responses` tell two apart");
    *to = r;
}

const struct scanning *build_scan(struct builder *b, const struct conf_stmt *block,
                                  const struct scanning *outer)
{
    const struct conf_stmt *s = conf_child(block, CONF_SCAN);
    if (!s)
        return outer;
    if (span_eq(s->args[0].text, SPAN("off")) && s->n_args == 1 && !conf_next(s))
        return NULL;
    struct scanning *all = (struct scanning *)build_alloc(b, sizeof *all);
    for (; s && all; s = conf_next(s)) {
        const struct scan_rule *r = build_rule(b, s);
        const struct conf_value *of = conf_option(s, "for");
        bool responses = second_of(b, of, "uploads", "responses");
        if (!of || !responses)
            put(b, s, &all->uploads, r);
        if (!of || responses)
            put(b, s, &all->responses, r);
    }
    return all;
}
