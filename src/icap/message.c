// SPDX-License-Identifier: Apache-2.0
#include "icap/message.h"

#include "base/ascii.h"
#include "base/check.h"
#include "base/num.h"
#include "http/h1_lines.h"

enum {
    HEAD_ROOM_BYTES = 256, // lines of our own, besides the URL's and the authority's
    URL_MAX_BYTES = 2048,
    ENCAPSULATED_HEAD_MAX = 16384 + 65536 + 4096, // bytes of the HTTP head in an answer
};

// ---- URLs

bool icap_url_parse(struct span text, struct arena *a, struct icap_url *ret)
{
    struct authority h;
    struct span rest = text;
    if (!span_starts_ci(text, SPAN("icap://")) || text.len > URL_MAX_BYTES)
        return false;
    rest = span_skip(rest, 7);
    size_t slash = span_find(rest, '/');
    struct span path = span_skip(rest, slash);
    if (path.len < 2 || authority_parse(span_first(rest, slash), a, &h))
        return false;
    for (size_t i = 0; i < path.len; i++)
        if ((unsigned char)path.ptr[i] <= 0x20 || (unsigned char)path.ptr[i] >= 0x7f || path.ptr[i] == '#')
            return false;
    *ret = (struct icap_url){text, h.text, h.host, h.port ? h.port : ICAP_PORT};
    return true;
}

// ---- Requests

static const struct span method_names[] = {[ICAP_OPTIONS] = SPAN_INIT("OPTIONS"),
                                           [ICAP_REQMOD] = SPAN_INIT("REQMOD"),
                                           [ICAP_RESPMOD] = SPAN_INIT("RESPMOD")};

static void put_length(struct h1_out *o, const struct framing *f)
{
    if (f->kind != FRAMING_LENGTH)
        return;
    h1_put(o, SPAN("Content-Length: "));
    h1_put_dec(o, f->length);
    h1_put(o, SPAN("\r\n"));
}

static void put_http_request(struct h1_out *o, const struct icap_request *r)
{
    static const uint8_t secrets[] = {FIELD_AUTHORIZATION, FIELD_COOKIE, FIELD_PROXY_AUTHORIZATION};
    const struct fields *f = &r->req->fields;
    h1_put_request_line(o, r->req->method_text, r->target);
    for (uint32_t i = 0; i < f->n; i++) {
        const struct field *x = &f->v[i];
        bool secret = false;
        for (size_t k = 0; k < ARRAY_LEN(secrets); k++)
            secret |= x->id == secrets[k];
        if (!x->removed && !secret && (x->id == FIELD_OTHER || field_is_written((enum field_id)x->id)))
            h1_put_field(o, x->name, x->value);
    }
    put_length(o, &r->req->framing);
    h1_put(o, SPAN("\r\n"));
}

static void put_http_response(struct h1_out *o, const struct response *r)
{
    h1_put_status_line(o, r->status, r->reason);
    h1_put_fields(o, &r->fields);
    put_length(o, &r->framing);
    h1_put(o, SPAN("\r\n"));
}

static void put_encapsulated(struct h1_out *o, const struct icap_request *r, size_t request_bytes,
                             size_t response_bytes)
{
    h1_put(o, SPAN("Encapsulated: "));
    if (r->req)
        h1_put(o, SPAN("req-hdr=0, "));
    if (r->resp) {
        h1_put(o, SPAN("res-hdr="));
        h1_put_dec(o, request_bytes);
        h1_put(o, SPAN(", "));
    }
    h1_put(o, !r->has_content            ? SPAN("null-body=")
              : r->method == ICAP_REQMOD ? SPAN("req-body=")
                                         : SPAN("res-body="));
    h1_put_dec(o, request_bytes + response_bytes);
    h1_put(o, SPAN("\r\n\r\n"));
}

static void put_own_head(struct h1_out *o, const struct icap_request *r)
{
    h1_put(o, method_names[r->method]);
    h1_put(o, SPAN(" "));
    h1_put(o, r->url->text);
    h1_put(o, SPAN(" ICAP/1.0\r\n"));
    h1_put_field(o, SPAN("Host"), r->url->authority);
    if (r->allow_204)
        h1_put_field(o, SPAN("Allow"), SPAN("204"));
    if (r->has_preview) {
        h1_put(o, SPAN("Preview: "));
        h1_put_dec(o, r->preview);
        h1_put(o, SPAN("\r\n"));
    }
}

struct span icap_request_head(const struct icap_request *r, struct arena *a)
{
    size_t own = HEAD_ROOM_BYTES + r->url->text.len + r->url->authority.len;
    size_t req =
        r->req ? HEAD_ROOM_BYTES + r->req->method_text.len + r->target.len + h1_fields_size(&r->req->fields)
               : 0;
    size_t resp = r->resp ? HEAD_ROOM_BYTES + r->resp->reason.len + h1_fields_size(&r->resp->fields) : 0;
    char *p = arena_bytes(a, own + req + resp), *http = arena_bytes(a, req + resp + 1);
    if (!p || !http)
        return SPAN_NONE;
    struct h1_out o = {p, p + own, false}, h = {http, http + req + resp, false};
    if (r->req)
        put_http_request(&h, r);
    size_t request_bytes = (size_t)(h.next - http);
    if (r->resp)
        put_http_response(&h, r->resp);
    size_t http_bytes = (size_t)(h.next - http);
    put_own_head(&o, r);
    put_encapsulated(&o, r, request_bytes, http_bytes - request_bytes);
    CHECK(!o.full && !h.full);
    size_t n = (size_t)(o.next - p);
    memcpy(p + n, http, http_bytes);
    return span_of(p, n + http_bytes);
}

// ---- Answers

static bool take_part(struct span name, uint32_t at, struct icap_parts *p)
{
    static const struct {
        struct span name;
        enum icap_body body;
    } bodies[] = {{SPAN_INIT("null-body"), ICAP_BODY_NULL},
                  {SPAN_INIT("req-body"), ICAP_BODY_REQ},
                  {SPAN_INIT("res-body"), ICAP_BODY_RES},
                  {SPAN_INIT("opt-body"), ICAP_BODY_OPT}};
    bool req = span_eq_ci(name, SPAN("req-hdr")), res = span_eq_ci(name, SPAN("res-hdr"));
    if (req || res) { // the first part
        if (p->req_head || p->res_head || at)
            return false;
        p->req_head = req;
        p->res_head = res;
        return true;
    }
    for (size_t i = 0; i < ARRAY_LEN(bodies); i++)
        if (span_eq_ci(name, bodies[i].name))
            p->body = bodies[i].body;
    p->head_bytes = at;
    bool fits = p->body != ICAP_BODY_UNSAID && !(p->req_head && p->body == ICAP_BODY_RES) &&
                !(p->res_head && p->body == ICAP_BODY_REQ) &&
                !((p->req_head || p->res_head) && p->body == ICAP_BODY_OPT);
    return fits && (at > 0) == (p->req_head || p->res_head); // a head has octets
}

bool icap_parse_parts(struct span value, uint32_t head_bytes_max, struct icap_parts *ret)
{
    struct icap_parts p = {0};
    struct span rest = value, item;
    while (list_next(&rest, &item)) {
        uint64_t at;
        struct span number = item, name = span_cut(&number, '=');
        if (p.body != ICAP_BODY_UNSAID || !num_parse_dec(number, head_bytes_max, &at) ||
            !take_part(name, (uint32_t)at, &p))
            return false; // the body is the last part
    }
    *ret = p;
    return p.body != ICAP_BODY_UNSAID;
}

// `ICAP/1.x SP 3DIGIT [SP reason]`.
static bool parse_status_line(struct span line, unsigned *ret)
{
    uint64_t status;
    if (line.len < 12 || !span_starts(line, SPAN("ICAP/1.")) || !ascii_is_digit((unsigned char)line.ptr[7]) ||
        line.ptr[8] != ' ')
        return false;
    if (!num_parse_dec(span_of(line.ptr + 9, 3), 599, &status) || status < 100 ||
        (line.len > 12 && line.ptr[12] != ' '))
        return false;
    *ret = (unsigned)status;
    return true;
}

static bool wants_close(const struct fields *f)
{
    for (const struct field *x = fields_get(f, FIELD_CONNECTION); x; x = fields_next(f, x))
        if (list_has(x->value, SPAN("close")))
            return true;
    return false;
}

enum err icap_parse_answer(struct span head, struct arena *a, struct icap_answer *ret)
{
    size_t line = span_find(head, '\n');
    *ret = (struct icap_answer){0};
    fields_init(&ret->fields, a);
    if (line >= head.len || line == 0 || !parse_status_line(span_first(head, line - 1), &ret->status))
        return ERR_BAD_RESPONSE;
    enum err e = h1_lines_parse(span_skip(head, line + 1), &ret->fields);
    if (e)
        return e == ERR_NO_MEMORY ? e : ERR_BAD_RESPONSE;
    const struct field *parts = fields_find(&ret->fields, SPAN("Encapsulated"));
    if (parts && (fields_find_next(&ret->fields, parts) ||
                  !icap_parse_parts(parts->value, ENCAPSULATED_HEAD_MAX, &ret->parts)))
        return ERR_BAD_RESPONSE;
    ret->keep_alive = !wants_close(&ret->fields);
    return ERR_OK;
}

struct span icap_finding(const struct fields *f)
{
    static const struct span names[] = {SPAN_INIT("X-Virus-ID"), SPAN_INIT("X-Infection-Found"),
                                        SPAN_INIT("X-Violations-Found")};
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        const struct field *x = fields_find(f, names[i]);
        // The second one has several parameters, of which one is the name (draft-stecher-icap-subid).
        struct span rest = x ? x->value : SPAN_NONE;
        while (rest.ptr) {
            struct span part = span_trim(span_cut(&rest, ';'));
            if (span_starts_ci(part, SPAN("Threat=")) && part.len > 7)
                return span_skip(part, 7);
        }
        if (x && x->value.len && !span_eq(x->value, SPAN("0")) && !span_eq_ci(x->value, SPAN("no threats")))
            return x->value;
    }
    return SPAN_NONE;
}
