// SPDX-License-Identifier: Apache-2.0
// From a decoded head to a request (RFC 9113 8.3, RFC 8441), by the rules of HTTP/1 wherever it has the same parts.
#include "base/num.h"
#include "http/websocket.h"
#include "session/client_h2.h"

enum { METHOD_MAX_BYTES = 32 };

static enum err malformed(struct h2_request *r, enum err e)
{
    r->malformed = true;
    return e;
}

static bool is_scheme(struct span s)
{
    return span_eq(s, SPAN("http")) || span_eq(s, SPAN("https"));
}

// Which pseudo-fields there must be, and which not.
static bool pseudo_fields_fit(struct h2_request *r)
{
    const struct h2_block *b = &r->block;
    if (!b->method.ptr)
        return false;
    bool connect = span_eq(b->method, SPAN("CONNECT"));
    r->extended = connect && b->protocol.ptr;
    if (connect && !r->extended)
        return b->authority.ptr && !b->scheme.ptr && !b->path.ptr;
    if (b->protocol.ptr && (!connect || !http_is_token(b->protocol) || !b->authority.ptr))
        return false;
    return b->scheme.ptr && b->path.len && (b->path.ptr[0] == '/' || (span_eq(b->path, SPAN("*")) && span_eq(b->method, SPAN("OPTIONS"))));
}

static enum err read_host(struct h2_request *r)
{
    struct request *q = &r->req;
    const struct field *host = fields_get(&q->fields, FIELD_HOST);
    struct span named = r->block.authority.ptr ? r->block.authority : host ? host->value : SPAN_NONE;
    if (!named.ptr || (host && fields_next(&q->fields, host)))
        return ERR_BAD_HOST;
    enum err e = authority_parse(named, &r->arena, &q->authority);
    if (!e && host && r->block.authority.ptr) {
        struct authority other;
        e = authority_parse(host->value, &r->arena, &other);
        if (!e && (!span_eq(other.host, q->authority.host) || other.port != q->authority.port))
            e = ERR_BAD_HOST;
    }
    return e ? e : fields_set(&q->fields, FIELD_HOST, q->authority.text);
}

static enum err read_framing(struct h2_request *r, bool end_stream)
{
    struct request *q = &r->req;
    const struct field *x = fields_get(&q->fields, FIELD_CONTENT_LENGTH);
    q->framing = (struct framing){end_stream ? FRAMING_NONE : FRAMING_CHUNKED, 0};
    if (q->method == METHOD_CONNECT || r->extended) {
        q->framing.kind = FRAMING_NONE; // what follows is the tunnel's
        return x ? malformed(r, ERR_BAD_REQUEST) : ERR_OK;
    }
    if (!x)
        return ERR_OK;
    uint64_t n;
    if (fields_next(&q->fields, x) || !num_parse_dec(x->value, INT64_MAX, &n) || (end_stream && n))
        return malformed(r, ERR_BAD_LENGTH);
    q->framing = (struct framing){FRAMING_LENGTH, n};
    return ERR_OK;
}

static enum err read_path(struct h2_request *r)
{
    struct request *q = &r->req;
    struct span path = r->block.path;
    if (span_eq(path, SPAN("*"))) {
        q->form = TARGET_ASTERISK;
        return ERR_OK;
    }
    size_t mark = span_find(path, '?');
    if (mark < path.len) {
        q->query = span_skip(path, mark + 1);
        enum err e = query_check(q->query);
        if (e)
            return e;
    }
    return path_normalise(span_first(path, mark), &r->arena, &q->path);
}

// The target as HTTP/1 would have it: absolute where others' servers are asked for.
static enum err read_target(struct h2_request *r)
{
    struct request *q = &r->req;
    if (q->method == METHOD_CONNECT) {
        q->form = TARGET_AUTHORITY;
        q->target = q->authority.text;
        q->scheme = SPAN("");
        return q->authority.port ? ERR_OK : ERR_BAD_TARGET;
    }
    q->scheme = r->block.scheme;
    q->target = r->block.path;
    q->form = TARGET_ORIGIN;
    if (!is_scheme(q->scheme))
        return ERR_BAD_TARGET;
    enum err e = read_path(r);
    if (e || q->form == TARGET_ASTERISK || !r->conn->conn->settings->absolute)
        return e;
    q->form = TARGET_ABSOLUTE;
    q->target = arena_printf(&r->arena, "%.*s://%.*s%.*s", SPAN_ARG(q->scheme), SPAN_ARG(q->authority.text), SPAN_ARG(r->block.path));
    return q->target.ptr ? ERR_OK : ERR_NO_MEMORY;
}

// An extended CONNECT goes on as HTTP/1's Upgrade: for a WebSocket that needs a key, whose answer is checked.
static enum err read_upgrade(struct h2_request *r)
{
    struct request *q = &r->req;
    if (!r->extended)
        return ERR_OK;
    q->method = METHOD_GET;
    q->method_text = SPAN("GET");
    q->upgrade = q->upgrade_only = true;
    q->upgrade_token = r->block.protocol;
    if (!span_eq_ci(q->upgrade_token, SPAN("websocket")))
        return ERR_OK;
    unsigned char random[WEBSOCKET_NONCE_BYTES];
    char *key = arena_bytes(&r->arena, WEBSOCKET_KEY_BYTES);
    if (!key)
        return ERR_NO_MEMORY;
    loop_random(random, sizeof random);
    r->websocket_key = websocket_key(random, key);
    return fields_set_named(&q->fields, SPAN("Sec-WebSocket-Key"), r->websocket_key);
}

static void read_wishes(struct request *q)
{
    q->keep_alive = true;
    q->te_trailers = fields_get(&q->fields, FIELD_TE) != NULL; // nothing else was let in
    const struct field *x = fields_get(&q->fields, FIELD_EXPECT);
    q->expect_continue = x && span_eq_ci(x->value, SPAN("100-continue")) && q->framing.kind != FRAMING_NONE;
}

enum err h2_request_read(struct h2_request *r, bool end_stream)
{
    struct request *q = &r->req;
    q->version = HTTP_2;
    enum err e = h2_block_end(&r->block);
    q->target = r->block.path;
    if (e)
        return e == ERR_FIELDS_TOO_LARGE || e == ERR_TARGET_TOO_LONG || e == ERR_NO_MEMORY ? e : malformed(r, e);
    if (!pseudo_fields_fit(r))
        return malformed(r, ERR_BAD_REQUEST);
    q->method_text = r->block.method;
    if (!http_is_token(q->method_text) || q->method_text.len > METHOD_MAX_BYTES)
        return malformed(r, ERR_BAD_METHOD);
    q->method = r->extended ? METHOD_GET : method_parse(q->method_text);
    e = read_framing(r, end_stream);
    if (!e)
        e = read_host(r);
    if (!e)
        e = read_target(r);
    if (!e)
        e = read_upgrade(r);
    read_wishes(q);
    return e;
}
