// SPDX-License-Identifier: Apache-2.0
// Content of requests on its way through a service, and what requests are like whose answers are scanned.
#include "http/coding.h"
#include "proxy/guard.h"
#include "proxy/scan_transaction.h"

enum { REFUSAL_MAX_BYTES = 1 << 20 }; // of the page with which a service refuses

enum err scan_url(struct exchange *x, struct span *ret)
{
    const struct request *r = x->req;
    struct span scheme = r->scheme.len ? r->scheme : x->scheme;
    struct span parts[] = {
        scheme, SPAN("://"), r->authority.text, r->path, r->query.ptr ? SPAN("?") : SPAN(""), r->query};
    *ret = arena_concat(x->arena, parts, ARRAY_LEN(parts));
    return ret->ptr ? ERR_OK : ERR_NO_MEMORY;
}

// ---- Requests whose answers are scanned

// A part of something bad may look harmless, and what nobody can decode looks like nothing.
enum err scan_request_fields(struct exchange *x)
{
    const struct scanning *all = scanning_of(x);
    static const enum coding known[] = {CODING_GZIP};
    struct fields *f = &x->out.fields;
    if (likely(!all) || !all->responses)
        return ERR_OK;
    fields_remove(f, FIELD_RANGE);
    fields_remove(f, FIELD_IF_RANGE);
    if (!fields_get(f, FIELD_ACCEPT_ENCODING))
        return ERR_OK;
    enum coding c = coding_choose(fields_joined(f, FIELD_ACCEPT_ENCODING, x->arena), known, ARRAY_LEN(known));
    return fields_set(f, FIELD_ACCEPT_ENCODING, c == CODING_GZIP ? coding_name(c) : SPAN("identity"));
}

// ---- From the client

static enum err source_read(struct scan *s, struct chunkq *q, size_t want)
{
    struct exchange *x = s->x;
    enum err e = x->client->ops->read(x->client, q, want, deadline_in(x->timeouts->between_bytes));
    return !e && x->body_limit && s->n_read + q->bytes > x->body_limit ? ERR_CONTENT_TOO_LARGE : e;
}

static bool source_ended(const struct scan *s)
{
    return s->x->client->request_complete;
}

static const struct scan_source from_client = {source_read, source_ended};

// ---- What the service says

// The service's page instead of everything.
static enum err answer_refusal(struct exchange *x, struct scan *s)
{
    enum err e = ERR_OK;
    while (!e && !scan_is_complete(s))
        e = x->content.bytes > REFUSAL_MAX_BYTES ? ERR_SCAN_BLOCKED
                                                 : scan_read(s, &x->content, REFUSAL_MAX_BYTES);
    if (e && e != ERR_EOF)
        return s->source_err ? e : ERR_SCAN_BLOCKED;
    x->resp = s->resp;
    if (!x->resp.no_content)
        x->resp.framing = (struct framing){FRAMING_LENGTH, x->content.bytes};
    x->answer = ANSWER_LOCAL;
    return ERR_OK;
}

// What the request says of its content from now on. The rest of it is what was decided upon, and stays.
static enum err take_content(struct exchange *x, const struct scan *s)
{
    static const uint8_t about[] = {FIELD_CONTENT_TYPE, FIELD_CONTENT_ENCODING, FIELD_CONTENT_LANGUAGE,
                                    FIELD_CONTENT_DIGEST, FIELD_CONTENT_MD5};
    for (size_t i = 0; i < ARRAY_LEN(about); i++) {
        const struct field *f = fields_get(&s->req.fields, (enum field_id)about[i]);
        fields_remove(&x->out.fields, (enum field_id)about[i]);
        if (f && fields_add(&x->out.fields, (enum field_id)about[i], f->value))
            return ERR_NO_MEMORY;
    }
    x->out.framing = scan_is_complete(s)     ? (struct framing){FRAMING_LENGTH, 0}
                     : s->left != UINT64_MAX ? (struct framing){FRAMING_LENGTH, s->left}
                                             : (struct framing){FRAMING_CHUNKED, 0};
    return ERR_OK;
}

static enum err say_continue(struct exchange *x)
{
    struct response r = {.status = 100, .version = HTTP_1_1};
    if (!x->req->expect_continue || x->said_continue)
        return ERR_OK;
    fields_init(&r.fields, x->arena);
    x->said_continue = true;
    fields_remove(&x->out.fields, FIELD_EXPECT);
    return x->client->ops->send_interim(x->client, &r);
}

static enum err run(struct exchange *x, struct scan *s)
{
    s->request = (struct icap_request){.method = ICAP_REQMOD, .url = &s->rule->url, .req = &x->out};
    enum err e = scan_url(x, &s->request.target);
    if (!e)
        e = say_continue(x);
    if (!e)
        e = scan_begin(s, x->req->framing.kind == FRAMING_LENGTH ? x->req->framing.length : UINT64_MAX);
    if (!e)
        e = scan_wait(s, DEADLINE_NONE);
    if (e || s->state != SCAN_ADAPTED)
        return e;
    return s->answer.parts.res_head ? answer_refusal(x, s) : take_content(x, s);
}

enum err scan_upload(struct exchange *x)
{
    const struct scanning *all = scanning_of(x);
    const struct scan_rule *r = all ? all->uploads : NULL;
    const struct framing *f = &x->req->framing;
    if (!r || f->kind == FRAMING_NONE || (f->kind == FRAMING_LENGTH && f->length == 0))
        return ERR_OK;
    if (f->kind == FRAMING_LENGTH && f->length > r->max_bytes) {
        x->scan_said = SPAN("too-large");
        x->rule = r->refuses_larger ? r->where : x->rule;
        return r->refuses_larger ? ERR_SCAN_TOO_LARGE : ERR_OK;
    }
    x->scanned = (struct scan *)arena_alloc(x->arena, sizeof *x->scanned);
    if (!x->scanned)
        return ERR_NO_MEMORY;
    scan_init(x->scanned, x, r, &from_client);
    return run(x, x->scanned);
}

// ---- Toward the server

enum err scan_upload_read(struct exchange *x, struct chunkq *q, size_t want)
{
    return scan_read(x->scanned, q, want);
}

bool scan_upload_is_ready(const struct exchange *x)
{
    const struct scan *s = x->scanned;
    return scan_is_ready(s) || (s->state == SCAN_PASSING && x->client->ops->ready(x->client));
}

bool scan_upload_is_complete(const struct exchange *x)
{
    return scan_is_complete(x->scanned);
}

void scan_upload_end(struct exchange *x)
{
    scan_end(x->scanned);
    x->scanned = NULL;
}
