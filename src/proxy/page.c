// SPDX-License-Identifier: Apache-2.0
#include "proxy/page.h"

#include "http/h1.h"

static struct span escape(struct arena *a, struct span s)
{
    char *p = arena_bytes(a, s.len * 6 + 1);
    size_t n = 0;
    for (size_t i = 0; p && i < s.len; i++) {
        struct span e = s.ptr[i] == '<' ? SPAN("&lt;") : s.ptr[i] == '>' ? SPAN("&gt;") : s.ptr[i] == '&' ? SPAN("&amp;") : s.ptr[i] == '"' ? SPAN("&quot;") : span_of(s.ptr + i, 1);
        memcpy(p + n, e.ptr, e.len);
        n += e.len;
    }
    return p ? span_of(p, n) : SPAN_NONE;
}

// Whether the client would rather have JSON: it names a JSON type, and no HTML.
static bool wants_json(const struct request *req)
{
    bool json = false, html = false;
    for (const struct field *f = fields_get(&req->fields, FIELD_ACCEPT); f; f = fields_next(&req->fields, f)) {
        struct span rest = f->value, item;
        while (list_next(&rest, &item)) {
            struct span type = span_trim(span_first(item, span_find(item, ';')));
            json |= span_ends_ci(type, SPAN("json"));
            html |= span_eq_ci(type, SPAN("text/html"));
        }
    }
    return json && !html;
}

static struct span say(enum err reason, struct span message)
{
    return message.len ? message : span_str(err_info(reason)->text);
}

static struct span json(enum err reason, unsigned status, struct span id, struct span message, struct arena *a)
{
    const struct err_info *i = err_info(reason);
    struct span text = escape(a, say(reason, message));
    return arena_printf(a, "{\"type\":\"about:blank\",\"title\":\"%.*s\",\"status\":%u,\"detail\":\"%.*s%s\",\"reason\":\"%s\",\"id\":\"%.*s\"}\n",
                        SPAN_ARG(status_reason(status)), status, SPAN_ARG(text), i->fault == ERR_FAULT_POLICY ? " Blocked by a rule of this proxy's policy." : "", i->name, SPAN_ARG(id));
}

static struct span html(enum err reason, unsigned status, struct span id, struct span message, struct arena *a)
{
    const struct err_info *i = err_info(reason);
    struct span text = escape(a, say(reason, message)), title = status_reason(status);
    return arena_printf(a,
                        "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\"><title>%u %.*s</title>"
                        "<style>body{font:16px/1.5 system-ui,sans-serif;max-width:36em;margin:15vh auto;padding:0 1em;color:#222;background:#fff}h1{font-size:1.4em}"
                        "small{color:#666}@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}small{color:#999}}</style>"
                        "<h1>%u %.*s</h1><p>%.*s%s</p><p><small>%s &middot; %.*s</small></p></html>\n",
                        status, SPAN_ARG(title), status, SPAN_ARG(title), SPAN_ARG(text),
                        i->fault == ERR_FAULT_POLICY ? " Blocked by a rule of this proxy's policy." : "", i->name, SPAN_ARG(id));
}

static enum err finish(struct response *ret, struct span body, struct chunkq *content)
{
    if (!body.ptr)
        return ERR_NO_MEMORY;
    ret->version = HTTP_1_1;
    ret->framing = (struct framing){FRAMING_LENGTH, body.len};
    return chunkq_append(content, NULL, body.ptr, body.len);
}

enum err page_render(enum err reason, const struct request *req, struct span id, struct span message, struct arena *a, struct response *ret,
                     struct chunkq *ret_content)
{
    unsigned status = err_info(reason)->status;
    if (status == 499)
        status = 400;
    bool as_json = wants_json(req);
    ret->status = (uint16_t)status;
    ret->reason = SPAN_NONE;
    enum err e = fields_add(&ret->fields, FIELD_CONTENT_TYPE, as_json ? SPAN("application/problem+json") : SPAN("text/html; charset=utf-8"));
    if (!e)
        e = fields_add(&ret->fields, FIELD_CACHE_CONTROL, SPAN("no-store"));
    if (!e && !as_json)
        e = fields_add(&ret->fields, FIELD_CONTENT_SECURITY_POLICY, SPAN("default-src 'none'; style-src 'unsafe-inline'"));
    if (!e && (status == 503 || status == 429))
        e = fields_add(&ret->fields, FIELD_RETRY_AFTER, SPAN("1"));
    if (!e && status == 405)
        e = fields_add(&ret->fields, FIELD_ALLOW, SPAN("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"));
    if (e)
        return e;
    return finish(ret, as_json ? json(reason, status, id, message, a) : html(reason, status, id, message, a), ret_content);
}

enum err page_text(unsigned status, struct span text, struct response *ret, struct chunkq *ret_content)
{
    ret->status = (uint16_t)status;
    enum err e = status == 204 || status == 304 ? ERR_OK : fields_add(&ret->fields, FIELD_CONTENT_TYPE, SPAN("text/plain; charset=utf-8"));
    return e ? e : finish(ret, text.ptr ? text : SPAN(""), ret_content);
}
