// SPDX-License-Identifier: Apache-2.0
#include "proxy/api.h"

#include <jansson.h>

#include "base/json.h"
#include "base/ascii.h"
#include "http/uri.h"
#include "proxy/escape.h"

enum { CONTENT_DEADLINE_MS = 10 * 1000, READ_BYTES = 16 * 1024 };

static const struct api_row rows[] = {
#define API(fn, method, path, access, params, content, text, answers)                                        \
    {SPAN_INIT(#method), SPAN_INIT(path), API_##access, params, content, text, answers, api_##fn},
#include "proxy/api.tbl"
#undef API
};

const struct api_row *api_rows(unsigned *ret_n)
{
    *ret_n = ARRAY_LEN(rows);
    return rows;
}

struct span api_json(struct arena *a, struct span s)
{
    char *p = arena_bytes(a, s.len * 6 + 3);
    if (!p)
        return SPAN_NONE;
    p[0] = '"';
    size_t n = 1 + escape_json(s, p + 1, s.len * 6);
    p[n] = '"';
    return span_of(p, n + 1);
}

struct span api_param(const struct api_call *c, const char *name)
{
    for (unsigned i = 0; i < c->n_params; i++)
        if (span_eq(c->params[i].name, span_str(name)))
            return c->params[i].value;
    return SPAN_NONE;
}

bool api_is_asked(const struct exchange *x)
{
    return span_eq(x->req->path, SPAN("/api")) || span_starts(x->req->path, SPAN("/api/"));
}

static enum err misunderstood(struct exchange *x, const char *why, struct span what)
{
    x->message = arena_printf(x->arena, why, SPAN_ARG(what));
    return ERR_API_QUESTION;
}

// ---- Parameters

static bool is_named(const char *names, struct span name)
{
    for (struct span rest = span_str(names); rest.len;) {
        struct span n = span_cut(&rest, ' ');
        if (span_eq(span_ends(n, SPAN("!")) ? span_first(n, n.len - 1) : n, name))
            return true;
    }
    return false;
}

static enum err add_param(struct api_call *c, struct span name, struct span value)
{
    if (api_param(c, arena_cstr(c->x->arena, name)).ptr || c->n_params == API_PARAMS_MAX)
        return misunderstood(c->x, "`%.*s` stands there twice.", name);
    c->params[c->n_params++] = (struct api_param){name, value.ptr ? value : SPAN("")};
    return ERR_OK;
}

static enum err read_query(struct api_call *c)
{
    for (struct span rest = c->x->req->query; rest.len;) {
        struct span value = span_cut(&rest, '&'), name = span_cut(&value, '=');
        char *p = arena_bytes(c->x->arena, value.len + 1);
        for (size_t i = 0; p && i < value.len; i++) // as forms write a space
            p[i] = (char)(value.ptr[i] == '+' ? ' ' : value.ptr[i]);
        enum err e = p ? percent_decode(span_of(p, value.len), c->x->arena, &value) : ERR_NO_MEMORY;
        if (e == ERR_NO_MEMORY)
            return e;
        if (e || !is_named(c->row->params, name))
            return misunderstood(
                c->x, e ? "The value of `%.*s` is not encoded well." : "There is no parameter `%.*s` here.",
                name);
        e = add_param(c, name, value);
        if (e)
            return e;
    }
    return ERR_OK;
}

static enum err take_member(struct api_call *c, const char *key, const json_t *v)
{
    struct span name = SPAN_NONE, value = SPAN_NONE;
    if (!is_named(c->row->content, span_str(key)) || (!json_is_string(v) && !json_is_boolean(v)))
        return misunderstood(
            c->x, "The object's `%.*s` is no member that is known here, or neither a text nor a boolean.",
            span_first(span_str(key), 64));
    if (json_is_false(v))
        return ERR_OK;
    if (!arena_dup(c->x->arena, span_str(key), &name) ||
        !arena_dup(c->x->arena,
                   json_is_true(v) ? SPAN("true") : span_of(json_string_value(v), json_string_length(v)),
                   &value))
        return ERR_NO_MEMORY;
    return add_param(c, name, value);
}

static enum err read_object(struct api_call *c, struct span text)
{
    if (json_depth(text) > 1) // the parser calls itself for each level
        return misunderstood(c->x, "The content is to be a JSON object without others in it.%.*s", SPAN(""));
    json_t *root = json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES, NULL), *v;
    const char *key;
    enum err e = ERR_OK;
    if (!json_is_object(root))
        e = misunderstood(c->x, "The content is to be a JSON object.%.*s", SPAN(""));
    else
        json_object_foreach(root, key, v) e = e ? e : take_member(c, key, v);
    json_decref(root);
    return e;
}

static enum err find_missing(struct api_call *c, const char *names)
{
    for (struct span rest = span_str(names); rest.len;) {
        struct span n = span_cut(&rest, ' ');
        struct span bare = span_ends(n, SPAN("!")) ? span_first(n, n.len - 1) : SPAN_NONE;
        if (bare.ptr && !api_param(c, arena_cstr(c->x->arena, bare)).ptr)
            return misunderstood(c->x, "`%.*s` is missing.", bare);
    }
    return ERR_OK;
}

// ---- Content

static enum err read_all(struct exchange *x, struct span *ret)
{
    struct client_stream *s = x->client;
    struct chunkq q;
    uint64_t deadline = deadline_in(CONTENT_DEADLINE_MS);
    enum err e = ERR_OK;
    chunkq_init(&q);
    if (x->req->expect_continue && x->req->framing.kind != FRAMING_NONE) {
        struct response go_on = {.status = 100, .version = HTTP_1_1};
        fields_init(&go_on.fields, x->arena);
        e = s->ops->send_interim(s, &go_on);
    }
    while (!e && !s->request_complete && q.bytes <= API_CONTENT_MAX)
        e = s->ops->read(s, &q, READ_BYTES, MIN(deadline, deadline_in(x->timeouts->between_bytes)));
    if (e == ERR_EOF)
        e = ERR_OK;
    else if (e == ERR_TIMEOUT)
        e = ERR_CLIENT_UPLOAD_STALLED;
    if (!e && q.bytes > API_CONTENT_MAX)
        e = ERR_CONTENT_TOO_LARGE;
    char *p = e ? NULL : arena_bytes(x->arena, q.bytes + 1);
    if (!e && !p)
        e = ERR_NO_MEMORY;
    if (!e)
        *ret = span_of(p, chunkq_peek(&q, p, q.bytes));
    chunkq_fini(&q);
    return e;
}

// What forms of other sites can send is not taken: their content is of other types.
static bool is_type(const struct exchange *x, struct span wanted)
{
    struct span type = fields_value(&x->req->fields, FIELD_CONTENT_TYPE);
    return span_eq_ci(span_trim(span_cut(&type, ';')), wanted);
}

static enum err read_content(struct api_call *c)
{
    struct exchange *x = c->x;
    bool text = strcmp(c->row->content, "text") == 0;
    if (!*c->row->content)
        return x->req->framing.kind == FRAMING_NONE ||
                       (x->req->framing.kind == FRAMING_LENGTH && !x->req->framing.length)
                   ? ERR_OK
                   : misunderstood(x, "No content is expected here.%.*s", SPAN(""));
    if (!is_type(x, text ? SPAN("text/plain") : SPAN("application/json")))
        return misunderstood(x, "The content is to be of type %.*s.",
                             text ? SPAN("text/plain") : SPAN("application/json"));
    enum err e = read_all(x, &c->content);
    return e || text ? e : read_object(c, c->content);
}

// ---- The table

// Segment by segment; `{name}` takes one.
static bool fits(struct api_call *c, const struct api_row *r, enum err *ret)
{
    struct span pattern = r->path, path = c->x->req->path;
    c->n_params = 0;
    while (pattern.ptr && path.ptr) {
        struct span want = span_cut(&pattern, '/'), got = span_cut(&path, '/'), value;
        bool takes = want.len > 2 && want.ptr[0] == '{';
        if (!takes && !span_eq(want, got))
            return false;
        if (!takes)
            continue;
        if (!got.len || percent_decode(got, c->x->arena, &value))
            return false;
        *ret = add_param(c, span_of(want.ptr + 1, want.len - 2), value);
    }
    return !pattern.ptr && !path.ptr;
}

// NULL: x->allow says which methods there are, or nothing does.
static const struct api_row *row_of(struct api_call *c, enum err *ret)
{
    struct span method = c->x->req->method == METHOD_HEAD ? SPAN("GET") : c->x->req->method_text,
                allow = SPAN("");
    *ret = ERR_OK;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        if (!fits(c, &rows[i], ret))
            continue;
        if (span_eq(rows[i].method, method))
            return &rows[i];
        allow = arena_printf(c->x->arena, "%.*s%s%.*s%s", SPAN_ARG(allow), allow.len ? ", " : "",
                             SPAN_ARG(rows[i].method), span_eq(rows[i].method, SPAN("GET")) ? ", HEAD" : "");
    }
    if (allow.len)
        c->x->allow = allow;
    *ret = allow.len ? ERR_METHOD_REFUSED : ERR_NOT_FOUND;
    return NULL;
}

static enum err put_fields(struct exchange *x)
{
    struct fields *f = &x->resp.fields;
    enum err e = fields_set(f, FIELD_CONTENT_TYPE, SPAN("application/json"));
    if (!e)
        e = fields_set(f, FIELD_CACHE_CONTROL, SPAN("no-store"));
    return e ? e : fields_add_named(f, SPAN("X-Content-Type-Options"), SPAN("nosniff"));
}

static enum err call(struct api_call *c)
{
    enum err e = api_authorize(c->x, c->row->access);
    if (!e)
        e = read_query(c);
    if (!e)
        e = read_content(c);
    if (!e)
        e = find_missing(c, c->row->params);
    if (!e && strcmp(c->row->content, "text") != 0)
        e = find_missing(c, c->row->content);
    return e ? e : c->row->fn(c);
}

enum err api_answer(struct exchange *x)
{
    struct api_call c = {.x = x, .out = SPAN_NONE};
    enum err e = api_guard(x);
    if (!e)
        c.row = row_of(&c, &e);
    if (!e)
        e = call(&c);
    if (e || x->answer == ANSWER_DONE)
        return e;
    if (!c.out.ptr)
        return ERR_NO_MEMORY;
    x->answer = ANSWER_LOCAL;
    if (!x->resp.status)
        x->resp.status = 200;
    e = put_fields(x);
    if (!e)
        e = chunkq_append(&x->content, NULL, c.out.ptr, c.out.len);
    x->resp.framing = (struct framing){FRAMING_LENGTH, x->content.bytes};
    return e;
}
