// SPDX-License-Identifier: Apache-2.0
#include "proxy/strip.h"

#include "policy/privacy.h"
#include "proxy/page.h"
#include "proxy/policing.h"

// ---- Empty things

// One transparent pixel of each type (one that has no transparency gets a GIF: pictures are decoded by what they are).
static const struct {
    struct span type, bytes;
} pixels[] = {
    {SPAN_INIT("image/gif"), SPAN_INIT("\x47\x49\x46\x38\x39\x61\x01\x00\x01\x00\x80\x00\x00\x00\x00\x00\xff\xff\xff\x21\xf9\x04\x01\x00\x00\x00\x00\x2c\x00\x00\x00\x00\x01\x00\x01\x00\x00\x02\x01\x44\x00\x3b")},
    {SPAN_INIT("image/png"), SPAN_INIT("\x89\x50\x4e\x47\x0d\x0a\x1a\x0a\x00\x00\x00\x0d\x49\x48\x44\x52\x00\x00\x00\x01\x00\x00\x00\x01\x08\x06\x00\x00\x00\x1f\x15\xc4\x89\x00\x00\x00\x0b\x49\x44\x41\x54\x78\xda\x63\x60\x00\x02\x00\x00\x05\x00\x01\xe9\xfa\xdc\xd8\x00\x00\x00\x00\x49\x45\x4e\x44\xae\x42\x60\x82")},
    {SPAN_INIT("image/webp"), SPAN_INIT("\x52\x49\x46\x46\x1a\x00\x00\x00\x57\x45\x42\x50\x56\x50\x38\x4c\x0d\x00\x00\x00\x2f\x00\x00\x00\x10\x07\x10\x11\x11\x88\x88\xfe\x07\x00")},
    {SPAN_INIT("image/svg+xml"), SPAN_INIT("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"1\" height=\"1\"/>")},
};

static bool is_kind(const struct response_facts *f, struct span prefix)
{
    return span_starts_ci(f->type, prefix) || span_starts_ci(f->sniffed, prefix);
}

static bool is_script(const struct response_facts *f)
{
    static const struct span types[] = {SPAN_INIT("text/javascript"), SPAN_INIT("application/javascript"), SPAN_INIT("application/x-javascript"), SPAN_INIT("application/ecmascript"), SPAN_INIT("text/ecmascript"), SPAN_INIT("text/jscript"), SPAN_INIT("application/wasm")};
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (span_eq_ci(types[i], f->type))
            return true;
    return false;
}

void strip_begin(struct exchange *x)
{
    exchange_end_upstream(x);
    chunkq_clear(&x->content);
    chunkq_clear(&x->ahead);
    memset(&x->resp, 0, sizeof x->resp);
    fields_init(&x->resp.fields, x->arena);
    x->resp.version = HTTP_1_1;
    x->answer = ANSWER_LOCAL;
}

static enum err answer_bytes(struct exchange *x, struct span type, struct span bytes)
{
    strip_begin(x);
    x->resp.status = 200;
    x->resp.framing = (struct framing){FRAMING_LENGTH, bytes.len};
    enum err e = fields_add(&x->resp.fields, FIELD_CONTENT_TYPE, type);
    if (!e)
        e = fields_add(&x->resp.fields, FIELD_CACHE_CONTROL, SPAN("no-store"));
    return e || !bytes.len ? e : chunkq_append(&x->content, NULL, bytes.ptr, bytes.len);
}

static enum err answer_pixel(struct exchange *x, const struct response_facts *f)
{
    struct span type = span_starts_ci(f->type, SPAN("image/")) ? f->type : f->sniffed;
    for (size_t i = 0; i < ARRAY_LEN(pixels); i++)
        if (span_eq_ci(pixels[i].type, type))
            return answer_bytes(x, pixels[i].type, pixels[i].bytes);
    struct span kept = SPAN_NONE;
    return arena_dup(x->arena, type, &kept) ? answer_bytes(x, kept, pixels[0].bytes) : ERR_NO_MEMORY;
}

// Who went to it in a window of its own is told; in a page there is nothing.
static enum err answer_media(struct exchange *x)
{
    struct request_view *v = request_view(&x->policy->in);
    if (!v)
        return ERR_NO_MEMORY;
    if (v->type == RESOURCE_DOCUMENT)
        return answer_bytes(x, SPAN("text/html; charset=utf-8"), SPAN("<!doctype html>\n<title>Left out</title>\n<p>A rule of this proxy leaves out sound and video.</p>\n"));
    strip_begin(x);
    return page_text(204, SPAN(""), &x->resp, &x->content);
}

// ---- Trackers

static bool is_third_party(struct exchange *x)
{
    struct request_view *v = request_view(&x->policy->in);
    return v && request_party(v, &x->policy->in) == PARTY_THIRD;
}

enum err strip_request(struct exchange *x)
{
    struct request_view *v = request_view(&x->policy->in);
    if (!v)
        return ERR_NO_MEMORY;
    if (v->type == RESOURCE_PING && request_party(v, &x->policy->in) != PARTY_FIRST && !x->tunnel_wanted) {
        strip_begin(x);
        return page_text(204, SPAN(""), &x->resp, &x->content);
    }
    if (request_party(v, &x->policy->in) == PARTY_THIRD)
        fields_remove(&x->req->fields, FIELD_COOKIE);
    return privacy_clean_query(x->req->query, x->arena, &x->req->query);
}

// ---- By type

enum err strip_answer(struct exchange *x, const struct response_facts *f)
{
    unsigned strip = x->policy->outcome.strip;
    if (x->resp.status < 200 || x->resp.status >= 300)
        return ERR_OK;
    if (strip & STRIP_IMAGES && is_kind(f, SPAN("image/")))
        return answer_pixel(x, f);
    if ((strip & STRIP_VIDEO && is_kind(f, SPAN("video/"))) || (strip & STRIP_AUDIO && is_kind(f, SPAN("audio/"))))
        return answer_media(x);
    if (strip & STRIP_SCRIPTS && is_script(f))
        return answer_bytes(x, SPAN("text/javascript; charset=utf-8"), SPAN(""));
    if (strip & STRIP_TRACKERS && is_third_party(x))
        fields_remove(&x->resp.fields, FIELD_SET_COOKIE);
    // Scripts that stand in a page are its own: the client is told not to run them.
    return strip & STRIP_SCRIPTS ? fields_add(&x->resp.fields, FIELD_CONTENT_SECURITY_POLICY, SPAN("script-src 'none'")) : ERR_OK;
}
