// SPDX-License-Identifier: Apache-2.0
// `test` blocks and `weir explain`: a question put to the real matcher, without a network.
#include <time.h>

#include "base/num.h"
#include "http/date.h"
#include "proxy/choice.h"
#include "http/media.h"
#include "proxy/decide.h"
#include "proxy/https.h"
#include "proxy/inspect.h"
#include "proxy/policing.h"
#include "proxy/scan.h"
#include "proxy/transform.h"
#include "proxy/upstream_request.h"

struct asked {
    const struct generation *g;
    struct arena *a;
    struct exchange x;
    struct request req;
    struct condition_input in;
    struct request_view *view;
    struct list_hit hit;
    struct response_facts answer;
    const char *why;
};

// "tue 10:00" (this week's, UTC), or an HTTP date.
static bool parse_at(struct span s, int64_t *ret)
{
    static const char days[] = "thufrisatsunmontuewed"; // 1970-01-01 was a Thursday
    struct span clock = s, day = span_cut(&clock, ' ');
    uint64_t h, m;
    if (http_date_parse(s, 0, ret))
        return true;
    struct span minute = clock, hour = span_cut(&minute, ':');
    if (day.len != 3 || !num_parse_dec(hour, 23, &h) || !num_parse_dec(minute, 59, &m))
        return false;
    for (int64_t d = 0; d < 7; d++) {
        if (span_eq_ci(day, span_of(days + d * 3, 3))) {
            *ret = (19723 + (7 - (19723 - d) % 7) % 7) * 86400 + (int64_t)(h * 3600 + m * 60); // a week of 2024
            return true;
        }
    }
    return false;
}

// What the question supposes of the answer.
static bool take_answer(struct asked *k, const struct conf_question *q)
{
    uint64_t status = 200;
    k->answer = (struct response_facts){.type = media_essence(q->content_type), .size = UINT64_MAX};
    k->why = "`status` wants a number and `size` a size: status 404 size 20MiB";
    if ((q->status.len && !num_parse_dec(q->status, 599, &status)) || (q->size.len && !conf_parse_number(CONF_T_SIZE, q->size, &k->answer.size, &k->why)))
        return false;
    k->answer.status = (unsigned)status;
    if (q->status.len || q->content_type.len || q->size.len)
        k->in.answer = &k->answer;
    return true;
}

static bool prepare(struct asked *k, const struct conf_question *q)
{
    struct uri u;
    struct exchange *x = &k->x;
    memset(x, 0, sizeof *x);
    memset(&k->req, 0, sizeof k->req);
    fields_init(&k->req.fields, k->a);
    k->why = "the URL is malformed";
    if (uri_parse_absolute(q->url, k->a, &u))
        return false;
    k->req.method_text = q->method;
    k->req.method = method_parse(q->method);
    k->req.scheme = u.scheme;
    k->req.authority = u.authority;
    k->req.path = u.path;
    k->req.query = u.query;
    k->req.version = HTTP_1_1;
    x->req = &k->req;
    x->arena = k->a;
    x->scheme = u.scheme;
    x->host = u.authority.text;
    x->client_addr = addr_v4(127, 0, 0, 1, 0);
    k->why = "`from` wants an address";
    if (q->from.len && !addr_parse_ip(q->from, &x->client_addr))
        return false;
    for (unsigned i = 0; i < q->n_headers; i++)
        if (fields_add_named(&k->req.fields, q->headers[i][0], q->headers[i][1]))
            return false;
    k->in = (struct condition_input){.req = &k->req, .path = u.path, .path_loose = u.path, .client = &x->client_addr, .user = q->user, .arena = k->a};
    k->in.view = &k->view;
    k->in.hit = &k->hit;
    if (!take_answer(k, q))
        return false;
    k->why = "`at` wants a day and a time: \"tue 10:00\"";
    if (q->at.len && !parse_at(q->at, &k->in.wall_s))
        return false;
    if (!q->at.len) {
        struct timespec t;
        clock_gettime(CLOCK_REALTIME, &t);
        k->in.wall_s = t.tv_sec;
    }
    k->why = "out of memory";
    return path_loose(u.path, k->a, &k->in.path_loose) == ERR_OK;
}

// How well a listener fits the URL: its port where that is written, then its scheme. A URL without a port names the site wherever it listens.
static unsigned fit(const struct listener *l, const struct request *r)
{
    bool port = r->authority.port && l->spec.addr.port == r->authority.port;
    return (port ? 2 : 0) + ((l->settings.secure != NULL) == span_eq(r->scheme, SPAN("https")));
}

static const struct site *find_site(const struct generation *g, const struct request *r, const struct listener **ret_listener)
{
    const struct site *best = NULL;
    for (unsigned i = 0; i < g->n_listeners; i++) {
        const struct listener *l = &g->listeners[i];
        const struct site *s = l->kind == LISTENER_SITES ? site_table_find(&l->sites, r->authority.host) : NULL;
        if (!s || (best && fit(l, r) <= fit(*ret_listener, r)))
            continue;
        best = s;
        *ret_listener = l;
    }
    return best;
}

struct outcome {
    struct span word;   // pool, redirect, respond, files, allow, deny, not-found
    struct span detail; // the pool's name, the status, what the rule is about
    struct span message;
    struct span url;    // of a redirect
    struct span where;
    struct span path; // as it would go upstream
};

// How the statement is called.
static struct span refusal_word(enum err e)
{
    return e == ERR_TARPITTED ? SPAN("tarpit") : e == ERR_CHALLENGED ? SPAN("challenge") : SPAN("deny");
}

static struct span choice_names(struct asked *k, const struct pool_choice *c)
{
    struct span out = SPAN("");
    for (unsigned i = 0; i < c->n; i++)
        out = arena_printf(k->a, "%.*s%s%.*s", SPAN_ARG(out), i ? " " : "", SPAN_ARG(c->pools[i]->name));
    return out;
}

static struct outcome site_outcome(struct asked *k)
{
    struct exchange *x = &k->x;
    x->site = find_site(k->g, &k->req, &x->listener);
    if (!x->site)
        return (struct outcome){.word = SPAN("not-found"), .detail = SPAN("no site has this name")};
    if (!x->listener->settings.secure && span_eq(k->req.scheme, SPAN("http")) && https_redirects(x->site, &x->listener->spec.addr))
        return (struct outcome){.word = SPAN("redirect"), .detail = arena_printf(k->a, "%u", HTTPS_STATUS), .url = https_url(x->site, &k->req, k->a), .where = x->site->where};
    x->route = site_route(x->site, &k->in, &x->rest);
    if (!x->route)
        return (struct outcome){.word = SPAN("not-found"), .detail = SPAN("no route takes it"), .where = x->site->where};
    struct verdict v = decide_site(x->site, x->route, &k->in);
    if (v.err)
        return (struct outcome){.word = refusal_word(v.err), .where = v.where};
    const struct route *r = x->route;
    struct outcome o = {.where = r->where, .path = k->req.path};
    switch (r->target) {
    case TARGET_POOL:
        o.word = !r->choice ? SPAN("pool") : r->choice->in_order ? SPAN("failover") : SPAN("split");
        o.detail = r->choice ? choice_names(k, r->choice) : r->pool->name;
        if (upstream_target(x, &o.path, &(struct span){0}))
            o.path = SPAN("?");
        break;
    case TARGET_REDIRECT:
        o.word = SPAN("redirect");
        o.detail = arena_printf(k->a, "%u", r->status);
        o.url = decide_redirect_url(x);
        break;
    case TARGET_RESPOND:
        o.word = SPAN("respond");
        o.detail = arena_printf(k->a, "%u", r->status);
        break;
    case TARGET_PASSTHROUGH:
        o.word = SPAN("tls-passthrough");
        o.detail = r->pool->name;
        break;
    case TARGET_FILES:
        o.word = SPAN("files");
        break;
    }
    return o;
}

static struct span policy_word(const struct policy_outcome *o)
{
    if (!o->refused)
        return SPAN("allow");
    static const struct span words[] = {[POLICY_REDIRECT] = SPAN_INIT("redirect"), [POLICY_RESPOND] = SPAN_INIT("respond"), [POLICY_TARPIT] = SPAN_INIT("tarpit"), [POLICY_CHALLENGE] = SPAN_INIT("challenge")};
    enum policy_action a = o->rule ? o->rule->action : POLICY_DENY;
    return a < ARRAY_LEN(words) && words[a].len ? words[a] : SPAN("deny");
}

static struct outcome proxy_outcome(struct asked *k)
{
    if (!k->g->n_proxies)
        return (struct outcome){.word = SPAN("not-found"), .detail = SPAN("there is no proxy")};
    const struct proxy *p = k->g->proxies[0];
    struct verdict v = decide_client(p, &k->in);
    if (v.err)
        return (struct outcome){.word = refusal_word(v.err), .where = v.where};
    struct policy_outcome o;
    policy_decide(&p->policy, &k->in, &o);
    if (!o.refused && k->req.method == METHOD_CONNECT && egress_check_connect_port(&p->egress, k->req.authority.port))
        return (struct outcome){.word = SPAN("deny"), .detail = SPAN("connect-ports"), .where = p->where};
    struct outcome out = {.word = policy_word(&o), .where = policy_where(&p->policy, &o)};
    if (o.rule) {
        out.detail = o.rule->label;
        out.message = o.rule->message;
    }
    return out;
}

// What stands behind `-> deny`: what the rule is about, as it is written, or its message; or the list that had it.
static bool names_rule(const struct asked *k, const struct conf_question *q, const struct outcome *o)
{
    struct span said = q->expect[1];
    for (unsigned i = 2; i < q->n_expect; i++)
        said = arena_printf(k->a, "%.*s %.*s", SPAN_ARG(said), SPAN_ARG(q->expect[i]));
    struct span list = k->hit.list.len ? arena_printf(k->a, "list %.*s", SPAN_ARG(k->hit.list)) : SPAN_NONE;
    return span_eq(said, o->detail) || (o->message.len && span_eq(said, o->message)) || (list.len && span_eq(said, list));
}

static bool as_expected(const struct asked *k, const struct conf_question *q, const struct outcome *o)
{
    if (q->n_expect == 0 || !span_eq(q->expect[0], o->word))
        return false;
    if (q->proxy)
        return q->n_expect == 1 || names_rule(k, q, o);
    unsigned i = 1;
    if (q->n_expect > i && o->detail.len && !span_eq(q->expect[i], SPAN("path"))) {
        if (!span_eq(q->expect[i], o->detail))
            return false;
        i++;
    }
    if (q->n_expect > i && o->url.len) {
        if (!span_eq(q->expect[i], o->url))
            return false;
        i++;
    }
    if (q->n_expect > i + 1 && span_eq(q->expect[i], SPAN("path")))
        return span_eq(q->expect[i + 1], o->path);
    return q->n_expect <= i || span_eq(o->word, SPAN("deny"));
}

bool generation_run_tests(const struct generation *g, struct conf_diags *diags)
{
    bool ok = true;
    for (const struct conf_stmt *t = conf_child(conf_root(g->conf), CONF_TEST); t; t = conf_next(t)) {
        for (const struct conf_stmt *s = t->first_child; s; s = s->next) {
            struct arena a;
            arena_init(&a, 0);
            struct conf_question q;
            struct asked k = {.g = g, .a = &a};
            const char *why;
            if (!conf_question_parse(s, &q, &why) || !prepare(&k, &q)) {
                conf_error(diags, g->conf, &s->pos, "the test cannot be read: %s", k.why ? k.why : why);
                ok = false;
            } else {
                struct outcome o = q.proxy ? proxy_outcome(&k) : site_outcome(&k);
                if (!as_expected(&k, &q, &o)) {
                    conf_error(diags, g->conf, &t->pos, "the test `%.*s` fails: the decision is `%.*s%s%.*s`, by %.*s", SPAN_ARG(t->args[0].text),
                               SPAN_ARG(o.word), o.detail.len ? " " : "", SPAN_ARG(o.detail), SPAN_ARG(o.where));
                    ok = false;
                }
            }
            arena_fini(&a);
        }
    }
    return ok;
}

// What becomes of the tunnel that an https URL is asked for in; nothing is said where none is ever decrypted.
static struct span tunnel_line(struct asked *k)
{
    const struct inspect_rules *r = k->g->n_proxies ? &k->g->proxies[0]->inspects : NULL;
    if (!r || !r->n || !(span_eq(k->req.scheme, SPAN("https")) || k->req.method == METHOD_CONNECT))
        return SPAN("");
    struct condition_input in = k->in;
    struct request req = k->req;
    struct request_view *view = NULL;
    req.method = METHOD_CONNECT;
    req.method_text = SPAN("CONNECT");
    in.req = &req;
    in.path = in.path_loose = SPAN("");
    in.view = &view;
    in.hit = NULL;
    struct inspect_verdict v = inspect_decide(r, &in);
    return arena_printf(k->a, "tunnel     %.*s\n", SPAN_ARG(inspect_words(&v, k->a)));
}

// What happens to content, where any is shown to a service.
static struct span scan_lines(struct asked *k, struct span out, const struct scanning *all)
{
    const struct scan_rule *rules[] = {all ? all->uploads : NULL, all ? all->responses : NULL};
    static const char *const what[] = {"content of the request", "content of the answer"};
    for (unsigned i = 0; i < ARRAY_LEN(rules); i++)
        if (rules[i])
            out = arena_join(k->a, out, arena_printf(k->a, "scan       %s by %.*s, %s, by %.*s\n", what[i], SPAN_ARG(rules[i]->url.text), rules[i]->fail_open ? "fail-open" : "fail-closed", SPAN_ARG(rules[i]->where)));
    return out;
}

bool generation_explain(const struct generation *g, struct span question, struct arena *a, struct span *ret_text)
{
    struct conf_question q;
    struct asked k = {.g = g, .a = a};
    const char *why;
    if (!conf_question_parse_text(question, a, &q, &why) || !prepare(&k, &q)) {
        *ret_text = span_str(k.why ? k.why : why);
        return false;
    }
    struct outcome o = q.proxy ? proxy_outcome(&k) : site_outcome(&k);
    bool refused = span_eq(o.word, SPAN("deny")) || span_eq(o.word, SPAN("tarpit")) || span_eq(o.word, SPAN("challenge")) || span_eq(o.word, SPAN("not-found"));
    struct span out = arena_printf(a, "admit      %.*s %.*s%.*s\nroute      %.*s %.*s\n", SPAN_ARG(q.method), SPAN_ARG(k.req.authority.host), SPAN_ARG(k.req.path), SPAN_ARG(o.word), SPAN_ARG(o.detail));
    const struct auth *auth = q.proxy ? (g->n_proxies ? g->proxies[0]->auth : NULL) : k.x.route ? k.x.route->auth : NULL;
    if (auth)
        out = arena_join(a, out, arena_printf(a, "authenticate %s%.*s by %.*s\n", q.user.len ? "as " : "whoever it is", SPAN_ARG(q.user), SPAN_ARG(auth->v[0].where)));
    if (k.hit.list.len)
        out = arena_join(a, out, arena_printf(a, "list       %.*s, by %.*s\n", SPAN_ARG(k.hit.list), SPAN_ARG(k.hit.source)));
    if (q.proxy && !refused)
        out = arena_join(a, out, tunnel_line(&k));
    if (!refused)
        out = scan_lines(&k, out, q.proxy ? (g->n_proxies ? g->proxies[0]->scanning : NULL) : k.x.route ? k.x.route->scanning : NULL);
    struct span filters = transform_describe(k.x.route, q.proxy && g->n_proxies ? g->proxies[0] : NULL, a);
    if (filters.len && !refused)
        out = arena_join(a, out, arena_printf(a, "filters    %.*s\n", SPAN_ARG(filters)));
    *ret_text = arena_join(a, out, arena_printf(a, "authorize  %s\ndecided by %.*s\n", refused ? "deny" : "allow", SPAN_ARG(o.where.len ? o.where : SPAN("nothing"))));
    return true;
}
