// SPDX-License-Identifier: Apache-2.0
#include "proxy/page.h"

#include "base/ascii.h"
#include "base/num.h"
#include "http/h1.h"
#include "proxy/escape.h"

static const struct span usual_methods = SPAN_INIT("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
static const struct span blocked = SPAN_INIT(" It was blocked by a rule of this proxy's policy.");

// ---- Accept

// "q=0.5" in thousandths (RFC 9110 12.4.2); 1000 where there is none, 0 where it is malformed.
static unsigned weight_of(struct span params)
{
    while (params.ptr) {
        struct span value = span_trim(span_cut(&params, ';')), name = span_trim(span_cut(&value, '='));
        if (!span_eq_ci(name, SPAN("q")))
            continue;
        unsigned q = 0;
        value = span_trim(value);
        if (value.len == 0 || value.len > 5 || (value.ptr[0] != '0' && value.ptr[0] != '1') ||
            (value.len > 1 && value.ptr[1] != '.'))
            return 0;
        for (size_t i = 0, unit = 1000; i < value.len; i++) {
            if (i == 1)
                continue;
            if (!ascii_is_digit((unsigned char)value.ptr[i]))
                return 0;
            q += (unsigned)(value.ptr[i] - '0') * (unsigned)unit;
            unit /= 10;
        }
        return MIN(q, 1000U);
    }
    return 1000;
}

bool page_wants_json(const struct fields *f)
{
    unsigned json = 0, html = 0;
    bool html_named = false;
    for (const struct field *x = fields_get(f, FIELD_ACCEPT); x; x = fields_next(f, x)) {
        struct span rest = x->value, item;
        while (list_next(&rest, &item)) {
            struct span type = span_trim(span_cut(&item, ';'));
            unsigned q = weight_of(item);
            if (span_eq_ci(type, SPAN("application/json")) ||
                span_eq_ci(type, SPAN("application/problem+json")))
                json = MAX(json, q);
            else if (span_eq_ci(type, SPAN("text/html")))
                html = html_named ? MAX(html, q) : q, html_named = true;
            else if (span_eq_ci(type, SPAN("text/*")) && !html_named)
                html = MAX(html, q);
        }
    }
    return json > html;
}

// ---- What is said

struct span page_message(const struct page *p)
{
    return p->message.len ? p->message : span_str(err_info(p->reason)->text);
}

// A refusal by policy says so in words.
static struct span addition(const struct page *p)
{
    return err_info(p->reason)->fault == ERR_FAULT_POLICY ? blocked : SPAN("");
}

static struct span json_text(struct arena *a, struct span s)
{
    char *p = arena_bytes(a, s.len * 6 + 1);
    return p ? span_of(p, escape_json(s, p, s.len * 6)) : SPAN_NONE;
}

static struct span problem(const struct page *p, unsigned status, struct arena *a)
{
    struct span text = json_text(a, page_message(p)), id = json_text(a, p->id);
    if (!text.ptr || !id.ptr)
        return SPAN_NONE;
    return arena_printf(a,
                        "{\"type\":\"about:blank\",\"title\":\"%.*s\",\"status\":%u,\"detail\":\"%.*s%.*s\","
                        "\"reason\":\"%s\",\"id\":\"%.*s\"}\n",
                        SPAN_ARG(status_reason(status)), status, SPAN_ARG(text), SPAN_ARG(addition(p)),
                        err_name(p->reason), SPAN_ARG(id));
}

static const char page_form[] =
    "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n"
    "<meta name=\"viewport\" content=\"width=device-width\">\n<title>%u %.*s</title>\n<style>"
    ":root{color-scheme:light dark}"
    "body{font:16px/1.5 system-ui,sans-serif;max-width:36em;margin:15vh auto;padding:0 1em}"
    "h1{font-size:1.4em}small{opacity:.7}"
    "</style>\n<h1>%u %.*s</h1>\n<p>%.*s%.*s</p>\n<p><small>%s &middot; %.*s</small></p>\n</html>\n";

static struct span html(const struct page *p, unsigned status, struct arena *a)
{
    if (p->form.len)
        return p->form;
    struct span text = escape_html(a, page_message(p)), id = escape_html(a, p->id),
                title = status_reason(status);
    if (!text.ptr || !id.ptr)
        return SPAN_NONE;
    return arena_printf(a, page_form, status, SPAN_ARG(title), status, SPAN_ARG(title), SPAN_ARG(text),
                        SPAN_ARG(addition(p)), err_name(p->reason), SPAN_ARG(id));
}

// ---- The answer

static enum err finish(struct response *ret, struct span body, struct chunkq *content)
{
    if (!body.ptr)
        return ERR_NO_MEMORY;
    ret->version = HTTP_1_1;
    ret->framing = (struct framing){FRAMING_LENGTH, body.len};
    return chunkq_append(content, NULL, body.ptr, body.len);
}

enum err page_retry_after(unsigned seconds, struct arena *a, struct fields *f)
{
    char text[20];
    struct span value;
    if (!seconds)
        return ERR_OK;
    return arena_dup(a, span_of(text, num_put_dec(text, seconds)), &value)
               ? fields_add(f, FIELD_RETRY_AFTER, value)
               : ERR_NO_MEMORY;
}

static enum err put_fields(const struct page *p, bool as_json, unsigned status, struct arena *a, struct fields *f)
{
    enum err e = fields_add(f, FIELD_CONTENT_TYPE,
                            as_json ? SPAN("application/problem+json") : SPAN("text/html; charset=utf-8"));
    if (!e)
        e = fields_add(f, FIELD_CACHE_CONTROL, SPAN("no-store"));
    if (!e)
        e = fields_add_named(f, SPAN("X-Content-Type-Options"), SPAN("nosniff"));
    if (!e && !as_json)
        e = fields_add(f, FIELD_CONTENT_SECURITY_POLICY,
                       p->own_things ? SPAN("default-src 'self' data:; style-src 'self' 'unsafe-inline'; "
                                            "script-src 'none'; object-src 'none'; base-uri 'none'")
                       : p->form.len ? SPAN("default-src 'none'; style-src 'unsafe-inline'; img-src data:")
                                     : SPAN("default-src 'none'; style-src 'unsafe-inline'"));
    if (!e && (p->retry_after_s || ((status == 503 || status == 429) && !p->status)))
        e = page_retry_after(MAX(p->retry_after_s, 1U), a, f);
    if (!e && status == 405)
        e = fields_add(f, FIELD_ALLOW, p->allow.len ? p->allow : usual_methods);
    return e;
}

unsigned page_status(const struct page *p)
{
    unsigned status = p->status ? p->status : err_info(p->reason)->status;
    return status == 499 || status < 400
               ? 400
               : status; // a client that left sees none, but may only have stopped sending
}

enum err page_render(const struct page *p, const struct request *req, struct arena *a, struct response *ret,
                     struct chunkq *ret_content)
{
    unsigned status = page_status(p);
    bool as_json = p->as_json || page_wants_json(&req->fields);
    ret->status = (uint16_t)status;
    ret->reason = SPAN_NONE;
    enum err e = put_fields(p, as_json, status, a, &ret->fields);
    if (e)
        return e;
    return finish(ret, as_json ? problem(p, status, a) : html(p, status, a), ret_content);
}

enum err page_text(unsigned status, struct span text, struct response *ret, struct chunkq *ret_content)
{
    ret->status = (uint16_t)status;
    enum err e = status == 204 || status == 304
                     ? ERR_OK
                     : fields_add(&ret->fields, FIELD_CONTENT_TYPE, SPAN("text/plain; charset=utf-8"));
    return e ? e : finish(ret, text.ptr ? text : SPAN(""), ret_content);
}
