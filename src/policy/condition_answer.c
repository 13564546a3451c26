// SPDX-License-Identifier: Apache-2.0
// Conditions on the answer: status, content-type, size, extension. Before there is one they are unsure.
#include "base/num.h"
#include "http/media.h"
#include "policy/condition.h"

// ---- status

struct statuses {
    unsigned n;
    struct {
        uint16_t first, last;
    } v[];
};

static bool read_status(struct span s, uint16_t *ret_first, uint16_t *ret_last)
{
    struct span last = s, first = span_cut(&last, '-');
    uint64_t a, b;
    if (s.len == 3 && s.ptr[0] >= '1' && s.ptr[0] <= '5' && span_eq_ci(span_skip(s, 1), SPAN("xx"))) {
        *ret_first = (uint16_t)((s.ptr[0] - '0') * 100);
        *ret_last = (uint16_t)(*ret_first + 99);
        return true;
    }
    if (!num_parse_dec(first, 599, &a) || !num_parse_dec(last.ptr ? last : first, 599, &b) || a < 100 || a > b)
        return false;
    *ret_first = (uint16_t)a;
    *ret_last = (uint16_t)b;
    return true;
}

static bool compile_status(struct condition_context *k, const struct conf_stmt *s, struct condition *c)
{
    struct statuses *v = (struct statuses *)condition_alloc(k, sizeof *v + s->n_args * sizeof v->v[0]);
    c->data = v;
    for (unsigned i = 0; v && i < s->n_args; i++) {
        if (!read_status(s->args[i].text, &v->v[i].first, &v->v[i].last)) {
            conf_error(k->diags, k->conf, &s->args[i].pos, "`%.*s` is no status: 404, 200-299 or 5xx", SPAN_ARG(s->args[i].text));
            return false;
        }
        v->n++;
    }
    return v != NULL;
}

static enum match match_status(const struct condition *c, const struct condition_input *in)
{
    const struct statuses *v = (const struct statuses *)c->data;
    if (!in->answer)
        return MATCH_UNSURE;
    for (unsigned i = 0; i < v->n; i++)
        if (in->answer->status >= v->v[i].first && in->answer->status <= v->v[i].last)
            return MATCH_YES;
    return MATCH_NO;
}
const struct condition_ops condition_status = {CONF_C_STATUS, compile_status, match_status, CONDITION_NEEDS_ANSWER};

// ---- content-type

struct types {
    unsigned n;
    struct span v[];
};

static bool compile_type(struct condition_context *k, const struct conf_stmt *s, struct condition *c)
{
    struct types *t = (struct types *)condition_alloc(k, sizeof *t + s->n_args * sizeof t->v[0]);
    c->data = t;
    for (unsigned i = 0; t && i < s->n_args; i++) {
        struct span v = s->args[i].text;
        if (!span_eq(v, SPAN("*")) && span_find(v, '/') == v.len) {
            conf_error(k->diags, k->conf, &s->args[i].pos, "`%.*s` is no media type: video/*, text/html or application/*+json", SPAN_ARG(v));
            return false;
        }
        t->v[t->n++] = v;
    }
    return t != NULL;
}

static bool has_type(const struct types *t, struct span essence)
{
    for (unsigned i = 0; i < t->n; i++)
        if (media_matches(essence, t->v[i]))
            return true;
    return false;
}

// What is declared and what the first bytes say: where they disagree nobody can know what a client makes of it.
static enum match match_type(const struct condition *c, const struct condition_input *in)
{
    const struct types *t = (const struct types *)c->data;
    const struct response_facts *a = in->answer;
    if (!a)
        return MATCH_UNSURE;
    enum match declared = has_type(t, a->type) ? MATCH_YES : MATCH_NO;
    if (!a->sniffed.len)
        return declared;
    enum match sniffed = has_type(t, a->sniffed) ? MATCH_YES : MATCH_NO;
    return a->type.len ? match_agree(declared, sniffed) : sniffed;
}
const struct condition_ops condition_content_type = {CONF_C_CONTENT_TYPE, compile_type, match_type, CONDITION_NEEDS_ANSWER | CONDITION_NEEDS_CONTENT};

// ---- size

struct sizes {
    uint64_t least, most;
};

static bool compile_size(struct condition_context *k, const struct conf_stmt *s, struct condition *c)
{
    struct sizes *z = (struct sizes *)condition_alloc(k, sizeof *z);
    c->data = z;
    if (!z)
        return false;
    *z = (struct sizes){s->args[0].num, s->n_args > 1 ? s->args[1].num : UINT64_MAX};
    if (z->least <= z->most)
        return true;
    conf_error(k->diags, k->conf, &s->args[1].pos, "the largest size is smaller than the smallest");
    return false;
}

// Of an answer whose length nobody knows yet it cannot be said.
static enum match match_size(const struct condition *c, const struct condition_input *in)
{
    const struct sizes *z = (const struct sizes *)c->data;
    if (!in->answer || in->answer->size == UINT64_MAX)
        return MATCH_UNSURE;
    return in->answer->size >= z->least && in->answer->size <= z->most ? MATCH_YES : MATCH_NO;
}
uint64_t condition_size_least(const struct condition *c)
{
    return c->negated ? UINT64_MAX : ((const struct sizes *)c->data)->least;
}
const struct condition_ops condition_size = {CONF_C_SIZE, compile_size, match_size, CONDITION_NEEDS_ANSWER};

// ---- extension

// Of the last segment of a path, or of a file's name; without the dot.
static struct span extension_of(struct span name)
{
    size_t slash = span_rfind(name, '/');
    struct span last = slash < name.len ? span_skip(name, slash + 1) : name;
    last = span_first(last, span_find(last, ';'));
    size_t dot = span_rfind(last, '.');
    return dot < last.len ? span_skip(last, dot + 1) : SPAN_NONE;
}

static bool compile_extension(struct condition_context *k, const struct conf_stmt *s, struct condition *c)
{
    struct types *t = (struct types *)condition_alloc(k, sizeof *t + s->n_args * sizeof t->v[0]);
    c->data = t;
    for (unsigned i = 0; t && i < s->n_args; i++) {
        struct span e = s->args[i].text;
        t->v[t->n++] = span_starts(e, SPAN(".")) ? span_skip(e, 1) : e;
    }
    return t != NULL;
}

static bool has_extension(const struct types *t, struct span name)
{
    struct span e = extension_of(name);
    for (unsigned i = 0; e.len && i < t->n; i++)
        if (span_eq_ci(e, t->v[i]))
            return true;
    return false;
}

// By the URL at once; by the name that the answer gives the file (RFC 6266) once it is there.
static enum match match_extension(const struct condition *c, const struct condition_input *in)
{
    const struct types *t = (const struct types *)c->data;
    if (has_extension(t, in->path) || has_extension(t, in->path_loose))
        return MATCH_YES;
    if (!in->answer)
        return MATCH_UNSURE;
    struct span d = in->answer->disposition;
    return has_extension(t, media_parameter(d, SPAN("filename"))) || has_extension(t, media_parameter(d, SPAN("filename*"))) ? MATCH_YES : MATCH_NO;
}
const struct condition_ops condition_extension = {CONF_C_EXTENSION, compile_extension, match_extension, CONDITION_NEEDS_ANSWER};
