// SPDX-License-Identifier: Apache-2.0
#include "acme/https.h"

#include "base/mem.h"
#include "net/dial.h"
#include "session/upstream.h"

enum { DEADLINE_MS = 30 * 1000, CONTENT_MAX = 1 << 20, HTTP_PORT = 80, HTTPS_PORT = 443 };

static const struct h1_limits limits = {.line_bytes = 8192, .fields = 128, .fields_bytes = 32768};

static enum err connect_to(const struct https *h, const struct uri *u, struct upstream_conn *c, uint64_t deadline)
{
    struct dns_answer names;
    struct addr used;
    enum err e = dns_resolve(h->dns, u->authority.host, deadline, &names);
    if (e)
        return e;
    for (unsigned i = 0; i < names.n; i++)
        names.addrs[i].port = u->authority.port ? u->authority.port : h->tls ? HTTPS_PORT : HTTP_PORT;
    e = dial(&(struct dial_request){.addrs = names.addrs, .n = names.n}, deadline, &c->t.io, &used);
    return e || !h->tls ? e : tls_connect(&c->t, h->tls, u->authority.host, &used, deadline);
}

static enum err put_request(struct arena *a, enum http_method method, const struct uri *u, struct span type, struct span content, struct request *r)
{
    *r = (struct request){.method = method, .method_text = method_name(method), .form = TARGET_ORIGIN, .version = HTTP_1_1, .scheme = u->scheme, .authority = u->authority};
    fields_init(&r->fields, a);
    r->target = u->query.ptr ? arena_printf(a, "%.*s?%.*s", SPAN_ARG(u->path), SPAN_ARG(u->query)) : u->path;
    if (!r->target.ptr)
        return ERR_NO_MEMORY;
    enum err e = fields_add(&r->fields, FIELD_HOST, u->authority.text);
    if (!e)
        e = fields_add(&r->fields, FIELD_USER_AGENT, SPAN("weir ACME"));
    if (!e && type.len)
        e = fields_add(&r->fields, FIELD_CONTENT_TYPE, type);
    if (content.len)
        r->framing = (struct framing){FRAMING_LENGTH, content.len};
    return e;
}

static enum err read_content(struct upstream_stream *s, struct arena *a, uint64_t deadline, struct span *ret)
{
    struct chunkq q;
    chunkq_init(&q);
    enum err e = ERR_OK;
    while (!e && !s->response_complete) {
        e = s->ops->read(s, &q, 16384, deadline);
        if (!e && q.bytes > CONTENT_MAX)
            e = ERR_BAD_RESPONSE;
    }
    char *p = e && e != ERR_EOF ? NULL : arena_bytes(a, q.bytes + 1);
    if (p)
        *ret = span_of(p, chunkq_peek(&q, p, q.bytes));
    chunkq_fini(&q);
    return e && e != ERR_EOF ? e : p ? ERR_OK : ERR_NO_MEMORY;
}

static void on_finish(struct upstream_conn *c, bool reusable)
{
    (void)c;
    (void)reusable;
}

static enum err exchange(struct upstream_conn *c, struct arena *a, const struct request *r, struct span content, uint64_t deadline, struct https_answer *ret)
{
    struct chunkq q;
    struct upstream_stream *s = upstream_begin(c, a, &limits, DEADLINE_MS);
    chunkq_init(&q);
    enum err e = content.len ? chunkq_append(&q, NULL, content.ptr, content.len) : ERR_OK;
    if (!e)
        e = s->ops->send_head(s, r, &q, true);
    chunkq_fini(&q);
    do {
        if (!e)
            e = s->ops->read_head(s, a, deadline, &ret->head);
    } while (!e && ret->head.status < 200 && ret->head.status != 101);
    // The fields lie in the connection's chunks.
    for (uint32_t i = 0; !e && i < ret->head.fields.n; i++)
        if (!arena_dup(a, ret->head.fields.v[i].value, &ret->head.fields.v[i].value) || !arena_dup(a, ret->head.fields.v[i].name, &ret->head.fields.v[i].name))
            e = ERR_NO_MEMORY;
    ret->content = SPAN("");
    if (!e && !ret->head.no_content)
        e = read_content(s, a, deadline, &ret->content);
    s->ops->finish(s);
    return e;
}

enum err https_ask(const struct https *h, struct arena *a, enum http_method method, struct span url, struct span type, struct span content, struct https_answer *ret)
{
    struct uri u;
    struct request r;
    uint64_t deadline = deadline_in(DEADLINE_MS);
    if (uri_parse_absolute(url, a, &u) || !span_eq(u.scheme, h->tls ? SPAN("https") : SPAN("http")))
        return ERR_BAD_TARGET;
    struct upstream_conn *c = (struct upstream_conn *)mem_calloc(1, sizeof *c);
    if (!c)
        return ERR_NO_MEMORY;
    c->t.io.fd = -1;
    c->on_finish = on_finish;
    enum err e = put_request(a, method, &u, type, content, &r);
    if (!e)
        e = connect_to(h, &u, c, deadline);
    if (!e) {
        upstream_init(c);
        e = exchange(c, a, &r, content, deadline, ret);
    }
    upstream_close(c);
    mem_free(c);
    return e;
}
