// SPDX-License-Identifier: Apache-2.0
// Conditions on the request's line and fields: method, path, query, port, scheme, header, cookie, user-agent.
#include "base/num.h"
#include "policy/condition.h"
#include "policy/pattern.h"

struct named {
    struct span name;
    struct pattern_list values; // none: it is enough that it is there
};

static bool compile_patterns(struct condition_context *k, const struct conf_stmt *s, struct condition *c)
{
    struct pattern_list *l = (struct pattern_list *)arena_zalloc(k->arena, sizeof *l);
    c->data = l;
    return l && condition_patterns(k, s, 0, false, l);
}

static bool compile_named(struct condition_context *k, const struct conf_stmt *s, struct condition *c)
{
    struct named *n = (struct named *)arena_zalloc(k->arena, sizeof *n);
    c->data = n;
    if (!n)
        return false;
    n->name = s->args[0].text;
    return condition_patterns(k, s, 1, false, &n->values);
}

static bool value_fits(const struct named *n, struct span value)
{
    return n->values.n == 0 || pattern_list_match(&n->values, value);
}

static bool match_method(const struct condition *c, const struct condition_input *in)
{
    return pattern_list_match((const struct pattern_list *)c->data, in->req->method_text);
}
const struct condition_ops condition_method = {CONF_C_METHOD, compile_patterns, match_method};

// Both readings count, so that no spelling passes a rule that a server would read otherwise.
static bool match_path(const struct condition *c, const struct condition_input *in)
{
    const struct pattern_list *l = (const struct pattern_list *)c->data;
    return pattern_list_match(l, in->path) || (in->path_loose.ptr != in->path.ptr && pattern_list_match(l, in->path_loose));
}
const struct condition_ops condition_path = {CONF_C_PATH, compile_patterns, match_path};

static bool match_query(const struct condition *c, const struct condition_input *in)
{
    const struct named *n = (const struct named *)c->data;
    struct span rest = in->req->query;
    while (rest.ptr) {
        struct span value = span_cut(&rest, '&'), name = span_cut(&value, '=');
        if (span_eq(name, n->name) && value_fits(n, value))
            return true;
    }
    return false;
}
const struct condition_ops condition_query = {CONF_C_QUERY, compile_named, match_query};

static bool match_header(const struct condition *c, const struct condition_input *in)
{
    const struct named *n = (const struct named *)c->data;
    for (const struct field *f = fields_find(&in->req->fields, n->name); f; f = fields_find_next(&in->req->fields, f))
        if (value_fits(n, f->value))
            return true;
    return false;
}
const struct condition_ops condition_header = {CONF_C_HEADER, compile_named, match_header};

static bool match_cookie(const struct condition *c, const struct condition_input *in)
{
    const struct named *n = (const struct named *)c->data;
    for (const struct field *f = fields_get(&in->req->fields, FIELD_COOKIE); f; f = fields_next(&in->req->fields, f)) {
        struct span rest = f->value;
        while (rest.ptr) {
            struct span value = span_trim(span_cut(&rest, ';')), name = span_cut(&value, '=');
            if (span_eq(name, n->name) && value_fits(n, value))
                return true;
        }
    }
    return false;
}
const struct condition_ops condition_cookie = {CONF_C_COOKIE, compile_named, match_cookie};

static bool match_user_agent(const struct condition *c, const struct condition_input *in)
{
    return pattern_list_match((const struct pattern_list *)c->data, fields_value(&in->req->fields, FIELD_USER_AGENT));
}
const struct condition_ops condition_user_agent = {CONF_C_USER_AGENT, compile_patterns, match_user_agent};

static bool match_scheme(const struct condition *c, const struct condition_input *in)
{
    return pattern_list_match((const struct pattern_list *)c->data, in->req->scheme);
}
const struct condition_ops condition_scheme = {CONF_C_SCHEME, compile_patterns, match_scheme};

struct ports {
    unsigned n;
    struct {
        uint16_t first, last;
    } v[];
};

static bool compile_port(struct condition_context *k, const struct conf_stmt *s, struct condition *c)
{
    struct ports *p = (struct ports *)arena_zalloc(k->arena, sizeof *p + s->n_args * sizeof p->v[0]);
    c->data = p;
    for (unsigned i = 0; p && i < s->n_args; i++) {
        struct span last = s->args[i].text, first = span_cut(&last, '-');
        uint64_t a, b;
        if (!num_parse_dec(first, 65535, &a) || !num_parse_dec(last.ptr ? last : first, 65535, &b) || a > b) {
            conf_error(k->diags, k->conf, &s->args[i].pos, "`%.*s` is no port and no range of ports", SPAN_ARG(s->args[i].text));
            return false;
        }
        p->v[i].first = (uint16_t)a;
        p->v[i].last = (uint16_t)b;
        p->n++;
    }
    return p != NULL;
}

static bool match_port(const struct condition *c, const struct condition_input *in)
{
    const struct ports *p = (const struct ports *)c->data;
    uint16_t port = in->req->authority.port;
    if (!port)
        port = span_eq(in->req->scheme, SPAN("https")) ? 443 : 80;
    for (unsigned i = 0; i < p->n; i++)
        if (port >= p->v[i].first && port <= p->v[i].last)
            return true;
    return false;
}
const struct condition_ops condition_port = {CONF_C_PORT, compile_port, match_port};
