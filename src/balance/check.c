// SPDX-License-Identifier: Apache-2.0
#include "balance/check.h"

#include "base/num.h"
#include "net/dial.h"
#include "net/proxy_protocol.h"
#include "session/upstream.h"

enum { INTERIM_MAX = 8, DEFAULT_EVERY_MS = 5000 };

// ---- The statement

static bool parse_expect(struct check_rules *r, const struct conf *c, const struct conf_stmt *s, struct conf_diags *diags)
{
    bool behind = false;
    for (unsigned i = 0; i < s->n_args; i++) {
        const struct conf_value *v = &s->args[i];
        bool mine = v->option && strcmp(v->option, "expect") == 0;
        if (mine && behind) {
            struct span last = v->text, first = span_cut(&last, '-');
            uint64_t lo, hi;
            if (r->n_expect == CHECK_STATUS_RANGES_MAX || !num_parse_dec(first, 599, &lo) || !num_parse_dec(last.ptr ? last : first, 599, &hi) || lo < 200 || lo > hi) {
                conf_error(diags, c, &v->pos, "`%.*s` is no status and no range of them, for instance 200 or 200-399", SPAN_ARG(v->text));
                return false;
            }
            r->expect[r->n_expect].first = (uint16_t)lo;
            r->expect[r->n_expect++].last = (uint16_t)hi;
        }
        behind = mine;
    }
    if (!r->n_expect) {
        r->expect[0].first = 200;
        r->expect[0].last = 399;
        r->n_expect = 1;
    }
    return true;
}

static bool parse_kind(struct check_rules *r, const struct conf *c, const struct conf_stmt *s, struct conf_diags *diags)
{
    struct span word = s->args[0].text;
    bool has_path = conf_plain_args(s) > 1;
    r->kind = span_eq(word, SPAN("tcp")) ? CHECK_TCP : span_eq(word, SPAN("tls")) ? CHECK_TLS : CHECK_HTTP;
    r->method = word;
    if (r->kind == CHECK_HTTP) {
        bool known = span_eq(word, SPAN("GET")) || span_eq(word, SPAN("HEAD")) || span_eq(word, SPAN("OPTIONS"));
        if (known && has_path && span_starts(s->args[1].text, SPAN("/"))) {
            r->path = s->args[1].text;
            return true;
        }
        conf_error(diags, c, &s->pos, "the form is `check GET|HEAD|OPTIONS /PATH ...`, `check tcp ...` or `check tls ...`");
        return false;
    }
    if (has_path || conf_option(s, "expect") || conf_option(s, "body") || conf_option(s, "field")) {
        conf_error(diags, c, &s->pos, "`check %.*s` has no path and expects no answer", SPAN_ARG(word));
        return false;
    }
    if (r->kind == CHECK_TLS && !conf_child(s->parent, CONF_POOL_TLS)) {
        conf_error(diags, c, &s->pos, "`check tls` wants a `tls` statement in its pool, which says what is verified");
        return false;
    }
    return true;
}

static uint64_t option_or(const struct conf_stmt *s, const char *word, uint64_t otherwise)
{
    const struct conf_value *v = conf_option(s, word);
    return v ? v->num : otherwise;
}

struct check_rules *check_rules_new(const struct conf *c, const struct conf_stmt *pool, struct arena *a, struct conf_diags *diags)
{
    const struct conf_stmt *s = conf_child(pool, CONF_CHECK);
    struct check_rules *r = s ? (struct check_rules *)arena_zalloc(a, sizeof *r) : NULL;
    if (!r) {
        if (s)
            conf_error(diags, NULL, NULL, "out of memory");
        return NULL;
    }
    const struct conf_value *host = conf_option(s, "host");
    r->host = host ? host->text : SPAN_NONE;
    r->every_ms = MAX(option_or(s, "every", DEFAULT_EVERY_MS), (uint64_t)10);
    // Every server has answered before it is asked again, but is not given up within moments.
    r->timeout_ms = MAX(option_or(s, "timeout", MAX(r->every_ms, (uint64_t)1000)), (uint64_t)10);
    r->rise = (unsigned)option_or(s, "rise", 2);
    r->fall = (unsigned)option_or(s, "fall", 3);
    return parse_kind(r, c, s, diags) && parse_expect(r, c, s, diags) ? r : NULL;
}

// ---- Asking

static void on_finish(struct upstream_conn *u, bool reusable)
{
    (void)reusable; // each check is on a connection of its own: that one can be made is half of what it says
    upstream_close(u);
}

// Of a service without what it is named there: shop.example of _http._tcp.shop.example.
static struct span domain_of(struct span service)
{
    struct span s = service;
    while (s.len && s.ptr[0] == '_' && span_find(s, '.') < s.len)
        s = span_skip(s, span_find(s, '.') + 1);
    return s;
}

static enum err build_request(const struct check_rules *r, const struct server *s, struct arena *a, struct request *ret)
{
    *ret = (struct request){.method = span_eq(r->method, SPAN("HEAD")) ? METHOD_HEAD : span_eq(r->method, SPAN("OPTIONS")) ? METHOD_OPTIONS : METHOD_GET,
                            .method_text = r->method, .target = r->path, .version = HTTP_1_1};
    fields_init(&ret->fields, a);
    struct span host = r->host.len ? r->host : s->addr.family == AF_UNIX ? SPAN("localhost") : s->is_service ? domain_of(s->host) : s->name;
    enum err e = fields_add(&ret->fields, FIELD_HOST, host);
    return e ? e : fields_add(&ret->fields, FIELD_USER_AGENT, SPAN("weir-check"));
}

static enum err judge_head(const struct check_rules *r, const struct response *resp)
{
    bool expected = false;
    for (unsigned i = 0; i < r->n_expect; i++)
        expected |= resp->status >= r->expect[i].first && resp->status <= r->expect[i].last;
    if (!expected)
        return ERR_CHECK_STATUS;
    if (!r->field.len)
        return ERR_OK;
    for (const struct field *f = fields_find(&resp->fields, r->field); f; f = fields_find_next(&resp->fields, f))
        if (!r->field_pattern || r->matches(r->field_pattern, f->value))
            return ERR_OK;
    return ERR_CHECK_CONTENT;
}

static enum err judge_body(const struct check_rules *r, struct upstream_stream *s, struct arena *a, uint64_t deadline)
{
    if (!r->body_pattern)
        return ERR_OK;
    struct chunkq q;
    chunkq_init(&q);
    enum err e = ERR_OK;
    while (!e && !s->response_complete && q.bytes < CHECK_BODY_MAX)
        e = s->ops->read(s, &q, CHECK_BODY_MAX, deadline);
    size_t n = MIN(q.bytes, (size_t)CHECK_BODY_MAX);
    char *p = e && e != ERR_EOF ? NULL : arena_bytes(a, n + 1);
    if (p) {
        chunkq_peek(&q, p, n);
        e = r->matches(r->body_pattern, span_of(p, n)) ? ERR_OK : ERR_CHECK_CONTENT;
    } else if (!e || e == ERR_EOF) {
        e = ERR_NO_MEMORY;
    }
    chunkq_fini(&q);
    return e;
}

static enum err ask(const struct check_rules *r, const struct pool *p, const struct server *s, struct upstream_conn *u, struct arena *a, uint64_t deadline)
{
    static const struct h1_limits limits = {.line_bytes = 8192, .fields = 128, .fields_bytes = 32768};
    struct request req;
    struct response resp;
    struct chunkq none;
    enum err e = build_request(r, s, a, &req);
    if (e) {
        upstream_close(u);
        return e;
    }
    upstream_init(u);
    u->on_finish = on_finish;
    bool h2 = p->http2 && (!p->tls || span_eq(u->t.info->alpn, SPAN("h2")));
    if (h2)
        e = upstream_h2_start(u, r->timeout_ms);
    struct upstream_stream *st = e ? NULL : upstream_begin(u, a, &limits, r->timeout_ms);
    if (!st) {
        upstream_close(u);
        return ERR_NO_MEMORY;
    }
    chunkq_init(&none);
    e = st->ops->send_head(st, &req, &none, true);
    chunkq_fini(&none);
    resp.status = 100;
    for (unsigned i = 0; !e && resp.status < 200; i++)
        e = i < INTERIM_MAX ? st->ops->read_head(st, a, deadline, &resp) : ERR_RESPONSE_TOO_MANY_1XX;
    if (!e)
        e = judge_head(r, &resp);
    if (!e)
        e = judge_body(r, st, a, deadline);
    st->ops->finish(st);
    if (h2)
        upstream_close(u);
    return e;
}

// The connection is our own, nobody's.
static enum err introduce(const struct pool *p, struct io *io, uint64_t stall_ms)
{
    char out[PROXY_HEADER_OUT_MAX];
    struct chunkq q;
    if (!p->proxy_protocol)
        return ERR_OK;
    size_t n = p->proxy_protocol == 1 ? proxy_header_write_v1(out, &ADDR_NONE, &ADDR_NONE) : proxy_header_write_v2(out, &ADDR_NONE, &ADDR_NONE);
    chunkq_init(&q);
    enum err e = chunkq_append_copy(&q, out, n);
    if (!e)
        e = io_send_queue(io, &q, stall_ms);
    chunkq_fini(&q);
    return e;
}

enum err check_run(const struct pool *p, const struct server *s, const struct addr *a)
{
    const struct check_rules *r = p->check;
    uint64_t deadline = deadline_in(r->timeout_ms);
    struct upstream_conn u = {.t.io.fd = -1};
    struct addr used;
    struct dial_request d = {.addrs = a, .n = 1};
    enum err e = dial(&d, deadline, &u.t.io, &used);
    if (!e)
        e = introduce(p, &u.t.io, r->timeout_ms);
    if (!e && p->tls && r->kind != CHECK_TCP) {
        char text[ADDR_IP_TEXT_MAX];
        struct span host = s->host.len ? s->host : span_of(text, addr_format_ip(a, text));
        e = tls_connect(&u.t, p->tls, host, a, deadline);
    }
    if (e || r->kind != CHECK_HTTP) {
        transport_close(&u.t);
        return e;
    }
    struct arena arena;
    arena_init(&arena, 256 * 1024);
    e = ask(r, p, s, &u, &arena, deadline);
    arena_fini(&arena);
    return e;
}
