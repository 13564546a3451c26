// SPDX-License-Identifier: Apache-2.0
#include "proxy/transform.h"

#include "admin/metrics.h"
#include "filter/codec.h"
#include "http/media.h"
#include "http/vary.h"
#include "proxy/link_fields.h"

static const struct compress *compress_of(const struct exchange *x)
{
    return x->route ? x->route->compress : x->proxy ? x->proxy->compress : NULL;
}

static const struct decompress *decompress_of(const struct exchange *x)
{
    return x->route ? x->route->decompress : x->proxy ? x->proxy->decompress : NULL;
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
        return x->resp.status == 304 ? vary_add(&x->resp.fields, SPAN("Accept-Encoding"), x->arena) : ERR_OK;
    enum err e = vary_add(&x->resp.fields, SPAN("Accept-Encoding"), x->arena);
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
            return span_eq_ci(type, SPAN("application/xhtml+xml")) ? xhtml_links_new : text_links_new;
    return NULL;
}

enum {
    CONTENT_CODINGS_MAX = FILTERS_MAX - 3, // with two filters and an encoder behind them
};

// Codings that can be undone; false: the content has to stay.
static bool decodable(const struct exchange *x, enum coding codings[CONTENT_CODINGS_MAX], unsigned *ret_n)
{
    *ret_n = coding_list(fields_joined(&x->resp.fields, FIELD_CONTENT_ENCODING, x->arena), codings, CONTENT_CODINGS_MAX);
    for (unsigned i = 0; i < MIN(*ret_n, (unsigned)CONTENT_CODINGS_MAX); i++)
        if (codings[i] == CODING_UNKNOWN)
            return false;
    return *ret_n <= CONTENT_CODINGS_MAX;
}

// Before anything is decoded: what is longer than it may become already. *ret_stay: it passes as it is.
static enum err check_size(const struct exchange *x, bool *ret_stay)
{
    const struct decompress *d = decompress_of(x);
    const struct framing *f = &x->resp.framing;
    *ret_stay = f->kind == FRAMING_LENGTH && f->length > (d ? d->max_bytes : DECOMPRESS_MAX_BYTES);
    if (!*ret_stay)
        return ERR_OK;
    if (!d || !d->pass)
        return ERR_DECODED_TOO_LARGE;
    metrics_limit(LIMIT_DECOMPRESS);
    return ERR_OK;
}

static enum err add_decoders(struct exchange *x, const enum coding *codings, unsigned n)
{
    const struct decompress *d = decompress_of(x);
    enum err e = ERR_OK;
    for (unsigned i = n; i > 0 && !e; i--)
        e = add_filter(x, decoder_new(codings[i - 1], d ? d->max_bytes : DECOMPRESS_MAX_BYTES, d ? d->ratio : 0));
    return e;
}

static bool client_accepts(const struct exchange *x, const enum coding *codings, unsigned n)
{
    struct span accept = fields_joined(&x->req->fields, FIELD_ACCEPT_ENCODING, x->arena);
    for (unsigned i = 0; i < n; i++)
        if (coding_choose(accept, &codings[i], 1) != codings[i])
            return false;
    return true;
}

// `decompress`: for a client that does not accept the content's coding, where no filter has decoded it already.
static enum err plan_decompress(struct exchange *x)
{
    const struct response *r = &x->resp;
    enum coding codings[CONTENT_CODINGS_MAX];
    unsigned n;
    bool stay;
    enum err e = vary_add(&x->resp.fields, SPAN("Accept-Encoding"), x->arena);
    bool content = r->framing.kind != FRAMING_NONE || x->req->method == METHOD_HEAD;
    if (e || !content || r->status == 206 || has_no_transform(&r->fields, x->arena) || !decodable(x, codings, &n) || !n || client_accepts(x, codings, n))
        return e;
    e = check_size(x, &stay);
    if (e || stay)
        return e;
    fields_remove(&x->resp.fields, FIELD_CONTENT_ENCODING);
    e = octets_change(x);
    return e || x->req->method == METHOD_HEAD ? e : add_decoders(x, codings, n);
}

// Decoders in front of the filters of text, and an encoder behind them where `compress` does not see to that.
static enum err add_text_filters(struct exchange *x, struct filter *text[2], const enum coding *codings, unsigned n)
{
    bool head = x->req->method == METHOD_HEAD, again = n == 1 && !compress_of(x) && codings[0] != CODING_DEFLATE;
    again = again && (!decompress_of(x) || client_accepts(x, codings, n));
    enum err e = octets_change(x);
    if (!e && !head)
        e = add_decoders(x, codings, n);
    for (unsigned i = 0; i < 2; i++) {
        if (text[i] && (e || head))
            filter_free(text[i]);
        else if (text[i])
            e = add_filter(x, text[i]);
    }
    if (!e && !head && again)
        e = add_filter(x, encoder_new(codings[0], 0));
    if (!again)
        fields_remove(&x->resp.fields, FIELD_CONTENT_ENCODING);
    return e;
}

static bool is_textual(const struct exchange *x)
{
    static const struct span types[] = {SPAN_INIT("text/*"), SPAN_INIT("application/json"), SPAN_INIT("application/*+json"), SPAN_INIT("application/xml"), SPAN_INIT("application/*+xml"), SPAN_INIT("application/javascript")};
    struct span type = media_essence(fields_value(&x->resp.fields, FIELD_CONTENT_TYPE));
    for (size_t i = 0; i < ARRAY_LEN(types); i++)
        if (media_matches(type, types[i]))
            return true;
    return false;
}

// Filters that look at content as text: links, then exact texts.
static enum err plan_text(struct exchange *x, const struct link_map *m)
{
    const struct response *r = &x->resp;
    const struct replacements *texts = &x->route->replacements;
    enum coding codings[CONTENT_CODINGS_MAX];
    unsigned n;
    struct filter *(*links)(const struct link_map *) = m ? links_filter_of(x) : NULL;
    bool replace = texts->n && is_textual(x);
    bool content = r->framing.kind != FRAMING_NONE || x->req->method == METHOD_HEAD;
    if ((!links && !replace) || !content || r->status == 206 || has_no_transform(&r->fields, x->arena) || !decodable(x, codings, &n))
        return ERR_OK;
    bool stay = false;
    enum err e = n ? check_size(x, &stay) : ERR_OK;
    if (e || stay)
        return e;
    struct filter *text[2] = {links ? links(m) : NULL, replace ? replace_new(texts->v, texts->n) : NULL};
    if ((links && !text[0]) || (replace && !text[1])) {
        filter_free(text[0]);
        filter_free(text[1]);
        return ERR_NO_MEMORY;
    }
    return add_text_filters(x, text, codings, n);
}

static bool changes_text(const struct exchange *x)
{
    return x->route && (x->route->links || x->route->replacements.n);
}

static enum err plan_links(struct exchange *x)
{
    const struct rewrite_links *r = x->route->links;
    struct link_map *m = r ? (struct link_map *)arena_alloc(x->arena, sizeof *m) : NULL;
    if (r && !m)
        return ERR_NO_MEMORY;
    enum err e = ERR_OK;
    if (r) {
        *m = (struct link_map){r->origins, r->n_origins, x->scheme, x->host, x->route->strip};
        e = link_fields(m, &x->resp.fields, x->req->authority.host, x->arena);
    }
    return e ? e : plan_text(x, m);
}

enum err transform_plan(struct exchange *x)
{
    const struct compress *c = compress_of(x);
    const struct decompress *d = decompress_of(x);
    bool remote = x->answer == ANSWER_UPSTREAM || x->answer == ANSWER_STORED;
    bool has_content = remote || x->answer == ANSWER_LOCAL || x->answer == ANSWER_FILE;
    struct framing sent = x->resp.framing;
    enum err e = ERR_OK;
    if (remote && changes_text(x)) {
        bool encoded = fields_may_have(&x->resp.fields, FIELD_CONTENT_ENCODING); // its length says nothing of the content's
        e = plan_links(x);
        sent = encoded ? x->resp.framing : sent;
    }
    if (unlikely(d != NULL) && !e && remote && fields_may_have(&x->resp.fields, FIELD_CONTENT_ENCODING)) {
        e = plan_decompress(x);
        sent = x->resp.framing;
    }
    return !e && c && has_content ? plan_compress(x, c, sent) : e;
}

// ---- What is told of it

enum filter_id {
#define FILTER(id, name, text) FILTER_##id,
#include "proxy/filters.tbl"
#undef FILTER
    N_FILTERS
};

struct span transform_describe(const struct route *r, const struct proxy *p, struct arena *a)
{
    static const char *const names[] = {
#define FILTER(id, name, text) [FILTER_##id] = name,
#include "proxy/filters.tbl"
#undef FILTER
    };
    bool text = r && (r->links || r->replacements.n), decompress = r ? r->decompress != NULL : p && p->decompress, compress = r ? r->compress != NULL : p && p->compress;
    const bool used[N_FILTERS] = {
        [FILTER_DECODE] = text || decompress, [FILTER_LINKS] = r && r->links, [FILTER_REPLACE] = r && r->replacements.n, [FILTER_ENCODE] = text && !compress, [FILTER_COMPRESS] = compress,
    };
    struct span out = SPAN("");
    for (unsigned i = 0; i < N_FILTERS && out.ptr; i++)
        if (used[i])
            out = arena_printf(a, "%.*s%s%s", SPAN_ARG(out), out.len ? ", " : "", names[i]);
    return out;
}

enum err transform_request_fields(const struct exchange *x, struct fields *f)
{
    struct field *tags = fields_get(f, FIELD_IF_NONE_MATCH);
    if (!tags || (!compress_of(x) && !changes_text(x) && !decompress_of(x)))
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
