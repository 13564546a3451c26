// SPDX-License-Identifier: Apache-2.0
// An answer with what is stored: 200 or as it was, 304 to conditions (RFC 9111 4.3.2), 206 and 416 to ranges (RFC 9110 14).
#include "proxy/cache_fetch.h"
#include "proxy/cache_send.h"
#include "proxy/content.h"
#include "proxy/guard.h"

#include "base/num.h"
#include "http/date.h"

enum { WINDOW_BYTES = 1 << 20 }; // of content at a time

// ---- The head

static enum err add_number(struct exchange *x, enum field_id id, uint64_t v)
{
    char *p = arena_bytes(x->arena, 20);
    return p ? fields_add(&x->resp.fields, id, span_of(p, num_put_dec(p, v))) : ERR_NO_MEMORY;
}

static enum err add_age(struct exchange *x, const struct cache_object *o)
{
    int64_t age_s = freshness_age_ms(&o->fresh, x->cached->now_ms) / 1000;
    // What was fetched for this request has no age but the one it came with.
    if (x->cached->fwd && !age_s)
        return ERR_OK;
    return add_number(x, FIELD_AGE, (uint64_t)MIN(age_s, (int64_t)CACHE_SECONDS_MAX));
}

// A 304 says nothing of the content that it does not have (RFC 9110 15.4.5).
static void become_not_modified(struct exchange *x)
{
    static const uint8_t gone[] = {FIELD_CONTENT_TYPE, FIELD_CONTENT_ENCODING, FIELD_CONTENT_LANGUAGE, FIELD_CONTENT_RANGE,
                                   FIELD_CONTENT_DISPOSITION, FIELD_CONTENT_MD5, FIELD_CONTENT_DIGEST, FIELD_ACCEPT_RANGES};
    x->resp.status = 304;
    for (size_t i = 0; i < ARRAY_LEN(gone); i++)
        fields_remove(&x->resp.fields, (enum field_id)gone[i]);
    x->resp.no_content = true;
    x->resp.framing = (struct framing){FRAMING_NONE, 0};
}

static bool is_conditional(const struct fields *f)
{
    return fields_may_have(f, FIELD_IF_NONE_MATCH) || fields_may_have(f, FIELD_IF_MODIFIED_SINCE);
}

static bool is_not_modified(const struct exchange *x, const struct cache_object *o)
{
    struct validators v = o->validators;
    int64_t now_s = (int64_t)(loop_wall_ms() / 1000);
    if (o->status != 200 || !is_conditional(&x->req->fields))
        return false;
    // Without Last-Modified the Date stands in for it.
    struct fields f = cache_object_view(o);
    if (!v.last_modified && !http_date_parse(fields_value(&f, FIELD_DATE), now_s, &v.last_modified))
        v.last_modified = 0;
    return conditional_check(x->req, &v, now_s) == CONDITIONAL_NOT_MODIFIED;
}

static enum err add_content_range(struct exchange *x, uint64_t size)
{
    const struct byte_range *r = &x->cached->ranges->v[0];
    struct span s = arena_printf(x->arena, "bytes %llu-%llu/%llu", (unsigned long long)r->first, (unsigned long long)(r->first + r->length - 1),
                                 (unsigned long long)size);
    return s.ptr ? fields_set(&x->resp.fields, FIELD_CONTENT_RANGE, s) : ERR_NO_MEMORY;
}

static enum err become_multipart(struct exchange *x, uint64_t size)
{
    struct cached *c = x->cached;
    char *boundary = arena_bytes(x->arena, RANGES_BOUNDARY_BYTES);
    uint64_t random, total = 0;
    if (!boundary)
        return ERR_NO_MEMORY;
    loop_random(&random, sizeof random);
    memset(boundary, '0', RANGES_BOUNDARY_BYTES);
    (void)num_put_hex(boundary, random);
    c->boundary = span_of(boundary, RANGES_BOUNDARY_BYTES);
    struct span type = fields_value(&x->resp.fields, FIELD_CONTENT_TYPE), end = ranges_end(c->boundary, x->arena);
    for (unsigned i = 0; i < c->ranges->n; i++)
        total += ranges_part_head(c->ranges, i, size, type, c->boundary, x->arena).len + c->ranges->v[i].length;
    c->part_type = type;
    c->content_length = total + end.len;
    struct span multipart = arena_printf(x->arena, "multipart/byteranges; boundary=%.*s", SPAN_ARG(c->boundary));
    return multipart.ptr && end.ptr ? fields_set(&x->resp.fields, FIELD_CONTENT_TYPE, multipart) : ERR_NO_MEMORY;
}

static enum err become_unsatisfiable(struct exchange *x, uint64_t size)
{
    struct span s = arena_printf(x->arena, "bytes */%llu", (unsigned long long)size);
    become_not_modified(x);
    x->resp.status = 416;
    x->resp.no_content = false;
    x->resp.framing = (struct framing){FRAMING_LENGTH, 0};
    x->cached->content_length = 0;
    return s.ptr ? fields_set(&x->resp.fields, FIELD_CONTENT_RANGE, s) : ERR_NO_MEMORY;
}

static bool is_inside(const struct ranges *r, const struct cache_object *o)
{
    uint64_t length = cache_body_is_whole(o->body) ? cache_body_length(o->body) : cache_body_expected(o->body);
    return r->kind == RANGE_ONE && r->n == 1 && r->v[0].first >= o->range_first && r->v[0].first + r->v[0].length <= o->range_first + length;
}

static enum err apply_ranges(struct exchange *x, const struct cache_object *o, uint64_t size)
{
    struct cached *c = x->cached;
    if (!fields_may_have(&x->req->fields, FIELD_RANGE) || (o->status != 200 && o->status != 206) || size == UINT64_MAX)
        return ERR_OK;
    if (!(c->ranges = (struct ranges *)arena_alloc(x->arena, sizeof *c->ranges)))
        return ERR_NO_MEMORY;
    ranges_check(x->req, &o->validators, size, (int64_t)(loop_wall_ms() / 1000), c->ranges);
    // A part that does not have what is asked for goes as it came: it is the server's answer to this request.
    if (o->has_range && !is_inside(c->ranges, o)) {
        c->ranges = NULL;
        return ERR_OK;
    }
    // Several ranges wait for nobody: while it is still arriving the whole is sent.
    if (c->ranges->kind == RANGE_NONE || (c->ranges->n > 1 && c->reader.body)) {
        c->ranges = NULL;
        return ERR_OK;
    }
    if (c->ranges->kind == RANGE_UNSATISFIABLE)
        return become_unsatisfiable(x, size);
    x->resp.status = 206;
    c->content_length = c->ranges->v[0].length;
    enum err e = c->ranges->n == 1 ? add_content_range(x, size) : become_multipart(x, size);
    x->resp.framing = (struct framing){FRAMING_LENGTH, c->content_length};
    return e;
}

// Whether the fields go out as they are stored, with ours behind them.
static bool fields_stay(const struct exchange *x)
{
    const struct guard *g = guard_of(x);
    if (x->route && (x->route->compress || x->route->decompress || x->route->links || x->route->replacements.n ||
                     x->route->fields.n || x->route->cors || x->route->security))
        return false;
    if (x->site && (x->site->fields.n || x->site->secure.hsts.len))
        return false;
    return !(x->proxy && (x->proxy->compress || x->proxy->decompress || x->proxy->privacy == PRIVACY_STRICT)) && !(g && g->keep_response);
}

static enum err build_head(struct exchange *x, const struct cache_object *o)
{
    struct cached *c = x->cached;
    uint64_t length = cache_body_is_whole(o->body) ? cache_body_length(o->body) : cache_body_expected(o->body);
    x->resp = (struct response){.status = o->status, .version = HTTP_1_1};
    c->content_length = length;
    enum err e = cache_object_fields(o, x->arena, &x->resp.fields);
    if (e)
        return e;
    x->resp.framing = length == UINT64_MAX ? (struct framing){FRAMING_CHUNKED, 0} : (struct framing){FRAMING_LENGTH, length};
    if (o->status == 204)
        x->resp.framing = (struct framing){FRAMING_NONE, 0};
    x->resp.no_content = o->status == 204 || x->req->method == METHOD_HEAD;
    if (is_not_modified(x, o))
        become_not_modified(x);
    else
        e = apply_ranges(x, o, o->has_range ? o->range_size : length);
    if (x->resp.status == o->status && !o->has_range && fields_stay(x)) {
        x->resp.lines = o->lines;
        x->resp.n_lines = o->n_fields;
    }
    return e ? e : add_age(x, o);
}

// One run of content, and it is on disk.
static bool is_from_disk(const struct exchange *x)
{
    const struct cached *c = x->cached;
    return cache_body_disk(c->object->body) && !x->resp.no_content && x->resp.framing.kind != FRAMING_NONE && c->content_length && !(c->ranges && c->ranges->n > 1);
}

static void forget_answer(struct exchange *x)
{
    struct cached *c = x->cached;
    cache_send_end(c);
    c->ranges = NULL;
    c->content_length = 0;
    x->resp = (struct response){.version = HTTP_1_1};
    fields_init(&x->resp.fields, x->arena);
    cache_object_unref(c->object);
    c->object = NULL;
}

enum err cache_answer(struct exchange *x, struct cache_object *o)
{
    struct cached *c = x->cached;
    c->object = o;
    if (!c->reader.body && !cache_body_is_whole(o->body) && !body_reader_open(&c->reader, o->body, 0)) {
        // It turned out to be too large for the cache, and its beginning is gone.
        cache_object_unref(o);
        c->object = NULL;
        return ERR_AGAIN;
    }
    enum err e = build_head(x, o);
    if (!e && is_from_disk(x))
        e = cache_send_prepare(x);
    if (e == ERR_AGAIN)
        forget_answer(x);
    if (!e) {
        x->answer = ANSWER_STORED;
        x->passed_on = true;
    }
    return e;
}

// ---- The content

// What is still to be sent of the content, which is whole.
struct cursor {
    unsigned part;
    bool in_part;
    uint64_t at, left;
    bool done;
};

static enum err begin_part(struct exchange *x, struct cursor *k, struct chunkq *q)
{
    struct cached *c = x->cached;
    const struct cache_object *o = c->object;
    if (!c->ranges) {
        k->at = 0;
        k->left = c->content_length;
        return ERR_OK;
    }
    k->at = c->ranges->v[k->part].first - o->range_first;
    k->left = c->ranges->v[k->part].length;
    if (c->ranges->n == 1)
        return ERR_OK;
    struct span head = ranges_part_head(c->ranges, k->part, o->has_range ? o->range_size : cache_body_length(o->body), c->part_type, c->boundary, x->arena);
    return head.ptr ? chunkq_append(q, NULL, head.ptr, head.len) : ERR_NO_MEMORY;
}

static enum err end_part(struct exchange *x, struct cursor *k, struct chunkq *q)
{
    const struct cached *c = x->cached;
    k->in_part = false;
    k->done = ++k->part >= (c->ranges ? c->ranges->n : 1);
    if (!k->done || !c->ranges || c->ranges->n == 1)
        return ERR_OK;
    struct span end = ranges_end(c->boundary, x->arena);
    return end.ptr ? chunkq_append(q, NULL, end.ptr, end.len) : ERR_NO_MEMORY;
}

static enum err pull(struct exchange *x, struct cursor *k, struct chunkq *q)
{
    enum err e = ERR_OK;
    while (!k->done && q->bytes < WINDOW_BYTES && !e) {
        if (!k->in_part) {
            e = begin_part(x, k, q);
            k->in_part = true;
            continue;
        }
        uint64_t n = MIN(k->left, (uint64_t)(WINDOW_BYTES - q->bytes));
        e = cache_body_share(x->cached->object->body, k->at, n, q);
        k->at += n;
        k->left -= n;
        if (!e && k->left == 0)
            e = end_part(x, k, q);
    }
    return e;
}

static enum err deliver_whole(struct exchange *x)
{
    struct cursor k = {0};
    struct chunkq q;
    chunkq_init(&q);
    enum err e = pull(x, &k, &q);
    if (!e)
        e = content_send_head(x, &q, k.done);
    while (!e && !k.done) {
        e = pull(x, &k, &q);
        if (!e)
            e = content_send(x, &q, k.done, NULL, false);
    }
    chunkq_fini(&q);
    return e;
}

// Content that is still arriving: as it comes, or the one range of it.
static enum err deliver_arriving(struct exchange *x)
{
    struct cached *c = x->cached;
    struct body_reader *r = &c->reader;
    uint64_t left = c->ranges ? c->ranges->v[0].length : UINT64_MAX;
    bool end = false, head = false;
    enum err e = ERR_OK;
    struct chunkq q;
    chunkq_init(&q);
    if (c->ranges)
        r->offset = c->ranges->v[0].first - c->object->range_first;
    while (!e && !end) {
        if (head || body_reader_ready(r))
            e = body_reader_read(r, &q, MIN(left, (uint64_t)WINDOW_BYTES));
        left -= left == UINT64_MAX ? 0 : q.bytes;
        if (e && e != ERR_EOF)
            break;
        end = e == ERR_EOF || left == 0 || (cache_body_is_whole(r->body) && cache_body_length(r->body) == r->offset);
        e = head ? content_send(x, &q, end, NULL, !body_reader_ready(r)) : content_send_head(x, &q, end);
        head = true;
    }
    chunkq_fini(&q);
    return e;
}

enum err cache_deliver(struct exchange *x)
{
    struct cached *c = x->cached;
    struct chunkq none;
    enum err e;
    chunkq_init(&none);
    if (x->resp.no_content || x->resp.framing.kind == FRAMING_NONE || c->content_length == 0)
        e = content_send_head(x, &none, true);
    else
        e = c->send ? cache_send(x) : c->reader.body ? deliver_arriving(x) : deliver_whole(x);
    if (e && x->client->head_sent)
        x->client->broken = x->client->close = true; // broken off: never as if whole
    return e;
}

void cached_end(struct exchange *x)
{
    struct cached *c = x->cached;
    if (c->reader.body)
        body_reader_close(&c->reader);
    cache_send_end(c);
    cache_object_unref(c->object);
    c->object = NULL;
    if (c->job)
        cache_job_unref(c->job);
    c->job = NULL;
}
