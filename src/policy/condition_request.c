// SPDX-License-Identifier: Apache-2.0
// Conditions on the request's line and fields: method, path, query, port, scheme, header, cookie, user-agent.
#include "base/ascii.h"
#include "base/num.h"
#include "policy/condition.h"

struct named {
    struct span name;
    enum field_id id; // of the name, where it is a field's that the parsers know
    struct pattern_list values; // none: it is enough that it is there
};

static bool compile_patterns(struct condition_context *k, const struct conf_stmt *s, struct condition *c)
{
    struct pattern_list *l = (struct pattern_list *)condition_alloc(k, sizeof *l);
    c->data = l;
    return l && condition_patterns(k, s, 0, false, l);
}

static bool compile_named(struct condition_context *k, const struct conf_stmt *s, struct condition *c)
{
    struct named *n = (struct named *)condition_alloc(k, sizeof *n);
    c->data = n;
    if (!n)
        return false;
    n->name = s->args[0].text;
    n->id = field_id_of(n->name);
    return condition_patterns(k, s, 1, false, &n->values);
}

static enum match value_fits(const struct named *n, struct span value)
{
    return n->values.n == 0 ? MATCH_YES : pattern_list_try(&n->values, value);
}

// ---- method, path, scheme, port

static bool compile_method(struct condition_context *k, const struct conf_stmt *s, struct condition *c)
{
    for (unsigned i = 0; i < s->n_args; i++) {
        struct span word = s->args[i].text;
        for (unsigned m = METHOD_GET; m < N_METHODS; m++)
            if (span_eq_ci(word, method_name((enum http_method)m)) &&
                !span_eq(word, method_name((enum http_method)m)))
                conf_warning(k->diags, k->conf, &s->args[i].pos,
                             "methods are told apart by case, so this never matches %.*s",
                             SPAN_ARG(method_name((enum http_method)m)));
    }
    return compile_patterns(k, s, c);
}

static enum match match_method(const struct condition *c, const struct condition_input *in)
{
    return pattern_list_try((const struct pattern_list *)c->data, in->req->method_text);
}
const struct condition_ops condition_method = {CONF_C_METHOD, compile_method, match_method, 0};

// Where servers may read a path in two ways and only one of them matches, nobody can say whether it does.
static enum match match_path(const struct condition *c, const struct condition_input *in)
{
    const struct pattern_list *l = (const struct pattern_list *)c->data;
    enum match m = pattern_list_try(l, in->path);
    return in->path_loose.ptr == in->path.ptr ? m : match_agree(m, pattern_list_try(l, in->path_loose));
}
const struct condition_ops condition_path = {CONF_C_PATH, compile_patterns, match_path, 0};

static enum match match_scheme(const struct condition *c, const struct condition_input *in)
{
    return pattern_list_try((const struct pattern_list *)c->data, in->req->scheme);
}
const struct condition_ops condition_scheme = {CONF_C_SCHEME, compile_patterns, match_scheme, 0};

struct ports {
    unsigned n;
    struct {
        uint16_t first, last;
    } v[];
};

static bool compile_port(struct condition_context *k, const struct conf_stmt *s, struct condition *c)
{
    struct ports *p = (struct ports *)condition_alloc(k, sizeof *p + s->n_args * sizeof p->v[0]);
    c->data = p;
    for (unsigned i = 0; p && i < s->n_args; i++) {
        struct span last = s->args[i].text, first = span_cut(&last, '-');
        uint64_t a, b;
        if (!num_parse_dec(first, 65535, &a) || !num_parse_dec(last.ptr ? last : first, 65535, &b) ||
            a == 0 || a > b) {
            conf_error(k->diags, k->conf, &s->args[i].pos, "`%.*s` is no port and no range of ports",
                       SPAN_ARG(s->args[i].text));
            return false;
        }
        p->v[p->n].first = (uint16_t)a;
        p->v[p->n++].last = (uint16_t)b;
    }
    return p != NULL;
}

static enum match match_port(const struct condition *c, const struct condition_input *in)
{
    const struct ports *p = (const struct ports *)c->data;
    uint16_t port = in->req->authority.port;
    if (!port)
        port = span_eq(in->req->scheme, SPAN("https")) ? 443 : 80;
    for (unsigned i = 0; i < p->n; i++)
        if (port >= p->v[i].first && port <= p->v[i].last)
            return MATCH_YES;
    return MATCH_NO;
}
const struct condition_ops condition_port = {CONF_C_PORT, compile_port, match_port, 0};

// ---- query

// As servers read a form: `%61` is `a`, `+` a space; what is no encoding stays as it is. out has room for
// all.
static size_t form_decode(struct span s, char *out)
{
    size_t n = 0;
    for (size_t i = 0; i < s.len; i++) {
        int hi = i + 2 < s.len && s.ptr[i] == '%' ? ascii_hex((unsigned char)s.ptr[i + 1]) : -1;
        int lo = hi >= 0 ? ascii_hex((unsigned char)s.ptr[i + 2]) : -1;
        if (lo >= 0)
            out[n++] = (char)(hi << 4 | lo), i += 2;
        else
            out[n++] = s.ptr[i] == '+' ? ' ' : s.ptr[i];
    }
    return n;
}

static bool form_decoded(struct span s, struct arena *a, struct span *ret)
{
    *ret = s;
    if (span_find(s, '%') == s.len && span_find(s, '+') == s.len)
        return true;
    char *out = a ? arena_bytes(a, s.len) : NULL;
    if (out)
        *ret = span_of(out, form_decode(s, out));
    return out != NULL;
}

static enum match match_query(const struct condition *c, const struct condition_input *in)
{
    const struct named *n = (const struct named *)c->data;
    struct span rest = in->req->query;
    enum match m = MATCH_NO;
    while (rest.ptr && m != MATCH_YES) {
        struct span value = span_cut(&rest, '&'), name = span_cut(&value, '=');
        struct span dname, dvalue;
        if (!form_decoded(name, in->arena, &dname) || !form_decoded(value, in->arena, &dvalue))
            return MATCH_UNSURE;
        if (span_eq(dname, n->name))
            m = match_or(m, value_fits(n, dvalue));
    }
    return m;
}
const struct condition_ops condition_query = {CONF_C_QUERY, compile_named, match_query, 0};

// ---- header, cookie, user-agent

static enum match match_header(const struct condition *c, const struct condition_input *in)
{
    const struct named *n = (const struct named *)c->data;
    const struct fields *fields = &in->req->fields;
    enum match m = MATCH_NO;
    if (n->id != FIELD_OTHER) {
        for (const struct field *f = fields_get(fields, n->id); f && m != MATCH_YES; f = fields_next(fields, f))
            m = match_or(m, value_fits(n, f->value));
        return m;
    }
    for (const struct field *f = fields_find(fields, n->name); f && m != MATCH_YES;
         f = fields_find_next(fields, f))
        m = match_or(m, value_fits(n, f->value));
    return m;
}
const struct condition_ops condition_header = {CONF_C_HEADER, compile_named, match_header, 0};

// Some servers take quotes for a part of a cookie's value and some do not.
static enum match cookie_fits(const struct named *n, struct span value)
{
    enum match m = value_fits(n, value);
    if (value.len < 2 || value.ptr[0] != '"' || value.ptr[value.len - 1] != '"')
        return m;
    return match_agree(m, value_fits(n, span_of(value.ptr + 1, value.len - 2)));
}

static enum match match_cookie(const struct condition *c, const struct condition_input *in)
{
    const struct named *n = (const struct named *)c->data;
    const struct fields *fields = &in->req->fields;
    enum match m = MATCH_NO;
    for (const struct field *f = fields_get(fields, FIELD_COOKIE); f; f = fields_next(fields, f)) {
        struct span rest = f->value;
        while (rest.ptr && m != MATCH_YES) {
            struct span value = span_cut(&rest, ';'), name = span_trim(span_cut(&value, '='));
            if (span_eq(name, n->name))
                m = match_or(m, cookie_fits(n, span_trim(value)));
        }
    }
    return m;
}
const struct condition_ops condition_cookie = {CONF_C_COOKIE, compile_named, match_cookie, 0};

// A request without one has the empty value.
static enum match match_user_agent(const struct condition *c, const struct condition_input *in)
{
    const struct pattern_list *l = (const struct pattern_list *)c->data;
    const struct fields *fields = &in->req->fields;
    const struct field *f = fields_get(fields, FIELD_USER_AGENT);
    enum match m = f ? MATCH_NO : pattern_list_try(l, SPAN(""));
    for (; f && m != MATCH_YES; f = fields_next(fields, f))
        m = match_or(m, pattern_list_try(l, f->value));
    return m;
}
const struct condition_ops condition_user_agent = {CONF_C_USER_AGENT, compile_patterns, match_user_agent, 0};
