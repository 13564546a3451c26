// SPDX-License-Identifier: Apache-2.0
#include "proxy/transform.h"

#include "filter/codec.h"
#include "http/media.h"
#include "proxy/link_fields.h"

static const struct compress *compress_of(const struct exchange *x)
{
    return x->route ? x->route->compress : x->proxy ? x->proxy->compress : NULL;
}

static bool type_matches(const struct compress *c, struct span essence)
{
    for (unsigned i = 0; i < c->n_types; i++)
        if (media_matches(essence, c->types[i]))
            return true;
    return false;
}

static bool has_no_transform(const struct fields *f, struct arena *a)
{
    struct span cc = fields_joined(f, FIELD_CACHE_CONTROL, a);
    return cc.ptr && list_has(cc, SPAN("no-transform"));
}

static enum err vary_add(struct fields *f, struct arena *a, struct span name)
{
    struct span vary = fields_joined(f, FIELD_VARY, a);
    if (vary.ptr && (list_has(vary, name) || list_has(vary, SPAN("*"))))
        return ERR_OK;
    struct span value = vary.ptr && vary.len ? arena_printf(a, "%.*s, %.*s", SPAN_ARG(vary), SPAN_ARG(name)) : name;
    return value.ptr ? fields_set(f, FIELD_VARY, value) : ERR_NO_MEMORY;
}

// The octets change: the tag says the same of their meaning only, and what counts octets no longer holds.
static enum err octets_change(struct exchange *x)
{
    struct fields *f = &x->resp.fields;
    fields_remove(f, FIELD_CONTENT_MD5);
    fields_remove(f, FIELD_CONTENT_DIGEST);
    fields_remove_named(f, SPAN("Digest"));
    fields_remove_named(f, SPAN("Repr-Digest"));
    fields_remove(f, FIELD_ACCEPT_RANGES);
    x->resp.framing = (struct framing){FRAMING_CHUNKED, 0};
    struct field *etag = fields_get(f, FIELD_ETAG);
    if (!etag || span_starts(etag->value, SPAN("W/")))
        return ERR_OK;
    struct span weak = arena_printf(x->arena, "W/%.*s", SPAN_ARG(etag->value));
    return weak.ptr ? fields_set(f, FIELD_ETAG, weak) : ERR_NO_MEMORY;
}

// Whether the content may be encoded at all; length as the server has it.
static bool may_compress(const struct exchange *x, const struct compress *c, struct framing sent)
{
    const struct response *r = &x->resp;
    if (r->status < 200 || r->status == 204 || r->status == 205 || r->status == 206 || r->status == 304)
        return false;
    if (fields_get(&r->fields, FIELD_CONTENT_ENCODING) || fields_get(&r->fields, FIELD_CONTENT_RANGE))
        return false;
    if (sent.kind == FRAMING_NONE || (sent.kind == FRAMING_LENGTH && sent.length < c->min_bytes))
        return false;
    return !has_no_transform(&r->fields, x->arena);
}

static MUST_USE enum err add_filter(struct exchange *x, struct filter *f)
{
    if (!x->filters) {
        x->filters = (struct filter_chain *)arena_alloc(x->arena, sizeof *x->filters);
        if (!x->filters) {
            filter_free(f);
            return ERR_NO_MEMORY;
        }
        filter_chain_init(x->filters);
    }
    return filter_chain_add(x->filters, f) ? ERR_OK : ERR_NO_MEMORY;
}

static enum err plan_compress(struct exchange *x, const struct compress *c, struct framing sent)
{
    struct span type = media_essence(fields_value(&x->resp.fields, FIELD_CONTENT_TYPE));
    if (!type_matches(c, type))
        return x->resp.status == 304 ? vary_add(&x->resp.fields, x->arena, SPAN("Accept-Encoding")) : ERR_OK;
    enum err e = vary_add(&x->resp.fields, x->arena, SPAN("Accept-Encoding"));
    if (e || !may_compress(x, c, sent))
        return e;
    enum coding coding = coding_choose(fields_joined(&x->req->fields, FIELD_ACCEPT_ENCODING, x->arena), c->offers, c->n_offers);
    if (coding == CODING_IDENTITY)
        return ERR_OK;
    e = fields_set(&x->resp.fields, FIELD_CONTENT_ENCODING, coding_name(coding));
    if (!e)
        e = octets_change(x);
    if (!e && x->req->method != METHOD_HEAD)
        e = add_filter(x, encoder_new(coding, c->level));
    return e;
}

// ---- rewrite-links

// A filter of links for the content's type, or NULL. The tokenizers read octets of ASCII: what encodes it otherwise stays.
static struct filter *(*links_filter_of(const struct exchange *x))(const struct link_map *)
{
    static const char *const foreign[] = {"utf-16", "utf-32", "ucs-2", "iso-2022", "utf-7", "hz-gb", "iso-10646-ucs", "unicode", "csunicode"};
    struct span value = fields_value(&x->resp.fields, FIELD_CONTENT_TYPE), type = media_essence(value), charset = media_parameter(value, SPAN("charset"));
    for (size_t i = 0; i < ARRAY_LEN(foreign); i++)
        if (span_starts_ci(charset, span_str(foreign[i])))
            return NULL;
    if (span_eq_ci(type, SPAN("text/html")))
        return html_links_new;
    if (span_eq_ci(type, SPAN("text/css")))
        return css_links_new;
    const struct rewrite_links *r = x->route->links;
    for (unsigned i = 0; i < r->n_types; i++)
        if (media_matches(type, r->types[i]))
            return text_links_new;
    return NULL;
}

enum {
    LINKS_CODINGS_MAX = FILTERS_MAX - 2, // with the links' filter and an encoder behind them
};
static const uint64_t DECODED_MAX = (uint64_t)4 << 30; // of one answer; what is larger ends as broken

// Decoders in front of the links' filter, and an encoder behind it where `compress` does not see to that.
static enum err add_links(struct exchange *x, struct filter *links, const enum coding *codings, unsigned n)
{
    bool head = x->req->method == METHOD_HEAD, again = n == 1 && !compress_of(x) && codings[0] != CODING_DEFLATE;
    enum err e = ERR_OK;
    for (unsigned i = n; i > 0 && !head && !e; i--)
        e = add_filter(x, decoder_new(codings[i - 1], DECODED_MAX));
    if (e || head)
        filter_free(links);
    else
        e = add_filter(x, links);
    if (!e && !head && again)
        e = add_filter(x, encoder_new(codings[0], 0));
    if (!again)
        fields_remove(&x->resp.fields, FIELD_CONTENT_ENCODING);
    return e;
}

static enum err plan_links_content(struct exchange *x, const struct link_map *m)
{
    const struct response *r = &x->resp;
    struct filter *(*make)(const struct link_map *) = links_filter_of(x);
    enum coding codings[LINKS_CODINGS_MAX];
    if (!make || r->status == 206 || (r->framing.kind == FRAMING_NONE && x->req->method != METHOD_HEAD) || has_no_transform(&r->fields, x->arena))
        return ERR_OK;
    unsigned n = coding_list(fields_joined(&r->fields, FIELD_CONTENT_ENCODING, x->arena), codings, LINKS_CODINGS_MAX);
    for (unsigned i = 0; i < n; i++)
        if (n > LINKS_CODINGS_MAX || codings[i] == CODING_UNKNOWN)
            return ERR_OK;
    enum err e = octets_change(x);
    if (!e)
        e = add_links(x, make(m), codings, n);
    return e;
}

static enum err plan_links(struct exchange *x)
{
    struct link_map *m = (struct link_map *)arena_alloc(x->arena, sizeof *m);
    if (!m)
        return ERR_NO_MEMORY;
    const struct rewrite_links *r = x->route->links;
    *m = (struct link_map){r->origins, r->n_origins, x->scheme, x->host, x->route->strip};
    enum err e = link_fields(m, &x->resp.fields, x->req->authority.host, x->arena);
    return e ? e : plan_links_content(x, m);
}

enum err transform_plan(struct exchange *x)
{
    const struct compress *c = compress_of(x);
    bool has_content = x->answer == ANSWER_UPSTREAM || x->answer == ANSWER_LOCAL || x->answer == ANSWER_FILE;
    struct framing sent = x->resp.framing;
    enum err e = ERR_OK;
    if (x->answer == ANSWER_UPSTREAM && x->route && x->route->links) {
        bool encoded = fields_may_have(&x->resp.fields, FIELD_CONTENT_ENCODING); // its length says nothing of the content's
        e = plan_links(x);
        sent = encoded ? x->resp.framing : sent;
    }
    return !e && c && has_content ? plan_compress(x, c, sent) : e;
}

enum err transform_request_fields(const struct exchange *x, struct fields *f)
{
    struct field *tags = fields_get(f, FIELD_IF_NONE_MATCH);
    if (!tags || (!compress_of(x) && !(x->route && x->route->links)))
        return ERR_OK;
    struct span list = fields_joined(f, FIELD_IF_NONE_MATCH, x->arena), item, out = SPAN_NONE;
    char *p = list.ptr ? arena_bytes(x->arena, list.len * 2 + 2) : NULL; // room for ", " in place of each ","
    if (!p)
        return ERR_NO_MEMORY;
    for (out = span_of(p, 0); list_next(&list, &item);) {
        struct span tag = span_starts(item, SPAN("W/")) ? span_skip(item, 2) : item;
        if (out.len) {
            memcpy(p + out.len, ", ", 2);
            out.len += 2;
        }
        memcpy(p + out.len, tag.ptr, tag.len);
        out.len += tag.len;
    }
    return fields_set(f, FIELD_IF_NONE_MATCH, out);
}
