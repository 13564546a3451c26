// SPDX-License-Identifier: Apache-2.0
// Heads out: our own canonical message, never the bytes that came.
#include "base/num.h"
#include "http/h1.h"

void h1_put(struct h1_out *o, struct span s)
{
    if (unlikely((size_t)(o->end - o->next) < s.len)) {
        o->full = true;
        return;
    }
    if (s.len)
        memcpy(o->next, s.ptr, s.len);
    o->next += s.len;
}

void h1_put_dec(struct h1_out *o, uint64_t v)
{
    char text[20];
    h1_put(o, span_of(text, num_put_dec(text, v)));
}

// Names and values are short, and there are many: a call for each would cost more than the copying.
static inline char *copy(char *o, struct span s)
{
    const char *p = s.ptr;
    size_t n = s.len;
    if (n >= 16) {
        for (size_t i = 0; i + 16 < n; i += 16)
            memcpy(o + i, p + i, 16);
        memcpy(o + n - 16, p + n - 16, 16);
    } else if (n >= 8) {
        memcpy(o, p, 8);
        memcpy(o + n - 8, p + n - 8, 8);
    } else if (n >= 4) {
        memcpy(o, p, 4);
        memcpy(o + n - 4, p + n - 4, 4);
    } else {
        for (size_t i = 0; i < n; i++)
            o[i] = p[i];
    }
    return o + n;
}

static inline void put_field(struct h1_out *o, struct span name, struct span value)
{
    if (unlikely((size_t)(o->end - o->next) < name.len + value.len + 4)) {
        o->full = true;
        return;
    }
    char *p = copy(o->next, name);
    *p++ = ':', *p++ = ' ';
    p = copy(p, value);
    *p++ = '\r', *p++ = '\n';
    o->next = p;
}

void h1_put_field(struct h1_out *o, struct span name, struct span value)
{
    put_field(o, name, value);
}

static bool goes_out(const struct field *f)
{
    return !f->removed && (f->id == FIELD_OTHER || field_is_written((enum field_id)f->id));
}

static void put_fields_from(struct h1_out *out, const struct fields *f, uint32_t from)
{
    struct h1_out o = *out; // in registers: what is written could be out itself, as far as the compiler knows
    for (uint32_t i = from; i < f->n; i++)
        if (goes_out(&f->v[i]))
            put_field(&o, f->v[i].name, f->v[i].value);
    *out = o;
}

void h1_put_fields(struct h1_out *o, const struct fields *f)
{
    put_fields_from(o, f, 0);
}

void h1_put_response_fields(struct h1_out *o, const struct response *r)
{
    h1_put(o, r->lines);
    put_fields_from(o, &r->fields, r->lines.ptr ? r->n_lines : 0);
}

static size_t size_from(const struct fields *f, uint32_t from)
{
    size_t n = 0;
    for (uint32_t i = from; i < f->n; i++)
        n += f->v[i].name.len + f->v[i].value.len + 4;
    return n;
}

size_t h1_response_fields_size(const struct response *r)
{
    return r->lines.len + size_from(&r->fields, r->lines.ptr ? r->n_lines : 0);
}

size_t h1_fields_size(const struct fields *f)
{
    return size_from(f, 0);
}

void h1_put_request_line(struct h1_out *o, struct span method, struct span target)
{
    h1_put(o, method);
    h1_put(o, SPAN(" "));
    h1_put(o, target);
    h1_put(o, SPAN(" HTTP/1.1\r\n"));
}

void h1_put_status_line(struct h1_out *o, unsigned status, struct span reason)
{
    if (status == 200 && (reason.len == 0 || span_eq(reason, SPAN("OK")))) {
        h1_put(o, SPAN("HTTP/1.1 200 OK\r\n"));
        return;
    }
    h1_put(o, SPAN("HTTP/1.1 "));
    h1_put_dec(o, status);
    h1_put(o, SPAN(" "));
    h1_put(o, reason.len ? reason : status_reason(status));
    h1_put(o, SPAN("\r\n"));
}

// ---- What is for this hop alone

// Fields that Connection cannot take away: they matter end to end, or say who we and the client are.
static bool is_protected(struct span name)
{
    static const uint8_t ids[] = {
        FIELD_HOST, FIELD_AUTHORIZATION, FIELD_VIA, FIELD_FORWARDED, FIELD_X_FORWARDED_FOR, FIELD_X_FORWARDED_HOST,
        FIELD_X_FORWARDED_PROTO, FIELD_X_FORWARDED_PORT, FIELD_X_REAL_IP, FIELD_CACHE_CONTROL, FIELD_DATE, FIELD_AGE, FIELD_ETAG,
        FIELD_VARY, FIELD_SET_COOKIE, FIELD_COOKIE, FIELD_EXPIRES, FIELD_LAST_MODIFIED, FIELD_RANGE, FIELD_LOCATION,
        FIELD_WWW_AUTHENTICATE, FIELD_PRAGMA, FIELD_ORIGIN, FIELD_REFERER, FIELD_X_REQUEST_ID,
    };
    enum field_id id = field_id_of(name);
    for (size_t i = 0; i < ARRAY_LEN(ids); i++)
        if (ids[i] == id)
            return true;
    return span_starts_ci(name, SPAN("content-")) || span_starts_ci(name, SPAN("x-forwarded-")) ||
           span_starts_ci(name, SPAN("if-"));
}

void h1_strip_hop_fields(struct fields *f)
{
    if (fields_may_have(f, FIELD_CONNECTION)) {
        for (const struct field *c = fields_get(f, FIELD_CONNECTION); c; c = fields_next(f, c)) {
            struct span rest = c->value, item;
            while (list_next(&rest, &item))
                if (!span_eq_ci(item, SPAN("connection")) && !is_protected(item))
                    fields_remove_named(f, item);
        }
    }
    if (!fields_may_have_hop(f))
        return;
    for (uint32_t i = 0; i < f->n; i++)
        if (field_flags((enum field_id)f->v[i].id) & FIELD_HOP)
            f->v[i].removed = 1;
}

struct span status_reason(unsigned status)
{
    static const struct {
        uint16_t status;
        struct span reason;
    } t[] = {
        {100, SPAN_INIT("Continue")},
        {101, SPAN_INIT("Switching Protocols")},
        {102, SPAN_INIT("Processing")},
        {103, SPAN_INIT("Early Hints")},
        {200, SPAN_INIT("OK")},
        {201, SPAN_INIT("Created")},
        {202, SPAN_INIT("Accepted")},
        {203, SPAN_INIT("Non-Authoritative Information")},
        {204, SPAN_INIT("No Content")},
        {205, SPAN_INIT("Reset Content")},
        {206, SPAN_INIT("Partial Content")},
        {300, SPAN_INIT("Multiple Choices")},
        {301, SPAN_INIT("Moved Permanently")},
        {302, SPAN_INIT("Found")},
        {303, SPAN_INIT("See Other")},
        {304, SPAN_INIT("Not Modified")},
        {307, SPAN_INIT("Temporary Redirect")},
        {308, SPAN_INIT("Permanent Redirect")},
        {400, SPAN_INIT("Bad Request")},
        {401, SPAN_INIT("Unauthorized")},
        {402, SPAN_INIT("Payment Required")},
        {403, SPAN_INIT("Forbidden")},
        {404, SPAN_INIT("Not Found")},
        {405, SPAN_INIT("Method Not Allowed")},
        {406, SPAN_INIT("Not Acceptable")},
        {407, SPAN_INIT("Proxy Authentication Required")},
        {408, SPAN_INIT("Request Timeout")},
        {409, SPAN_INIT("Conflict")},
        {410, SPAN_INIT("Gone")},
        {411, SPAN_INIT("Length Required")},
        {412, SPAN_INIT("Precondition Failed")},
        {413, SPAN_INIT("Content Too Large")},
        {414, SPAN_INIT("URI Too Long")},
        {415, SPAN_INIT("Unsupported Media Type")},
        {416, SPAN_INIT("Range Not Satisfiable")},
        {417, SPAN_INIT("Expectation Failed")},
        {421, SPAN_INIT("Misdirected Request")},
        {422, SPAN_INIT("Unprocessable Content")},
        {425, SPAN_INIT("Too Early")},
        {426, SPAN_INIT("Upgrade Required")},
        {428, SPAN_INIT("Precondition Required")},
        {429, SPAN_INIT("Too Many Requests")},
        {431, SPAN_INIT("Request Header Fields Too Large")},
        {451, SPAN_INIT("Unavailable For Legal Reasons")},
        {500, SPAN_INIT("Internal Server Error")},
        {501, SPAN_INIT("Not Implemented")},
        {502, SPAN_INIT("Bad Gateway")},
        {503, SPAN_INIT("Service Unavailable")},
        {504, SPAN_INIT("Gateway Timeout")},
        {505, SPAN_INIT("HTTP Version Not Supported")},
        {507, SPAN_INIT("Insufficient Storage")},
        {508, SPAN_INIT("Loop Detected")},
        {511, SPAN_INIT("Network Authentication Required")},
    };
    for (size_t i = 0; i < ARRAY_LEN(t); i++)
        if (t[i].status == status)
            return t[i].reason;
    return SPAN("");
}
