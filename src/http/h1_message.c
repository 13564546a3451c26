// SPDX-License-Identifier: Apache-2.0
// From lines to messages: target, host, framing and what the connection is asked for (RFC 9112 3, 6, 9; RFC 9110 7).
#include "base/num.h"
#include "http/h1_lines.h"

static struct span first_line(const char *buf, const struct h1_head *h, size_t *ret_next)
{
    size_t start = h->end >= 2 && buf[0] == '\r' && buf[1] == '\n' ? 2 : 0; // one empty line before a request (RFC 9112 2.2)
    const char *lf = (const char *)memchr(buf + start, '\n', h->end - start);
    *ret_next = (size_t)(lf - buf) + 1;
    return span_of(buf + start, *ret_next - start - 2);
}

// ---- Framing

// Exactly one Content-Length of digits. A list, even of equal numbers, is refused.
static enum err content_length(const struct fields *f, uint64_t *ret)
{
    const struct field *x = fields_get(f, FIELD_CONTENT_LENGTH);
    if (fields_next(f, x) || !num_parse_dec(x->value, INT64_MAX, ret))
        return ERR_BAD_LENGTH;
    return ERR_OK;
}

// Exactly one line, exactly `chunked`.
static enum err only_chunked(const struct fields *f)
{
    const struct field *x = fields_get(f, FIELD_TRANSFER_ENCODING);
    if (fields_next(f, x))
        return ERR_BAD_TRANSFER_CODING;
    if (span_eq_ci(x->value, SPAN("chunked")))
        return ERR_OK;
    // A well-formed list of other codings that ends in chunked is merely not ours; anything else is a trick.
    struct span rest = x->value, item, last = SPAN_NONE;
    while (list_next(&rest, &item)) {
        if (!http_is_token(item) || span_eq_ci(item, SPAN("identity")) || span_eq_ci(last, SPAN("chunked")))
            return ERR_BAD_TRANSFER_CODING;
        last = item;
    }
    return span_eq_ci(last, SPAN("chunked")) && last.ptr != x->value.ptr ? ERR_TRANSFER_CODING_UNKNOWN : ERR_BAD_TRANSFER_CODING;
}

static enum err request_framing(struct request *r)
{
    bool te = fields_may_have(&r->fields, FIELD_TRANSFER_ENCODING), cl = fields_may_have(&r->fields, FIELD_CONTENT_LENGTH);
    r->framing = (struct framing){FRAMING_NONE, 0};
    if (r->method == METHOD_CONNECT && (te || cl))
        return ERR_BAD_REQUEST; // content of a CONNECT has no meaning (RFC 9110 9.3.6), and some read it as the tunnel's
    if (te) {
        if (cl || r->version == HTTP_1_0)
            return ERR_BAD_TRANSFER_CODING;
        r->framing.kind = FRAMING_CHUNKED;
        return only_chunked(&r->fields);
    }
    if (!cl)
        return ERR_OK;
    r->framing.kind = FRAMING_LENGTH;
    return content_length(&r->fields, &r->framing.length);
}

static enum err response_framing(struct response *r, enum http_method to)
{
    bool te = fields_may_have(&r->fields, FIELD_TRANSFER_ENCODING), cl = fields_may_have(&r->fields, FIELD_CONTENT_LENGTH);
    bool bodiless = r->status < 200 || r->status == 204 || r->status == 304 || to == METHOD_HEAD || (to == METHOD_CONNECT && r->status / 100 == 2);
    uint64_t length = 0;
    if (te && cl)
        return ERR_BAD_RESPONSE;
    if (cl && content_length(&r->fields, &length))
        return ERR_BAD_RESPONSE;
    if (te && (r->version == HTTP_1_0 || only_chunked(&r->fields)))
        return ERR_RESPONSE_BAD_CODING;
    if (te && (r->status < 200 || r->status == 204))
        return ERR_BAD_RESPONSE;
    r->no_content = bodiless;
    if (bodiless) {
        // What a GET would have been told may be passed on; it delimits nothing.
        r->framing = cl ? (struct framing){FRAMING_LENGTH, length} : (struct framing){FRAMING_NONE, 0};
        return ERR_OK;
    }
    r->framing = te ? (struct framing){FRAMING_CHUNKED, 0} : cl ? (struct framing){FRAMING_LENGTH, length} : (struct framing){FRAMING_CLOSE, 0};
    return ERR_OK;
}

// ---- Connection

struct connection_options {
    bool close, keep_alive, upgrade, te;
};

static struct connection_options connection_options(const struct fields *f)
{
    struct connection_options o = {0};
    for (const struct field *x = fields_get(f, FIELD_CONNECTION); x; x = fields_next(f, x)) {
        struct span rest = x->value, item;
        while (list_next(&rest, &item)) {
            o.close |= span_eq_ci(item, SPAN("close"));
            o.keep_alive |= span_eq_ci(item, SPAN("keep-alive"));
            o.upgrade |= span_eq_ci(item, SPAN("upgrade"));
            o.te |= span_eq_ci(item, SPAN("te"));
        }
    }
    return o;
}

// ---- Requests

static enum err parse_origin_form(struct span target, struct arena *a, struct request *r)
{
    size_t q = span_find(target, '?');
    if (q < target.len) {
        r->query = span_skip(target, q + 1);
        if (!r->query.ptr)
            r->query = SPAN("");
        enum err e = query_check(r->query);
        if (e)
            return e;
    }
    return path_normalise(span_first(target, q), a, &r->path);
}

static enum err parse_target(struct request *r, struct span listener_scheme, struct arena *a)
{
    struct span t = r->target;
    r->scheme = listener_scheme;
    if (r->method == METHOD_CONNECT) {
        r->form = TARGET_AUTHORITY;
        r->scheme = SPAN("");
        enum err e = authority_parse(t, a, &r->authority);
        return e == ERR_BAD_HOST || (!e && !r->authority.port) ? ERR_BAD_TARGET : e;
    }
    if (t.ptr[0] == '/') {
        r->form = TARGET_ORIGIN;
        return parse_origin_form(t, a, r);
    }
    if (span_eq(t, SPAN("*"))) {
        r->form = TARGET_ASTERISK;
        return r->method == METHOD_OPTIONS ? ERR_OK : ERR_BAD_TARGET;
    }
    struct uri u;
    enum err e = uri_parse_absolute(t, a, &u);
    if (e)
        return e;
    r->form = TARGET_ABSOLUTE;
    r->scheme = u.scheme;
    r->authority = u.authority;
    r->path = u.path;
    r->query = u.query;
    return ERR_OK;
}

static enum err parse_host(struct request *r, struct arena *a)
{
    const struct field *host = fields_get(&r->fields, FIELD_HOST);
    if (!host)
        return r->version == HTTP_1_0 ? ERR_OK : ERR_BAD_HOST;
    if (fields_next(&r->fields, host))
        return ERR_BAD_HOST;
    bool overruled = r->form == TARGET_ABSOLUTE || r->form == TARGET_AUTHORITY;
    if (overruled && span_eq(host->value, r->authority.text))
        return ERR_OK; // it has been read
    struct authority h;
    enum err e = authority_parse(host->value, a, &h);
    if (e)
        return e;
    // A target that names an authority overrules the field (RFC 9112 3.2.2).
    if (!overruled)
        r->authority = h;
    return ERR_OK;
}

// `trailers` may have a weight like any other coding, though it means nothing (RFC 9110 10.1.4).
static bool takes_trailers(struct span te)
{
    struct span item;
    while (list_next(&te, &item))
        if (span_eq_ci(span_trim(span_first(item, span_find(item, ';'))), SPAN("trailers")))
            return true;
    return false;
}

static void read_wishes(struct request *r)
{
    struct connection_options o = {0};
    if (fields_may_have(&r->fields, FIELD_CONNECTION))
        o = connection_options(&r->fields);
    r->keep_alive = !o.close && (r->version >= HTTP_1_1 || o.keep_alive);
    if (r->version < HTTP_1_1)
        return;
    if (o.upgrade) {
        const struct field *u = fields_get(&r->fields, FIELD_UPGRADE);
        r->upgrade = u != NULL;
        r->upgrade_token = u ? u->value : SPAN_NONE;
    }
    if (fields_may_have(&r->fields, FIELD_TE))
        for (const struct field *t = fields_get(&r->fields, FIELD_TE); t; t = fields_next(&r->fields, t))
            r->te_trailers |= takes_trailers(t->value);
    const struct field *x = fields_get(&r->fields, FIELD_EXPECT);
    r->expect_continue = x && span_eq_ci(x->value, SPAN("100-continue")) && r->framing.kind != FRAMING_NONE;
}

enum err h1_parse_request(const char *buf, const struct h1_head *h, struct span listener_scheme, struct arena *a, struct request *ret)
{
    size_t next;
    struct span line = first_line(buf, h, &next);
    memset(ret, 0, sizeof *ret);
    fields_init(&ret->fields, a);
    ret->version = HTTP_1_1;
    enum err e = h1_request_line(line, &ret->method_text, &ret->target, &ret->version);
    if (e)
        return e;
    ret->method = method_parse(ret->method_text);
    e = h1_lines_parse(span_of(buf + next, h->end - next), &ret->fields);
    if (!e)
        e = parse_target(ret, listener_scheme, a);
    if (!e)
        e = parse_host(ret, a);
    if (!e)
        e = request_framing(ret);
    if (!e)
        read_wishes(ret);
    return e;
}

// ---- Responses

enum err h1_parse_response(const char *buf, const struct h1_head *h, enum http_method to_method, struct arena *a, struct response *ret)
{
    size_t next;
    unsigned status;
    struct span line = first_line(buf, h, &next);
    memset(ret, 0, sizeof *ret);
    fields_init(&ret->fields, a);
    if (buf[0] == '\r')
        return ERR_BAD_RESPONSE;
    enum err e = h1_status_line(line, &ret->version, &status, &ret->reason);
    if (e)
        return e;
    ret->status = (uint16_t)status;
    e = h1_lines_parse(span_of(buf + next, h->end - next), &ret->fields);
    if (e)
        return e == ERR_NO_MEMORY ? e : ERR_BAD_RESPONSE;
    e = response_framing(ret, to_method);
    if (e)
        return e;
    struct connection_options o = {0};
    if (fields_may_have(&ret->fields, FIELD_CONNECTION))
        o = connection_options(&ret->fields);
    ret->keep_alive = !o.close && (ret->version >= HTTP_1_1 || o.keep_alive);
    if (ret->status == 101) {
        const struct field *u = fields_get(&ret->fields, FIELD_UPGRADE);
        ret->upgrade = o.upgrade && u;
        ret->upgrade_token = u ? u->value : SPAN_NONE;
    }
    return ERR_OK;
}

enum err h1_parse_trailers(struct span lines, struct arena *a, struct fields *ret)
{
    struct fields all;
    fields_init(&all, a);
    enum err e = h1_lines_parse(lines, &all);
    if (e)
        return e == ERR_BAD_FIELD ? ERR_BAD_CHUNK : e;
    fields_init(ret, a);
    for (uint32_t i = 0; i < all.n && !e; i++) {
        const struct field *f = &all.v[i];
        if (!(field_flags((enum field_id)f->id) & (FIELD_NO_TRAILER | FIELD_HOP | FIELD_FRAMING)))
            e = fields_add_named(ret, f->name, f->value);
    }
    return e;
}
