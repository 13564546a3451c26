// SPDX-License-Identifier: Apache-2.0
// What only the whole tree shows: duplicates, names without a definition, names that nobody uses, and lints; and the reading
// of the tree by other rooms.
#include "conf/internal.h"

// ---- Reading

const struct conf_stmt *conf_root(const struct conf *c)
{
    return &c->root;
}

const struct conf_stmt *conf_child(const struct conf_stmt *s, enum conf_id id)
{
    for (const struct conf_stmt *x = s ? s->first_child : NULL; x; x = x->next)
        if (x->row && x->row->id == id)
            return x;
    return NULL;
}

const struct conf_stmt *conf_next(const struct conf_stmt *prev)
{
    for (const struct conf_stmt *x = prev->next; x; x = x->next)
        if (x->row == prev->row)
            return x;
    return NULL;
}

const struct conf_value *conf_option(const struct conf_stmt *s, const char *word)
{
    struct span w = span_str(word);
    const struct conf_value *found = NULL;
    for (unsigned i = 0; i < s->n_args; i++) {
        if (!s->args[i].option || !span_eq(span_str(s->args[i].option), w))
            continue;
        if (found && !span_eq(found->text, w))
            break;
        if (found)
            return &s->args[i]; // the value behind the word
        found = &s->args[i];
    }
    return found;
}

unsigned conf_plain_args(const struct conf_stmt *s)
{
    unsigned n = 0;
    while (n < s->n_args && !s->args[n].option)
        n++;
    return n;
}

static const struct conf_row *row_of(enum conf_id id)
{
    unsigned n;
    return conf_rows(&n) + (id - 1);
}

static uint64_t default_number(enum conf_id id)
{
    const struct conf_row *row = row_of(id);
    struct span type = span_str(row->args);
    uint64_t v = 0;
    const char *why;
    enum conf_type t = span_starts(type, SPAN("dur")) ? CONF_T_DURATION : span_starts(type, SPAN("size")) ? CONF_T_SIZE : span_starts(type, SPAN("rate")) ? CONF_T_RATE : CONF_T_INT;
    if (!conf_parse_number(t, span_str(row->def), &v, &why))
        return 0;
    return v;
}

uint64_t conf_number_or(const struct conf_stmt *block, enum conf_id id, uint64_t outer)
{
    const struct conf_stmt *s = conf_child(block, id);
    return s && s->n_args ? s->args[0].num : outer;
}

uint64_t conf_number(const struct conf_stmt *block, enum conf_id id)
{
    return conf_number_or(block, id, default_number(id));
}

struct span conf_word(const struct conf_stmt *block, enum conf_id id)
{
    const struct conf_stmt *s = conf_child(block, id);
    return s && s->n_args ? s->args[0].text : span_str(row_of(id)->def);
}

const struct conf_stmt *conf_definition(const struct conf *c, enum conf_id id, struct span name)
{
    for (const struct conf_stmt *s = conf_child(&c->root, id); s; s = conf_next(s))
        if (s->n_args && span_eq(s->args[0].text, name))
            return s;
    return NULL;
}

struct span conf_where(const struct conf *c, const struct conf_stmt *s)
{
    // The text lives as long as the configuration, whose arena is the only place for it; loading has ended, so this is one thread's.
    return arena_printf(&((struct conf *)(uintptr_t)c)->arena, "%s:%u", c->texts[s->pos.file].name, s->pos.line);
}

const char *conf_folder(const struct conf *c)
{
    return c->folder;
}

struct conf_source *conf_files(const struct conf *c)
{
    return c->source;
}

void conf_own_files(struct conf *c)
{
    c->owns_source = true;
}

// ---- Checking

struct checking {
    struct conf *c;
    struct conf_diags *d;
};

static void check_once(struct checking *k, const struct conf_stmt *parent)
{
    for (const struct conf_stmt *s = parent->first_child; s; s = s->next) {
        if (!s->row || !(s->row->flags & (CONF_ONCE | CONF_DEFINES)))
            continue;
        for (const struct conf_stmt *x = parent->first_child; x != s; x = x->next) {
            if (x->row != s->row)
                continue;
            if (s->row->flags & CONF_ONCE) {
                conf_error(k->d, k->c, &s->pos, "`%s` stands here a second time; the first is in line %u", s->row->word, x->pos.line);
                break;
            }
            if ((s->row->flags & CONF_DEFINES) && s->n_args && x->n_args && span_eq(s->args[0].text, x->args[0].text)) {
                conf_error(k->d, k->c, &s->args[0].pos, "there is a %s `%.*s` already, in line %u", s->row->word,
                           SPAN_ARG(s->args[0].text), x->pos.line);
                break;
            }
        }
    }
}

static unsigned defined_names(const struct conf *c, enum conf_id id, const char **out, unsigned max)
{
    unsigned n = 0;
    for (const struct conf_stmt *s = conf_child(&c->root, id); s && n < max; s = conf_next(s))
        if (s->n_args)
            out[n++] = arena_cstr(&((struct conf *)(uintptr_t)c)->arena, s->args[0].text);
    return n;
}

static void check_reference(struct checking *k, enum conf_id id, const struct conf_value *v)
{
    if (conf_definition(k->c, id, v->text))
        return;
    const char *names[64];
    unsigned n = defined_names(k->c, id, names, 64);
    diag_suggest(k->d, k->c, &v->pos, v->text, names, n, "there is no %s `%.*s`", row_of(id)->word, SPAN_ARG(v->text));
}

// What conditions name.
static const struct {
    enum conf_id condition, definition;
} named_by[] = {{CONF_C_LIST, CONF_LIST}, {CONF_C_GROUP, CONF_GROUP}};

// `bypass list NAME...` of `intercept-tls`; the word `list` is no name.
static bool is_bypass(const struct conf_stmt *s, unsigned a)
{
    const struct conf_value *v = &s->args[a];
    return s->row->id == CONF_INTERCEPT && v->option && span_eq(span_str(v->option), SPAN("bypass")) && !span_eq(v->text, SPAN("bypass")) && !span_eq(v->text, SPAN("list"));
}

static void check_conditions(struct checking *k, const struct conf_stmt *s)
{
    for (const struct conf_stmt *c = s->when ? s->when->first_child : NULL; c; c = c->next)
        for (size_t i = 0; i < ARRAY_LEN(named_by); i++)
            for (unsigned a = 0; c->row->id == named_by[i].condition && a < c->n_args; a++)
                check_reference(k, named_by[i].definition, &c->args[a]);
    for (unsigned a = 0; s->row && a < s->n_args; a++)
        if (is_bypass(s, a))
            check_reference(k, CONF_LIST, &s->args[a]);
}

static const struct conf_stmt *walk_next(const struct conf_stmt *s, const struct conf_stmt *top)
{
    if (s->first_child)
        return s->first_child;
    while (s && s != top && !s->next) // every statement knows its parent
        s = s->parent;
    return s && s != top ? s->next : NULL;
}

static bool condition_names(const struct conf_stmt *s, enum conf_id condition, struct span name)
{
    for (unsigned a = 0; condition == CONF_C_LIST && s->row && a < s->n_args; a++)
        if (is_bypass(s, a) && span_eq(s->args[a].text, name))
            return true;
    for (const struct conf_stmt *c = s->when ? s->when->first_child : NULL; c; c = c->next)
        for (unsigned a = 0; c->row->id == condition && a < c->n_args; a++)
            if (span_eq(c->args[a].text, name))
                return true;
    return false;
}

static void lint_unused(struct checking *k, const struct conf_stmt *def)
{
    const struct conf_stmt *top = &k->c->root;
    for (size_t i = 0; i < ARRAY_LEN(named_by); i++) {
        if (named_by[i].definition != def->row->id || !def->n_args)
            continue;
        const struct conf_stmt *s = top;
        while (s && !condition_names(s, named_by[i].condition, def->args[0].text))
            s = walk_next(s, top);
        if (!s)
            conf_warning(k->d, k->c, &def->args[0].pos, "nothing uses the %s `%.*s`", def->row->word, SPAN_ARG(def->args[0].text));
    }
}

static void check_status(struct checking *k, const struct conf_value *v, uint64_t min, uint64_t max)
{
    struct conf_value *w = (struct conf_value *)(uintptr_t)v;
    const char *why;
    if (!conf_parse_number(CONF_T_INT, v->text, &w->num, &why) || w->num < min || w->num > max)
        conf_error(k->d, k->c, &v->pos, "`%.*s` is no status for this: %u to %u is possible", SPAN_ARG(v->text), (unsigned)min, (unsigned)max);
}

// Connections are passed on whole, so nothing can be told of their requests.
static void check_passthrough(struct checking *k, const struct conf_stmt *route)
{
    const struct conf_stmt *t = route->target, *site = route->parent;
    check_reference(k, CONF_POOL, &t->args[t->n_args - 1]);
    if (t->n_args == 3 && !span_eq(t->args[1].text, SPAN("pool")))
        conf_error(k->d, k->c, &t->args[1].pos, "the form is `-> tls-passthrough pool NAME`");
    if (conf_child(site, CONF_ROUTE) != route || conf_next(route) || route->when || !span_eq(route->args[0].text, SPAN("*")))
        conf_error(k->d, k->c, &route->pos, "`tls-passthrough` is a site's only route, for `*`: nobody here can see what a connection asks for");
    if (conf_child(site, CONF_TLS))
        conf_error(k->d, k->c, &conf_child(site, CONF_TLS)->pos, "a site with `tls-passthrough` has no certificate: its servers have");
}

// The pools of `split` and `failover`; the shares of a split are the whole, where none is left open.
static void check_choice(struct checking *k, const struct conf_stmt *t)
{
    bool split = span_eq(t->args[0].text, SPAN("split"));
    uint64_t sum = 0;
    unsigned n = 0, open = 0;
    for (const struct conf_stmt *p = conf_child(t, CONF_CHOICE_POOL); p; p = conf_next(p)) {
        if (!p->n_args)
            continue;
        n++;
        check_reference(k, CONF_POOL, &p->args[0]);
        open += p->n_args < 2;
        sum += p->n_args < 2 ? 0 : p->args[1].num;
        if (!split && p->n_args > 1)
            conf_error(k->d, k->c, &p->args[1].pos, "the pools of `failover` are taken in order, they have no shares");
    }
    const struct conf_stmt *respond = conf_child(t, CONF_CHOICE_RESPOND);
    if (split && respond)
        conf_error(k->d, k->c, &respond->pos, "`respond` stands in `failover` only");
    if (n == 0)
        conf_error(k->d, k->c, &t->pos, "`%.*s` wants a block with its pools, for instance { pool a; pool b }", SPAN_ARG(t->args[0].text));
    else if (split && (open > 1 || (open == 0 && sum != 10000) || sum > 10000))
        conf_error(k->d, k->c, &t->pos, "the shares of `split` are 100%% together; one pool may be without, and has the rest");
}

// `split by client-ip|path`, `split by cookie|header|query NAME`.
static void check_split_words(struct checking *k, const struct conf_stmt *t)
{
    static const char *const named[] = {"cookie", "header", "query"}, *const bare[] = {"client-ip", "path"};
    bool ok = t->n_args == 1;
    for (size_t i = 0; i < ARRAY_LEN(named); i++)
        ok |= t->n_args == 4 && span_eq(t->args[2].text, span_str(named[i]));
    for (size_t i = 0; i < ARRAY_LEN(bare); i++)
        ok |= t->n_args == 3 && span_eq(t->args[2].text, span_str(bare[i]));
    if (!ok || (t->n_args > 1 && !span_eq(t->args[1].text, SPAN("by"))))
        conf_error(k->d, k->c, &t->args[0].pos, "the form is `-> split [by client-ip|path | by cookie|header|query NAME] { pool NAME SHARE%% ... }`");
}

// `respond STATUS [TEXT] [retry-after DURATION]`; the last two become an option, as rows of the table have
// them.
static void check_respond(struct checking *k, const struct conf_stmt *t)
{
    const char *why;
    check_status(k, &t->args[1], 200, 599);
    struct conf_value *word = t->n_args > 3 ? &t->args[t->n_args - 2] : NULL;
    if (word && !word->quoted && span_eq(word->text, SPAN("retry-after"))) {
        word[0].option = word[1].option = "retry-after";
        if (!conf_parse_number(CONF_T_DURATION, word[1].text, &word[1].num, &why))
            conf_error(k->d, k->c, &word[1].pos, "`%.*s`: %s", SPAN_ARG(word[1].text), why);
    }
    if (conf_plain_args(t) > 3)
        conf_error(k->d, k->c, &t->args[3].pos,
                   "the form is `-> respond STATUS [TEXT] [retry-after DURATION]`");
}

static void check_target(struct checking *k, const struct conf_stmt *s)
{
    const struct conf_stmt *t = s->target;
    static const struct {
        const char *word;
        unsigned min, max; // words behind it
        const char *form;
    } targets[] = {{"pool", 1, 1, "pool NAME"},
                   {"redirect", 2, 2, "redirect STATUS URL"},
                   {"respond", 1, 4, "respond STATUS [TEXT] [retry-after DURATION]"},
                   {"files", 1, 1, "files DIR"},
                   {"tls-passthrough", 1, 2, "tls-passthrough pool NAME"},
                   {"split", 0, 3, "split [by ...] { pool NAME SHARE% ... }"},
                   {"failover", 0, 0, "failover { pool NAME ... }"}};
    const char *words[ARRAY_LEN(targets)];
    if (!t || !t->n_args)
        return;
    for (unsigned i = 0; i < ARRAY_LEN(targets); i++) {
        words[i] = targets[i].word;
        if (!span_eq(t->args[0].text, span_str(words[i])))
            continue;
        if (t->n_args - 1 < targets[i].min || t->n_args - 1 > targets[i].max)
            conf_error(k->d, k->c, &t->args[0].pos, "the form is `-> %s`", targets[i].form);
        else if (i == 0)
            check_reference(k, CONF_POOL, &t->args[1]);
        else if (i == 1)
            check_status(k, &t->args[1], 300, 399);
        else if (i == 2)
            check_respond(k, t);
        else if (i == 4)
            check_passthrough(k, s);
        else if (i >= 5)
            check_choice(k, t);
        if (i == 5)
            check_split_words(k, t);
        return;
    }
    diag_suggest(k->d, k->c, &t->args[0].pos, t->args[0].text, words, ARRAY_LEN(targets), "`%.*s` is no target of a route",
                 SPAN_ARG(t->args[0].text));
}

static bool target_uses(const struct conf_stmt *t, struct span name)
{
    for (const struct conf_stmt *p = conf_child(t, CONF_CHOICE_POOL); p; p = conf_next(p))
        if (p->n_args && span_eq(p->args[0].text, name))
            return true;
    return t && t->n_args > 1 && (span_eq(t->args[0].text, SPAN("pool")) || span_eq(t->args[0].text, SPAN("tls-passthrough"))) &&
           span_eq(t->args[t->n_args - 1].text, name);
}

static bool mirror_uses(const struct conf_stmt *m, struct span name)
{
    return m && m->n_args > 1 && span_eq(m->args[1].text, name);
}

static bool pool_is_used(const struct conf *c, struct span name)
{
    for (const struct conf_stmt *site = conf_child(&c->root, CONF_SITE); site; site = conf_next(site))
        for (const struct conf_stmt *r = conf_child(site, CONF_ROUTE); r; r = conf_next(r))
            if (target_uses(r->target, name) || mirror_uses(conf_child(r, CONF_MIRROR), name))
                return true;
    return false;
}

static bool is_loopback_listen(struct span s);

// Whether a listener at `listen` answers what is sent to `server`, as far as both are written as addresses.
static bool listens_for(struct span listen, struct span server)
{
    if (listen.len == 0 || listen.ptr[0] != ':')
        return span_eq(listen, server);
    return server.len > listen.len && is_loopback_listen(server) && span_ends(server, listen);
}

// Whether this server of the pool is the site itself that sends its requests there.
static bool is_a_circle(const struct conf *c, struct span pool, struct span server)
{
    for (const struct conf_stmt *site = conf_child(&c->root, CONF_SITE); site; site = conf_next(site))
        for (const struct conf_stmt *r = conf_child(site, CONF_ROUTE); r; r = conf_next(r))
            for (const struct conf_stmt *l = target_uses(r->target, pool) ? conf_child(site, CONF_LISTEN) : NULL; l; l = conf_next(l))
                if (l->n_args && listens_for(l->args[0].text, server))
                    return true;
    return false;
}

// Pools of which no server can ever do its work.
static void lint_servers(struct checking *k, const struct conf_stmt *pool)
{
    unsigned n = 0, backups = 0, circles = 0;
    for (const struct conf_stmt *s = conf_child(pool, CONF_SERVER); s; s = conf_next(s)) {
        n++;
        backups += conf_option(s, "backup") != NULL;
        circles += s->n_args && is_a_circle(k->c, pool->args[0].text, s->args[0].text);
    }
    if (n && backups == n)
        conf_warning(k->d, k->c, &pool->args[0].pos, "every server of the pool `%.*s` is a backup, so none of them is", SPAN_ARG(pool->args[0].text));
    if (n && circles == n)
        conf_warning(k->d, k->c, &pool->args[0].pos, "no server of the pool `%.*s` can answer: a site that uses it listens there itself", SPAN_ARG(pool->args[0].text));
}

static void lint_pool(struct checking *k, const struct conf_stmt *pool)
{
    if (!pool->n_args)
        return;
    if (!pool_is_used(k->c, pool->args[0].text))
        conf_warning(k->d, k->c, &pool->args[0].pos, "nothing uses the pool `%.*s`", SPAN_ARG(pool->args[0].text));
    if (!conf_child(pool, CONF_SERVER))
        conf_error(k->d, k->c, &pool->pos, "the pool `%.*s` has no server", SPAN_ARG(pool->args[0].text));
    lint_servers(k, pool);
}

// A glob that takes all that `later` takes: `*`, or a prefix of it.
static bool covers(struct span earlier, struct span later)
{
    if (earlier.len == 0 || earlier.ptr[0] == '~' || (later.len && later.ptr[0] == '~'))
        return span_eq(earlier, SPAN("*"));
    size_t star = span_find(earlier, '*');
    if (star == earlier.len)
        return span_eq(earlier, later);
    return star == earlier.len - 1 && span_starts(later, span_first(earlier, star));
}

static void lint_routes(struct checking *k, const struct conf_stmt *site)
{
    const struct conf_stmt *routes = conf_child(site, CONF_ROUTE);
    if (!routes)
        conf_error(k->d, k->c, &site->pos, "the site has no route: every request would get 404; write for instance `route * -> pool NAME`");
    for (const struct conf_stmt *r = routes; r; r = conf_next(r)) {
        check_target(k, r);
        const struct conf_stmt *mirror = conf_child(r, CONF_MIRROR);
        if (mirror && mirror->n_args > 1)
            check_reference(k, CONF_POOL, &mirror->args[1]);
        if (!r->n_args)
            continue;
        struct span p = r->args[0].text;
        if (p.len && p.ptr[0] != '/' && p.ptr[0] != '*' && p.ptr[0] != '~')
            conf_error(k->d, k->c, &r->args[0].pos, "a path begins with `/` (or the pattern is `*`, or `~` and a regular expression)");
        if (p.len > 2 && p.ptr[0] == '/' && p.ptr[p.len - 1] == '*' && p.ptr[p.len - 2] != '/' && span_find(p, '*') == p.len - 1)
            conf_warning(k->d, k->c, &r->args[0].pos, "the prefix stops in the middle of a path segment: `%.*s` also takes `%.*sx`; `%.*s/*` was perhaps meant",
                         SPAN_ARG(p), SPAN_ARG(span_first(p, p.len - 1)), SPAN_ARG(span_first(p, p.len - 1)));
        for (const struct conf_stmt *e = routes; e != r; e = conf_next(e)) {
            if (e->n_args && !e->when && covers(e->args[0].text, p)) {
                conf_warning(k->d, k->c, &r->args[0].pos, "the route in line %u takes all that this one would", e->pos.line);
                break;
            }
        }
    }
}

static bool is_loopback_listen(struct span s)
{
    return span_starts(s, SPAN("127.")) || span_starts(s, SPAN("[::1]:")) || span_starts(s, SPAN("unix:")) || span_starts(s, SPAN("localhost:"));
}

// A proxy that the whole world may use is found within hours.
static void lint_open_proxy(struct checking *k, const struct conf_stmt *proxy)
{
    const struct conf_stmt *policy = conf_child(proxy, CONF_POLICY);
    bool guarded = conf_child(proxy, CONF_ALLOW) != NULL || conf_child(proxy, CONF_AUTH) != NULL;
    for (const struct conf_stmt *r = conf_child(policy, CONF_ALLOW); r; r = conf_next(r))
        guarded |= conf_child(r->when, CONF_C_CLIENT) != NULL && span_eq(conf_word(policy, CONF_DEFAULT), SPAN("deny"));
    for (const struct conf_stmt *r = conf_child(policy, CONF_DENY); r; r = conf_next(r))
        guarded |= conf_child(r->when, CONF_C_CLIENT) && conf_child(r->when, CONF_C_CLIENT)->negated;
    for (unsigned i = 0; i < proxy->n_args && !guarded; i++)
        if (!is_loopback_listen(proxy->args[i].text))
            conf_error(k->d, k->c, &proxy->args[i].pos, "this would be an open proxy: it listens beyond loopback and anybody may use it; add `allow client PREFIX`");
}

static void check_tests(struct checking *k, const struct conf_stmt *test)
{
    if (!test->first_child)
        conf_error(k->d, k->c, &test->pos, "the test asks nothing");
    for (const struct conf_stmt *q = test->first_child; q; q = q->next) {
        struct conf_question question;
        const char *why;
        if (!conf_question_parse(q, &question, &why))
            conf_error(k->d, k->c, &q->pos, "%s", why);
    }
}

static void walk(struct checking *k, const struct conf_stmt *top)
{
    for (const struct conf_stmt *s = top; s; s = walk_next(s, top)) {
        check_once(k, s);
        check_conditions(k, s);
    }
}

void tree_check(struct conf *c, struct conf_diags *d)
{
    struct checking k = {c, d};
    walk(&k, &c->root);
    for (const struct conf_stmt *s = c->root.first_child; s; s = s->next) {
        switch (s->row->id) {
        case CONF_POOL:
            lint_pool(&k, s);
            break;
        case CONF_SITE:
            lint_routes(&k, s);
            break;
        case CONF_PROXY:
            lint_open_proxy(&k, s);
            break;
        case CONF_TEST:
            check_tests(&k, s);
            break;
        case CONF_LIST:
        case CONF_GROUP:
            lint_unused(&k, s);
            break;
        default:
            break;
        }
    }
    if (!conf_child(&c->root, CONF_SITE) && !conf_child(&c->root, CONF_PROXY) && conf_diags_errors(d) == 0)
        conf_error(d, c, NULL, "%s: there is neither a site nor a proxy: nothing to do", c->texts[0].name);
}
