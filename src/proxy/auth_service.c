// SPDX-License-Identifier: Apache-2.0
#include "proxy/auth_service.h"

#include "base/hash.h"
#include "policy/auth_request.h"
#include "proxy/auth_answers.h"
#include "proxy/page.h"
#include "proxy/side.h"
#include "proxy/thread.h"

enum {
    NO_MAX_BYTES = 64 * 1024, // of the page with which it refuses
    INTERIM_MAX = 16,
    USER_MAX_BYTES = 255,
};

// ---- The request

static struct span scheme_of(const struct exchange *x)
{
    return x->req->scheme.len ? x->req->scheme : x->proxy ? SPAN("") : x->scheme;
}

// The path and query as rules see them; of CONNECT its authority.
static struct span uri_of(const struct exchange *x)
{
    const struct request *r = x->req;
    if (!r->path.len)
        return r->target;
    return r->query.ptr ? arena_concat(x->arena, (const struct span[]){r->path, SPAN("?"), r->query}, 3)
                        : r->path;
}

static enum err add(struct fields *f, const char *name, struct span value)
{
    return value.len ? fields_add_named(f, span_str(name), value) : ERR_OK;
}

// To a proxy one shows who one is in another field; what is meant for servers is none of the service's.
static enum err add_credentials(const struct exchange *x, struct fields *f)
{
    if (x->proxy)
        return add(f, "Authorization", fields_value(&x->req->fields, FIELD_PROXY_AUTHORIZATION));
    enum err e = add(f, "Authorization", fields_value(&x->req->fields, FIELD_AUTHORIZATION));
    return e ? e : add(f, "Cookie", fields_joined(&x->req->fields, FIELD_COOKIE, x->arena));
}

static enum err build(struct exchange *x, const struct auth_request *a, struct request *q)
{
    char ip[ADDR_IP_TEXT_MAX];
    struct span client, uri = uri_of(x);
    *q = (struct request){.method = METHOD_GET,
                          .method_text = SPAN("GET"),
                          .target = a->target,
                          .form = TARGET_ORIGIN,
                          .authority = a->authority,
                          .version = HTTP_1_1,
                          .keep_alive = true};
    struct fields *f = &q->fields;
    fields_init(f, x->arena);
    if (!uri.ptr || !arena_dup(x->arena, span_of(ip, addr_format_ip(&x->client_addr, ip)), &client))
        return ERR_NO_MEMORY;
    const struct {
        const char *name;
        struct span value;
    } said[] = {
        {"Host", a->authority.text},
        {"X-Original-Method", x->req->method_text},
        {"X-Original-URI", uri},
        {"X-Forwarded-Method", x->req->method_text},
        {"X-Forwarded-Uri", uri},
        {"X-Forwarded-Host", x->req->authority.text},
        {"X-Forwarded-Proto", scheme_of(x)},
        {"X-Forwarded-For", client},
        {"X-Request-Id", x->id},
        {"User-Agent", fields_value(&x->req->fields, FIELD_USER_AGENT)},
        {"Accept", fields_value(&x->req->fields, FIELD_ACCEPT)},
        {"Origin", fields_value(&x->req->fields, FIELD_ORIGIN)},
        {"Referer", fields_value(&x->req->fields, FIELD_REFERER)},
    };
    enum err e = add_credentials(x, f);
    for (size_t i = 0; i < ARRAY_LEN(said) && !e; i++)
        e = add(f, said[i].name, said[i].value);
    return e;
}

// ---- The answer

static enum err read_content(struct upstream_stream *s, struct chunkq *q, uint64_t deadline)
{
    enum err e = ERR_OK;
    while (!e && !s->response_complete && q->bytes <= NO_MAX_BYTES)
        e = s->ops->read(s, q, NO_MAX_BYTES, deadline);
    return e == ERR_EOF ? ERR_OK : e ? e : q->bytes > NO_MAX_BYTES ? ERR_BAD_RESPONSE : ERR_OK;
}

static enum err exchange_with(struct upstream_stream *s, const struct request *q, struct arena *a,
                              uint64_t deadline, struct response *r, struct chunkq *content)
{
    struct chunkq none;
    chunkq_init(&none);
    enum err e = s->ops->send_head(s, q, &none, true);
    chunkq_fini(&none);
    for (unsigned i = 0; !e; i++) {
        e = i < INTERIM_MAX ? s->ops->read_head(s, a, deadline, r) : ERR_BAD_RESPONSE;
        if (!e && r->status >= 200)
            break;
        if (!e && r->status == 101)
            e = ERR_BAD_RESPONSE;
    }
    return e ? e : read_content(s, content, deadline);
}

static enum err as_ours(enum err e)
{
    switch (e) {
    case ERR_NO_MEMORY:
    case ERR_NO_FILES:
    case ERR_CANCELED:
    case ERR_SHUTDOWN:
        return e;
    case ERR_TIMEOUT:
    case ERR_UPSTREAM_TIMEOUT:
    case ERR_UPSTREAM_STALLED:
        return ERR_AUTH_SERVICE_TIMEOUT;
    case ERR_DNS_FAILED:
    case ERR_DNS_TIMEOUT:
    case ERR_EGRESS_DENIED:
    case ERR_CONNECT_REFUSED:
    case ERR_CONNECT_TIMEOUT:
    case ERR_CONNECT_FAILED:
        return ERR_AUTH_SERVICE_DOWN;
    default:
        return ERR_AUTH_SERVICE_FAILED;
    }
}

// They are borrowed from the connection until here.
static enum err keep_fields(struct fields *f, struct arena *a)
{
    for (uint32_t i = 0; i < f->n; i++)
        if (!arena_dup(a, f->v[i].name, &f->v[i].name) || !arena_dup(a, f->v[i].value, &f->v[i].value))
            return ERR_NO_MEMORY;
    return ERR_OK;
}

// Once more over a new connection where a kept one turned out to be closed: a GET does no harm twice.
static enum err ask(struct exchange *x, const struct auth_request *a, const struct request *q,
                    struct response *r, struct chunkq *content)
{
    struct side to = {.host = a->authority.host,
                      .port = a->port,
                      .identity = hash_fast_seed(a->authority.text, hash_keyed(SPAN("auth request"))) | 1};
    uint64_t deadline = deadline_in(a->timeout_ms);
    enum err e = ERR_UPSTREAM_STALE;
    for (unsigned i = 0; i < 2 && e == ERR_UPSTREAM_STALE; i++) {
        struct upstream_conn *u;
        e = side_connect(x, &to, i > 0, &u);
        if (e)
            return e;
        struct upstream_stream *s = upstream_begin(u, x->arena, &x->gen->limits.response, a->timeout_ms);
        chunkq_clear(content);
        e = exchange_with(s, q, x->arena, deadline, r, content);
        if (!e)
            e = keep_fields(&r->fields, x->arena);
        s->ops->finish(s);
    }
    return e;
}

// ---- Yes

static enum err take_user(struct exchange *x, const struct auth_request *a, const struct fields *f)
{
    const struct field *user = a->user.len ? fields_find(f, a->user) : NULL;
    if (!user || !user->value.len)
        return ERR_OK;
    if (user->value.len > USER_MAX_BYTES)
        return ERR_AUTH_SERVICE_FAILED;
    return arena_dup(x->arena, user->value, &x->user) ? ERR_OK : ERR_NO_MEMORY;
}

static enum err grant(struct exchange *x, const struct auth_request *a, const struct fields *answer)
{
    struct granted *g = (struct granted *)arena_zalloc(x->arena, sizeof *g);
    if (!g)
        return ERR_NO_MEMORY;
    g->rule = a;
    fields_init(&g->fields, x->arena);
    enum err e = take_user(x, a, answer);
    for (unsigned i = 0; i < a->n_fields && !e; i++) {
        for (const struct field *f = fields_find(answer, a->fields[i]); f && !e;
             f = fields_find_next(answer, f)) {
            struct span value;
            e = arena_dup(x->arena, f->value, &value) ? fields_add_named(&g->fields, a->fields[i], value)
                                                      : ERR_NO_MEMORY;
        }
    }
    x->granted = g;
    return e;
}

enum err auth_service_fields(const struct exchange *x, struct fields *f)
{
    const struct granted *g = x->granted;
    enum err e = ERR_OK;
    for (unsigned i = 0; i < g->rule->n_fields; i++)
        fields_remove_named(f, g->rule->fields[i]);
    for (uint32_t i = 0; i < g->fields.n && !e; i++)
        e = fields_add_named(f, g->fields.v[i].name, g->fields.v[i].value);
    return e;
}

// ---- No

static bool is_no(const struct exchange *x, unsigned status)
{
    bool elsewhere = status == 302 || status == 303 || status == 307;
    return status == 401 || status == 403 ||
           (elsewhere && !x->proxy); // a page to log in at: nothing for clients of a proxy
}

// The service's words. A proxy asks for credentials with a status and a field of its own.
static enum err relay_no(struct exchange *x, const struct response *r, struct chunkq *content)
{
    static const uint8_t passing[] = {FIELD_CONTENT_TYPE, FIELD_CONTENT_LANGUAGE, FIELD_CONTENT_ENCODING,
                                      FIELD_LOCATION,     FIELD_SET_COOKIE,       FIELD_RETRY_AFTER};
    bool challenge = r->status == 401;
    enum err e = ERR_OK;
    x->resp = (struct response){.status = challenge && x->proxy ? 407 : r->status, .version = HTTP_1_1};
    fields_init(&x->resp.fields, x->arena);
    for (size_t i = 0; i < ARRAY_LEN(passing); i++)
        for (const struct field *f = fields_get(&r->fields, (enum field_id)passing[i]); f && !e;
             f = fields_next(&r->fields, f))
            e = fields_add(&x->resp.fields, (enum field_id)passing[i], f->value);
    for (const struct field *f = challenge ? fields_get(&r->fields, FIELD_WWW_AUTHENTICATE) : NULL; f && !e;
         f = fields_next(&r->fields, f))
        e = fields_add(&x->resp.fields, x->proxy ? FIELD_PROXY_AUTHENTICATE : FIELD_WWW_AUTHENTICATE,
                       f->value);
    if (!e)
        e = fields_set(&x->resp.fields, FIELD_CACHE_CONTROL, SPAN("no-store"));
    if (!e)
        e = chunkq_move(&x->content, content, content->bytes);
    x->resp.framing = (struct framing){FRAMING_LENGTH, x->content.bytes};
    x->answer = ANSWER_LOCAL;
    x->log_reason = challenge ? ERR_CREDENTIALS_WRONG : ERR_DENIED;
    if (x->req->method == METHOD_CONNECT)
        x->client->close = true;
    return e;
}

enum err auth_service_ask(struct exchange *x, const struct auth_method *m)
{
    const struct auth_request *a = m->request;
    struct request q;
    struct response r;
    struct chunkq content;
    struct fields known;
    enum err e = build(x, a, &q);
    if (e)
        return e;
    fields_init(&known, x->arena);
    if (a->cache_ms && auth_answers_find(m, &q.fields, x->arena, &known))
        return grant(x, a, &known);
    chunkq_init(&content);
    e = ask(x, a, &q, &r, &content);
    if (!e && r.status / 100 == 2) {
        e = grant(x, a, &r.fields);
        if (!e && a->cache_ms)
            auth_answers_keep(m, &q.fields, &r.fields, x->arena);
    } else if (!e) {
        x->rule = m->where;
        e = is_no(x, r.status) ? relay_no(x, &r, &content) : ERR_AUTH_SERVICE_FAILED;
    } else {
        x->rule = m->where;
        e = fiber_canceled(fiber_self()) ? e : as_ours(e);
    }
    chunkq_fini(&content);
    return e;
}
