// SPDX-License-Identifier: Apache-2.0
// Pools as the configuration has them.
#include "balance/pool.h"

#include <pthread.h>

#include "balance/check.h"
#include "balance/registry.h"

enum { DEFAULT_PORT = 80, DEFAULT_TLS_PORT = 443, EJECT_GROWTH = 10 };

// `srv:NAME`. Its records say ports and weights, but not whose certificate its targets have: the names in them are as good as who answered.
static bool parse_service(const struct conf *c, const struct conf_stmt *stmt, struct span name, struct arena *a, struct conf_diags *d, struct server *s)
{
    const struct conf_value *v = &stmt->args[0];
    const struct conf_stmt *tls = conf_child(stmt->parent, CONF_POOL_TLS);
    if (conf_option(stmt, "weight"))
        conf_error(d, c, &v->pos, "the weights of a service are those of its SRV records");
    if (tls && !conf_child(tls, CONF_POOL_TLS_NAME))
        conf_error(d, c, &v->pos, "a service with `tls` wants the name in its certificates: `tls { name NAME }`");
    if (name.len == 0 || span_find(name, ':') < name.len || span_find(name, '/') < name.len) {
        conf_error(d, c, &v->pos, "`%.*s` is no service: srv:NAME is wanted here, as in srv:_http._tcp.example.com", SPAN_ARG(v->text));
        return false;
    }
    s->is_service = true;
    return arena_dup(a, name, &s->host);
}

// `HOST:PORT`, an address, `unix:PATH` or `srv:NAME`.
static bool parse_server(const struct conf *c, const struct conf_stmt *stmt, struct arena *a, struct conf_diags *d, struct server *s)
{
    const struct conf_value *v = &stmt->args[0], *weight = conf_option(stmt, "weight");
    s->weight = weight ? (unsigned)weight->num : 1;
    s->backup = conf_option(stmt, "backup") != NULL;
    if (!arena_dup(a, v->text, &s->name))
        return false;
    if (span_starts(v->text, SPAN("srv:")))
        return parse_service(c, stmt, span_skip(v->text, 4), a, d, s);
    if (addr_parse(v->text, a, &s->addr))
        return true;
    size_t colon = span_rfind(v->text, ':');
    struct span host = span_first(v->text, colon), port = span_skip(v->text, colon + 1);
    s->addr.port = conf_child(stmt->parent, CONF_POOL_TLS) ? DEFAULT_TLS_PORT : DEFAULT_PORT;
    if (colon < v->text.len && !addr_parse_port(port, &s->addr.port)) {
        conf_error(d, c, &v->pos, "`%.*s` is no port (1 to 65535)", SPAN_ARG(port));
        return false;
    }
    uint16_t p = s->addr.port;
    if (addr_parse_ip(host, &s->addr)) {
        s->addr.port = p;
        return true;
    }
    if (host.len == 0 || span_find(host, '/') < host.len || span_find(host, ':') < host.len) {
        conf_error(d, c, &v->pos, "`%.*s` is no server: HOST:PORT is wanted here (an IPv6 address in brackets), unix:PATH or srv:NAME", SPAN_ARG(v->text));
        return false;
    }
    return arena_dup(a, host, &s->host);
}

static bool parse_servers(struct pool *p, const struct conf *c, const struct conf_stmt *stmt, struct arena *a, struct conf_diags *diags)
{
    bool ok = true;
    for (const struct conf_stmt *s = conf_child(stmt, CONF_SERVER); s; s = conf_next(s)) {
        struct server *v = &p->servers[p->n_servers++];
        ok &= parse_server(c, s, a, diags, v);
        p->has_names |= v->host.len > 0;
    }
    return ok;
}

static bool parse_balance(struct pool *p, const struct conf *c, const struct conf_stmt *stmt, struct conf_diags *diags)
{
    static const struct {
        const char *word;
        enum pool_key key;
        bool named;
    } keys[] = {{"client-ip", POOL_KEY_CLIENT_IP, false}, {"header", POOL_KEY_HEADER, true}, {"cookie", POOL_KEY_COOKIE, true}, {"path", POOL_KEY_PATH, false}, {"query", POOL_KEY_QUERY, true}};
    const struct conf_stmt *s = conf_child(stmt, CONF_BALANCE);
    p->picker = picker_find(conf_word(stmt, CONF_BALANCE));
    if (!s || !p->picker)
        return true;
    if (!p->picker->has_key) {
        if (s->n_args > 1)
            conf_error(diags, c, &s->args[1].pos, "`%.*s` is one word too many for `balance %s`", SPAN_ARG(s->args[1].text), p->picker->word);
        return true;
    }
    for (size_t i = 0; s->n_args > 1 && i < ARRAY_LEN(keys); i++) {
        if (!span_eq(s->args[1].text, span_str(keys[i].word)) || (s->n_args > 2) != keys[i].named)
            continue;
        p->key = keys[i].key;
        p->key_name = keys[i].named ? s->args[2].text : SPAN_NONE;
        return true;
    }
    conf_error(diags, c, &s->pos, "the form is `balance hash client-ip|path`, or `balance hash header|cookie|query NAME`");
    return true;
}

struct retry_rules retry_rules_of(const struct conf_stmt *s)
{
    const struct conf_value *budget = conf_option(s, "budget"), *content = conf_option(s, "content"), *try_ms = conf_option(s, "try"), *within = conf_option(s, "within");
    return (struct retry_rules){.tries = (unsigned)s->args[0].num,
                                .budget = budget ? (unsigned)budget->num : 2000,
                                .content_bytes = content ? content->num : 64 * 1024,
                                .try_ms = try_ms ? try_ms->num : 0,
                                .within_ms = within ? within->num : 0};
}

static void parse_queue(struct pool *p, const struct conf_stmt *max)
{
    const struct conf_value *queue = conf_option(max, "queue"), *wait = conf_option(max, "wait");
    p->queue = queue ? (unsigned)queue->num : 0;
    p->wait_ms = wait ? wait->num : 1000;
}

// A request has one connection: who has a place has, sooner or later, a connection too.
static void parse_connections(struct pool *p, const struct conf *c, const struct conf_stmt *pool, struct conf_diags *diags)
{
    const struct conf_stmt *max = conf_child(pool, CONF_MAX_CONNECTIONS), *requests = conf_child(pool, CONF_MAX_REQUESTS);
    if (!max)
        return;
    if (conf_child(pool, CONF_HTTP2))
        conf_error(diags, c, &max->pos, "`max-connections` does not go with `http2`: there each thread has one connection");
    bool waits = conf_option(max, "queue") || conf_option(max, "wait");
    if (requests && waits)
        conf_error(diags, c, &max->pos, "`queue` and `wait` stand at `max-requests`, where there is one: they hold for both");
    if (!requests)
        parse_queue(p, max);
    p->max_connections = (unsigned)max->args[0].num;
    p->max_requests = p->max_requests ? MIN(p->max_requests, p->max_connections) : p->max_connections;
    p->identity = hash_fast(p->name) | 1;
}

static void parse_pre_open(struct pool *p, const struct conf *c, const struct conf_stmt *pool, struct conf_diags *d)
{
    const struct conf_stmt *s = conf_child(pool, CONF_PRE_OPEN);
    if (!s)
        return;
    p->pre_open = (unsigned)s->args[0].num;
    if (p->max_connections)
        conf_error(d, c, &s->pos, "`pre-open` does not go with `max-connections`: what one thread holds ready another could not use");
    if (p->proxy_protocol)
        conf_error(d, c, &s->pos, "`pre-open` does not go with `proxy-protocol`: a connection begins with the address of its client");
    if ((uint64_t)p->pre_open * p->n_servers > p->max_idle)
        conf_error(d, c, &s->pos, "%u connections to each of %u servers are more than `max-idle` keeps (%u a thread)", p->pre_open, p->n_servers, p->max_idle);
}

static void parse_rules(struct pool *p, const struct conf_stmt *stmt)
{
    const struct conf_stmt *retry = conf_child(stmt, CONF_RETRY), *eject = conf_child(stmt, CONF_EJECT), *max = conf_child(stmt, CONF_MAX_REQUESTS);
    if (retry)
        p->retry = retry_rules_of(retry);
    if (eject) {
        const struct conf_value *most = conf_option(eject, "max");
        p->eject = (struct eject_rules){.errors = (unsigned)eject->args[1].num, .for_ms = eject->args[4].num};
        const struct conf_value *rate = conf_option(eject, "rate"), *slower = conf_option(eject, "slower");
        p->eject.rate = rate ? (unsigned)rate->num : 0;
        p->eject.slower = slower ? (unsigned)slower->num : 0;
        p->eject.max_ms = most ? most->num : p->eject.for_ms * EJECT_GROWTH;
    }
    if (max) {
        p->max_requests = (unsigned)max->args[0].num;
        parse_queue(p, max);
    }
    p->slow_start_ms = conf_number(stmt, CONF_SLOW_START);
    p->connection_age_ms = conf_number(stmt, CONF_CONNECTION_AGE);
    p->connection_requests = (uint32_t)conf_number(stmt, CONF_CONNECTION_REQUESTS);
    struct span introduce = conf_word(stmt, CONF_POOL_PROXY_PROTOCOL);
    p->proxy_protocol = span_eq(introduce, SPAN("v1")) ? 1 : span_eq(introduce, SPAN("v2")) ? 2 : 0;
    p->max_idle = (unsigned)conf_number(stmt, CONF_MAX_IDLE);
    p->http2 = conf_child(stmt, CONF_HTTP2) != NULL;
}

// What threads share of it.
static bool join_shared(struct pool *p)
{
    if (!(p->shared = pool_shared_get(p->name)))
        return false;
    for (unsigned i = 0; i < p->n_servers; i++)
        if (!(p->servers[i].shared = server_shared_get(p->name, p->servers[i].name)))
            return false;
    struct targets *t = targets_new(p);
    atomic_store_explicit(&p->targets, t, memory_order_relaxed);
    return t != NULL;
}

struct pool *pool_new(const struct conf *c, const struct conf_stmt *stmt, struct span secret, struct arena *a, struct conf_diags *diags)
{
    unsigned n = 0;
    for (const struct conf_stmt *s = conf_child(stmt, CONF_SERVER); s; s = conf_next(s))
        n++;
    struct pool *p = (struct pool *)arena_zalloc(a, sizeof *p);
    if (!p || n > POOL_SERVERS_MAX || !(p->servers = (struct server *)arena_zalloc(a, (n + 1) * sizeof *p->servers))) {
        conf_error(diags, c, &stmt->pos, n > POOL_SERVERS_MAX ? "the pool has too many servers" : "out of memory");
        return NULL;
    }
    p->name = stmt->args[0].text;
    p->where = conf_where(c, stmt);
    if (!parse_balance(p, c, stmt, diags) || !parse_servers(p, c, stmt, a, diags))
        return NULL;
    parse_rules(p, stmt);
    parse_connections(p, c, stmt, diags);
    parse_pre_open(p, c, stmt, diags);
    sticky_parse(p, c, stmt, secret, diags);
    p->check = check_rules_new(c, stmt, a, diags);
    if (join_shared(p))
        return p;
    conf_error(diags, c, &stmt->pos, "out of memory");
    pool_free(p);
    return NULL;
}

void pool_free(struct pool *p)
{
    if (!p)
        return;
    for (unsigned i = 0; i <= POOL_THREADS_MAX; i++)
        targets_unref(p->seen[i]);
    targets_unref(atomic_load_explicit(&p->targets, memory_order_relaxed));
    for (unsigned i = 0; i < p->n_servers; i++)
        server_shared_unref(p->servers[i].shared);
    pool_shared_unref(p->shared);
}

// ---- Targets that change

static _Thread_local unsigned thread = POOL_THREADS_MAX; // all that serve nobody: one at a time
static pthread_mutex_t targets_lock = PTHREAD_MUTEX_INITIALIZER;

void pool_thread_init(unsigned n)
{
    thread = n;
}

// Each thread holds what it saw last, so that a choice needs no lock and nothing is freed under it.
static const struct targets *see(struct pool *p)
{
    pthread_mutex_lock(&targets_lock);
    struct targets *now = atomic_load_explicit(&p->targets, memory_order_relaxed), *old = p->seen[thread];
    atomic_fetch_add_explicit(&now->refs, 1, memory_order_relaxed);
    pthread_mutex_unlock(&targets_lock);
    p->seen[thread] = now;
    targets_unref(old);
    return now;
}

const struct targets *pool_targets(struct pool *p)
{
    struct targets *now = atomic_load_explicit(&p->targets, memory_order_relaxed);
    return likely(!p->has_names || p->seen[thread] == now) ? now : see(p);
}

void pool_set_targets(struct pool *p, struct targets *t)
{
    pthread_mutex_lock(&targets_lock);
    struct targets *old = atomic_load_explicit(&p->targets, memory_order_relaxed);
    atomic_store_explicit(&p->targets, t, memory_order_relaxed);
    pthread_mutex_unlock(&targets_lock);
    targets_unref(old);
}
